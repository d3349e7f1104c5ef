package arm64

// logicOp is a logical instruction: its opc in bits 30 and 29, and whether it inverts its operand.
type logicOp struct {
	insn string
	opc  uint32
	inv  uint32 // bit 21 of the register form; such an instruction takes no constant
}

const logicInvert = 1 << 21

// And emits and rd, rn, op. The operand is an [Imm] that [FitsLogical], [R] or [Shifted]. With a
// constant rd may be SP.
func (a *Assembler) And(w Width, rd, rn Reg, op Operand) {
	a.logic(logicOp{"and", 0, 0}, w, rd, rn, op)
}

// Orr emits orr rd, rn, op, under the rules of [Assembler.And].
func (a *Assembler) Orr(w Width, rd, rn Reg, op Operand) {
	a.logic(logicOp{"orr", 1 << 29, 0}, w, rd, rn, op)
}

// Eor emits eor rd, rn, op, under the rules of [Assembler.And].
func (a *Assembler) Eor(w Width, rd, rn Reg, op Operand) {
	a.logic(logicOp{"eor", 2 << 29, 0}, w, rd, rn, op)
}

// Ands emits ands rd, rn, op: and, and set flags; rd may be XZR and not SP.
func (a *Assembler) Ands(w Width, rd, rn Reg, op Operand) {
	a.logic(logicOp{"ands", 3 << 29, 0}, w, rd, rn, op)
}

// Tst emits tst rn, op: the flags of rn & op.
func (a *Assembler) Tst(w Width, rn Reg, op Operand) { a.Ands(w, XZR, rn, op) }

// Bic emits bic rd, rn, op: rn & ^op for a register operand.
func (a *Assembler) Bic(w Width, rd, rn Reg, op Operand) {
	a.logic(logicOp{"bic", 0, logicInvert}, w, rd, rn, op)
}

// Orn emits orn rd, rn, op: rn | ^op for a register operand.
func (a *Assembler) Orn(w Width, rd, rn Reg, op Operand) {
	a.logic(logicOp{"orn", 1 << 29, logicInvert}, w, rd, rn, op)
}

// Eon emits eon rd, rn, op: rn ^ ^op for a register operand.
func (a *Assembler) Eon(w Width, rd, rn Reg, op Operand) {
	a.logic(logicOp{"eon", 2 << 29, logicInvert}, w, rd, rn, op)
}

// Mvn emits mvn rd, op: ^op for a register operand.
func (a *Assembler) Mvn(w Width, rd Reg, op Operand) { a.Orn(w, rd, XZR, op) }

func (a *Assembler) logic(o logicOp, w Width, rd, rn Reg, op Operand) {
	word := a.width(o.insn, w) | o.opc
	switch {
	case op.kind == kindImm && o.inv == 0:
		fields, ok := encodeBitmask(w, op.imm)
		if !ok {
			a.fail(o.insn, "the constant %#x is not a bit mask", op.imm)
		}
		dst := a.gpSP
		if o.opc == 3<<29 {
			dst = a.gp
		}
		if rd == XZR && o.opc != 3<<29 {
			a.fail(o.insn, "a constant into xzr would write sp")
		}
		a.emit(word | 0x12000000 | fields<<10 | a.gp(o.insn, rn)<<5 | dst(o.insn, rd))
	case op.kind == kindReg, op.kind == kindShifted:
		if Shift(op.mod) > ROR {
			a.fail(o.insn, "there is no shift %d", op.mod)
		}
		a.emit(word | 0x0a000000 | o.inv | a.shifted(o.insn, w, op) | a.gp(o.insn, rn)<<5 | a.gp(o.insn, rd))
	default:
		a.fail(o.insn, "this kind of operand is not possible")
	}
}
