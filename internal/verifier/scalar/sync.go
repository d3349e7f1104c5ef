package scalar

import "math"

// Sync lets the ranges and Var teach one another (reg_bounds_sync, kernel/bpf/verifier.c): Var
// narrows the ranges, the ranges narrow one another in three rounds, the unsigned ranges narrow
// Var, and Var the ranges once more. It does not search for the narrowest result, and neither
// does Linux.
func (s *Scalar) Sync() {
	if s.settled() {
		return
	}
	s.updateBounds()
	// A round that changed nothing would change nothing again.
	for round := 0; round < 3; round++ {
		if !s.deduce() {
			break
		}
	}
	s.boundVar()
	s.updateBounds()
}

// settled reports whether s is a constant in all descriptions: then there is nothing to learn.
func (s *Scalar) settled() bool {
	v := s.Var.Value
	return s.Var.Mask == 0 && s.Umin == v && s.Umax == v && s.Smin == int64(v) && s.Smax == int64(v) &&
		s.U32min == uint32(v) && s.U32max == uint32(v) && s.S32min == int32(v) && s.S32max == int32(v)
}

func (s *Scalar) updateBounds() {
	s.update32()
	s.update64()
}

// update32 narrows the 32-bit ranges by Var. The least signed member has every unknown bit 0
// but the sign; the greatest has every unknown bit 1 but the sign.
func (s *Scalar) update32() {
	v, m := uint32(s.Var.Value), uint32(s.Var.Mask)
	s.S32min = max(s.S32min, int32(v|m&(1<<31)))
	s.S32max = min(s.S32max, int32(v|m&math.MaxInt32))
	s.U32min = max(s.U32min, v)
	s.U32max = min(s.U32max, v|m)
}

func (s *Scalar) update64() {
	v, m := s.Var.Value, s.Var.Mask
	s.Smin = max(s.Smin, int64(v|m&(1<<63)))
	s.Smax = min(s.Smax, int64(v|m&math.MaxInt64))
	s.Umin = max(s.Umin, v)
	s.Umax = min(s.Umax, v|m)
	s.pinSingle()
}

// pinSingle makes s a constant where Var has one member in the unsigned range (last part of
// __update_reg64_bounds). It also does so, as Linux does, where the range is empty or beyond Var:
// such a way cannot be reached, and a constant does not contradict itself.
func (s *Scalar) pinSingle() {
	next := s.Var.Next(s.Umin)
	if s.Var.Contains(s.Umin) {
		if next > s.Umax {
			s.SetConst(s.Umin)
		}
		return
	}
	if next == s.Var.Max() || next <= s.Umax && s.Var.Next(next) > s.Umax {
		s.SetConst(next)
	}
}

// deduce is one round of __reg_deduce_bounds and reports whether it changed a range.
func (s *Scalar) deduce() bool {
	was := *s
	s.deduce32From64()
	s.deduce32()
	s.deduce64()
	s.deduceMixed()
	return s.Umin != was.Umin || s.Umax != was.Umax || s.Smin != was.Smin || s.Smax != was.Smax ||
		s.U32min != was.U32min || s.U32max != was.U32max || s.S32min != was.S32min || s.S32max != was.S32max
}

// deduce32From64 narrows the 32-bit ranges by the 64-bit ones (first half of
// __reg32_deduce_bounds). Where the upper halves of both ends are equal, the lower halves are
// the ends of a range. Where they are neighbours and the lower half runs from negative to
// positive, the lower halves are the ends of a signed range.
func (s *Scalar) deduce32From64() {
	umin, umax, smin, smax := s.Umin, s.Umax, uint64(s.Smin), uint64(s.Smax)
	if umin>>32 == umax>>32 {
		s.narrowU32(uint32(umin), uint32(umax))
		if int32(umin) <= int32(umax) {
			s.narrowS32(int32(umin), int32(umax))
		}
	}
	if smin>>32 == smax>>32 {
		if uint32(smin) <= uint32(smax) {
			s.narrowU32(uint32(smin), uint32(smax))
		}
		if int32(smin) <= int32(smax) {
			s.narrowS32(int32(smin), int32(smax))
		}
	}
	if uint32(umin>>32)+1 == uint32(umax>>32) && int32(umin) < 0 && int32(umax) >= 0 {
		s.narrowS32(int32(umin), int32(umax))
	}
	if uint32(smin>>32)+1 == uint32(smax>>32) && int32(smin) < 0 && int32(smax) >= 0 {
		s.narrowS32(int32(smin), int32(smax))
	}
}

