package scalar

import "math"

// The ranges of AND, OR, XOR and the shifts. Var already holds the result of a bitwise operation
// when its ranges are computed.

// signed32FromUnsigned takes the signed range from the unsigned one, if that is one when read so.
func (s *Scalar) signed32FromUnsigned() {
	if int32(s.U32min) <= int32(s.U32max) {
		s.S32min, s.S32max = int32(s.U32min), int32(s.U32max)
	} else {
		s.S32min, s.S32max = math.MinInt32, math.MaxInt32
	}
}

func (s *Scalar) signed64FromUnsigned() {
	if int64(s.Umin) <= int64(s.Umax) {
		s.Smin, s.Smax = int64(s.Umin), int64(s.Umax)
	} else {
		s.Smin, s.Smax = math.MinInt64, math.MaxInt64
	}
}

// known32 handles the case that the operand and the low half of the result are constants.
func (s *Scalar) known32(b *Scalar) bool {
	if !b.Var.SubregIsConst() || !s.Var.SubregIsConst() {
		return false
	}
	s.SetConst32(uint32(s.Var.Value))
	return true
}

func (s *Scalar) known64(b *Scalar) bool {
	if b.Var.Mask|s.Var.Mask != 0 {
		return false
	}
	s.SetConst(s.Var.Value)
	return true
}

// andBounds32: the least result has the known ones, the greatest exceeds neither operand.
func (s *Scalar) andBounds32(b *Scalar) {
	if s.known32(b) {
		return
	}
	s.U32min, s.U32max = uint32(s.Var.Value), min(s.U32max, b.U32max)
	s.signed32FromUnsigned()
}

func (s *Scalar) andBounds64(b *Scalar) {
	if s.known64(b) {
		return
	}
	s.Umin, s.Umax = s.Var.Value, min(s.Umax, b.Umax)
	s.signed64FromUnsigned()
	s.updateBounds()
}

// orBounds32: the result is below neither operand, the greatest has every bit that may be one.
func (s *Scalar) orBounds32(b *Scalar) {
	if s.known32(b) {
		return
	}
	s.U32min, s.U32max = max(s.U32min, b.U32min), uint32(s.Var.Max())
	s.signed32FromUnsigned()
}

func (s *Scalar) orBounds64(b *Scalar) {
	if s.known64(b) {
		return
	}
	s.Umin, s.Umax = max(s.Umin, b.Umin), s.Var.Max()
	s.signed64FromUnsigned()
	s.updateBounds()
}

// xorBounds32: both ends are those of Var.
func (s *Scalar) xorBounds32(b *Scalar) {
	if s.known32(b) {
		return
	}
	s.U32min, s.U32max = uint32(s.Var.Value), uint32(s.Var.Max())
	s.signed32FromUnsigned()
}

func (s *Scalar) xorBounds64(b *Scalar) {
	if s.known64(b) {
		return
	}
	s.Umin, s.Umax = s.Var.Value, s.Var.Max()
	s.signed64FromUnsigned()
	s.updateBounds()
}

// lshBounds32 shifts the low half by n, up to 63: from 32 on nothing of it is known.
func (s *Scalar) lshBounds32(n uint8) {
	s.S32min, s.S32max = math.MinInt32, math.MaxInt32
	if n > 31 || uint64(s.U32max) > 1<<(31-n) {
		s.U32min, s.U32max = 0, math.MaxUint32
		return
	}
	s.U32min <<= n
	s.U32max <<= n
}

// The 32-bit shifts leave the 64-bit ranges to ZeroExtend32.

func (s *Scalar) lsh32(n uint8) {
	s.lshBounds32(n)
	s.Var = s.Var.Subreg().Lsh(n).Subreg()
	s.update32()
}

// lsh64 knows the signed range only for n of 32, the first half of the sign extension that
// compilers write as a shift left and an arithmetic shift right.
func (s *Scalar) lsh64(n uint8) {
	s.Smin, s.Smax = math.MinInt64, math.MaxInt64
	if n == 32 {
		s.Smin, s.Smax = int64(s.S32min)<<32, int64(s.S32max)<<32
	}
	if s.Umax > 1<<(63-n) {
		s.Umin, s.Umax = 0, math.MaxUint64
	} else {
		s.Umin <<= n
		s.Umax <<= n
	}
	s.lshBounds32(n)
	s.Var = s.Var.Lsh(n)
	s.updateBounds()
}

func (s *Scalar) rsh32(n uint8) {
	s.S32min, s.S32max = math.MinInt32, math.MaxInt32
	s.Var = s.Var.Subreg().Rsh(n)
	s.U32min >>= n
	s.U32max >>= n
	s.update32()
}

func (s *Scalar) rsh64(n uint8) {
	s.Smin, s.Smax = math.MinInt64, math.MaxInt64
	s.Var = s.Var.Rsh(n)
	s.Umin >>= n
	s.Umax >>= n
	// The low half receives bits from the upper one.
	s.ResetBounds32()
	s.updateBounds()
}

func (s *Scalar) arsh32(n uint8) {
	s.S32min >>= n
	s.S32max >>= n
	s.Var = s.Var.Subreg().Arsh(n, W32)
	s.U32min, s.U32max = 0, math.MaxUint32
	s.update32()
}

func (s *Scalar) arsh64(n uint8) {
	s.Smin >>= n
	s.Smax >>= n
	s.Var = s.Var.Arsh(n, W64)
	s.Umin, s.Umax = 0, math.MaxUint64
	s.ResetBounds32()
	s.updateBounds()
}
