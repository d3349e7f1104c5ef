package verifier

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// dynptrSlots is how many stack slots a struct bpf_dynptr takes.
const dynptrSlots = 2

// dynptrKind is what a dynptr points to (enum bpf_dynptr_type, include/linux/bpf.h).
type dynptrKind uint8

const (
	noDynptr dynptrKind = iota
	localDynptr
	ringbufDynptr
	skbDynptr
	xdpDynptr
	skbMetaDynptr
)

// dynptrKinds has the name of each kind in the log, and its flag in arguments and slices.
var dynptrKinds = [...]struct {
	name string
	flag linux.ArgType
}{
	noDynptr:      {"<invalid>", 0},
	localDynptr:   {"local", linux.DynptrTypeLocal},
	ringbufDynptr: {"ringbuf", linux.DynptrTypeRingbuf},
	skbDynptr:     {"skb", linux.DynptrTypeSkb},
	xdpDynptr:     {"xdp", linux.DynptrTypeXdp},
	skbMetaDynptr: {"skb_meta", linux.DynptrTypeSkbMeta},
}

func (k dynptrKind) String() string { return dynptrKinds[k].name }

// flag is the bit that stands for the kind in the type of an argument or of a slice.
func (k dynptrKind) flag() linux.ArgType { return dynptrKinds[k].flag }

// referenced says that dynptrs of the kind must be given back (dynptr_type_refcounted).
func (k dynptrKind) referenced() bool { return k == ringbufDynptr }

// dynptrKindOf returns the kind that an argument asks for, noDynptr for any.
func dynptrKindOf(arg linux.ArgType) dynptrKind {
	for k := localDynptr; int(k) < len(dynptrKinds); k++ {
		if arg&linux.DynptrTypeMask == k.flag() {
			return k
		}
	}
	return noDynptr
}

// stackObject is what is known of an object that helpers keep in stack slots: a dynptr, of which
// slices are made and whose bytes must not be touched, or an iterator. It is empty for others.
type stackObject struct {
	Iter    *iterType
	Depth   uint32 // of iterators: how often next was assumed to find an element
	Drained bool   // of iterators: next has found no more elements
	Dynptr  dynptrKind
	First   bool // of dynptrs: the slot at the lower address
}

// dynptrInfo is a dynptr that a call was given.
type dynptrInfo struct {
	Kind dynptrKind
	ID   uint32 // ties slices to it
	Ref  uint32 // reference that must be given up, 0 for none
}

// setDynptr makes r a dynptr, or the slot of one.
func (r *reg) setDynptr(k dynptrKind, first bool, id uint32) {
	*r = reg{Type: ConstPtrToDynptr, Scalar: scalar.Const(0), ID: id}
	r.Object = stackObject{Dynptr: k, First: first}
}

// objectSlot finds the slot of an object of so many slots that a stack pointer points to
// (stack_slot_obj_get_spi). Where there can be none, why says so; it is empty where the stack was
// not used that far.
func (v *verifier) objectSlot(r *reg, what string, slots int) (spi int, why *reject.Error, ok bool) {
	if !r.Var.IsConst() {
		return 0, v.fail(CodeArgument, linux.EINVAL, "%s has to be at a constant offset", what), false
	}
	off := int(r.Off) + int(int64(r.Var.Value))
	if off%slotSize != 0 {
		return 0, v.fail(CodeArgument, linux.EINVAL, "cannot pass in %s at an offset=%d", what, off), false
	}
	spi = (-off - 1) / slotSize // as in C: of the frame's end it is the first slot
	if spi+1 < slots {
		return 0, v.fail(CodeArgument, linux.EINVAL, "cannot pass in %s at an offset=%d", what, off), false
	}
	return spi, nil, spi < len(v.frameOf(r).Stack)
}

// after puts what Linux prints before a reason in front of it.
func after(why, e *reject.Error) *reject.Error {
	if why != nil {
		e.Before = append(append([]string{}, why.Before...), why.Message)
	}
	return e
}

// dynptrArg checks argument n of a call, a dynptr (process_dynptr_func). Without flags it must be
// initialised; the call may change a dynptr without MemRdonly and makes one with MemUninit.
// cloneRef is the reference of the dynptr that a new one is a copy of, 0 for none.
func (v *verifier) dynptrArg(n int, arg linux.ArgType, cloneRef uint32) *reject.Error {
	r := &v.state.regs()[n]
	if r.Type != PtrToStack && r.Type != ConstPtrToDynptr {
		return v.failReg(n, CodeArgument, linux.EINVAL,
			"arg#%d expected pointer to stack or const struct bpf_dynptr", n-1)
	}
	if arg.Has(linux.MemUninit) {
		return v.newDynptr(n, arg, cloneRef)
	}
	if r.Type == ConstPtrToDynptr && !arg.Has(linux.MemRdonly) {
		return v.failReg(n, CodeDynptr, linux.EINVAL,
			"cannot pass pointer to const bpf_dynptr, the helper mutates it")
	}
	d, why := v.dynptrIn(r)
	if d == nil {
		return after(why, v.failReg(n, CodeDynptr, linux.EINVAL, "Expected an initialized dynptr as arg #%d", n-1))
	}
	if want := arg &^ linux.MemRdonly; want != linux.ArgPtrToDynptr && d.Object.Dynptr != dynptrKindOf(want) {
		return v.failReg(n, CodeDynptr, linux.EINVAL, "Expected a dynptr of type %s as arg #%d", dynptrKindOf(want), n-1)
	}
	if r.Type == PtrToStack {
		spi, _, _ := v.objectSlot(r, "dynptr", dynptrSlots)
		v.readObject(v.frameOf(r), spi, dynptrSlots)
	}
	return nil
}

