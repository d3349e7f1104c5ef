package scalar

import "math"

// Width is the width of an operation in bits: W64 for ALU64 and JMP, W32 for ALU and JMP32.
type Width uint8

// The widths of ALU and jump operations.
const (
	W32 Width = 32
	W64 Width = 64
)

// Scalar is what is known about a 64-bit value (the numeric part of struct bpf_reg_state,
// include/linux/bpf_verifier.h). The value is a member of Var and lies in all four ranges,
// whose ends belong to them; the ranges with 32 in the name are about its low 32 bits. The zero
// value is the constant 0.
type Scalar struct {
	Var    Tnum
	Smin   int64
	Smax   int64
	Umin   uint64
	Umax   uint64
	S32min int32
	S32max int32
	U32min uint32
	U32max uint32
}

// Unknown returns the Scalar of which nothing is known.
func Unknown() Scalar {
	var s Scalar
	s.SetUnknown()
	return s
}

// Const returns the Scalar that is exactly v.
func Const(v uint64) Scalar {
	var s Scalar
	s.SetConst(v)
	return s
}

// SetUnknown forgets everything.
func (s *Scalar) SetUnknown() {
	s.Var = Tnum{Mask: ^uint64(0)}
	s.ResetBounds()
}

// SetConst makes s exactly v.
func (s *Scalar) SetConst(v uint64) {
	s.Var = Tnum{Value: v}
	s.Smin, s.Smax = int64(v), int64(v)
	s.Umin, s.Umax = v, v
	s.S32min, s.S32max = int32(v), int32(v)
	s.U32min, s.U32max = uint32(v), uint32(v)
}

// SetConst32 makes the low 32 bits exactly v and leaves what is known of the others; the 64-bit
// ranges are not touched (__mark_reg32_known).
func (s *Scalar) SetConst32(v uint32) {
	s.Var = s.Var.ConstSubreg(v)
	s.S32min, s.S32max = int32(v), int32(v)
	s.U32min, s.U32max = v, v
}

// ResetBounds makes all four ranges full and keeps Var (__mark_reg_unbounded).
func (s *Scalar) ResetBounds() {
	s.ResetBounds64()
	s.ResetBounds32()
}

// ResetBounds64 makes both 64-bit ranges full.
func (s *Scalar) ResetBounds64() {
	s.Smin, s.Smax = math.MinInt64, math.MaxInt64
	s.Umin, s.Umax = 0, math.MaxUint64
}

// ResetBounds32 makes both 32-bit ranges full.
func (s *Scalar) ResetBounds32() {
	s.S32min, s.S32max = math.MinInt32, math.MaxInt32
	s.U32min, s.U32max = 0, math.MaxUint32
}

// IsConst reports whether the low w bits are known; ConstValue returns them (is_reg_const).
func (s *Scalar) IsConst(w Width) bool {
	if w == W32 {
		return s.Var.SubregIsConst()
	}
	return s.Var.Mask == 0
}

// ConstValue returns the low w bits of Var.Value: the value, if IsConst(w).
func (s *Scalar) ConstValue(w Width) uint64 {
	if w == W32 {
		return uint64(uint32(s.Var.Value))
	}
	return s.Var.Value
}

// IsUnknown reports whether nothing is known.
func (s *Scalar) IsUnknown() bool {
	return *s == Unknown()
}

// Contains reports whether the concrete v lies in all ranges and agrees with Var.
func (s *Scalar) Contains(v uint64) bool {
	return s.Var.Contains(v) &&
		s.Umin <= v && v <= s.Umax &&
		s.Smin <= int64(v) && int64(v) <= s.Smax &&
		s.U32min <= uint32(v) && uint32(v) <= s.U32max &&
		s.S32min <= int32(v) && int32(v) <= s.S32max
}

// Within reports whether what s may be, old may be too: all four ranges of old contain those of
// s and Var is in the Var of old (range_within and tnum_in, as state pruning asks them).
func (s *Scalar) Within(old *Scalar) bool {
	return old.Umin <= s.Umin && old.Umax >= s.Umax &&
		old.Smin <= s.Smin && old.Smax >= s.Smax &&
		old.U32min <= s.U32min && old.U32max >= s.U32max &&
		old.S32min <= s.S32min && old.S32max >= s.S32max &&
		s.Var.In(old.Var)
}

// Join widens s so that it also contains everything that other contains. Linux has no such
// operation; facts that hold over several visits need it.
func (s *Scalar) Join(other *Scalar) {
	s.Var = s.Var.Union(other.Var)
	s.Umin, s.Umax = min(s.Umin, other.Umin), max(s.Umax, other.Umax)
	s.Smin, s.Smax = min(s.Smin, other.Smin), max(s.Smax, other.Smax)
	s.U32min, s.U32max = min(s.U32min, other.U32min), max(s.U32max, other.U32max)
	s.S32min, s.S32max = min(s.S32min, other.S32min), max(s.S32max, other.S32max)
}

// NarrowS32 adds the knowledge that the 64-bit value lies from lo to hi, as for what a helper
// returns (__mark_reg_s32_range).
func (s *Scalar) NarrowS32(lo, hi int32) {
	s.S32min, s.S32max = max(s.S32min, lo), min(s.S32max, hi)
	s.Smin, s.Smax = max(s.Smin, int64(lo)), min(s.Smax, int64(hi))
	s.Sync()
}
