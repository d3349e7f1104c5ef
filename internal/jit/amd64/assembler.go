package amd64

import (
	"encoding/binary"
	"math/bits"
)

// Assembler collects instructions. Its zero value is ready for use. It serves one goroutine at
// a time.
type Assembler struct {
	buf    []byte     // encoded bytes, without jumps and padding
	items  []item     // what is inserted between them, in order
	labels []position // of label n at n-1
	shifts []int32    // scratch of Finish: bytes inserted before each item
	err    *EncodeError
}

// Reset forgets all instructions, labels and errors, and keeps the memory.
func (a *Assembler) Reset() {
	a.buf, a.items, a.labels, a.shifts = a.buf[:0], a.items[:0], a.labels[:0], a.shifts[:0]
	a.err = nil
}

// Err returns the first mistake so far, an [*EncodeError], or nil. Finish returns it too.
func (a *Assembler) Err() error {
	if a.err == nil {
		return nil
	}
	return a.err
}

// opcode is what distinguishes an instruction: the opcode byte, and above it the opcode map,
// the mandatory prefix and properties.
type opcode uint32

const (
	map0F   opcode = 1 << 8 // as the field mmmmm of VEX
	map0F38 opcode = 2 << 8
	map0F3A opcode = 3 << 8
	pre66   opcode = 1 << 10 // as the field pp of VEX
	preF3   opcode = 2 << 10
	preF2   opcode = 3 << 10
	byteReg opcode = 1 << 12 // ModRM.reg is a byte register
	byteRM  opcode = 1 << 13 // ModRM.rm is a byte register, if a register
	locked  opcode = 1 << 14 // takes the lock prefix
	byteOps        = byteReg | byteRM
)

func (o opcode) opMap() byte  { return byte(o >> 8 & 3) }
func (o opcode) prefix() byte { return byte(o >> 10 & 3) }

// sized returns the opcode for a width in a pair where bit 0 tells bytes (0) from the rest (1).
func (o opcode) sized(w Width) opcode {
	if w == W8 {
		return o | byteOps
	}
	return o | 1
}

const (
	rexW     = 8
	rexR     = 4
	rexForce = 0x40
)

// forced returns REX's fixed bit where a register needs REX to be spl, bpl, sil or dil.
func forced(isByte bool, r Reg) byte {
	if isByte && r >= RSP && r <= RDI {
		return rexForce
	}
	return 0
}

// rex returns the bits that the width and ModRM.reg ask of REX.
func (o opcode) rex(w Width, reg Reg) byte {
	b := byte(reg >> 3 << 2)
	if w == W64 {
		b |= rexW
	}
	return b | forced(o&byteReg != 0, reg)
}

// head appends everything before ModRM.
func (o opcode) head(b []byte, w Width, rex byte) []byte {
	if w == W16 {
		b = append(b, 0x66)
	}
	if o&locked != 0 {
		b = append(b, 0xF0)
	}
	if p := o.prefix(); p != 0 {
		b = append(b, "\x00\x66\xF3\xF2"[p])
	}
	if rex != 0 {
		b = append(b, 0x40|rex)
	}
	switch o.opMap() {
	case 0:
		return append(b, byte(o))
	case 1:
		return append(b, 0x0F, byte(o))
	case 2:
		return append(b, 0x0F, 0x38, byte(o))
	}
	return append(b, 0x0F, 0x3A, byte(o))
}

// direct returns the ModRM byte of two registers.
func direct(reg, rm Reg) byte { return 0xC0 | byte(reg&7)<<3 | byte(rm&7) }

// rr emits an instruction whose operands are registers; reg may be an opcode extension.
func (a *Assembler) rr(op opcode, w Width, reg, rm Reg) bool {
	if reg|rm > R15 {
		return a.fail(BadRegister)
	}
	rex := op.rex(w, reg) | byte(rm>>3) | forced(op&byteRM != 0, rm)
	a.buf = append(op.head(a.buf, w, rex), direct(reg, rm))
	return true
}

// rm emits an instruction with a memory operand up to its immediate of tail bytes.
func (a *Assembler) rm(op opcode, w Width, reg Reg, m Mem, tail uint8) bool {
	if reg > R15 {
		return a.fail(BadRegister)
	}
	if why := m.valid(); why != 0 {
		return a.fail(why)
	}
	a.buf = m.address(op.head(a.buf, w, op.rex(w, reg)|m.rexBits()), reg)
	a.reference(m, tail)
	return true
}

// plus emits an instruction whose register is in the low bits of its opcode.
func (a *Assembler) plus(op opcode, w Width, r Reg) bool {
	if r > R15 {
		return a.fail(BadRegister)
	}
	rex := byte(r >> 3)
	if w == W64 {
		rex |= rexW
	}
	a.buf = (op | opcode(r&7)).head(a.buf, w, rex)
	return true
}

// vex emits the prefix and opcode of an instruction of the BMI sets. REX holds R, X and B.
func (a *Assembler) vex(op opcode, w Width, rex byte, v Reg) {
	last := ^byte(v)&15<<3 | op.prefix()
	if w == W64 {
		last |= 0x80
	}
	a.buf = append(a.buf, 0xC4, ^rex&7<<5|op.opMap(), last, byte(op))
}

func (a *Assembler) vexRR(op opcode, w Width, reg, v, rm Reg) bool {
	if reg|v|rm > R15 {
		return a.fail(BadRegister)
	}
	if !a.width(w, wide) {
		return false
	}
	a.vex(op, w, byte(reg>>3<<2|rm>>3), v)
	a.buf = append(a.buf, direct(reg, rm))
	return true
}

func (a *Assembler) vexRM(op opcode, w Width, reg, v Reg, m Mem, tail uint8) bool {
	if reg|v > R15 {
		return a.fail(BadRegister)
	}
	if why := m.valid(); why != 0 {
		return a.fail(why)
	}
	if !a.width(w, wide) {
		return false
	}
	a.vex(op, w, byte(reg>>3<<2)|m.rexBits(), v)
	a.buf = m.address(a.buf, reg)
	a.reference(m, tail)
	return true
}

// width checks that w is one width of the set.
func (a *Assembler) width(w, set Width) bool {
	if w&set == 0 || bits.OnesCount8(uint8(w)) != 1 {
		return a.fail(BadWidth)
	}
	return true
}

func (a *Assembler) imm32(v int32) { a.buf = binary.LittleEndian.AppendUint32(a.buf, uint32(v)) }

// imm emits the low bytes of an immediate: 1, 2 or 4.
func (a *Assembler) imm(v int32, size uint8) {
	switch size {
	case 1:
		a.buf = append(a.buf, byte(v))
	case 2:
		a.buf = append(a.buf, byte(v), byte(v>>8))
	case 4:
		a.imm32(v)
	}
}

// immSize returns the bytes of a full immediate. A 64-bit operand takes 32 bits, sign-extended.
func immSize(w Width) uint8 { return uint8(min(w, W32)) }

// narrow checks that a signed or unsigned immediate fits the width and returns it sign-extended
// from there.
func (a *Assembler) narrow(w Width, v int32) (int32, bool) {
	switch {
	case w == W8 && (v < -1<<7 || v >= 1<<8), w == W16 && (v < -1<<15 || v >= 1<<16):
		return 0, a.fail(ImmediateRange)
	case w == W8:
		return int32(int8(v)), true
	case w == W16:
		return int32(int16(v)), true
	}
	return v, true
}

func isInt8(v int32) bool { return v == int32(int8(v)) }