func (s *Scalar) narrowU32(lo, hi uint32) {
	s.U32min, s.U32max = max(s.U32min, lo), min(s.U32max, hi)
}

func (s *Scalar) narrowS32(lo, hi int32) {
	s.S32min, s.S32max = max(s.S32min, lo), min(s.S32max, hi)
}

// deduce32 narrows the two 32-bit ranges by each other (second half of __reg32_deduce_bounds):
// a range that does not cross the sign boundary of the other reading is a range there too. A
// signed range from negative to positive is two pieces of the unsigned line; if the unsigned
// range touches only one of them, both ranges end there.
func (s *Scalar) deduce32() {
	if int32(s.U32min) <= int32(s.U32max) {
		s.narrowS32(int32(s.U32min), int32(s.U32max))
	}
	switch {
	case uint32(s.S32min) <= uint32(s.S32max):
		s.narrowU32(uint32(s.S32min), uint32(s.S32max))
	case s.U32max < uint32(s.S32min):
		s.S32min = int32(s.U32min)
		s.U32max = min(s.U32max, uint32(s.S32max))
	case uint32(s.S32max) < s.U32min:
		s.S32max = int32(s.U32max)
		s.U32min = max(s.U32min, uint32(s.S32min))
	}
}

// deduce64 does the same for the two 64-bit ranges (__reg64_deduce_bounds).
func (s *Scalar) deduce64() {
	if int64(s.Umin) <= int64(s.Umax) {
		s.Smin = max(s.Smin, int64(s.Umin))
		s.Smax = min(s.Smax, int64(s.Umax))
	}
	switch {
	case uint64(s.Smin) <= uint64(s.Smax):
		s.Umin = max(s.Umin, uint64(s.Smin))
		s.Umax = min(s.Umax, uint64(s.Smax))
	case s.Umax < uint64(s.Smin):
		s.Smin = int64(s.Umin)
		s.Umax = min(s.Umax, uint64(s.Smax))
	case uint64(s.Smax) < s.Umin:
		s.Smax = int64(s.Umax)
		s.Umin = max(s.Umin, uint64(s.Smin))
	}
}

// deduceMixed narrows the 64-bit ranges by the 32-bit ones (__reg_deduce_mixed_bounds): the
// unsigned 32-bit ends replace the lower halves of the 64-bit ends. The last rule is for loads
// with sign extension: if the value fits 32 signed bits and those are not negative, the value is
// those bits.
func (s *Scalar) deduceMixed() {
	const upper = ^uint64(math.MaxUint32)
	lo, hi := uint64(s.U32min), uint64(s.U32max)
	s.Umin = max(s.Umin, s.Umin&upper|lo)
	s.Umax = min(s.Umax, s.Umax&upper|hi)
	s.Smin = max(s.Smin, int64(uint64(s.Smin)&upper|lo))
	s.Smax = min(s.Smax, int64(uint64(s.Smax)&upper|hi))

	if s.S32min >= 0 && s.Smin >= math.MinInt32 && s.Smax <= math.MaxInt32 {
		s.Smin, s.Smax = int64(s.S32min), int64(s.S32max)
		s.Umin, s.Umax = uint64(s.S32min), uint64(s.S32max)
		s.Var = s.Var.Intersect(TnumRange(s.Umin, s.Umax))
	}
}

// boundVar narrows Var by the unsigned ranges (__reg_bound_offset).
func (s *Scalar) boundVar() {
	v := s.Var.Intersect(TnumRange(s.Umin, s.Umax))
	low := v.Subreg().Intersect(TnumRange(uint64(s.U32min), uint64(s.U32max)))
	s.Var = v.ClearSubreg().Or(low)
}
