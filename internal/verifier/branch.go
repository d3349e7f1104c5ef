package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// maxPacketOff bounds offsets of packet pointers that a comparison with the packet's end can
// vouch for (MAX_PACKET_OFF, kernel/bpf/verifier.c).
const maxPacketOff = 0xffff

// branch interprets a conditional jump (check_cond_jmp_op). It leaves v.insn before the
// instruction to go on with.
func (v *verifier) branch(in isa.Insn) *reject.Error {
	op := in.Op & 0xf0
	switch {
	case op > isa.JCOND:
		return v.fail(CodeReserved, linux.EINVAL, "invalid BPF_JMP/JMP32 opcode %x", op)
	case op == isa.JCOND:
		return v.mayGoto(in)
	}
	dst, src, err := v.operands(in)
	if err != nil {
		return err
	}
	jmp32 := in.Class() == isa.ClassJMP32
	if taken := branchTaken(dst, src, op, jmp32); taken != scalar.Undecided {
		return v.oneWay(in, dst, src, taken)
	}
	return v.split(in, op, dst, src, jmp32)
}

// mayGoto interprets may_goto: both ways are possible.
func (v *verifier) mayGoto(in isa.Insn) *reject.Error {
	if in.Op != isa.ClassJMP|isa.JCOND || in.Src != 0 || in.Dst != 0 || in.Imm != 0 {
		return v.fail(CodeMayGoto, linux.EINVAL, "invalid may_goto imm %d", in.Imm)
	}
	earlier := v.earlierAt(v.state.parent, v.insn)
	queued, err := v.push(v.insn+1, v.insn)
	if err != nil {
		err.Errno = linux.ENOMEM // unlike at other jumps
		return err
	}
	queued.mayGoto++
	v.noteBranch(true, true)
	if earlier != nil {
		if err := v.widen(earlier, queued); err != nil {
			return err
		}
	}
	v.insn += int(in.Off)
	return nil
}

// operands checks what is compared and returns it; an immediate as a register of its own.
func (v *verifier) operands(in isa.Insn) (dst, src *reg, err *reject.Error) {
	if err := v.readable(in.Dst); err != nil {
		return nil, nil, err
	}
	regs := v.state.regs()
	dst = &regs[in.Dst]
	onStack := dst.Type == PtrToStack
	if in.Op&isa.SrcReg != 0 {
		if in.Imm != 0 {
			return nil, nil, v.fail(CodeReserved, linux.EINVAL, "BPF_JMP/JMP32 uses reserved fields")
		}
		if err := v.readable(in.Src); err != nil {
			return nil, nil, err
		}
		src = &regs[in.Src]
		onStack = onStack || src.Type == PtrToStack
	} else {
		if in.Src != 0 {
			return nil, nil, v.fail(CodeReserved, linux.EINVAL, "BPF_JMP/JMP32 uses reserved fields")
		}
		src = &v.fakeA
		src.setConst(uint64(int64(in.Imm)))
	}
	if onStack {
		v.pushHistory(step{
			DstStack: dst.Type == PtrToStack,
			SrcStack: in.Op&isa.SrcReg != 0 && src.Type == PtrToStack,
		})
	}
	return dst, src, nil
}

// oneWay follows a jump whose outcome is known.
func (v *verifier) oneWay(in isa.Insn, dst, src *reg, taken scalar.Decision) *reject.Error {
	if dst.Type == ScalarValue {
		if err := v.markPrecise(int(in.Dst)); err != nil {
			return err
		}
	}
	if in.Op&isa.SrcReg != 0 && src.Type == ScalarValue {
		if err := v.markPrecise(int(in.Src)); err != nil {
			return err
		}
	}
	v.logState()
	// A pointer's low half may be zero whatever Linux thinks of it.
	both := in.Class() == isa.ClassJMP32 && (dst.Type != ScalarValue || src.Type != ScalarValue)
	v.noteBranch(taken == scalar.Taken || both, taken == scalar.NotTaken || both)
	if taken == scalar.Taken {
		v.insn += int(in.Off)
	}
	return nil
}

