package scalar

import "github.com/carom-bpf/carom/internal/isa"

// Decision says where a conditional jump goes.
type Decision int8

// The decisions: both ways are possible, the next instruction, the target.
const (
	Undecided Decision = -1
	NotTaken  Decision = 0
	Taken     Decision = 1
)

// String names the decision.
func (d Decision) String() string {
	switch d {
	case Taken:
		return "taken"
	case NotTaken:
		return "not taken"
	}
	return "undecided"
}

// NotJSET is the condition that a & b is zero, the opposite of JSET. The instruction set has no
// such jump; RevOp and Refine need it (BPF_JSET | BPF_X in rev_opcode).
const NotJSET uint8 = isa.JSET | isa.SrcReg

// flipOps and revOps are indexed by the jump operation shifted right by 4. An entry of 0 says
// that the operation is no comparison.
var (
	flipOps = [16]uint8{
		isa.JEQ >> 4: isa.JEQ, isa.JNE >> 4: isa.JNE, isa.JSET >> 4: isa.JSET,
		isa.JGE >> 4: isa.JLE, isa.JGT >> 4: isa.JLT, isa.JLE >> 4: isa.JGE, isa.JLT >> 4: isa.JGT,
		isa.JSGE >> 4: isa.JSLE, isa.JSGT >> 4: isa.JSLT, isa.JSLE >> 4: isa.JSGE, isa.JSLT >> 4: isa.JSGT,
	}
	revOps = [16]uint8{
		isa.JEQ >> 4: isa.JNE, isa.JNE >> 4: isa.JEQ, isa.JSET >> 4: NotJSET,
		isa.JGE >> 4: isa.JLT, isa.JGT >> 4: isa.JLE, isa.JLE >> 4: isa.JGT, isa.JLT >> 4: isa.JGE,
		isa.JSGE >> 4: isa.JSLT, isa.JSGT >> 4: isa.JSLE, isa.JSLE >> 4: isa.JSGT, isa.JSLT >> 4: isa.JSGE,
	}
)

// FlipOp returns the operation with which b op a says what a op b says.
func FlipOp(op uint8) uint8 { return flipOps[op>>4] }

// RevOp returns the condition that holds where op does not. That of JSET is NotJSET.
func RevOp(op uint8) uint8 {
	if op == NotJSET {
		return isa.JSET
	}
	return revOps[op>>4]
}

// Branch decides the jump "if a op b" (is_scalar_branch_taken); op is isa.JEQ to isa.JSLE
// without the class and source bits. W32 compares the low halves.
func Branch(op uint8, w Width, a, b *Scalar) Decision {
	switch op {
	case isa.JEQ:
		return equality(w, a, b)
	case isa.JNE:
		if d := equality(w, a, b); d != Undecided {
			return 1 - d
		}
		return Undecided
	case isa.JSET:
		return bitTest(w, a, b)
	case isa.JGT, isa.JGE, isa.JLT, isa.JLE:
		if w == W32 {
			return order(op, a.U32min, a.U32max, b.U32min, b.U32max)
		}
		return order(op, a.Umin, a.Umax, b.Umin, b.Umax)
	case isa.JSGT, isa.JSGE, isa.JSLT, isa.JSLE:
		// The signed operations are the unsigned ones in another order of numbers.
		op = unsignedOp(op)
		if w == W32 {
			return order(op, a.S32min, a.S32max, b.S32min, b.S32max)
		}
		return order(op, a.Smin, a.Smax, b.Smin, b.Smax)
	}
	return Undecided
}

// BranchConst is Branch against a constant: of an immediate, its sign extension to 64 bits.
func BranchConst(op uint8, w Width, a *Scalar, v uint64) Decision {
	b := Const(v)
	return Branch(op, w, a, &b)
}

func unsignedOp(op uint8) uint8 {
	switch op {
	case isa.JSGT:
		return isa.JGT
	case isa.JSGE:
		return isa.JGE
	case isa.JSLT:
		return isa.JLT
	}
	return isa.JLE
}

// order decides a comparison of two ranges by their ends.
func order[T signed | unsigned](op uint8, amin, amax, bmin, bmax T) Decision {
	var always, never bool
	switch op {
	case isa.JGT:
		always, never = amin > bmax, amax <= bmin
	case isa.JGE:
		always, never = amin >= bmax, amax < bmin
	case isa.JLT:
		always, never = amax < bmin, amin >= bmax
	case isa.JLE:
		always, never = amax <= bmin, amin > bmax
	}
	switch {
	case always:
		return Taken
	case never:
		return NotTaken
	}
	return Undecided
}

// equality decides a == b: constants by their value, others are unequal where a known bit
// differs or a range does not meet the other. At W64 the low halves must be able to meet too.
func equality(w Width, a, b *Scalar) Decision {
	ta, tb := a.Var, b.Var
	if w == W32 {
		ta, tb = ta.Subreg(), tb.Subreg()
	}
	if ta.Mask|tb.Mask == 0 {
		if ta.Value == tb.Value {
			return Taken
		}
		return NotTaken
	}
	if !ta.Overlaps(tb) || apart(a.U32min, a.U32max, b.U32min, b.U32max) ||
		apart(a.S32min, a.S32max, b.S32min, b.S32max) {
		return NotTaken
	}
	if w == W64 && (apart(a.Umin, a.Umax, b.Umin, b.Umax) || apart(a.Smin, a.Smax, b.Smin, b.Smax)) {
		return NotTaken
	}
	return Undecided
}

func apart[T signed | unsigned](amin, amax, bmin, bmax T) bool { return amin > bmax || amax < bmin }

// bitTest decides a & b != 0, where one of them is a constant.
func bitTest(w Width, a, b *Scalar) Decision {
	if !b.IsConst(w) {
		a, b = b, a
	}
	if !b.IsConst(w) {
		return Undecided
	}
	bits := b.ConstValue(w)
	switch {
	case a.Var.Value&^a.Var.Mask&bits != 0:
		return Taken
	case a.Var.Max()&bits == 0:
		return NotTaken
	}
	return Undecided
}
