package scalar

import "github.com/carom-bpf/carom/internal/isa"

// Refine narrows a and b, in place, by the knowledge that "a op b" holds, and brings both into
// sync (regs_refine_cond_op and reg_bounds_sync). For the way that is not taken pass RevOp(op).
// Call it only where Branch was Undecided; a result may still contradict itself (Check), which
// means that the way cannot be reached. Where a register is compared with itself, a is b, and the
// result is that of Linux too.
func Refine(op uint8, w Width, a, b *Scalar) {
	switch op {
	case isa.JGE, isa.JGT, isa.JSGE, isa.JSGT:
		// a > b is b < a.
		refine(FlipOp(op), w, b, a)
	default:
		refine(op, w, a, b)
	}
	a.Sync()
	b.Sync()
}

// RefineConst is Refine against a constant; what would be learned of the constant is dropped.
func RefineConst(op uint8, w Width, a *Scalar, v uint64) {
	b := Const(v)
	switch op {
	case isa.JGE, isa.JGT, isa.JSGE, isa.JSGT:
		refine(FlipOp(op), w, &b, a)
	default:
		refine(op, w, a, &b)
	}
	a.Sync()
}

func refine(op uint8, w Width, a, b *Scalar) {
	switch op {
	case isa.JEQ:
		if w == W32 {
			refineEqual32(a, b)
		} else {
			refineEqual64(a, b)
		}
	case isa.JNE, isa.JSET, NotJSET:
		if !b.IsConst(w) {
			a, b = b, a
		}
		if b.IsConst(w) {
			refineByConst(op, w, a, b.ConstValue(w))
		}
	case isa.JLE, isa.JLT, isa.JSLE, isa.JSLT:
		if w == W32 {
			refineOrder32(op, a, b)
		} else {
			refineOrder64(op, a, b)
		}
	}
}

func refineEqual32(a, b *Scalar) {
	a.narrowU32(b.U32min, b.U32max)
	a.narrowS32(b.S32min, b.S32max)
	b.U32min, b.U32max, b.S32min, b.S32max = a.U32min, a.U32max, a.S32min, a.S32max
	low := a.Var.Subreg().Intersect(b.Var.Subreg())
	a.Var = a.Var.WithSubreg(low)
	b.Var = b.Var.WithSubreg(low)
}

func refineEqual64(a, b *Scalar) {
	a.Umin, a.Umax = max(a.Umin, b.Umin), min(a.Umax, b.Umax)
	a.Smin, a.Smax = max(a.Smin, b.Smin), min(a.Smax, b.Smax)
	b.Umin, b.Umax, b.Smin, b.Smax = a.Umin, a.Umax, a.Smin, a.Smax
	a.Var = a.Var.Intersect(b.Var)
	b.Var = a.Var
}

func refineByConst(op uint8, w Width, a *Scalar, v uint64) {
	switch op {
	case isa.JNE:
		if w == W32 {
			a.U32min, a.U32max = without(a.U32min, a.U32max, uint32(v))
			a.S32min, a.S32max = without(a.S32min, a.S32max, int32(v))
		} else {
			a.Umin, a.Umax = without(a.Umin, a.Umax, v)
			a.Smin, a.Smax = without(a.Smin, a.Smax, int64(v))
		}
	case isa.JSET:
		// Of several tested bits it is not known which one is set.
		if v != 0 && v&(v-1) == 0 {
			a.Var = a.Var.Or(TnumConst(v))
		}
	case NotJSET:
		// The ranges are forgotten first, so that an unreachable way does not contradict itself.
		a.ResetBounds()
		a.Var = a.Var.And(TnumConst(^v))
	}
}

// without cuts v off a range if it is one of its ends.
func without[T signed | unsigned](lo, hi, v T) (T, T) {
	if lo == v {
		lo++
	}
	if hi == v {
		hi--
	}
	return lo, hi
}

func refineOrder32(op uint8, a, b *Scalar) {
	switch op {
	case isa.JLE:
		a.U32max, b.U32min = min(a.U32max, b.U32max), max(a.U32min, b.U32min)
	case isa.JLT:
		a.U32max, b.U32min = min(a.U32max, b.U32max-1), max(a.U32min+1, b.U32min)
	case isa.JSLE:
		a.S32max, b.S32min = min(a.S32max, b.S32max), max(a.S32min, b.S32min)
	case isa.JSLT:
		a.S32max, b.S32min = min(a.S32max, b.S32max-1), max(a.S32min+1, b.S32min)
	}
}

func refineOrder64(op uint8, a, b *Scalar) {
	switch op {
	case isa.JLE:
		a.Umax, b.Umin = min(a.Umax, b.Umax), max(a.Umin, b.Umin)
	case isa.JLT:
		a.Umax, b.Umin = min(a.Umax, b.Umax-1), max(a.Umin+1, b.Umin)
	case isa.JSLE:
		a.Smax, b.Smin = min(a.Smax, b.Smax), max(a.Smin, b.Smin)
	case isa.JSLT:
		a.Smax, b.Smin = min(a.Smax, b.Smax-1), max(a.Smin+1, b.Smin)
	}
}
