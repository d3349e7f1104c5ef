package verifier

import (
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// Kinds of register that an argument takes (compatible_reg_types, kernel/bpf/verifier.c). The
// log lists them in this order.
var (
	sockRegs  = []RegType{PtrToSockCommon, PtrToSocket, PtrToTCPSock, PtrToXDPSock}
	btfSkRegs = []RegType{
		PtrToSockCommon, PtrToSocket, PtrToTCPSock, PtrToXDPSock, PtrToBTFID, PtrToBTFID | PtrTrusted,
	}
	memRegs = []RegType{
		PtrToStack, PtrToPacket, PtrToPacketMeta, PtrToMapKey, PtrToMapValue, PtrToMem,
		PtrToMem | MemRingbuf, PtrToBuf, PtrToBTFID | PtrTrusted,
	}
	lockRegs   = []RegType{PtrToMapValue, PtrToBTFID | MemAlloc}
	scalarRegs = []RegType{ScalarValue}
	valueRegs  = []RegType{PtrToMapValue}

	argKinds = [...][]RegType{
		linux.ArgConstMapPtr:          {ConstPtrToMap},
		linux.ArgPtrToMapKey:          memRegs,
		linux.ArgPtrToMapValue:        memRegs,
		linux.ArgPtrToMem:             memRegs,
		linux.ArgConstSize:            scalarRegs,
		linux.ArgConstSizeOrZero:      scalarRegs,
		linux.ArgPtrToCtx:             {PtrToCtx},
		linux.ArgScalar:               scalarRegs,
		linux.ArgPtrToSpinLock:        lockRegs,
		linux.ArgPtrToSockCommon:      sockRegs,
		linux.ArgPtrToSocket:          {PtrToSocket},
		linux.ArgPtrToBTFID:           {PtrToBTFID, PtrToBTFID | PtrTrusted, PtrToBTFID | MemRCU},
		linux.ArgPtrToRingbufMem:      {PtrToMem | MemRingbuf},
		linux.ArgConstAllocSizeOrZero: scalarRegs,
		linux.ArgPtrToBTFIDSockCommon: btfSkRegs,
		linux.ArgPtrToPercpuBTFID: {
			PtrToBTFID | MemPercpu, PtrToBTFID | MemPercpu | MemRCU, PtrToBTFID | MemPercpu | PtrTrusted,
		},
		linux.ArgPtrToFunc:     {PtrToFunc},
		linux.ArgPtrToStack:    {PtrToStack},
		linux.ArgPtrToConstStr: valueRegs,
		linux.ArgPtrToTimer:    valueRegs,
		linux.ArgKptrXchgDest:  lockRegs,
		linux.ArgPtrToDynptr:   {PtrToStack, ConstPtrToDynptr},
	}
)

// checkArg checks argument i of a call (check_func_arg).
func (v *verifier) checkArg(i int, meta *callMeta) *reject.Error {
	p, n := meta.proto, i+1
	arg := p.Args[i]
	if arg == linux.ArgNone {
		return nil
	}
	if err := v.readable(uint8(n)); err != nil {
		return err
	}
	if arg == linux.ArgAnything {
		return nil
	}
	r := &v.state.regs()[n]
	if r.Type.isPacket() && !v.packet.PassAny && !(v.packet.Pass && p.PktAccess) {
		return v.failReg(n, CodePacketAccess, linux.EACCES, "helper access to the packet is not allowed")
	}
	if arg.Base() == linux.ArgPtrToMapValue {
		var err *reject.Error
		if arg, err = v.mapValueArg(arg, meta); err != nil {
			return err
		}
	}
	if r.isNull() && arg.Has(linux.PtrMaybeNull) {
		// 6.12.117 marks it and 6.18.44 does not yet: without, a state with another number is covered.
		if err := v.markPrecise(n); err != nil {
			return err
		}
	} else {
		a := objectArg{n: n, arg: arg, helper: p, kptr: meta.kptr}
		if p.ID != linux.FuncKptrXchg {
			a.want = v.wantedObject(arg, p.ArgBTF[i])
		}
		if err := v.checkRegType(a); err != nil {
			return err
		}
		if err := v.checkRegOffset(n, arg); err != nil {
			return err
		}
	}
	if err := v.checkReference(n, arg, meta); err != nil {
		return err
	}
	return v.checkValue(i, arg, meta)
}

// mapValueArg is what an argument that holds a map value is for the map at hand
// (resolve_map_arg_type).
func (v *verifier) mapValueArg(arg linux.ArgType, meta *callMeta) (linux.ArgType, *reject.Error) {
	switch meta.m.Type {
	case ebpf.SockMap, ebpf.SockHash:
		if arg != linux.ArgPtrToMapValue {
			return 0, v.fail(CodeArgument, linux.EINVAL, "invalid arg_type for sockmap/sockhash")
		}
		return linux.ArgPtrToBTFIDSockCommon, nil
	case ebpf.BloomFilter:
		if meta.proto.ID == linux.FuncMapPeekElem {
			return linux.ArgPtrToMapValue, nil
		}
	}
	return arg, nil
}

// checkRegType checks that a register is of a kind that the argument takes (check_reg_type).
func (v *verifier) checkRegType(a objectArg) *reject.Error {
	n, arg := a.n, a.arg
	r := &v.state.regs()[n]
	t := r.Type
	if arg.Has(linux.MemRdonly) {
		t &^= MemRdonly
	}
	if arg.Has(linux.PtrMaybeNull) {
		t &^= MaybeNull
	}
	if arg.Base() == linux.ArgPtrToMem {
		t &^= RegType(linux.DynptrTypeMask)
	}
	if a.kptr != nil && n == 2 && t&MemAlloc != 0 && t&PtrUntrusted == 0 {
		t &^= MemAlloc | MemPercpu
	}
	base := int(arg.Base())
	if base >= len(argKinds) || argKinds[base] == nil {
		return v.unsupported("an argument of this kind")
	}
	for _, want := range argKinds[base] {
		if t == want {
			if t.base() == PtrToBTFID {
				return v.checkObjectArg(a)
			}
			return nil
		}
	}
	return v.wrongType(n, argKinds[base])
}

// wrongType is the reason for a register of a kind that is not among those expected.
func (v *verifier) wrongType(n int, want []RegType) *reject.Error {
	r := &v.state.regs()[n]
	var b strings.Builder
	for i, w := range want {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(w.String())
	}
	code := CodeArgument
	if r.Type.mayBeNull() {
		code = CodeNullAccess
	}
	e := v.failReg(n, code, linux.EACCES, "R%d type=%s expected=%s", n, r.Type, b.String())
	e.Found, e.Needed = r.Type.String(), b.String()
	return e
}

// checkRegOffset checks the offset of an argument (check_func_arg_reg_off).
func (v *verifier) checkRegOffset(n int, arg linux.ArgType) *reject.Error {
	r := &v.state.regs()[n]
	if arg.Has(linux.ObjRelease) {
		if arg.Base() == linux.ArgPtrToDynptr && r.Type == PtrToStack {
			return nil
		}
		if r.Off != 0 {
			return v.failReg(n, CodeArgument, linux.EINVAL,
				"R%d must have zero offset when passed to release func or trusted arg to kfunc", n)
		}
		return v.fixedOffset(n, r, false)
	}
	switch r.Type {
	case PtrToStack, PtrToPacket, PtrToPacketMeta, PtrToMapKey, PtrToMapValue, PtrToMem,
		PtrToMem | MemRdonly, PtrToMem | MemRingbuf, PtrToBuf, PtrToBuf | MemRdonly, PtrToArena, ScalarValue:
		return nil
	case PtrToBTFID, PtrToBTFID | MemAlloc, PtrToBTFID | PtrTrusted, PtrToBTFID | MemRCU,
		PtrToBTFID | MemAlloc | NonOwnRef, PtrToBTFID | MemAlloc | NonOwnRef | MemRCU:
		return v.fixedOffset(n, r, true)
	}
	return v.fixedOffset(n, r, false)
}

// checkReference notes the reference that an argument belongs to.
func (v *verifier) checkReference(n int, arg linux.ArgType, meta *callMeta) *reject.Error {
	r := &v.state.regs()[n]
	if arg.Has(linux.ObjRelease) {
		if arg.Base() == linux.ArgPtrToDynptr {
			if err := v.dynptrToRelease(n); err != nil {
				return err
			}
		} else if r.RefID == 0 && !r.isNull() {
			return v.failReg(n, CodeReference, linux.EINVAL,
				"R%d must be referenced when passed to release function", n)
		}
		meta.release = n
	}
	if r.RefID != 0 && arg.Base() != linux.ArgKptrXchgDest {
		if meta.ref != 0 {
			return v.failReg(n, CodeReference, linux.EACCES,
				"more than one arg with ref_obj_id R%d %d %d", n, r.RefID, meta.ref)
		}
		meta.ref = r.RefID
	}
	return nil
}

// checkValue checks what an argument of the right kind points to, or is.
func (v *verifier) checkValue(i int, arg linux.ArgType, meta *callMeta) *reject.Error {
	n := i + 1
	r := &v.state.regs()[n]
	switch arg.Base() {
	case linux.ArgConstMapPtr:
		if meta.m != nil && (meta.m != r.Map || meta.mapUID != r.MapUID) {
			return v.failReg(n, CodeTimer, linux.EINVAL,
				"timer pointer in R1 map_uid=%d doesn't match map pointer in R2 map_uid=%d", meta.mapUID, r.MapUID)
		}
		meta.m, meta.mapUID = r.Map, r.MapUID
	case linux.ArgPtrToMapKey:
		return v.checkKey(n, meta)
	case linux.ArgPtrToMapValue:
		if arg.Has(linux.PtrMaybeNull) && r.isNull() {
			return nil
		}
		meta.raw.raw = arg.Has(linux.MemUninit)
		return v.helperMem(n, int(meta.m.ValueSize), argAccess(arg), false, &meta.raw)
	case linux.ArgPtrToMem:
		meta.raw.raw = arg.Has(linux.MemUninit)
		if arg.Has(linux.MemFixedSize) {
			return v.checkFixedMem(n, arg, int(meta.proto.ArgSize[i]), &meta.raw)
		}
	case linux.ArgConstSize:
		return v.checkSize(n, argAccess(meta.proto.Args[i-1]), false, meta)
	case linux.ArgConstSizeOrZero:
		return v.checkSize(n, argAccess(meta.proto.Args[i-1]), true, meta)
	case linux.ArgConstAllocSizeOrZero:
		if !r.Var.IsConst() {
			return v.failReg(n, CodeArgument, linux.EACCES, "R%d is not a known constant'", n)
		}
		meta.memSize = uint32(r.Var.Value)
		return v.markPrecise(n)
	case linux.ArgPtrToFunc:
		meta.sub = int(r.Func)
	case linux.ArgPtrToConstStr:
		return v.checkConstString(n)
	case linux.ArgPtrToPercpuBTFID:
		meta.object = r.BTF
		meta.allocated = r.Type&MemRCU != 0
	case linux.ArgPtrToSpinLock:
		return v.spinLock(n, meta)
	case linux.ArgPtrToTimer:
		return v.timerArg(n, meta)
	case linux.ArgPtrToDynptr:
		return v.dynptrArg(n, arg, 0)
	case linux.ArgKptrXchgDest:
		return v.kptrDest(n, meta)
	}
	return nil
}

// argAccess says what a helper does with the memory of an argument.
func argAccess(arg linux.ArgType) access {
	if arg.Has(linux.MemWrite) {
		return accessWrite
	}
	return accessRead
}
