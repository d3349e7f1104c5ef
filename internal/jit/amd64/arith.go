package amd64

// ALU is an operation with a source and a destination that sets the flags.
type ALU uint8

// The operations, by the number of their opcode extension. Cmp and Test set the flags alone.
const (
	Add ALU = iota
	Or
	Adc
	Sbb
	And
	Sub
	Xor
	Cmp
	Test
)

// String returns the name of the instruction.
func (o ALU) String() string {
	return nameOf([]string{"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test"}, uint8(o))
}

func nameOf(names []string, n uint8) string {
	if int(n) < len(names) {
		return names[n]
	}
	return "(bad)"
}

// aluOpcode returns the opcode whose destination is ModRM.rm, before sized.
func (a *Assembler) aluOpcode(op ALU, w Width) (opcode, bool) {
	if op > Test {
		return 0, a.fail(BadOperation)
	}
	if !a.width(w, anyWidth) {
		return 0, false
	}
	if op == Test {
		return 0x84, true
	}
	return opcode(op) << 3, true
}

// OpRR is dst = dst op src. W32 clears the upper half of dst; W8 and W16 keep the rest of it.
func (a *Assembler) OpRR(op ALU, w Width, dst, src Reg) {
	if o, ok := a.aluOpcode(op, w); ok {
		a.rr(o.sized(w), w, src, dst)
	}
}

// OpMR is memory = memory op src.
func (a *Assembler) OpMR(op ALU, w Width, m Mem, src Reg) {
	if o, ok := a.aluOpcode(op, w); ok {
		a.rm(o.sized(w), w, src, m, 0)
	}
}

// OpRM is dst = dst op memory.
func (a *Assembler) OpRM(op ALU, w Width, dst Reg, m Mem) {
	o, ok := a.aluOpcode(op, w)
	if !ok {
		return
	}
	if op != Test { // test has one direction, and it does not matter
		o |= 2
	}
	a.rm(o.sized(w), w, dst, m, 0)
}

// immediate returns the opcode, its extension and the bytes of the immediate for memory and for
// registers other than RAX.
func (op ALU) immediate(w Width, v int32) (opcode, Reg, uint8) {
	switch {
	case op == Test:
		return opcode(0xF6).sized(w) &^ byteReg, 0, immSize(w)
	case w != W8 && isInt8(v):
		return 0x83, Reg(op), 1
	}
	return opcode(0x80).sized(w) &^ byteReg, Reg(op), immSize(w)
}

// OpRI is dst = dst op v. W64 sign-extends v from 32 bits; W8 and W16 take signed and unsigned
// numbers of their width.
func (a *Assembler) OpRI(op ALU, w Width, dst Reg, v int32) {
	o, ok := a.aluOpcode(op, w)
	if !ok {
		return
	}
	if v, ok = a.narrow(w, v); !ok {
		return
	}
	ext, reg, size := op.immediate(w, v)
	if dst == RAX && size == immSize(w) {
		a.buf = rax(op, o).sized(w).head(a.buf, w, opcode(0).rex(w, RAX))
		a.imm(v, size)
		return
	}
	if a.rr(ext, w, reg, dst) {
		a.imm(v, size)
	}
}

// rax returns the opcode of the form without ModRM, before sized.
func rax(op ALU, o opcode) opcode {
	if op == Test {
		return 0xA8
	}
	return o | 4
}

// OpMI is memory = memory op v, with v as in OpRI.
func (a *Assembler) OpMI(op ALU, w Width, m Mem, v int32) { a.opMI(op, w, m, v, 0) }

func (a *Assembler) opMI(op ALU, w Width, m Mem, v int32, flags opcode) {
	_, ok := a.aluOpcode(op, w)
	if !ok {
		return
	}
	if v, ok = a.narrow(w, v); !ok {
		return
	}
	ext, reg, size := op.immediate(w, v)
	if a.rm(ext|flags, w, reg, m, size) {
		a.imm(v, size)
	}
}

// TestBits sets ZF from r & mask (a 64-bit and of a zero-extended mask), in the shortest form.
// The other flags are those of some test instruction.
func (a *Assembler) TestBits(r Reg, mask uint32) {
	switch {
	case mask < 1<<7 || mask < 1<<8 && r <= RBX:
		a.OpRI(Test, W8, r, int32(mask))
	default:
		a.OpRI(Test, W32, r, int32(mask))
	}
}

// Unary is an operation with one operand.
type Unary uint8

// The operations. Mul, Imul, Div and Idiv work on RDX:RAX (W8: on AX).
const (
	Not Unary = iota
	Neg
	Mul
	Imul
	Div
	Idiv
	Inc // leaves CF alone
	Dec // leaves CF alone
)

// String returns the name of the instruction.
func (o Unary) String() string {
	return nameOf([]string{"not", "neg", "mul", "imul", "div", "idiv", "inc", "dec"}, uint8(o))
}

// unary returns the opcode and its extension.
func (a *Assembler) unary(op Unary, w Width) (opcode, Reg, bool) {
	switch {
	case op > Dec:
		return 0, 0, a.fail(BadOperation)
	case !a.width(w, anyWidth):
		return 0, 0, false
	case op >= Inc:
		return opcode(0xFE).sized(w), Reg(op - Inc), true
	}
	return opcode(0xF6).sized(w), Reg(op) + 2, true
}

// UnaryR applies an operation to a register.
func (a *Assembler) UnaryR(op Unary, w Width, r Reg) {
	if o, ext, ok := a.unary(op, w); ok {
		a.rr(o&^byteReg, w, ext, r)
	}
}

// UnaryM applies an operation to memory.
func (a *Assembler) UnaryM(op Unary, w Width, m Mem) {
	if o, ext, ok := a.unary(op, w); ok {
		a.rm(o&^byteReg, w, ext, m, 0)
	}
}

// ImulRR is dst = dst * src. Widths: W16, W32, W64.
func (a *Assembler) ImulRR(w Width, dst, src Reg) {
	if a.width(w, notByte) {
		a.rr(map0F|0xAF, w, dst, src)
	}
}

// ImulRM is dst = dst * memory. Widths: W16, W32, W64.
func (a *Assembler) ImulRM(w Width, dst Reg, m Mem) {
	if a.width(w, notByte) {
		a.rm(map0F|0xAF, w, dst, m, 0)
	}
}

// imulI returns the opcode and the size of the immediate.
func imulI(w Width, v int32) (opcode, uint8) {
	if isInt8(v) {
		return 0x6B, 1
	}
	return 0x69, immSize(w)
}

// ImulRRI is dst = src * v. Widths: W16, W32, W64.
func (a *Assembler) ImulRRI(w Width, dst, src Reg, v int32) {
	if !a.width(w, notByte) {
		return
	}
	v, ok := a.narrow(w, v)
	op, size := imulI(w, v)
	if ok && a.rr(op, w, dst, src) {
		a.imm(v, size)
	}
}

// ImulRMI is dst = memory * v. Widths: W16, W32, W64.
func (a *Assembler) ImulRMI(w Width, dst Reg, m Mem, v int32) {
	if !a.width(w, notByte) {
		return
	}
	v, ok := a.narrow(w, v)
	op, size := imulI(w, v)
	if ok && a.rm(op, w, dst, m, size) {
		a.imm(v, size)
	}
}

// Cdq fills EDX with the sign of EAX, for Idiv.
func (a *Assembler) Cdq() { a.buf = append(a.buf, 0x99) }

// Cqo fills RDX with the sign of RAX, for Idiv.
func (a *Assembler) Cqo() { a.buf = append(a.buf, 0x48, 0x99) }
