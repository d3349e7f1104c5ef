package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
	"github.com/cilium/ebpf"
)

// pushCallback explores a callback as a branch that comes back to the call, and goes on behind
// it (push_callback_call). set fills the registers of the callback from those of the caller.
func (v *verifier) pushCallback(sub int, set func(caller, callee *frame)) *reject.Error {
	v.subs[sub].callback = true
	s, err := v.push(v.graph.Subprogs[sub].Start, v.insn)
	if err != nil {
		err.Errno = linux.ENOMEM
		return err
	}
	if err := v.enter(s, sub, v.insn); err != nil {
		return err
	}
	n := len(s.frames)
	caller, callee := s.frames[n-2], s.frames[n-1]
	set(caller, callee)
	callee.InCallback = true
	callee.CallbackRet = [2]int32{0, 1}
	s.callbackUnroll++
	caller.CallbackDepth++
	v.state.cur().CallbackDepth = 0
	return nil
}

// loopCallback follows bpf_loop: the callback runs until no more rounds are possible.
func (v *verifier) loopCallback(meta *callMeta) *reject.Error {
	if v.state.regs()[4].isNull() {
		if err := v.markPrecise(4); err != nil {
			return err
		}
	}
	if err := v.markPrecise(1); err != nil {
		return err
	}
	f := v.state.cur()
	if uint64(f.CallbackDepth) >= f.Regs[1].Umax {
		f.CallbackDepth = 0
		if v.log != nil {
			v.log.linef("frame%d bpf_loop iteration limit reached", f.No)
		}
		return nil
	}
	return v.pushCallback(meta.sub, func(caller, callee *frame) {
		callee.Regs[1].setUnknown()
		callee.Regs[2] = caller.Regs[3]
	})
}

// forEachCallback follows bpf_for_each_map_elem.
func (v *verifier) forEachCallback(meta *callMeta) *reject.Error {
	switch meta.m.Type {
	case ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.Array, ebpf.PerCPUArray:
	default:
		return v.fail(CodeMapUse, linux.ENOTSUPP, "callback function not allowed for map")
	}
	return v.pushCallback(meta.sub, func(caller, callee *frame) {
		m := caller.Regs[1].Map
		callee.Regs[1] = caller.Regs[1]
		callee.Regs[2] = reg{Type: PtrToMapKey, Scalar: scalar.Const(0), Map: m}
		callee.Regs[3] = reg{Type: PtrToMapValue, Scalar: scalar.Const(0), Map: m}
		callee.Regs[4] = caller.Regs[3]
	})
}

// drainCallback follows bpf_user_ringbuf_drain.
func (v *verifier) drainCallback(meta *callMeta) *reject.Error {
	return v.pushCallback(meta.sub, func(caller, callee *frame) {
		callee.Regs[1].setDynptr(localDynptr, true, v.newID())
		callee.Regs[2] = caller.Regs[3]
	})
}

// findVMACallback follows bpf_find_vma.
func (v *verifier) findVMACallback(meta *callMeta) *reject.Error {
	return v.pushCallback(meta.sub, func(caller, callee *frame) {
		callee.Regs[1] = caller.Regs[1]
		callee.Regs[2] = reg{Type: PtrToBTFID, Scalar: scalar.Const(0), BTF: v.named("vm_area_struct")}
		callee.Regs[3] = caller.Regs[4]
	})
}

// checkRemoved refuses addresses of functions that nothing calls, where no function is left behind
// them: Linux removes the functions and then finds none at the address (jit_subprogs).
func (v *verifier) checkRemoved() *reject.Error {
	last := len(v.subs) - 1
	for last > 0 && !v.aux[v.graph.Subprogs[last].Start].seen {
		last--
	}
	if last == 0 { // without functions, addresses of functions are not looked at
		return nil
	}
	for i, in := range v.insns {
		if in.Op != opWideLoad || in.Src != isa.PseudoFunc || !v.aux[i].seen {
			continue
		}
		if v.graph.SubprogAt(i+int(in.Imm)+1) > last {
			return reject.At(i, CodeCallback, linux.EFAULT, "verifier bug: No program to jit at insn %d (subprog < 0)", i)
		}
	}
	return nil
}
