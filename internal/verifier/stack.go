package verifier

import (
	"math/bits"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// access says what an access is for.
type access uint8

const (
	accessRead access = iota
	accessWrite
)

// slotOf returns the slot that holds the byte at offset off from the frame pointer, and the
// byte's place in slot.Kind.
func slotOf(off int) (spi, kind int) {
	n := -off - 1
	return n / slotSize, n % slotSize
}

// frameOf returns the frame that a stack pointer points into.
func (v *verifier) frameOf(r *reg) *frame { return v.state.frames[r.Frame] }

// stackBounds checks that an access stays inside the frame and makes room for it
// (check_stack_access_within_bounds).
func (v *verifier) stackBounds(n int, off, size int, kind access) *reject.Error {
	r := &v.state.regs()[n]
	what := " read from"
	if kind == accessWrite {
		what = " write to"
	}
	var lo, hi int64
	fixed := r.Var.IsConst()
	if fixed {
		lo = int64(r.Var.Value) + int64(off)
		hi = lo + int64(size)
	} else {
		if r.Smax >= maxVarOff || r.Smin <= -maxVarOff {
			return v.failReg(n, CodeStackAccess, linux.EACCES,
				"invalid unbounded variable-offset%s stack R%d", what, n)
		}
		lo, hi = r.Smin+int64(off), r.Smax+int64(off)+int64(size)
	}
	errno := linux.OK
	switch {
	case lo < -linux.MaxStack || lo > -1:
		errno = linux.EACCES
	case hi > 0:
		errno = linux.EINVAL
	case size < 0:
		errno = linux.EFAULT
	}
	if errno == linux.OK {
		v.growStack(v.frameOf(r), int(-lo))
		return nil
	}
	if fixed {
		return v.failReg(n, CodeStackAccess, errno, "invalid%s stack R%d off=%d size=%d", what, n, off, size)
	}
	return v.failReg(n, CodeStackAccess, errno, "invalid variable-offset%s stack R%d var_off=%s off=%d size=%d",
		what, n, r.Var, off, size)
}

// growStack makes room for size bytes and notes how deep the function's frame is.
func (v *verifier) growStack(f *frame, size int) {
	f.ensureStack(size)
	size = (size + slotSize - 1) &^ (slotSize - 1)
	if s := &v.subs[f.Subprog]; s.depth < size {
		s.depth = size
	}
}

// spillable says that a value keeps its kind on the stack (is_spillable_regtype).
func (t RegType) spillable() bool {
	switch t.base() {
	case PtrToMapValue, PtrToStack, PtrToCtx, PtrToPacket, PtrToPacketMeta, PtrToPacketEnd,
		PtrToFlowKeys, ConstPtrToMap, PtrToSocket, PtrToSockCommon, PtrToTCPSock, PtrToXDPSock,
		PtrToBTFID, PtrToBuf, PtrToMem, PtrToFunc, PtrToMapKey, PtrToArena:
		return true
	}
	return false
}

// stackWrite stores a register, or an immediate where value is negative, through a stack pointer.
func (v *verifier) stackWrite(n int, off, size, value int) *reject.Error {
	r := &v.state.regs()[n]
	f := v.frameOf(r)
	if r.Var.IsConst() {
		return v.stackWriteFixed(f, off+int(int64(r.Var.Value)), size, value)
	}
	return v.stackWriteVar(f, r, off, size, value)
}

// stackWriteFixed stores at a known place (check_stack_write_fixed_off).
func (v *verifier) stackWriteFixed(f *frame, off, size, value int) *reject.Error {
	spi, first := slotOf(off)
	s := &f.Stack[spi]
	in := v.insns[v.insn]
	var r *reg
	if value >= 0 {
		r = &v.state.regs()[value]
	}
	if err := v.destroyDynptr(f, spi); err != nil {
		return err
	}
	v.fastcallContract(f, off)
	v.scratchSlot(f, spi)
	aligned := off%slotSize == 0
	isImm := r == nil && in.Class() == isa.ClassST && in.Op&0xe0 == isa.ModeMEM
	switch {
	case r != nil && aligned && r.Type == ScalarValue:
		fits := bits.Len64(r.Umax) <= 8*size
		if fits {
			v.tie(r)
		}
		v.spill(s, r, size)
		if !fits {
			s.ID = 0
		}
	case isImm && aligned:
		imm := &v.fakeA
		imm.setConst(uint64(int64(in.Imm)))
		v.spill(s, imm, size)
	case r != nil && r.Type.spillable():
		if size != slotSize {
			return v.failReg(value, CodeStackAccess, linux.EACCES, "invalid size of register spill")
		}
		if f != v.state.cur() && r.Type == PtrToStack {
			return v.failReg(value, CodeStackAccess, linux.EINVAL,
				"cannot spill pointers to stack into stack frame of the caller")
		}
		v.spill(s, r, size)
	default:
		kind := slotMisc
		s.scrub()
		if r != nil && r.isNull() || isImm && in.Imm == 0 {
			if err := v.markPrecise(value); err != nil {
				return err
			}
			kind = slotZero
		}
		for i := range size {
			s.Kind[(first-i+slotSize)%slotSize] = kind
		}
		v.liveStackWrite(f, spi, size)
		return nil
	}
	v.liveStackWrite(f, spi, size)
	v.pushHistory(step{Stack: true, Frame: uint8(f.No), Slot: uint8(spi)})
	return nil
}

// spill saves a register in a slot.
func (v *verifier) spill(s *slot, r *reg, size int) {
	s.reg = *r
	i := slotSize
	for ; i > slotSize-size; i-- {
		s.Kind[i-1] = slotSpill
	}
	for ; i > 0; i-- {
		s.Kind[i-1].scrub()
	}
}

// scrub makes a byte anything, unless nothing was written to it or it is zero
// (mark_stack_slot_misc: for a privileged program an unwritten byte stays one).
func (k *slotKind) scrub() {
	if *k != slotZero && *k != slotInvalid {
		*k = slotMisc
	}
}

// scrub forgets a spilled register that is overwritten in part. Bytes beside it that were zero are
// not known to be zero any more (scrub_spilled_slot).
func (s *slot) scrub() {
	s.Type = NotInit
	special := s.Kind[slotSize-1]
	if special == slotSpill || special == slotDynptr || special == slotIter || special == slotIRQ {
		for i := range s.Kind {
			if s.Kind[i] != slotInvalid {
				s.Kind[i] = slotMisc
			}
		}
	}
}

// stackWriteVar stores at one of several places (check_stack_write_var_off).
func (v *verifier) stackWriteVar(f *frame, ptr *reg, off, size, value int) *reject.Error {
	lo, hi := int(ptr.Smin)+off, int(ptr.Smax)+off+size
	in := v.insns[v.insn]
	zero := value >= 0 && v.state.regs()[value].isNull() ||
		value < 0 && in.Class() == isa.ClassST && in.Op&0xe0 == isa.ModeMEM && in.Imm == 0
	for i := lo; i < hi; i++ {
		spi, _ := slotOf(i)
		if err := v.destroyDynptr(f, spi); err != nil {
			return err
		}
	}
	v.fastcallContract(f, lo)
	usedZero := false
	for i := lo; i < hi; i++ {
		spi, k := slotOf(i)
		s := &f.Stack[spi]
		v.scratchSlot(f, spi)
		if zero && s.Kind[k] == slotSpill && s.isSpilledScalar() && s.isNull() {
			usedZero = true
			continue
		}
		s.scrub()
		kind := slotMisc
		if zero && s.Kind[k] == slotZero {
			kind = slotZero
			usedZero = true
		}
		s.Kind[k] = kind
	}
	if usedZero {
		return v.markPrecise(value)
	}
	return nil
}

// stackRead loads into a register, or for a helper where dst is negative.
func (v *verifier) stackRead(n int, off, size, dst int) *reject.Error {
	r := &v.state.regs()[n]
	f := v.frameOf(r)
	if r.Var.IsConst() {
		return v.stackReadFixed(f, off+int(int64(r.Var.Value)), size, dst)
	}
	if dst < 0 {
		return v.failReg(n, CodeStackAccess, linux.EACCES,
			"variable offset stack pointer cannot be passed into helper function; var_off=%s off=%d size=%d",
			r.Var, off, size)
	}
	if err := v.stackInitialized(n, off, size, nil, false, accessRead); err != nil {
		return err
	}
	lo, hi := int(r.Smin)+off, int(r.Smax)+off
	v.readBytes(f, lo, hi+size, dst)
	v.fastcallContract(f, lo)
	return nil
}

// stackReadFixed loads from a known place (check_stack_read_fixed_off).
func (v *verifier) stackReadFixed(f *frame, off, size, dst int) *reject.Error {
	spi, first := slotOf(off)
	s := &f.Stack[spi]
	v.scratchSlot(f, spi)
	v.fastcallContract(v.state.cur(), off)
	v.liveStackRead(f, spi)
	if !s.isSpilled() {
		if err := v.readable8(s, off, first, size); err != nil {
			return err
		}
		if dst >= 0 {
			v.readBytes(f, off, off+size, dst)
		}
		return nil
	}
	spilled := 1
	for i := slotSize - 1; i > 0 && s.Kind[i-1] == slotSpill; i-- {
		spilled++
	}
	fill := true
	if size != slotSize || spilled != slotSize {
		if s.Type != ScalarValue {
			return v.fail(CodeStackAccess, linux.EACCES, "invalid size of register fill")
		}
		if dst < 0 {
			return nil
		}
		d := &v.state.regs()[dst]
		if size <= spilled && off&(slotSize-1) == 0 {
			*d = s.reg
			if bits.Len64(s.Umax) > 8*size {
				d.clearID()
			}
		} else {
			var err *reject.Error
			if fill, err = v.readMixed(s, off, first, size, d); err != nil {
				return err
			}
		}
	} else if dst >= 0 {
		v.state.regs()[dst] = s.reg
	}
	if fill {
		v.pushHistory(step{Stack: true, Frame: uint8(f.No), Slot: uint8(spi)})
	}
	return nil
}

// readMixed loads bytes of a slot that do not make up a spilled register. It reports whether
// the value still comes from that register.
func (v *verifier) readMixed(s *slot, off, first, size int, d *reg) (fill bool, err *reject.Error) {
	spills, zeros := 0, 0
	for i := range size {
		switch k := s.Kind[(first-i+slotSize)%slotSize]; k {
		case slotSpill:
			spills++
		case slotZero:
			zeros++
		case slotMisc, slotInvalid:
		default:
			return false, v.fail(CodeStackUninit, linux.EACCES, "invalid read from stack off %d+%d size %d", off, i, size)
		}
	}
	switch {
	case spills == size && s.Var.IsConst() && s.Var.Value == 0:
		d.setConstPrecise(0)
		return true, nil
	case zeros == size:
		d.setConstPrecise(0)
	default:
		d.setUnknown()
	}
	return false, nil
}

// setConstPrecise is setConst for a zero that stands for stored zeros (__mark_reg_const_zero).
func (r *reg) setConstPrecise(c uint64) {
	r.setConst(c)
}

// readable8 checks that bytes of one slot hold something that may be read.
func (v *verifier) readable8(s *slot, off, first, size int) *reject.Error {
	for i := range size {
		switch s.Kind[(first-i+slotSize)%slotSize] {
		case slotMisc, slotZero, slotInvalid:
			continue
		}
		return v.fail(CodeStackUninit, linux.EACCES, "invalid read from stack off %d+%d size %d", off, i, size)
	}
	return nil
}

// readBytes makes dst what bytes that are no spilled register give: zero or anything
// (mark_reg_stack_read).
func (v *verifier) readBytes(f *frame, lo, hi, dst int) {
	zeros := 0
	for i := lo; i < hi; i++ {
		spi, k := slotOf(i)
		v.scratchSlot(f, spi)
		if f.Stack[spi].Kind[k] != slotZero {
			break
		}
		zeros++
	}
	d := &v.state.regs()[dst]
	if zeros == hi-lo {
		d.setConstPrecise(0)
		return
	}
	d.setUnknown()
}

// rawAccess is memory that a helper fills: it is marked as written after the call.
type rawAccess struct {
	raw  bool // the argument's memory need not be initialised
	reg  int
	size int
}

// stackInitialized checks a range of the stack that a helper uses, or a load at a variable
// offset (check_stack_range_initialized).
func (v *verifier) stackInitialized(n int, off, size int, raw *rawAccess, zeroOK bool, kind access) *reject.Error {
	if size == 0 && !zeroOK {
		return v.failReg(n, CodeArgument, linux.EACCES, "invalid zero-sized read")
	}
	if err := v.stackBounds(n, off, size, kind); err != nil {
		return err
	}
	r := &v.state.regs()[n]
	f := v.frameOf(r)
	fixed := r.Var.IsConst()
	lo, hi := int(r.Smin)+off, int(r.Smax)+off
	if fixed {
		lo = int(int64(r.Var.Value)) + off
		hi = lo
	} else if raw != nil && raw.raw {
		raw = nil
	}
	if raw != nil && raw.raw {
		for i := lo; i < hi+size; i++ {
			if spi, k := slotOf(i); f.Stack[spi].Kind[k] == slotDynptr {
				return v.failReg(n, CodeDynptr, linux.EACCES,
					"potential write to dynptr at off=%d disallowed", i)
			}
		}
		raw.reg, raw.size = n, size
		return nil
	}
	for i := lo; i < hi+size; i++ {
		spi, k := slotOf(i)
		s := &f.Stack[spi]
		switch {
		case s.Kind[k] == slotMisc:
		case s.Kind[k] == slotZero, s.Kind[k] == slotInvalid:
			if kind == accessWrite {
				s.Kind[k] = slotMisc
			}
		case s.isSpilled():
			if kind == accessWrite {
				s.setUnknown()
				for j := range s.Kind {
					if s.Kind[j] != slotInvalid {
						s.Kind[j] = slotMisc
					}
				}
			}
		default:
			return v.uninitialized(n, r, lo, i-lo, size, fixed)
		}
		v.liveStackRead(f, spi)
	}
	return nil
}

func (v *verifier) uninitialized(n int, r *reg, lo, at, size int, fixed bool) *reject.Error {
	if fixed {
		return v.failReg(n, CodeStackUninit, linux.EACCES,
			"invalid read from stack R%d off %d+%d size %d", n, lo, at, size)
	}
	return v.failReg(n, CodeStackUninit, linux.EACCES,
		"invalid read from stack R%d var_off %s+%d size %d", n, r.Var, at, size)
}
