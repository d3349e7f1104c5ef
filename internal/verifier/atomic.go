package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// atomic interprets an atomic operation (check_atomic).
func (v *verifier) atomic(in isa.Insn) *reject.Error {
	switch in.Imm {
	case isa.AtomicADD, isa.AtomicADD | isa.AtomicFetch, isa.AtomicAND, isa.AtomicAND | isa.AtomicFetch,
		isa.AtomicOR, isa.AtomicOR | isa.AtomicFetch, isa.AtomicXOR, isa.AtomicXOR | isa.AtomicFetch,
		isa.AtomicXCHG, isa.AtomicCMPXCHG:
		return v.atomicRMW(in)
	case isa.AtomicLoadAcq:
		if err := v.loadMem(in, true, false); err != nil {
			return err
		}
		// The register may have been the address and be overwritten: its kind is what the
		// instruction used.
		return v.atomicPointer(int(in.Src), "loads from")
	case isa.AtomicStoreRel:
		if err := v.storeReg(in, true); err != nil {
			return err
		}
		return v.atomicPointer(int(in.Dst), "stores into")
	}
	return v.fail(CodeReserved, linux.EINVAL, "BPF_ATOMIC uses invalid atomic opcode %02x", uint32(in.Imm))
}

// atomicPointer refuses pointers that are translated or not writable (atomic_ptr_type_ok).
func (v *verifier) atomicPointer(n int, what string) *reject.Error {
	t := v.state.regs()[n].Type
	switch {
	case t == PtrToCtx, t.isPacket(), t == PtrToFlowKeys, t.isSock() && !t.mayBeNull():
		return v.failReg(n, CodeAccess, linux.EACCES, "BPF_ATOMIC %s R%d %s is not allowed", what, n, t)
	}
	return nil
}

// atomicRMW interprets a read-modify-write operation (check_atomic_rmw).
func (v *verifier) atomicRMW(in isa.Insn) *reject.Error {
	size := sizeOf(in.Op)
	if size < 4 {
		return v.fail(CodeReserved, linux.EINVAL, "invalid atomic operand size")
	}
	if err := v.readable(in.Src); err != nil {
		return err
	}
	if err := v.readable(in.Dst); err != nil {
		return err
	}
	if in.Imm == isa.AtomicCMPXCHG {
		if err := v.readable(0); err != nil {
			return err
		}
	}
	if err := v.atomicPointer(int(in.Dst), "stores into"); err != nil {
		return err
	}
	loaded := -1
	if in.Imm&isa.AtomicFetch != 0 {
		loaded = int(in.Src)
		if in.Imm == isa.AtomicCMPXCHG {
			loaded = 0
		}
		if err := v.writable(uint8(loaded)); err != nil {
			return err
		}
	}
	a := memAccess{reg: int(in.Dst), off: int(in.Off), size: size, kind: accessRead, value: -1, strict: true}
	if err := v.checkMem(a); err != nil {
		return err
	}
	if loaded >= 0 {
		a.value = loaded
		if err := v.checkMem(a); err != nil {
			return err
		}
	}
	if err := v.samePointer(v.state.regs()[in.Dst].Type, false); err != nil {
		return err
	}
	a.kind, a.value = accessWrite, -1
	return v.checkMem(a)
}