// split explores both ways: the jump later, the fall-through now.
func (v *verifier) split(in isa.Insn, op uint8, dst, src *reg, jmp32 bool) *reject.Error {
	v.noteBranch(true, true)
	withReg := in.Op&isa.SrcReg != 0
	var linked linkedRegs
	if withReg && src.Type == ScalarValue && src.ID != 0 {
		v.collectLinked(src.ID, &linked)
	}
	if dst.Type == ScalarValue && dst.ID != 0 {
		v.collectLinked(dst.ID, &linked)
	}
	if linked.n > 1 {
		v.pushHistory(step{Linked: linked})
	}
	other, err := v.push(v.insn+int(in.Off)+1, v.insn)
	if err != nil {
		return err
	}
	there := other.regs()
	otherDst, otherSrc := &there[in.Dst], &v.fakeB
	if withReg {
		otherSrc = &there[in.Src]
	} else {
		*otherSrc = *src
	}
	if dst.Type == ScalarValue && src.Type == ScalarValue {
		refineBoth(op, jmp32, dst, src, otherDst, otherSrc)
	}
	if withReg && src.Type == ScalarValue && src.ID != 0 {
		v.syncLinked(v.state, src, &linked)
		v.syncLinked(other, otherSrc, &linked)
	}
	if dst.Type == ScalarValue && dst.ID != 0 {
		v.syncLinked(v.state, dst, &linked)
		v.syncLinked(other, otherDst, &linked)
	}
	v.learnNotNull(in, op, dst, src, otherDst, otherSrc, jmp32)
	// Linux does not take a register that is zero for NULL here.
	if !jmp32 && !withReg && in.Imm == 0 && (op == isa.JEQ || op == isa.JNE) && dst.Type.mayBeNull() {
		// The jump of JEQ and the fall-through of JNE have NULL.
		v.nullChecked(v.state, int(in.Dst), op == isa.JNE)
		v.nullChecked(other, int(in.Dst), op == isa.JEQ)
	} else {
		v.comparePackets(in, op, dst, src, other)
	}
	v.logState()
	return nil
}

// refineBoth narrows both operands on both ways (reg_set_min_max).
func refineBoth(op uint8, jmp32 bool, dst, src, otherDst, otherSrc *reg) {
	w := width(!jmp32)
	// A register that is compared with itself is narrowed against itself, as Linux does.
	scalar.Refine(op, w, &otherDst.Scalar, &otherSrc.Scalar)
	scalar.Refine(scalar.RevOp(op), w, &dst.Scalar, &src.Scalar)
	for _, r := range [...]*reg{otherDst, otherSrc, dst, src} {
		r.sane()
	}
}

// sane forgets the ranges of a scalar that contradict each other, which happens on ways that
// cannot be gone (reg_bounds_sanity_check).
func (r *reg) sane() {
	if r.Scalar.Check() != "" {
		r.Scalar.ResetBounds()
	}
}

// width is the width of an operation for package scalar.
func width(wide bool) scalar.Width {
	if wide {
		return scalar.W64
	}
	return scalar.W32
}

// branchTaken says where a comparison leads (is_branch_taken).
func branchTaken(a, b *reg, op uint8, jmp32 bool) scalar.Decision {
	if a.Type.isAnyPacket() && b.Type.isAnyPacket() && !jmp32 {
		return packetBranchTaken(a, b, op)
	}
	if a.Type == ScalarValue && b.Type == ScalarValue {
		return scalar.Branch(op, width(!jmp32), &a.Scalar, &b.Scalar)
	}
	// Linux 6.18 takes a pointer for not zero in its low half, too.
	w := width(!jmp32)
	if !b.isNumber(w) {
		a, b, op = b, a, scalar.FlipOp(op)
	}
	if !b.isNumber(w) || !a.notNull() || b.ConstValue(w) != 0 {
		return scalar.Undecided
	}
	switch op {
	case isa.JEQ:
		return scalar.NotTaken
	case isa.JNE:
		return scalar.Taken
	}
	return scalar.Undecided
}

// isNumber says that the low w bits of a register are a known number (is_reg_const).
func (r *reg) isNumber(w scalar.Width) bool { return r.Type == ScalarValue && r.Scalar.IsConst(w) }

// packetBranchTaken uses what an earlier comparison with the packet's end has shown.
func packetBranchTaken(a, b *reg, op uint8) scalar.Decision {
	pkt := a
	switch {
	case b.Type == PtrToPacketEnd:
	case a.Type == PtrToPacketEnd:
		pkt, op = b, scalar.FlipOp(op)
	default:
		return scalar.Undecided
	}
	is := func(yes bool) scalar.Decision {
		if yes {
			return scalar.Taken
		}
		return scalar.NotTaken
	}
	switch {
	case pkt.Range >= 0:
	case (op == isa.JLE || op == isa.JGT) && pkt.Range == beyondPacketEnd:
		return is(op == isa.JGT)
	case op == isa.JLT || op == isa.JGE:
		return is(op == isa.JGE)
	}
	return scalar.Undecided
}

// notNull says that a pointer is certainly not NULL (reg_not_null).
func (r *reg) notNull() bool {
	if r.Type.mayBeNull() {
		return false
	}
	switch r.Type.base() {
	case PtrToSocket, PtrToTCPSock, PtrToXDPSock, PtrToBuf, PtrToMapValue, PtrToMapKey, PtrToSockCommon,
		ConstPtrToMap:
		return true
	case PtrToMem:
		return r.Type&PtrUntrusted == 0
	case PtrToBTFID:
		return r.trusted()
	}
	return false
}

