package scalar

import (
	"math"

	"github.com/carom-bpf/carom/internal/isa"
)

// ALU applies the operation op (isa.ADD to isa.ARSH, without the class and source bits) to dst
// and src and leaves the result in dst, which may be src (adjust_scalar_min_max_vals). NEG takes
// no src: it may be nil. The immediate form passes Const of the sign-extended immediate.
//
// What Linux does not follow makes dst unknown: DIV, MOD, and shifts by an amount that is
// not known or not below the width. A W32 operation makes the upper half zero, except where the
// result is unknown: then Linux forgets that too. END has a function of its own.
func ALU(op uint8, w Width, dst, src *Scalar) {
	if op == isa.NEG {
		neg(w, dst)
		return
	}
	if op == isa.MOV {
		*dst = *src
		dst.Mov(w)
		return
	}
	if !computable(op, w, src) {
		dst.SetUnknown()
		return
	}
	if dst.Var.Mask|src.Var.Mask == 0 {
		dst.SetConst(constant(op, w, dst.Var.Value, src.Var.Value))
		return
	}
	if dst == src {
		same := *src
		src = &same
	}
	if w == W32 {
		alu32(op, dst, src)
		dst.ZeroExtend32()
	} else {
		alu64(op, dst, src)
	}
	dst.Sync()
}

// Fork reports whether Linux follows this operation twice: AND and OR with a constant, of a value
// that is known to be either -1 or 0 in all bits or in the low 32 (maybe_fork_scalars). Compilers
// make such values of comparisons by an arithmetic shift. If so, dst becomes -1, with which the
// caller goes on, and zero, a copy of dst, becomes 0: the caller queues a state in which the
// register is zero before the same instruction. It is to be asked before ALU; src is as there.
func Fork(op uint8, dst, src, zero *Scalar) bool {
	if op != isa.AND && op != isa.OR || src.Var.Mask != 0 {
		return false
	}
	switch {
	case dst.Smin == -1 && dst.Smax == 0:
		zero.SetConst(0)
		dst.SetConst(math.MaxUint64)
	case dst.S32min == -1 && dst.S32max == 0:
		zero.SetConst32(0)
		dst.SetConst32(math.MaxUint32)
	default:
		return false
	}
	return true
}

// computable is is_safe_to_compute_dst_reg_range. The amount of a 32-bit shift must be constant
// in its low half, yet below 32 as a 64-bit value.
func computable(op uint8, w Width, src *Scalar) bool {
	switch op {
	case isa.ADD, isa.SUB, isa.AND, isa.XOR, isa.OR, isa.MUL:
		return true
	case isa.LSH, isa.RSH, isa.ARSH:
		if src.Umax >= uint64(w) {
			return false
		}
		if w == W32 {
			return src.Var.SubregIsConst() && src.S32min == src.S32max && src.U32min == src.U32max
		}
		return src.Var.Mask == 0 && src.Smin == src.Smax && src.Umin == src.Umax
	}
	return false
}

// constant computes on two known values; it is a short cut, the long way gives the same.
func constant(op uint8, w Width, a, b uint64) uint64 {
	if w == W32 {
		a = uint64(uint32(a))
	}
	switch op {
	case isa.ADD:
		a += b
	case isa.SUB:
		a -= b
	case isa.MUL:
		a *= b
	case isa.AND:
		a &= b
	case isa.OR:
		a |= b
	case isa.XOR:
		a ^= b
	case isa.LSH:
		a <<= b
	case isa.RSH:
		a >>= b
	case isa.ARSH:
		if w == W32 {
			a = uint64(int32(a) >> b)
		} else {
			a = uint64(int64(a) >> b)
		}
	}
	if w == W32 {
		a = uint64(uint32(a))
	}
	return a
}

// neg is 0 - dst.
func neg(w Width, dst *Scalar) {
	was := *dst
	dst.SetConst(0)
	dst.subBounds32(&was)
	if w == W64 {
		dst.subBounds64(&was)
	}
	dst.Var = was.Var.Neg()
	if w == W32 {
		dst.ZeroExtend32()
	}
	dst.Sync()
}