// dynptrIn returns the dynptr that a register is or points to, nil where there is none, and why.
func (v *verifier) dynptrIn(r *reg) (d *reg, why *reject.Error) {
	if r.Type == ConstPtrToDynptr {
		return r, nil
	}
	spi, why, ok := v.objectSlot(r, "dynptr", dynptrSlots)
	if !ok {
		return nil, why
	}
	f := v.frameOf(r)
	s := &f.Stack[spi]
	if !s.holds(slotDynptr) || !f.Stack[spi-1].holds(slotDynptr) || !s.Object.First {
		return nil, nil
	}
	return &s.reg, nil
}

// dynptrAt describes the dynptr in an argument that was checked.
func (v *verifier) dynptrAt(n int) dynptrInfo {
	d, _ := v.dynptrIn(&v.state.regs()[n])
	if d == nil {
		return dynptrInfo{}
	}
	return dynptrInfo{Kind: d.Object.Dynptr, ID: d.ID, Ref: d.RefID}
}

// holds says that all bytes of a slot are of one kind.
func (s *slot) holds(k slotKind) bool {
	return s.Kind == [slotSize]slotKind{k, k, k, k, k, k, k, k}
}

// fill makes all bytes of a slot of one kind.
func (s *slot) fill(k slotKind) { s.Kind = [slotSize]slotKind{k, k, k, k, k, k, k, k} }

// readObject notes that a call reads an object on the stack.
func (v *verifier) readObject(f *frame, spi, slots int) {
	for i := range slots {
		v.liveStackRead(f, spi-i)
		v.scratchSlot(f, spi-i)
	}
}

// newDynptr makes a dynptr on the stack.
func (v *verifier) newDynptr(n int, arg linux.ArgType, cloneRef uint32) *reject.Error {
	r := &v.state.regs()[n]
	var why *reject.Error
	if r.Type == PtrToStack {
		_, why, _ = v.objectSlot(r, "dynptr", dynptrSlots)
	}
	if why != nil || r.Type == ConstPtrToDynptr {
		return after(why, v.failReg(n, CodeDynptr, linux.EINVAL, "Dynptr has to be an uninitialized dynptr"))
	}
	if err := v.writeObject(n, dynptrSlots); err != nil {
		return err
	}
	spi, _, _ := v.objectSlot(r, "dynptr", dynptrSlots)
	f := v.frameOf(r)
	// The slots may be the halves of two dynptrs.
	for i := range dynptrSlots {
		if err := v.destroyDynptr(f, spi-i); err != nil {
			return err
		}
	}
	kind, id := dynptrKindOf(arg), v.newID()
	ref := uint32(0)
	if kind.referenced() {
		if ref = cloneRef; ref == 0 {
			ref = v.acquire()
		}
	}
	for i := range dynptrSlots {
		s := &f.Stack[spi-i]
		s.setDynptr(kind, i == 0, id)
		s.RefID = ref
		s.fill(slotDynptr)
		v.live.Write(f.No, 1<<(spi-i))
	}
	return nil
}

// writeObject checks that a call may write an object to the stack.
func (v *verifier) writeObject(n, slots int) *reject.Error {
	for i := range slots {
		a := memAccess{reg: n, off: i * slotSize, size: slotSize, kind: accessWrite, value: -1}
		if err := v.checkMem(a); err != nil {
			return err
		}
	}
	return nil
}

// clearObject makes the slots of an object unused.
func (v *verifier) clearObject(f *frame, spi, slots int) {
	for i := range slots {
		s := &f.Stack[spi-i]
		s.setNotInit()
		s.fill(slotInvalid)
		v.live.Write(f.No, 1<<(spi-i))
	}
}

// dynptrToRelease checks that a call gives back a dynptr that must be.
func (v *verifier) dynptrToRelease(n int) *reject.Error {
	r := &v.state.regs()[n]
	if r.Type != PtrToStack {
		return v.failReg(n, CodeDynptr, linux.EINVAL, "cannot release unowned const bpf_dynptr")
	}
	spi, why, ok := v.objectSlot(r, "dynptr", dynptrSlots)
	if !ok || v.frameOf(r).Stack[spi].RefID == 0 {
		return after(why, v.failReg(n, CodeDynptr, linux.EINVAL, "arg %d is an unacquired reference", n))
	}
	return nil
}

