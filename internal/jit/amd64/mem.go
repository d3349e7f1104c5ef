package amd64

import (
	"encoding/binary"
	"math/bits"
)

// addressing is a way of forming an address.
type addressing uint8

const (
	noAddress    addressing = iota
	baseDisp                // base + disp
	baseIndex               // base + index*scale + disp
	indexOnly               // index*scale + disp
	ripRelative             // label + disp
	addressForms = iota
)

// Mem is a memory operand. The zero Mem is not an address; use the constructors.
type Mem struct {
	form  addressing
	base  Reg
	index Reg
	scale uint8 // 1, 2, 4 or 8
	label Label
	disp  int32
}

// At is the address base + disp.
func At(base Reg, disp int32) Mem { return Mem{form: baseDisp, base: base, disp: disp} }

// Indexed is the address base + index*scale + disp. The scale is 1, 2, 4 or 8; RSP cannot be
// an index. A base of RBP or R13 without displacement takes a byte more than others, so with a
// scale of 1 prefer them as the index.
func Indexed(base, index Reg, scale uint8, disp int32) Mem {
	return Mem{form: baseIndex, base: base, index: index, scale: scale, disp: disp}
}

// Scaled is the address index*scale + disp. It always takes a displacement of four bytes.
func Scaled(index Reg, scale uint8, disp int32) Mem {
	return Mem{form: indexOnly, index: index, scale: scale, disp: disp}
}

// Rel is the address of a label in the code being assembled, relative to RIP.
func Rel(l Label) Mem { return Mem{form: ripRelative, label: l} }

// Plus returns the address n bytes further. A displacement that leaves 32 bits wraps around.
func (m Mem) Plus(n int32) Mem {
	m.disp += n
	return m
}

// Uses tells whether the address is formed from the register.
func (m Mem) Uses(r Reg) bool {
	switch m.form {
	case baseDisp:
		return m.base == r
	case baseIndex:
		return m.base == r || m.index == r
	case indexOnly:
		return m.index == r
	}
	return false
}

// valid says what is wrong with the operand, or 0.
func (m Mem) valid() Reason {
	if m.form == noAddress || m.form >= addressForms {
		return BadAddress
	}
	if m.base > R15 || m.index > R15 {
		return BadRegister
	}
	if m.form != baseIndex && m.form != indexOnly {
		return 0
	}
	if m.index == RSP {
		return BadIndex
	}
	if m.scale == 0 || m.scale > 8 || m.scale&(m.scale-1) != 0 {
		return BadScale
	}
	return 0
}

// rexBits returns the bits X and B of REX or VEX that the address needs.
func (m Mem) rexBits() byte {
	switch m.form {
	case baseDisp:
		return byte(m.base >> 3)
	case baseIndex:
		return byte(m.base>>3 | m.index>>3<<1)
	case indexOnly:
		return byte(m.index >> 3 << 1)
	}
	return 0
}

// sib returns the byte of scale, index and base. The low three bits of the registers count.
func sib(scale uint8, index, base Reg) byte {
	return byte(bits.TrailingZeros8(scale))<<6 | byte(index&7)<<3 | byte(base&7)
}

// address appends ModRM, SIB and displacement of a valid operand. The displacement from RIP is
// left to reference.
func (m Mem) address(b []byte, reg Reg) []byte {
	field := byte(reg&7) << 3
	switch m.form {
	case ripRelative:
		return append(b, field|5)
	case indexOnly:
		b = append(b, field|4, sib(m.scale, m.index, RBP))
		return binary.LittleEndian.AppendUint32(b, uint32(m.disp))
	}
	// ModRM's base 101 without displacement means RIP, and SIB's means none: RBP and R13
	// need a displacement. ModRM's base 100 means SIB: RSP and R12 need one.
	mod := byte(0x80)
	switch {
	case m.disp == 0 && m.base&7 != RBP:
		mod = 0
	case isInt8(m.disp):
		mod = 0x40
	}
	switch {
	case m.form == baseIndex:
		b = append(b, mod|field|4, sib(m.scale, m.index, m.base))
	case m.base&7 == RSP:
		b = append(b, mod|field|4, sib(1, RSP, m.base))
	default:
		b = append(b, mod|field|byte(m.base&7))
	}
	switch mod {
	case 0:
		return b
	case 0x40:
		return append(b, byte(m.disp))
	}
	return binary.LittleEndian.AppendUint32(b, uint32(m.disp))
}
