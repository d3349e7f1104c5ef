package arm64

import "math/bits"

type operandKind uint8

const (
	kindImm operandKind = iota
	kindReg
	kindShifted
	kindExtended
)

// Operand is the last source of an arithmetic or logical instruction: [Imm], [R], [Shifted] or
// [Extended].
type Operand struct {
	imm    uint64
	kind   operandKind
	reg    Reg
	mod    uint8
	amount uint8
}

// Imm is a constant. Which constants an instruction takes is said by [FitsAddSub] and
// [FitsLogical]. For a 32-bit instruction bits 63 to 32 must be zero.
func Imm(v uint64) Operand { return Operand{kind: kindImm, imm: v} }

// R is a plain register.
func R(r Reg) Operand { return Operand{kind: kindReg, reg: r} }

// Shifted is a register shifted by a constant below the width of the instruction.
func Shifted(r Reg, s Shift, amount uint8) Operand {
	return Operand{kind: kindShifted, reg: r, mod: uint8(s), amount: amount}
}

// Extended is the low part of a register, widened and then shifted left by 0 to 4 bits. Only
// additions and subtractions take it.
func Extended(r Reg, e Extend, amount uint8) Operand {
	return Operand{kind: kindExtended, reg: r, mod: uint8(e), amount: amount}
}

// FitsAddSub says whether [Assembler.Add] and its relatives take v: 12 bits, or 12 bits followed by
// 12 zero bits.
func FitsAddSub(v uint64) bool { return v < 1<<12 || v < 1<<24 && v&0xfff == 0 }

// FitsCcmp says whether the conditional compares take v as a constant: 5 bits.
func FitsCcmp(v uint64) bool { return v < 1<<5 }

type memMode uint8

const (
	modeOffset memMode = iota
	modePre
	modePost
	modeIndex
	modeScaled
)

// Mem is an address: [Base], [Offset], [PreIndex], [PostIndex], [Index], [Scaled], [IndexExt] or
// [ScaledExt].
type Mem struct {
	off   int64
	mode  memMode
	base  Reg
	index Reg
	ext   Extend
}

// Base is the address in a register or SP.
func Base(base Reg) Mem { return Mem{base: base} }

// Offset is base plus off bytes. The assembler takes the scaled form (ldr) where it fits and the
// unscaled one (ldur) otherwise; [FitsOffset] says whether either does.
func Offset(base Reg, off int64) Mem { return Mem{base: base, off: off} }

// PreIndex is base plus off (-256 to 255 for single accesses), written back to base.
func PreIndex(base Reg, off int64) Mem { return Mem{mode: modePre, base: base, off: off} }

// PostIndex is base; base plus off (-256 to 255 for single accesses) is then written back.
func PostIndex(base Reg, off int64) Mem { return Mem{mode: modePost, base: base, off: off} }

// Index is base plus the 64-bit register index.
func Index(base, index Reg) Mem { return IndexExt(base, index, UXTX) }

// Scaled is base plus the 64-bit register index times the size of the access.
func Scaled(base, index Reg) Mem { return ScaledExt(base, index, UXTX) }

// IndexExt is base plus the extended register index; e is UXTW, SXTW, UXTX or SXTX.
func IndexExt(base, index Reg, e Extend) Mem {
	return Mem{mode: modeIndex, base: base, index: index, ext: e}
}

// ScaledExt is base plus the extended register index times the size of the access; e is UXTW, SXTW,
// UXTX or SXTX.
func ScaledExt(base, index Reg, e Extend) Mem {
	return Mem{mode: modeScaled, base: base, index: index, ext: e}
}

// FitsOffset says whether [Offset] may carry off in an access of the given size: a multiple of the
// size up to 4095 times the size, or -256 to 255.
func FitsOffset(s Size, off int64) bool { return fitsScaled(uint(s), off) || fitsUnscaled(off) }

// FitsPair says whether [Assembler.Ldp] and [Assembler.Stp] take off: a multiple of the register's
// bytes, from -64 to 63 times.
func FitsPair(w Width, off int64) bool {
	return fitsPair(uint(bits.TrailingZeros(uint(w.Bits()/8))), off)
}

func fitsScaled(log2 uint, off int64) bool {
	return off >= 0 && off&(1<<log2-1) == 0 && off>>log2 < 1<<12
}

func fitsUnscaled(off int64) bool { return off >= -256 && off <= 255 }

func fitsPair(log2 uint, off int64) bool {
	return off&(1<<log2-1) == 0 && off>>log2 >= -64 && off>>log2 <= 63
}