// alu32 computes Var and the 32-bit ranges; ZeroExtend32 makes the 64-bit ranges of them. Var is
// the 64-bit result: its upper half is about to be cut off.
func alu32(op uint8, dst, src *Scalar) {
	switch op {
	case isa.ADD:
		dst.addBounds32(src)
		dst.Var = dst.Var.Add(src.Var)
	case isa.SUB:
		dst.subBounds32(src)
		dst.Var = dst.Var.Sub(src.Var)
	case isa.MUL:
		dst.Var = dst.Var.Mul(src.Var)
		dst.mulBounds32(src)
	case isa.AND:
		dst.Var = dst.Var.And(src.Var)
		dst.andBounds32(src)
		dst.update32()
	case isa.OR:
		dst.Var = dst.Var.Or(src.Var)
		dst.orBounds32(src)
		dst.update32()
	case isa.XOR:
		dst.Var = dst.Var.Xor(src.Var)
		dst.xorBounds32(src)
		dst.update32()
	case isa.LSH:
		dst.lsh32(uint8(src.U32min))
	case isa.RSH:
		dst.rsh32(uint8(src.U32min))
	case isa.ARSH:
		dst.arsh32(uint8(src.U32min))
	}
}

func alu64(op uint8, dst, src *Scalar) {
	switch op {
	case isa.ADD:
		dst.add64(src)
	case isa.SUB:
		dst.subBounds32(src)
		dst.subBounds64(src)
		dst.Var = dst.Var.Sub(src.Var)
	case isa.MUL:
		dst.Var = dst.Var.Mul(src.Var)
		dst.mulBounds32(src)
		dst.mulBounds64(src)
	case isa.AND:
		dst.Var = dst.Var.And(src.Var)
		dst.andBounds32(src)
		dst.andBounds64(src)
	case isa.OR:
		dst.Var = dst.Var.Or(src.Var)
		dst.orBounds32(src)
		dst.orBounds64(src)
	case isa.XOR:
		dst.Var = dst.Var.Xor(src.Var)
		dst.xorBounds32(src)
		dst.xorBounds64(src)
	case isa.LSH:
		dst.lsh64(uint8(src.Umin))
	case isa.RSH:
		dst.rsh64(uint8(src.Umin))
	case isa.ARSH:
		dst.arsh64(uint8(src.Umin))
	}
}

// AddDelta adds a constant, as Linux does when it carries what a branch taught of one register
// over to another at a known distance (sync_linked_regs): w is the width of the addition or
// subtraction that made the distance.
func (s *Scalar) AddDelta(w Width, delta int32) {
	d := Const(uint64(int64(delta)))
	ALU(isa.ADD, w, s, &d)
}

func (s *Scalar) add64(src *Scalar) {
	s.addBounds32(src)
	s.addBounds64(src)
	s.Var = s.Var.Add(src.Var)
}

func (s *Scalar) addBounds32(b *Scalar) {
	var ok bool
	if s.S32min, s.S32max, ok = addSigned(s.S32min, s.S32max, b.S32min, b.S32max); !ok {
		s.S32min, s.S32max = math.MinInt32, math.MaxInt32
	}
	s.U32min, s.U32max = addUnsigned(s.U32min, s.U32max, b.U32min, b.U32max)
}

func (s *Scalar) addBounds64(b *Scalar) {
	var ok bool
	if s.Smin, s.Smax, ok = addSigned(s.Smin, s.Smax, b.Smin, b.Smax); !ok {
		s.Smin, s.Smax = math.MinInt64, math.MaxInt64
	}
	s.Umin, s.Umax = addUnsigned(s.Umin, s.Umax, b.Umin, b.Umax)
}

func (s *Scalar) subBounds32(b *Scalar) {
	var ok bool
	if s.S32min, s.S32max, ok = subSigned(s.S32min, s.S32max, b.S32min, b.S32max); !ok {
		s.S32min, s.S32max = math.MinInt32, math.MaxInt32
	}
	s.U32min, s.U32max = subUnsigned(s.U32min, s.U32max, b.U32min, b.U32max)
}

func (s *Scalar) subBounds64(b *Scalar) {
	var ok bool
	if s.Smin, s.Smax, ok = subSigned(s.Smin, s.Smax, b.Smin, b.Smax); !ok {
		s.Smin, s.Smax = math.MinInt64, math.MaxInt64
	}
	s.Umin, s.Umax = subUnsigned(s.Umin, s.Umax, b.Umin, b.Umax)
}

func (s *Scalar) mulBounds32(b *Scalar) {
	s.U32min, s.U32max = mulUnsigned32(s.U32min, s.U32max, b.U32min, b.U32max)
	s.S32min, s.S32max = mulSigned32(s.S32min, s.S32max, b.S32min, b.S32max)
}

func (s *Scalar) mulBounds64(b *Scalar) {
	s.Umin, s.Umax = mulUnsigned64(s.Umin, s.Umax, b.Umin, b.Umax)
	s.Smin, s.Smax = mulSigned64(s.Smin, s.Smax, b.Smin, b.Smax)
}
