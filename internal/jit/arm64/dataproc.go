package arm64

// three emits an instruction with two sources and a width bit.
func (a *Assembler) three(insn string, op uint32, w Width, rd, rn, rm Reg) {
	a.emit(a.width(insn, w) | op | a.gp(insn, rm)<<16 | a.gp(insn, rn)<<5 | a.gp(insn, rd))
}

// four emits a multiply-accumulate.
func (a *Assembler) four(insn string, op uint32, w Width, rd, rn, rm, ra Reg) {
	a.three(insn, op|a.gp(insn, ra)<<10, w, rd, rn, rm)
}

// Madd emits madd rd, rn, rm, ra: ra + rn*rm.
func (a *Assembler) Madd(w Width, rd, rn, rm, ra Reg) {
	a.four("madd", 0x1b000000, w, rd, rn, rm, ra)
}

// Msub emits msub rd, rn, rm, ra: ra - rn*rm.
func (a *Assembler) Msub(w Width, rd, rn, rm, ra Reg) {
	a.four("msub", 0x1b008000, w, rd, rn, rm, ra)
}

// Mul emits mul rd, rn, rm.
func (a *Assembler) Mul(w Width, rd, rn, rm Reg) { a.four("mul", 0x1b000000, w, rd, rn, rm, XZR) }

// Mneg emits mneg rd, rn, rm: -(rn*rm).
func (a *Assembler) Mneg(w Width, rd, rn, rm Reg) { a.four("mneg", 0x1b008000, w, rd, rn, rm, XZR) }

// Umull emits umull rd, rn, rm: the 64-bit product of unsigned 32-bit sources.
func (a *Assembler) Umull(rd, rn, rm Reg) { a.four("umull", 0x1ba00000, W64, rd, rn, rm, XZR) }

// Smull emits smull rd, rn, rm: the 64-bit product of signed 32-bit sources.
func (a *Assembler) Smull(rd, rn, rm Reg) { a.four("smull", 0x1b200000, W64, rd, rn, rm, XZR) }

// Umulh emits umulh rd, rn, rm: bits 127 to 64 of the unsigned product.
func (a *Assembler) Umulh(rd, rn, rm Reg) { a.three("umulh", 0x1bc07c00, W64, rd, rn, rm) }

// Smulh emits smulh rd, rn, rm: bits 127 to 64 of the signed product.
func (a *Assembler) Smulh(rd, rn, rm Reg) { a.three("smulh", 0x1b407c00, W64, rd, rn, rm) }

// Udiv emits udiv rd, rn, rm: the unsigned quotient; zero when rm is zero.
func (a *Assembler) Udiv(w Width, rd, rn, rm Reg) { a.three("udiv", 0x1ac00800, w, rd, rn, rm) }

// Sdiv emits sdiv rd, rn, rm: the quotient rounded toward zero; zero when rm is zero, and the
// smallest number when it is divided by -1.
func (a *Assembler) Sdiv(w Width, rd, rn, rm Reg) { a.three("sdiv", 0x1ac00c00, w, rd, rn, rm) }

// Lsl emits lsl rd, rn, rm: shift left by rm modulo the width.
func (a *Assembler) Lsl(w Width, rd, rn, rm Reg) { a.three("lsl", 0x1ac02000, w, rd, rn, rm) }

// Lsr emits lsr rd, rn, rm: logical shift right by rm modulo the width.
func (a *Assembler) Lsr(w Width, rd, rn, rm Reg) { a.three("lsr", 0x1ac02400, w, rd, rn, rm) }

// Asr emits asr rd, rn, rm: arithmetic shift right by rm modulo the width.
func (a *Assembler) Asr(w Width, rd, rn, rm Reg) { a.three("asr", 0x1ac02800, w, rd, rn, rm) }

// Ror emits ror rd, rn, rm: rotate right by rm modulo the width.
func (a *Assembler) Ror(w Width, rd, rn, rm Reg) { a.three("ror", 0x1ac02c00, w, rd, rn, rm) }

// one emits an instruction with one source.
func (a *Assembler) one(insn string, op uint32, w Width, rd, rn Reg) {
	a.emit(a.width(insn, w) | 0x5ac00000 | op<<10 | a.gp(insn, rn)<<5 | a.gp(insn, rd))
}

// Rbit emits rbit rd, rn: the bits in reverse.
func (a *Assembler) Rbit(w Width, rd, rn Reg) { a.one("rbit", 0, w, rd, rn) }

