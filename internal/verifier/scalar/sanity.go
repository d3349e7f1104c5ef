package scalar

import "strconv"

// Violation is what contradicts itself in a Scalar; empty if nothing does. Its text is that of
// reg_bounds_sanity_check (kernel/bpf/verifier.c).
type Violation string

// The contradictions that Linux looks for, in its order.
const (
	Consistent     Violation = ""
	EmptyRange     Violation = "range bounds violation"
	ConstOutOfSync Violation = "const tnum out of sync with range bounds"
	Const32OutSync Violation = "const subreg tnum out of sync with range bounds"
)

// Sane reports whether Check finds nothing.
func (s *Scalar) Sane() bool { return s.Check() == Consistent }

// Check returns the first contradiction. Linux checks after every ALU instruction and after a
// branch that refined its operands; where it finds one, it makes the ranges full (ResetBounds)
// and goes on, unless the program was loaded with BPF_F_TEST_REG_INVARIANTS, which fails with
// EFAULT. A contradiction arises on branches that cannot be taken but are not known to be dead.
func (s *Scalar) Check() Violation {
	if s.Umin > s.Umax || s.Smin > s.Smax || s.U32min > s.U32max || s.S32min > s.S32max {
		return EmptyRange
	}
	if v := s.Var.Value; s.Var.Mask == 0 &&
		(s.Umin != v || s.Umax != v || s.Smin != int64(v) || s.Smax != int64(v)) {
		return ConstOutOfSync
	}
	if v := uint32(s.Var.Value); uint32(s.Var.Mask) == 0 &&
		(s.U32min != v || s.U32max != v || s.S32min != int32(v) || s.S32max != int32(v)) {
		return Const32OutSync
	}
	return Consistent
}

// AppendViolation appends the message of Linux for a contradiction v found at where ("alu",
// "true_reg1", "false_reg2" and so on), without the words "verifier bug: " before it.
func (s *Scalar) AppendViolation(dst []byte, v Violation, where string) []byte {
	dst = append(dst, "REG INVARIANTS VIOLATION ("...)
	dst = append(dst, where...)
	dst = append(dst, "): "...)
	dst = append(dst, v...)
	for _, pair := range [...]struct {
		name   string
		lo, hi uint64
		close  string
	}{
		{" u64=[", s.Umin, s.Umax, "]"},
		{" s64=[", uint64(s.Smin), uint64(s.Smax), "]"},
		{" u32=[", uint64(s.U32min), uint64(s.U32max), "]"},
		{" s32=[", uint64(uint32(s.S32min)), uint64(uint32(s.S32max)), "]"},
		{" var_off=(", s.Var.Value, s.Var.Mask, ")"},
	} {
		dst = append(dst, pair.name...)
		dst = strconv.AppendUint(append(dst, "0x"...), pair.lo, 16)
		dst = append(dst, ", 0x"...)
		dst = strconv.AppendUint(dst, pair.hi, 16)
		dst = append(dst, pair.close...)
	}
	return dst
}
