package verifier

import (
	"math"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// maxVarOff bounds the offset of a pointer (BPF_MAX_VAR_OFF, include/linux/bpf_verifier.h).
const maxVarOff = 1 << 29

// addrSpaceCast is the offset of a move that casts between address spaces.
const addrSpaceCast = 1

// aluNames are the operators as the log prints them.
var aluNames = [16]string{
	isa.ADD >> 4: "+=", isa.SUB >> 4: "-=", isa.MUL >> 4: "*=", isa.DIV >> 4: "/=",
	isa.OR >> 4: "|=", isa.AND >> 4: "&=", isa.LSH >> 4: "<<=", isa.RSH >> 4: ">>=",
	isa.NEG >> 4: "neg", isa.MOD >> 4: "%=", isa.XOR >> 4: "^=", isa.MOV >> 4: "=",
	isa.ARSH >> 4: "s>>=", isa.END >> 4: "endian",
}

// alu interprets an arithmetic instruction (check_alu_op).
func (v *verifier) alu(in isa.Insn) *reject.Error {
	switch op := in.Op & 0xf0; {
	case op == isa.NEG, op == isa.END:
		return v.unary(in, op)
	case op == isa.MOV:
		return v.move(in)
	case op > isa.END:
		return v.fail(CodeReserved, linux.EINVAL, "invalid BPF_ALU opcode %x", op)
	}
	return v.binary(in)
}

// unary interprets negation and byte swaps.
func (v *verifier) unary(in isa.Insn, op uint8) *reject.Error {
	if op == isa.NEG {
		if in.Op&isa.SrcReg != 0 || in.Src != 0 || in.Off != 0 || in.Imm != 0 {
			return v.fail(CodeReserved, linux.EINVAL, "BPF_NEG uses reserved fields")
		}
	} else if in.Src != 0 || in.Off != 0 || in.Imm != 16 && in.Imm != 32 && in.Imm != 64 ||
		in.Class() == isa.ClassALU64 && in.Op&isa.SrcReg != 0 {
		return v.fail(CodeReserved, linux.EINVAL, "BPF_END uses reserved fields")
	}
	if err := v.readable(in.Dst); err != nil {
		return err
	}
	if err := v.writableKeep(in.Dst); err != nil {
		return err
	}
	dst := &v.state.regs()[in.Dst]
	switch {
	case dst.Type != ScalarValue:
		dst.setUnknown()
	case op == isa.NEG:
		scalar.ALU(isa.NEG, width(in.Class() == isa.ClassALU64), &dst.Scalar, nil)
		dst.clearID()
	default:
		scalar.End(in.Op, in.Imm, &dst.Scalar)
		if in.Imm != 64 || scalar.EndSwaps(in.Op) {
			dst.clearID()
		}
	}
	return nil
}

// clearID unties a scalar from others.
func (r *reg) clearID() {
	r.ID, r.Off = 0, 0
}

// tie gives a scalar an id before it is copied, so that what is learned of one copy is learned
// of both (assign_scalar_id_before_mov).
func (v *verifier) tie(r *reg) {
	if r.Type != ScalarValue {
		return
	}
	if r.ID&addConst != 0 {
		r.clearID()
	}
	if r.ID == 0 && !r.Var.IsConst() {
		r.ID = v.newID()
	}
}

// move interprets a move of a register or an immediate.
func (v *verifier) move(in isa.Insn) *reject.Error {
	wide := in.Class() == isa.ClassALU64
	if in.Op&isa.SrcReg == 0 {
		if in.Src != 0 || in.Off != 0 {
			return v.fail(CodeReserved, linux.EINVAL, "BPF_MOV uses reserved fields")
		}
		if err := v.writableKeep(in.Dst); err != nil {
			return err
		}
		imm := uint64(int64(in.Imm))
		if !wide {
			imm = uint64(uint32(in.Imm))
		}
		v.state.regs()[in.Dst].setConst(imm)
		return nil
	}
	if err := v.checkMoveForm(in, wide); err != nil {
		return err
	}
	if err := v.readable(in.Src); err != nil {
		return err
	}
	if err := v.writableKeep(in.Dst); err != nil {
		return err
	}
	regs := v.state.regs()
	src, dst := &regs[in.Src], &regs[in.Dst]
	if wide {
		v.moveWide(in, dst, src)
		return nil
	}
	v.moveNarrow(in, dst, src)
	return nil
}

// checkMoveForm checks offset and immediate of a move between registers.
func (v *verifier) checkMoveForm(in isa.Insn, wide bool) *reject.Error {
	if wide && in.Off == addrSpaceCast {
		if in.Imm != 1 && in.Imm != 1<<16 {
			return v.fail(CodeReserved, linux.EINVAL,
				"addr_space_cast insn can only convert between address space 1 and 0")
		}
		return v.fail(CodeReserved, linux.EINVAL,
			"addr_space_cast insn can only be used in a program that has an associated arena")
	}
	ok := in.Off == 0 || in.Off == 8 || in.Off == 16 || wide && in.Off == 32
	if !ok || in.Imm != 0 {
		return v.fail(CodeReserved, linux.EINVAL, "BPF_MOV uses reserved fields")
	}
	return nil
}

// moveWide copies 64 bits, or sign-extends in.Off of them.
func (v *verifier) moveWide(in isa.Insn, dst, src *reg) {
	switch {
	case in.Off == 0:
		v.tie(src)
		*dst = *src
		dst.Subreg = 0
	case src.Type == ScalarValue:
		fits := src.Umax < 1<<(in.Off-1)
		if fits {
			v.tie(src)
		}
		*dst = *src
		if !fits {
			dst.clearID()
		}
		dst.Scalar.CoerceSX(int(in.Off / 8))
		dst.Subreg = 0
	default:
		dst.setUnknown()
	}
}

// moveNarrow copies 32 bits, or sign-extends in.Off of them to 32.
func (v *verifier) moveNarrow(in isa.Insn, dst, src *reg) {
	if src.Type != ScalarValue {
		dst.setUnknown()
	} else {
		fits := src.Umax <= math.MaxUint32
		if in.Off != 0 {
			fits = src.Umax < 1<<(in.Off-1)
		}
		if fits {
			v.tie(src)
		}
		*dst = *src
		if !fits {
			dst.clearID()
		}
		if in.Off != 0 {
			dst.Scalar.CoerceSubregSX(int(in.Off / 8))
		}
	}
	dst.Subreg = int32(v.insn) + 1
	dst.Scalar.Mov(scalar.W32)
}

// binary interprets an operation with two operands.
func (v *verifier) binary(in isa.Insn) *reject.Error {
	op := in.Op & 0xf0
	signed := in.Off == 1 && (op == isa.DIV || op == isa.MOD)
	if in.Op&isa.SrcReg != 0 {
		if in.Imm != 0 || in.Off != 0 && !signed {
			return v.fail(CodeReserved, linux.EINVAL, "BPF_ALU uses reserved fields")
		}
		if err := v.readable(in.Src); err != nil {
			return err
		}
	} else if in.Src != 0 || in.Off != 0 && !signed {
		return v.fail(CodeReserved, linux.EINVAL, "BPF_ALU uses reserved fields")
	}
	if err := v.readable(in.Dst); err != nil {
		return err
	}
	if in.Op&isa.SrcReg == 0 {
		if (op == isa.DIV || op == isa.MOD) && in.Imm == 0 {
			return v.fail(CodeDivZero, linux.EINVAL, "div by zero")
		}
		size := int32(64)
		if in.Class() == isa.ClassALU {
			size = 32
		}
		if (op == isa.LSH || op == isa.RSH || op == isa.ARSH) && (in.Imm < 0 || in.Imm >= size) {
			return v.fail(CodeShift, linux.EINVAL, "invalid shift %d", in.Imm)
		}
	}
	if err := v.writableKeep(in.Dst); err != nil {
		return err
	}
	return v.combine(in, op)
}

// combine sorts out which operands are pointers (adjust_reg_min_max_vals).
func (v *verifier) combine(in isa.Insn, op uint8) *reject.Error {
	regs := v.state.regs()
	dst := &regs[in.Dst]
	src := &v.fakeA
	imm := in.Op&isa.SrcReg == 0
	if imm {
		src.setConst(uint64(int64(in.Imm)))
	} else {
		src = &regs[in.Src]
	}
	switch {
	case src.Type != ScalarValue && dst.Type != ScalarValue:
		if op == isa.SUB {
			dst.setUnknown()
			return nil
		}
		return v.failReg(int(in.Dst), CodePointerMath, linux.EACCES,
			"R%d pointer %s pointer prohibited", in.Dst, aluNames[op>>4])
	case src.Type != ScalarValue:
		if err := v.markPrecise(int(in.Dst)); err != nil {
			return err
		}
		off := *dst
		return v.pointerMath(in, op, src, &off)
	case dst.Type != ScalarValue:
		if !imm {
			if err := v.markPrecise(int(in.Src)); err != nil {
				return err
			}
		}
		return v.pointerMath(in, op, dst, src)
	case dst.Precise && !imm:
		if err := v.markPrecise(int(in.Src)); err != nil {
			return err
		}
	}
	if (op == isa.AND || op == isa.OR) && src.Var.IsConst() {
		if err := v.forkMask(int(in.Dst)); err != nil {
			return err
		}
	}
	v.scalarMath(in, op, dst, src, imm)
	return nil
}

// forkMask explores a bit mask that is either all zeros or all ones as two values, since
// compilers make masks of sign bits (maybe_fork_scalars).
func (v *verifier) forkMask(n int) *reject.Error {
	dst := &v.state.regs()[n]
	wide := dst.Smin == -1 && dst.Smax == 0
	if !wide && (dst.S32min != -1 || dst.S32max != 0) {
		return nil
	}
	other, err := v.push(v.insn, v.insn)
	if err != nil {
		return err
	}
	zero := &other.regs()[n]
	if !wide {
		zero.Scalar.SetConst32(0)
		dst.Scalar.SetConst32(math.MaxUint32)
		return nil
	}
	zero.clearID()
	zero.Scalar.SetConst(0)
	dst.clearID()
	dst.Scalar.SetConst(math.MaxUint64)
	return nil
}

// scalarMath computes with two numbers and keeps track of dst being another register plus a
// constant.
func (v *verifier) scalarMath(in isa.Insn, op uint8, dst, src *reg, imm bool) {
	wide := in.Class() == isa.ClassALU64
	delta, isConst := distance(op, wide, &dst.Scalar, &src.Scalar)
	self := !imm && in.Src == in.Dst
	operand := src.Scalar
	scalar.ALU(op, width(wide), &dst.Scalar, &operand)
	dst.Subreg = 0
	if !wide {
		dst.Subreg = int32(v.insn) + 1
	}
	if !isConst || self || dst.ID == 0 || dst.ID&addConst != 0 {
		dst.clearID()
		return
	}
	dst.setDistance(delta, wide)
}

// pointerMath computes ptr op off into the destination (adjust_ptr_min_max_vals). off is not
// the destination.
func (v *verifier) pointerMath(in isa.Insn, op uint8, ptr, off *reg) *reject.Error {
	dst := &v.state.regs()[in.Dst]
	known := off.Var.IsConst()
	if known && (off.Smin != off.Smax || off.Umin != off.Umax) || off.Smin > off.Smax || off.Umin > off.Umax {
		dst.setUnknown()
		return nil
	}
	if in.Class() != isa.ClassALU64 {
		if op == isa.SUB {
			dst.setUnknown()
			return nil
		}
		return v.failReg(int(in.Dst), CodePointerMath, linux.EACCES,
			"R%d 32-bit pointer arithmetic prohibited", in.Dst)
	}
	if ptr.Type.mayBeNull() {
		return v.failReg(int(in.Dst), CodeNullMath, linux.EACCES,
			"R%d pointer arithmetic on %s prohibited, null-check it first", in.Dst, ptr.Type)
	}
	if !mathAllowed(ptr.Type, op, known, off.Smin) {
		return v.failReg(int(in.Dst), CodePointerMath, linux.EACCES,
			"R%d pointer arithmetic on %s prohibited", in.Dst, ptr.Type)
	}
	if ptr.Type.base() == PtrToMem && ptr.Type&PtrUntrusted != 0 {
		// Reads through it may fail anyway: the offset does not matter. Linux 6.18 forgets to make
		// a number plus such a pointer a pointer, and so takes it for the number.
		*dst = *ptr
		return nil
	}
	p := *ptr
	fromPtr := dst == ptr
	o := off.Scalar
	*dst = p
	if err := v.checkSaneOffset(&o, off.Off, p.Type); err != nil {
		return err
	}
	if err := v.checkSaneOffset(&p.Scalar, p.Off, p.Type); err != nil {
		return err
	}
	dst.S32min, dst.S32max = math.MinInt32, math.MaxInt32
	dst.U32min, dst.U32max = 0, math.MaxUint32
	switch op {
	case isa.ADD:
		v.pointerAdd(dst, &p, &o, known)
	case isa.SUB:
		if !fromPtr {
			return v.failReg(int(in.Dst), CodePointerMath, linux.EACCES,
				"R%d tried to subtract pointer from scalar", in.Dst)
		}
		if p.Type == PtrToStack {
			return v.failReg(int(in.Dst), CodePointerMath, linux.EACCES,
				"R%d subtraction from stack pointer prohibited", in.Dst)
		}
		v.pointerSub(dst, &p, &o, known)
	case isa.AND, isa.OR, isa.XOR:
		return v.failReg(int(in.Dst), CodePointerMath, linux.EACCES,
			"R%d bitwise operator %s on pointer prohibited", in.Dst, aluNames[op>>4])
	default:
		return v.failReg(int(in.Dst), CodePointerMath, linux.EACCES,
			"R%d pointer arithmetic with %s operator prohibited", in.Dst, aluNames[op>>4])
	}
	if err := v.checkSaneOffset(&dst.Scalar, dst.Off, p.Type); err != nil {
		return err
	}
	dst.Scalar.Sync()
	return nil
}

// mathAllowed says whether numbers may be added to a kind of pointer.
func mathAllowed(t RegType, op uint8, known bool, smin int64) bool {
	switch t.base() {
	case PtrToCtx, PtrToMapValue, PtrToMapKey, PtrToStack, PtrToPacketMeta, PtrToPacket,
		PtrToTPBuffer, PtrToBTFID, PtrToMem, PtrToBuf, PtrToFunc, ConstPtrToDynptr:
		return true
	case PtrToFlowKeys:
		return known
	case ConstPtrToMap:
		return known && smin == 0 && op == isa.ADD
	}
	return false
}

// pointerAdd adds o to p. A constant goes into the fixed offset where it fits.
func (v *verifier) pointerAdd(dst, p *reg, o *scalar.Scalar, known bool) {
	if sum := int64(p.Off) + o.Smin; known && sum == int64(int32(sum)) {
		dst.Off = int32(sum)
		return
	}
	var over bool
	if dst.Smin, over = addSigned(p.Smin, o.Smin); !over {
		dst.Smax, over = addSigned(p.Smax, o.Smax)
	}
	if over {
		dst.Smin, dst.Smax = math.MinInt64, math.MaxInt64
	}
	dst.Umin, dst.Umax = p.Umin+o.Umin, p.Umax+o.Umax
	if dst.Umin < p.Umin || dst.Umax < p.Umax {
		dst.Umin, dst.Umax = 0, math.MaxUint64
	}
	dst.Var = p.Var.Add(o.Var)
	if p.Type.isPacket() {
		dst.ID = v.newID()
		dst.Range = 0
	}
}

// pointerSub subtracts o from p.
func (v *verifier) pointerSub(dst, p *reg, o *scalar.Scalar, known bool) {
	if diff := int64(p.Off) - o.Smin; known && diff == int64(int32(diff)) {
		dst.Off = int32(diff)
		return
	}
	var over bool
	if dst.Smin, over = subSigned(p.Smin, o.Smax); !over {
		dst.Smax, over = subSigned(p.Smax, o.Smin)
	}
	if over {
		dst.Smin, dst.Smax = math.MinInt64, math.MaxInt64
	}
	if p.Umin < o.Umax {
		dst.Umin, dst.Umax = 0, math.MaxUint64
	} else {
		dst.Umin, dst.Umax = p.Umin-o.Umax, p.Umax-o.Umin
	}
	dst.Var = p.Var.Sub(o.Var)
	if p.Type.isPacket() {
		dst.ID = v.newID()
		if o.Smin < 0 {
			dst.Range = 0
		}
	}
}

func addSigned(a, b int64) (sum int64, over bool) {
	sum = a + b
	return sum, (sum > a) != (b > 0) && b != 0
}

func subSigned(a, b int64) (diff int64, over bool) {
	diff = a - b
	return diff, (diff < a) != (b > 0) && b != 0
}

// checkSaneOffset refuses offsets so large that they could overflow (check_reg_sane_offset).
func (v *verifier) checkSaneOffset(s *scalar.Scalar, off int32, t RegType) *reject.Error {
	known, val := s.Var.IsConst(), int64(s.Var.Value)
	switch {
	case known && (val >= maxVarOff || val <= -maxVarOff):
		return v.fail(CodeUnbounded, linux.EINVAL, "math between %s pointer and %d is not allowed", t, val)
	case off >= maxVarOff || off <= -maxVarOff:
		return v.fail(CodeUnbounded, linux.EINVAL, "%s pointer offset %d is not allowed", t, off)
	case s.Smin == math.MinInt64:
		return v.fail(CodeUnbounded, linux.EINVAL,
			"math between %s pointer and register with unbounded min value is not allowed", t)
	case s.Smin >= maxVarOff || s.Smin <= -maxVarOff:
		return v.fail(CodeUnbounded, linux.EINVAL, "value %d makes %s pointer be out of bounds", s.Smin, t)
	}
	return nil
}