// Rev16 emits rev16 rd, rn: the bytes of each 16 bits in reverse.
func (a *Assembler) Rev16(w Width, rd, rn Reg) { a.one("rev16", 1, w, rd, rn) }

// Rev32 emits rev32 rd, rn: the bytes of each 32 bits of a 64-bit register in reverse.
func (a *Assembler) Rev32(rd, rn Reg) { a.one("rev32", 2, W64, rd, rn) }

// Rev emits rev rd, rn: all bytes in reverse.
func (a *Assembler) Rev(w Width, rd, rn Reg) { a.one("rev", 2|uint32(w&1), w, rd, rn) }

// Clz emits clz rd, rn: the number of leading zero bits.
func (a *Assembler) Clz(w Width, rd, rn Reg) { a.one("clz", 4, w, rd, rn) }

// Cls emits cls rd, rn: the number of bits below the sign bit that equal it.
func (a *Assembler) Cls(w Width, rd, rn Reg) { a.one("cls", 5, w, rd, rn) }

// selectOp emits a conditional select.
func (a *Assembler) selectOp(insn string, op uint32, w Width, rd, rn, rm Reg, c Cond) {
	a.three(insn, op|a.cond(insn, c)<<12, w, rd, rn, rm)
}

// Csel emits csel rd, rn, rm, c: rn if c holds, otherwise rm.
func (a *Assembler) Csel(w Width, rd, rn, rm Reg, c Cond) {
	a.selectOp("csel", 0x1a800000, w, rd, rn, rm, c)
}

// Csinc emits csinc rd, rn, rm, c: rn if c holds, otherwise rm + 1.
func (a *Assembler) Csinc(w Width, rd, rn, rm Reg, c Cond) {
	a.selectOp("csinc", 0x1a800400, w, rd, rn, rm, c)
}

// Csinv emits csinv rd, rn, rm, c: rn if c holds, otherwise ^rm.
func (a *Assembler) Csinv(w Width, rd, rn, rm Reg, c Cond) {
	a.selectOp("csinv", 0x5a800000, w, rd, rn, rm, c)
}

// Csneg emits csneg rd, rn, rm, c: rn if c holds, otherwise -rm.
func (a *Assembler) Csneg(w Width, rd, rn, rm Reg, c Cond) {
	a.selectOp("csneg", 0x5a800400, w, rd, rn, rm, c)
}

// Cset emits cset rd, c: 1 if c holds, otherwise 0.
func (a *Assembler) Cset(w Width, rd Reg, c Cond) { a.Csinc(w, rd, XZR, XZR, c.Invert()) }

// Csetm emits csetm rd, c: all ones if c holds, otherwise 0.
func (a *Assembler) Csetm(w Width, rd Reg, c Cond) { a.Csinv(w, rd, XZR, XZR, c.Invert()) }

// Ccmp emits ccmp rn, op, #nzcv, c: the flags of rn - op if c holds, otherwise nzcv (N is bit 3).
// The operand is [R] or an [Imm] that [FitsCcmp].
func (a *Assembler) Ccmp(w Width, rn Reg, op Operand, nzcv uint8, c Cond) {
	a.condCompare("ccmp", 0x7a400000, w, rn, op, nzcv, c)
}

// Ccmn emits ccmn rn, op, #nzcv, c: the flags of rn + op if c holds, otherwise nzcv.
func (a *Assembler) Ccmn(w Width, rn Reg, op Operand, nzcv uint8, c Cond) {
	a.condCompare("ccmn", 0x3a400000, w, rn, op, nzcv, c)
}

func (a *Assembler) condCompare(insn string, word uint32, w Width, rn Reg, op Operand, nzcv uint8, c Cond) {
	switch {
	case op.kind == kindReg:
		word |= a.gp(insn, op.reg) << 16
	case op.kind == kindImm && FitsCcmp(op.imm):
		word |= 0x800 | uint32(op.imm)<<16
	default:
		a.fail(insn, "the operand must be a register or a constant of 5 bits")
	}
	if nzcv > 15 {
		a.fail(insn, "the flags %#x exceed 4 bits", nzcv)
	}
	a.emit(a.width(insn, w) | word | a.cond(insn, c)<<12 | a.gp(insn, rn)<<5 | uint32(nzcv&15))
}
