package scalar

import (
	"math"
	"math/bits"

	"github.com/carom-bpf/carom/internal/isa"
)

// ZeroExtend32 makes the upper half zero and takes the 64-bit ranges from the 32-bit ones
// (zext_32_to_64). Sync is left to the caller, as in Linux.
func (s *Scalar) ZeroExtend32() {
	s.Var = s.Var.Subreg()
	s.Umin, s.Umax = uint64(s.U32min), uint64(s.U32max)
	if s.S32min >= 0 && s.S32max >= 0 {
		s.Smin, s.Smax = int64(s.S32min), int64(s.S32max)
	} else {
		s.Smin, s.Smax = 0, math.MaxUint32
	}
}

// Mov applies what a register move does to a copy of its source: nothing for W64; for W32 the
// upper half becomes zero.
func (s *Scalar) Mov(w Width) {
	if w == W32 {
		s.ZeroExtend32()
		s.Sync()
	}
}

// MovSX applies what a sign-extending move of size bytes does to a copy of its source: 1, 2 or 4
// for W64, 1 or 2 for W32.
func (s *Scalar) MovSX(w Width, size int) {
	if w == W64 {
		s.CoerceSX(size)
		return
	}
	s.CoerceSubregSX(size)
	s.Mov(W32)
}

// Coerce truncates to size bytes (1, 2 or 4; 8 changes nothing), as a narrow load does
// (coerce_reg_to_size).
func (s *Scalar) Coerce(size int) {
	if size >= 8 {
		return
	}
	s.Var = s.Var.Cast(size)
	mask := uint64(1)<<(8*uint(size)) - 1
	if s.Umin&^mask == s.Umax&^mask {
		s.Umin &= mask
		s.Umax &= mask
	} else {
		s.Umin, s.Umax = 0, mask
	}
	s.Smin, s.Smax = int64(s.Umin), int64(s.Umax)
	if size < 4 {
		s.ResetBounds32()
	}
	s.Sync()
}

// signExtend reads the low size bytes of v as signed.
func signExtend(v uint64, size int) int64 {
	shift := 64 - 8*uint(size)
	return int64(v<<shift) >> shift
}

// CoerceSX truncates to size bytes (1, 2 or 4) and extends their sign to 64 bits
// (coerce_reg_to_size_sx). Unless the value is known, only the signed range teaches the result.
func (s *Scalar) CoerceSX(size int) {
	if s.Var.Mask == 0 {
		s.SetConst(uint64(signExtend(s.Var.Value, size)))
		return
	}
	n := 8 * uint(size)
	if uint64(s.Smin)>>n == uint64(s.Smax)>>n {
		a, b := signExtend(uint64(s.Smin), size), signExtend(uint64(s.Smax), size)
		lo, hi := min(a, b), max(a, b)
		if lo >= 0 == (hi >= 0) {
			s.Smin, s.Smax = lo, hi
			s.Umin, s.Umax = uint64(lo), uint64(hi)
			s.S32min, s.S32max = int32(lo), int32(hi)
			s.U32min, s.U32max = uint32(lo), uint32(hi)
			s.Var = TnumRange(uint64(lo), uint64(hi))
			return
		}
	}
	s.SetUnknown()
	s.Smin, s.Smax = -1<<(n-1), 1<<(n-1)-1
	s.S32min, s.S32max = int32(s.Smin), int32(s.Smax)
}

// CoerceSubregSX truncates to size bytes (1 or 2) and extends their sign to 32 bits
// (coerce_subreg_to_size_sx). The 64-bit ranges are stale until ZeroExtend32 and Sync.
func (s *Scalar) CoerceSubregSX(size int) {
	if s.Var.Mask == 0 {
		v := signExtend(s.Var.Value, size)
		s.Var = TnumConst(uint64(v))
		s.S32min, s.S32max = int32(v), int32(v)
		s.U32min, s.U32max = uint32(v), uint32(v)
		return
	}
	n := 8 * uint(size)
	if uint32(s.S32min)>>n == uint32(s.S32max)>>n {
		a := int32(signExtend(uint64(uint32(s.S32min)), size))
		b := int32(signExtend(uint64(uint32(s.S32max)), size))
		lo, hi := min(a, b), max(a, b)
		if lo >= 0 == (hi >= 0) {
			s.S32min, s.S32max = lo, hi
			s.U32min, s.U32max = uint32(lo), uint32(hi)
			s.Var = TnumRange(uint64(lo), uint64(hi)).Subreg()
			return
		}
	}
	s.ResetBounds32()
	s.S32min, s.S32max = -1<<(n-1), 1<<(n-1)-1
	s.Var = TnumUnknown().Subreg()
}

// End applies a byte order conversion of bits bits (16, 32 or 64): opcode is that of the
// instruction with its class and source bits (RFC 9669, section 4.2). The machine is
// little-endian. A swap forgets the ranges and keeps the bits; what does not swap truncates.
func End(opcode uint8, bits int32, dst *Scalar) {
	if EndSwaps(opcode) {
		dst.Var = dst.Var.ByteSwap(int(bits / 8))
		dst.ResetBounds()
	}
	dst.Coerce(int(bits / 8))
	dst.Sync()
}

// EndSwaps reports whether the byte order conversion with this opcode swaps on a little-endian
// machine: bswap (ALU64) and to-big-endian do, to-little-endian only truncates.
func EndSwaps(opcode uint8) bool {
	return opcode&0x07 == isa.ClassALU64 || opcode&isa.SrcReg != 0
}

// ByteSwap reverses the low size bytes (2, 4 or 8) and clears the rest.
func (t Tnum) ByteSwap(size int) Tnum {
	shift := 64 - 8*uint(size)
	return Tnum{bits.ReverseBytes64(t.Value) >> shift, bits.ReverseBytes64(t.Mask) >> shift}
}
