package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// maxErrno is the largest error number that a pointer or result can carry (MAX_ERRNO,
// include/linux/err.h).
const maxErrno = 4095

// setResult sets R0 after a call.
func (v *verifier) setResult(r0 *reg, meta *callMeta) *reject.Error {
	p := meta.proto
	flags := RegType(p.Ret).flags()
	switch p.Ret.Base() {
	case linux.RetInteger:
		r0.setUnknown()
	case linux.RetVoid:
		return nil
	case linux.RetPtrToMapValue:
		if meta.m == nil {
			return v.fail(CodeInternal, linux.EFAULT, "unexpected null map_ptr")
		}
		if p.ID == linux.FuncMapLookupElem && meta.m.constKeys() &&
			meta.key >= 0 && meta.key < int64(meta.m.MaxEntries) {
			flags &^= MaybeNull
		}
		r0.setPointer(PtrToMapValue | flags)
		r0.Map, r0.MapUID = meta.m, meta.mapUID
		if !flags.mayBeNull() && r0.mayHoldLock() {
			r0.ID = v.newID()
		}
	case linux.RetPtrToSocket:
		r0.setPointer(PtrToSocket | flags)
	case linux.RetPtrToSockCommon:
		r0.setPointer(PtrToSockCommon | flags)
	case linux.RetPtrToTcpSock:
		r0.setPointer(PtrToTCPSock | flags)
	case linux.RetPtrToMem:
		r0.setPointer(PtrToMem | flags)
		r0.MemSize, r0.DynptrID = meta.memSize, meta.dynptr.ID
	case linux.RetPtrToBTFID:
		r0.setPointer(PtrToBTFID | flags)
		if meta.kptr != nil {
			r0.BTF = v.pointee(meta.kptr)
			if !r0.BTF.Kernel {
				r0.Type |= MemAlloc
				if meta.kptr.Kind == FieldPercpuKptr {
					r0.Type |= MemPercpu
				}
			}
		} else {
			r0.BTF = v.named(p.RetBTF)
		}
	case linux.RetPtrToMemOrBTFID:
		if err := v.perCPUResult(r0, meta, flags); err != nil {
			return err
		}
	}
	if r0.Type.mayBeNull() {
		r0.ID = v.newID()
	}
	switch {
	case castsSocket(p.ID), p.ID == linux.FuncDynptrData:
		r0.RefID = meta.ref
	case acquires(p.ID, meta.m):
		id := v.acquire()
		r0.ID, r0.RefID = id, id
	}
	if p.Ret == linux.RetInteger {
		v.refineResult(r0, meta)
	}
	return nil
}

// refineResult narrows the results of helpers that are known to be in a range
// (do_refine_retval_range).
func (v *verifier) refineResult(r0 *reg, meta *callMeta) {
	switch meta.proto.ID {
	case linux.FuncGetStack, linux.FuncGetTaskStack, linux.FuncProbeReadStr,
		linux.FuncProbeReadKernelStr, linux.FuncProbeReadUserStr:
		r0.Smin, r0.Smax = -maxErrno, int64(meta.maxSize)
		r0.S32min, r0.S32max = -maxErrno, int32(meta.maxSize)
	case linux.FuncGetSmpProcessorID:
		last := v.opts.CPUs - 1
		if last < 0 {
			last = linux.MaxCPUs - 1
		}
		r0.Umin, r0.Umax, r0.Smin, r0.Smax = 0, uint64(last), 0, int64(last)
		r0.U32min, r0.U32max, r0.S32min, r0.S32max = 0, uint32(last), 0, int32(last)
	default:
		return
	}
	r0.Scalar.Sync()
	r0.sane()
}

// notZero notes that R0 is not zero: a helper that ends the program with zero has returned.
func notZero(r0 *reg) {
	if r0.Type == ScalarValue {
		zero := scalar.Const(0)
		scalar.Refine(isa.JNE, scalar.W64, &r0.Scalar, &zero)
		return
	}
	r0.Type &^= MaybeNull
}

// castsSocket says that a helper returns its argument as another kind of socket
// (is_ptr_cast_function).
func castsSocket(id uint32) bool {
	switch id {
	case linux.FuncTCPSock, linux.FuncSKFullsock, linux.FuncSKCToTCPSock, linux.FuncSKCToTCP6Sock,
		linux.FuncSKCToUDP6Sock, linux.FuncSKCToMPTCPSock, linux.FuncSKCToTCPTimewaitSock,
		linux.FuncSKCToTCPRequestSock:
		return true
	}
	return false
}

// acquires says that the program must release what a helper returns (is_acquire_function).
func acquires(id uint32, m *Map) bool {
	switch id {
	case linux.FuncSKLookupTCP, linux.FuncSKLookupUDP, linux.FuncSKCLookupTCP, linux.FuncRingbufReserve,
		linux.FuncKptrXchg:
		return true
	case linux.FuncMapLookupElem:
		return m != nil && m.isSock()
	}
	return false
}
