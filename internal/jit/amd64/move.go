package amd64

import (
	"encoding/binary"
	"math"
)

// MovRR copies a register. W32 clears the upper half of the destination, also when both are
// the same register. Widths: W32, W64.
func (a *Assembler) MovRR(w Width, dst, src Reg) {
	if a.width(w, wide) {
		a.rr(0x89, w, src, dst)
	}
}

// MovRI sets all 64 bits of a register, in the shortest form that leaves the flags alone: 5
// bytes for numbers of 32 bits, 7 for negative numbers of 32 bits, 10 for the rest (and one more
// for R8 to R15 in the first form). Where the flags are dead, zero is shorter by [Assembler.Zero].
func (a *Assembler) MovRI(dst Reg, v uint64) {
	switch {
	case v <= math.MaxUint32:
		if a.plus(0xB8, W32, dst) {
			a.imm32(int32(uint32(v)))
		}
	case int64(v) >= math.MinInt32 && int64(v) < 0:
		if a.rr(0xC7, W64, 0, dst) {
			a.imm32(int32(int64(v)))
		}
	default:
		if a.plus(0xB8, W64, dst) {
			a.buf = binary.LittleEndian.AppendUint64(a.buf, v)
		}
	}
}

// Zero sets a register to zero and changes the flags (xor).
func (a *Assembler) Zero(dst Reg) { a.OpRR(Xor, W32, dst, dst) }

// movzx and movsx from a byte; from 16 bits the opcode is one higher.
const (
	opMovzx = map0F | 0xB6
	opMovsx = map0F | 0xBE
)

// Load reads memory of the given width and clears the rest of the register.
func (a *Assembler) Load(w Width, dst Reg, m Mem) {
	switch w {
	case W8:
		a.rm(opMovzx, W32, dst, m, 0)
	case W16:
		a.rm(opMovzx|1, W32, dst, m, 0)
	case W32, W64:
		a.rm(0x8B, w, dst, m, 0)
	default:
		a.fail(BadWidth)
	}
}

// signExtend returns the opcode that sign-extends.
func (a *Assembler) signExtend(from, to Width) (opcode, bool) {
	if !a.width(from, W8|W16|W32) || !a.width(to, wide) {
		return 0, false
	}
	switch {
	case from >= to:
		return 0, a.fail(BadWidth)
	case from == W8:
		return opMovsx | byteRM, true
	case from == W16:
		return opMovsx | 1, true
	}
	return 0x63, true
}

// LoadSX reads memory of one width and sign-extends it to another: from W8, W16 or W32, to W32
// (which clears the upper half) or W64.
func (a *Assembler) LoadSX(from, to Width, dst Reg, m Mem) {
	if op, ok := a.signExtend(from, to); ok {
		a.rm(op, to, dst, m, 0)
	}
}

// Store writes the low part of a register.
func (a *Assembler) Store(w Width, m Mem, src Reg) {
	if a.width(w, anyWidth) {
		a.rm(opcode(0x88).sized(w), w, src, m, 0)
	}
}

// StoreI writes an immediate. W64 sign-extends it from 32 bits; W8 and W16 take signed and
// unsigned numbers of their width.
func (a *Assembler) StoreI(w Width, m Mem, v int32) {
	if !a.width(w, anyWidth) {
		return
	}
	v, ok := a.narrow(w, v)
	if ok && a.rm(opcode(0xC6).sized(w), w, 0, m, immSize(w)) {
		a.imm(v, immSize(w))
	}
}

// MovZX copies the low part of a register and clears the rest of the destination: from W8, W16
// or W32.
func (a *Assembler) MovZX(from Width, dst, src Reg) {
	switch from {
	case W8:
		a.rr(opMovzx|byteRM, W32, dst, src)
	case W16:
		a.rr(opMovzx|1, W32, dst, src)
	case W32:
		a.MovRR(W32, dst, src)
	default:
		a.fail(BadWidth)
	}
}

// MovSX copies the low part of a register and sign-extends it: from W8, W16 or W32, to W32
// (which clears the upper half) or W64.
func (a *Assembler) MovSX(from, to Width, dst, src Reg) {
	if op, ok := a.signExtend(from, to); ok {
		a.rr(op, to, dst, src)
	}
}

// Lea computes an address. W32 keeps its low half. The flags stay.
func (a *Assembler) Lea(w Width, dst Reg, m Mem) {
	if a.width(w, wide) {
		a.rm(0x8D, w, dst, m, 0)
	}
}

// MovbeRM loads memory with its bytes reversed (needs MOVBE). W16 changes the low 16 bits of
// the register only. Widths: W16, W32, W64.
func (a *Assembler) MovbeRM(w Width, dst Reg, m Mem) {
	if a.width(w, notByte) {
		a.rm(map0F38|0xF0, w, dst, m, 0)
	}
}

// MovbeMR stores a register with its bytes reversed (needs MOVBE). Widths: W16, W32, W64.
func (a *Assembler) MovbeMR(w Width, m Mem, src Reg) {
	if a.width(w, notByte) {
		a.rm(map0F38|0xF1, w, src, m, 0)
	}
}

// Bswap reverses the bytes of a register. Widths: W32 (clears the upper half), W64. For 16 bits
// use ShiftRI(Rol, W16, r, 8).
func (a *Assembler) Bswap(w Width, r Reg) {
	if a.width(w, wide) {
		a.plus(map0F|0xC8, w, r)
	}
}

// Push pushes 64 bits.
func (a *Assembler) Push(r Reg) { a.plus(0x50, W32, r) }

// Pop pops 64 bits.
func (a *Assembler) Pop(r Reg) { a.plus(0x58, W32, r) }

// PushM pushes 64 bits from memory.
func (a *Assembler) PushM(m Mem) { a.rm(0xFF, W32, 6, m, 0) }

// PopM pops 64 bits to memory. An address from RSP counts from after the pop.
func (a *Assembler) PopM(m Mem) { a.rm(0x8F, W32, 0, m, 0) }

// PushI pushes an immediate sign-extended to 64 bits.
func (a *Assembler) PushI(v int32) {
	if isInt8(v) {
		a.buf = append(a.buf, 0x6A, byte(v))
		return
	}
	a.buf = append(a.buf, 0x68)
	a.imm32(v)
}
