package arm64

// arithOp is an addition or subtraction: its bits 30 and 29.
type arithOp struct {
	insn string
	bits uint32
}

const setFlags = 1 << 29

// Add emits add rd, rn, op. With an [Imm] or [Extended] operand rd and rn may be SP and not XZR;
// with a shifted register it is the other way round. A plain register works with both.
func (a *Assembler) Add(w Width, rd, rn Reg, op Operand) { a.arith(arithOp{"add", 0}, w, rd, rn, op) }

// Sub emits sub rd, rn, op, under the rules of [Assembler.Add].
func (a *Assembler) Sub(w Width, rd, rn Reg, op Operand) {
	a.arith(arithOp{"sub", 1 << 30}, w, rd, rn, op)
}

// Adds emits adds rd, rn, op: add and set flags; rd may be XZR and not SP.
func (a *Assembler) Adds(w Width, rd, rn Reg, op Operand) {
	a.arith(arithOp{"adds", setFlags}, w, rd, rn, op)
}

// Subs emits subs rd, rn, op: subtract and set flags; rd may be XZR and not SP.
func (a *Assembler) Subs(w Width, rd, rn Reg, op Operand) {
	a.arith(arithOp{"subs", 1<<30 | setFlags}, w, rd, rn, op)
}

// Cmp emits cmp rn, op: the flags of rn - op.
func (a *Assembler) Cmp(w Width, rn Reg, op Operand) { a.Subs(w, XZR, rn, op) }

// Cmn emits cmn rn, op: the flags of rn + op.
func (a *Assembler) Cmn(w Width, rn Reg, op Operand) { a.Adds(w, XZR, rn, op) }

// Neg emits neg rd, op: zero minus a register, plain or shifted.
func (a *Assembler) Neg(w Width, rd Reg, op Operand) {
	if op.kind != kindReg && op.kind != kindShifted {
		a.fail("neg", "the operand must be a register")
	}
	a.Sub(w, rd, XZR, op)
}

func (a *Assembler) arith(o arithOp, w Width, rd, rn Reg, op Operand) {
	word := a.width(o.insn, w) | o.bits
	switch op.kind {
	case kindImm:
		word |= 0x11000000 | a.arithImm(o.insn, op.imm)<<10
	case kindReg, kindShifted:
		if op.kind == kindReg && (rd == SP || rn == SP) {
			ext := UXTW
			if w == W64 {
				ext = UXTX
			}
			a.arith(o, w, rd, rn, Extended(op.reg, ext, 0))
			return
		}
		if Shift(op.mod) > ASR {
			a.fail(o.insn, "a register operand takes lsl, lsr or asr")
		}
		word |= 0x0b000000 | a.shifted(o.insn, w, op)
		a.emit(word | a.gp(o.insn, rn)<<5 | a.gp(o.insn, rd))
		return
	default:
		if op.mod > uint8(SXTX) || op.amount > 4 {
			a.fail(o.insn, "there is no extension %d with shift %d", op.mod, op.amount)
		}
		word |= 0x0b200000 | a.gp(o.insn, op.reg)<<16 | uint32(op.mod&7)<<13 | uint32(op.amount&7)<<10
	}
	dst := a.gpSP
	if o.bits&setFlags != 0 {
		dst = a.gp
	}
	a.emit(word | a.gpSP(o.insn, rn)<<5 | dst(o.insn, rd))
}

// arithImm gives the 12-bit constant with its shift bit above.
func (a *Assembler) arithImm(insn string, v uint64) uint32 {
	if !FitsAddSub(v) {
		a.fail(insn, "the constant %#x does not fit 12 bits, shifted by 0 or 12", v)
		return 0
	}
	if v < 1<<12 {
		return uint32(v)
	}
	return 1<<12 | uint32(v>>12)
}

// shifted gives the fields of a register operand with its shift.
func (a *Assembler) shifted(insn string, w Width, op Operand) uint32 {
	if int(op.amount) >= w.Bits() {
		a.fail(insn, "a shift by %d exceeds the register", op.amount)
	}
	return uint32(op.mod&3)<<22 | a.gp(insn, op.reg)<<16 | uint32(op.amount&63)<<10
}

// carryOp emits an addition or subtraction with carry.
func (a *Assembler) carryOp(insn string, op uint32, w Width, rd, rn, rm Reg) {
	a.emit(a.width(insn, w) | op | a.gp(insn, rm)<<16 | a.gp(insn, rn)<<5 | a.gp(insn, rd))
}

// Adc emits adc rd, rn, rm: rn + rm + carry.
func (a *Assembler) Adc(w Width, rd, rn, rm Reg) { a.carryOp("adc", 0x1a000000, w, rd, rn, rm) }

// Adcs emits adcs rd, rn, rm: rn + rm + carry, and sets flags.
func (a *Assembler) Adcs(w Width, rd, rn, rm Reg) { a.carryOp("adcs", 0x3a000000, w, rd, rn, rm) }

// Sbc emits sbc rd, rn, rm: rn - rm - 1 + carry.
func (a *Assembler) Sbc(w Width, rd, rn, rm Reg) { a.carryOp("sbc", 0x5a000000, w, rd, rn, rm) }