// releaseDynptr ends the dynptr that a call gives back, its copies and its slices
// (unmark_stack_slots_dynptr).
func (v *verifier) releaseDynptr(n int) *reject.Error {
	r := &v.state.regs()[n]
	spi, why, ok := v.objectSlot(r, "dynptr", dynptrSlots)
	if !ok {
		return why
	}
	f := v.frameOf(r)
	s := &f.Stack[spi]
	if !s.Object.Dynptr.referenced() {
		v.clearObject(f, spi, dynptrSlots)
		return nil
	}
	ref := s.RefID
	v.state.dropReference(ref)
	v.forgetReference(ref)
	for i := 1; i < len(f.Stack); i++ {
		if s := &f.Stack[i]; s.RefID == ref && s.Kind[0] == slotDynptr && s.Object.First {
			v.clearObject(f, i, dynptrSlots)
		}
	}
	return nil
}

// forgetReference makes all registers that belong to a reference numbers of which nothing is
// known.
func (v *verifier) forgetReference(ref uint32) {
	v.state.eachReg(func(r *reg) {
		if r.RefID == ref {
			r.setUnknown()
		}
	})
}

// destroyDynptr forgets a dynptr of which a slot is overwritten, and its slices
// (destroy_if_dynptr_stack_slot).
func (v *verifier) destroyDynptr(f *frame, spi int) *reject.Error {
	if f.Stack[spi].Kind[0] != slotDynptr {
		return nil
	}
	if !f.Stack[spi].Object.First {
		spi++
	}
	s := &f.Stack[spi]
	if s.Object.Dynptr.referenced() {
		return v.fail(CodeDynptr, linux.EINVAL, "cannot overwrite referenced dynptr")
	}
	v.scratchSlot(f, spi)
	v.scratchSlot(f, spi-1)
	id := s.ID
	v.state.eachReg(func(r *reg) {
		if r.Type&^MaybeNull == PtrToMem && r.DynptrID == id {
			r.setUnknown()
		}
	})
	v.clearObject(f, spi, dynptrSlots)
	return nil
}

// dynptrCall does what is particular to helpers that use dynptrs, after their arguments were
// checked.
func (v *verifier) dynptrCall(meta *callMeta) *reject.Error {
	switch meta.proto.ID {
	case linux.FuncDynptrFromMem:
		if r := &v.state.regs()[1]; r.Type != PtrToMapValue {
			return v.failReg(1, CodeDynptr, linux.EACCES,
				"Unsupported reg type %s for bpf_dynptr_from_mem data", r.Type)
		}
	case linux.FuncDynptrData:
		meta.dynptr = v.dynptrAt(1)
		meta.ref = meta.dynptr.Ref
	case linux.FuncDynptrWrite:
		// Writing may move the packet.
		kind := v.dynptrAt(1).Kind
		meta.changesPacket = kind == skbDynptr || kind == skbMetaDynptr
	}
	return nil
}

// isPacketSlice says that memory is a slice of a packet, which is gone when the packet changes
// (reg_is_dynptr_slice_pkt).
func (t RegType) isPacketSlice() bool {
	const packet = RegType(linux.DynptrTypeSkb | linux.DynptrTypeXdp | linux.DynptrTypeSkbMeta)
	return t.base() == PtrToMem && t&packet != 0
}

// dynptrKfuncKinds are the kinds that kernel functions make.
var dynptrKfuncKinds = map[string]linux.ArgType{
	"bpf_dynptr_from_skb":      linux.DynptrTypeSkb,
	"bpf_dynptr_from_xdp":      linux.DynptrTypeXdp,
	"bpf_dynptr_from_skb_meta": linux.DynptrTypeSkbMeta,
}

// dynptrKfuncArg checks argument n of a kernel function, a dynptr. uninit says that the function
// makes it. have is the dynptr among the arguments before; it becomes this one if it is
// initialised (check_kfunc_args).
func (v *verifier) dynptrKfuncArg(n int, fn string, uninit bool, have *dynptrInfo) *reject.Error {
	arg := linux.ArgPtrToDynptr
	if v.state.regs()[n].Type == ConstPtrToDynptr {
		arg |= linux.MemRdonly
	}
	if uninit {
		arg |= linux.MemUninit
	}
	ref := uint32(0)
	if fn == "bpf_dynptr_clone" && uninit {
		arg |= have.Kind.flag()
		ref = have.Ref
	} else {
		arg |= dynptrKfuncKinds[fn]
	}
	if err := v.dynptrArg(n, arg, ref); err != nil {
		return err
	}
	if !uninit {
		*have = v.dynptrAt(n)
	}
	return nil
}

// dynptrSlice sets R0 to what bpf_dynptr_slice and bpf_dynptr_slice_rdwr return: size bytes of a
// dynptr. That it may be NULL is left to the caller.
func (v *verifier) dynptrSlice(r0 *reg, size uint32, writable bool, d dynptrInfo) *reject.Error {
	r0.setPointer(PtrToMem | RegType(d.Kind.flag()))
	r0.MemSize, r0.DynptrID = size, d.ID
	if !writable {
		r0.Type |= MemRdonly
		return nil
	}
	if !v.packet.Store {
		return v.fail(CodePacketAccess, linux.EINVAL, "the prog does not allow writes to packet data")
	}
	return nil
}