// learnNotNull lifts "or NULL" from a pointer that equals one that is not NULL.
func (v *verifier) learnNotNull(in isa.Insn, op uint8, dst, src, otherDst, otherSrc *reg, jmp32 bool) {
	if jmp32 || in.Op&isa.SrcReg == 0 || dst.Type == ScalarValue || src.Type == ScalarValue ||
		dst.Type.base() == PtrToBTFID || src.Type.base() == PtrToBTFID {
		return
	}
	eqDst, eqSrc := otherDst, otherSrc
	switch op {
	case isa.JEQ:
	case isa.JNE:
		eqDst, eqSrc = dst, src
	default:
		return
	}
	switch {
	case !dst.Type.mayBeNull() && src.Type.mayBeNull():
		v.setNotNull(eqSrc)
	case !src.Type.mayBeNull() && dst.Type.mayBeNull():
		v.setNotNull(eqDst)
	}
}

// eachReg calls f for every register and every spilled register of a state
// (bpf_for_each_reg_in_vstate).
func (s *state) eachReg(f func(*reg)) {
	for _, fr := range s.frames {
		for i := range fr.Regs {
			f(&fr.Regs[i])
		}
		for i := range fr.Stack {
			if fr.Stack[i].isSpilled() {
				f(&fr.Stack[i].reg)
			}
		}
	}
}

// nullChecked makes a register and all that have its id NULL, or not NULL
// (mark_ptr_or_null_regs).
func (v *verifier) nullChecked(s *state, n int, isNull bool) {
	r := s.regs()[n]
	if isNull && r.RefID != 0 && r.RefID == r.ID {
		s.dropReference(r.ID)
	}
	s.eachReg(func(x *reg) {
		if !x.Type.mayBeNull() || x.ID != r.ID {
			return
		}
		if isNull {
			x.Type = ScalarValue
			x.ID, x.RefID = 0, 0
			return
		}
		v.setNotNull(x)
		if !x.mayHoldLock() {
			x.ID = 0
		}
	})
}

// setNotNull lifts "or NULL" from a pointer; the value of a map of maps becomes a map
// (mark_ptr_not_null_reg).
func (v *verifier) setNotNull(r *reg) {
	if r.Type.base() == PtrToMapValue && r.Map != nil {
		switch m := r.Map; {
		case m.Inner != nil:
			inner := m.Inner
			r.Type = ConstPtrToMap
			r.Map = inner
			r.MapUID = 0
			if inner.hasField("bpf_timer") || inner.hasField("bpf_wq") || inner.hasField("bpf_task_work") {
				r.MapUID = r.ID
			}
			return
		case m.isXSK():
			r.Type = PtrToXDPSock
			return
		case m.isSock():
			r.Type = PtrToSocket
			return
		}
		r.Type = PtrToMapValue
		return
	}
	r.Type &^= MaybeNull
}

// comparePackets learns how many bytes of the packet are there (try_match_pkt_pointers).
func (v *verifier) comparePackets(in isa.Insn, op uint8, dst, src *reg, other *state) {
	if in.Op&isa.SrcReg == 0 || in.Class() == isa.ClassJMP32 {
		return
	}
	pktN := int(in.Dst)
	switch {
	case packetAgainstEnd(dst, src):
	case packetAgainstEnd(src, dst):
		pktN, op = int(in.Src), scalar.FlipOp(op)
	default:
		return
	}
	// pkt op end: on one way the packet pointer is at most the end, on the other past it.
	var inside, outside *state
	open := op == isa.JLT || op == isa.JGE // strictly below on the inner way
	switch op {
	case isa.JGT, isa.JGE:
		inside, outside = v.state, other
	case isa.JLT, isa.JLE:
		inside, outside = other, v.state
	default:
		return
	}
	pkt := inside.regs()[pktN]
	extendRange(inside, &pkt, open)
	markPacketEnd(outside, pktN, !open)
}

// packetAgainstEnd says that a is a packet pointer and b the end of what it points into.
func packetAgainstEnd(a, b *reg) bool {
	return a.Type == PtrToPacket && b.Type == PtrToPacketEnd ||
		a.Type == PtrToPacketMeta && b.isPacketStart()
}

// isPacketStart says that r is the unchanged start of the packet.
func (r *reg) isPacketStart() bool {
	return r.Type == PtrToPacket && r.Off == 0 && r.ID == 0 && r.Var.IsConst() && r.Var.Value == 0
}

// extendRange gives all packet pointers with the id of pkt its offset as range
// (find_good_pkt_pointers).
func extendRange(s *state, pkt *reg, open bool) {
	if pkt.Off < 0 || pkt.Off == 0 && open {
		return
	}
	if pkt.Umax > maxPacketOff || pkt.Umax+uint64(pkt.Off) > maxPacketOff {
		return
	}
	n := pkt.Off
	if open {
		n++
	}
	t, id := pkt.Type, pkt.ID
	s.eachReg(func(r *reg) {
		if r.Type == t && r.ID == id {
			r.Range = max(r.Range, n)
		}
	})
}

// markPacketEnd notes that a packet pointer is at the end, or past it (mark_pkt_end).
func markPacketEnd(s *state, n int, open bool) {
	r := &s.regs()[n]
	if r.Type != PtrToPacket {
		return
	}
	if open {
		r.Range = beyondPacketEnd
	} else {
		r.Range = atPacketEnd
	}
}
