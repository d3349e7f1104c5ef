package amd64

// Shift is a shift or rotation.
type Shift uint8

// The operations, by the number of their opcode extension.
const (
	Rol Shift = 0
	Ror Shift = 1
	Shl Shift = 4
	Shr Shift = 5
	Sar Shift = 7
)

// String returns the name of the instruction.
func (s Shift) String() string {
	return nameOf([]string{"rol", "ror", "rcl", "rcr", "shl", "shr", "(bad)", "sar"}, uint8(s))
}

func (a *Assembler) shift(op Shift, w Width) bool {
	switch op {
	case Rol, Ror, Shl, Shr, Sar:
		return a.width(w, anyWidth)
	}
	return a.fail(BadOperation)
}

// count checks a constant count: 0 to 63 for W64, else 0 to 31.
func (a *Assembler) count(w Width, n uint8) bool {
	if n > 63 || n > 31 && w != W64 {
		return a.fail(ImmediateRange)
	}
	return true
}

// ShiftRI shifts a register by a constant: 0 to 63 for W64, else 0 to 31.
func (a *Assembler) ShiftRI(op Shift, w Width, r Reg, n uint8) {
	if !a.shift(op, w) || !a.count(w, n) {
		return
	}
	if n == 1 {
		a.rr(opcode(0xD0).sized(w)&^byteReg, w, Reg(op), r)
		return
	}
	if a.rr(opcode(0xC0).sized(w)&^byteReg, w, Reg(op), r) {
		a.buf = append(a.buf, n)
	}
}

// ShiftCL shifts a register by CL modulo 64 for W64, else modulo 32.
func (a *Assembler) ShiftCL(op Shift, w Width, r Reg) {
	if a.shift(op, w) {
		a.rr(opcode(0xD2).sized(w)&^byteReg, w, Reg(op), r)
	}
}

// shiftX returns the opcode of shlx, shrx and sarx.
func (a *Assembler) shiftX(op Shift) (opcode, bool) {
	switch op {
	case Shl:
		return map0F38 | pre66 | 0xF7, true
	case Shr:
		return map0F38 | preF2 | 0xF7, true
	case Sar:
		return map0F38 | preF3 | 0xF7, true
	}
	return 0, a.fail(BadOperation)
}

// ShiftXRR is dst = src op count (shlx, shrx, sarx; needs BMI2): Shl, Shr or Sar. The count is
// taken modulo the width; the flags stay. Widths: W32, W64.
func (a *Assembler) ShiftXRR(op Shift, w Width, dst, src, count Reg) {
	if o, ok := a.shiftX(op); ok {
		a.vexRR(o, w, dst, count, src)
	}
}

// ShiftXRM is dst = memory op count, as ShiftXRR.
func (a *Assembler) ShiftXRM(op Shift, w Width, dst Reg, m Mem, count Reg) {
	if o, ok := a.shiftX(op); ok {
		a.vexRM(o, w, dst, count, m, 0)
	}
}

// RorxRRI is dst = src rotated right by n; the flags stay (needs BMI2). Widths: W32, W64.
func (a *Assembler) RorxRRI(w Width, dst, src Reg, n uint8) {
	if a.count(w, n) && a.vexRR(map0F3A|preF2|0xF0, w, dst, 0, src) {
		a.buf = append(a.buf, n)
	}
}

// RorxRMI is dst = memory rotated right by n; the flags stay (needs BMI2). Widths: W32, W64.
func (a *Assembler) RorxRMI(w Width, dst Reg, m Mem, n uint8) {
	if a.count(w, n) && a.vexRM(map0F3A|preF2|0xF0, w, dst, 0, m, 1) {
		a.buf = append(a.buf, n)
	}
}

// AndnRR is dst = ^inverted & src (needs BMI1). Widths: W32, W64.
func (a *Assembler) AndnRR(w Width, dst, inverted, src Reg) {
	a.vexRR(map0F38|0xF2, w, dst, inverted, src)
}

// AndnRM is dst = ^inverted & memory (needs BMI1). Widths: W32, W64.
func (a *Assembler) AndnRM(w Width, dst, inverted Reg, m Mem) {
	a.vexRM(map0F38|0xF2, w, dst, inverted, m, 0)
}

// BextrRR extracts the bits of src that the control says: start in bits 0 to 7, length in bits
// 8 to 15 (needs BMI1). Widths: W32, W64.
func (a *Assembler) BextrRR(w Width, dst, src, control Reg) {
	a.vexRR(map0F38|0xF7, w, dst, control, src)
}

// BextrRM extracts bits of memory, as BextrRR.
func (a *Assembler) BextrRM(w Width, dst Reg, m Mem, control Reg) {
	a.vexRM(map0F38|0xF7, w, dst, control, m, 0)
}

// BzhiRR clears the bits of src from a number up; the number is the low byte of the register
// (needs BMI2). Widths: W32, W64.
func (a *Assembler) BzhiRR(w Width, dst, src, from Reg) {
	a.vexRR(map0F38|0xF5, w, dst, from, src)
}

// BzhiRM clears high bits of memory, as BzhiRR.
func (a *Assembler) BzhiRM(w Width, dst Reg, m Mem, from Reg) {
	a.vexRM(map0F38|0xF5, w, dst, from, m, 0)
}

// TzcntRR counts trailing zeros; of zero it is the width (needs BMI1). Widths: W32, W64.
func (a *Assembler) TzcntRR(w Width, dst, src Reg) {
	if a.width(w, wide) {
		a.rr(map0F|preF3|0xBC, w, dst, src)
	}
}

// BsfRR finds the lowest set bit; ZF says that there is none, and dst is undefined then.
// Widths: W32, W64.
func (a *Assembler) BsfRR(w Width, dst, src Reg) {
	if a.width(w, wide) {
		a.rr(map0F|0xBC, w, dst, src)
	}
}

// BtRI copies one bit of a register to CF: 0 to 63 for W64, 0 to 31 for W32.
func (a *Assembler) BtRI(w Width, r Reg, bit uint8) {
	if a.width(w, wide) && a.count(w, bit) && a.rr(map0F|0xBA, w, 4, r) {
		a.buf = append(a.buf, bit)
	}
}

// BtRR copies to CF the bit of r whose number another register holds, modulo the width.
// Widths: W32, W64.
func (a *Assembler) BtRR(w Width, r, bit Reg) {
	if a.width(w, wide) {
		a.rr(map0F|0xA3, w, bit, r)
	}
}
