package verifier

import (
	"fmt"
	"slices"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// leakScope says which references may not be held.
type leakScope uint8

const (
	leakHere       leakScope = iota // at the end of the running function: those of the main program, and locks
	leakReferences                  // as leakHere, without locks
	leakEverywhere                  // where the whole program ends: all of them, in every frame
)

// acquire notes a resource that the program must release and returns its id.
func (v *verifier) acquire() uint32 {
	id := v.newID()
	v.state.refs = append(v.state.refs, reference{ID: id, Insn: v.insn})
	return id
}

// dropReference forgets a reference, if it is held.
func (s *state) dropReference(id uint32) bool {
	for i := range s.refs {
		if s.refs[i].ID == id {
			s.refs = slices.Delete(s.refs, i, i+1)
			return true
		}
	}
	return false
}

// releaseArg gives up the reference of an argument: what was known through it is gone
// (release_reference).
func (v *verifier) releaseArg(meta *callMeta) *reject.Error {
	if n := meta.release; n != 0 && meta.proto.Args[n-1].Base() == linux.ArgPtrToDynptr {
		return v.releaseDynptr(n)
	}
	if meta.release == 0 || meta.ref == 0 && v.state.regs()[meta.release].isNull() {
		return nil
	}
	if !v.state.dropReference(meta.ref) {
		p := meta.proto
		return v.failReg(meta.release, CodeReference, linux.EINVAL,
			"func %s#%d reference has not been acquired before", p.Name, p.ID)
	}
	v.forgetReference(meta.ref)
	return nil
}

// resourceLeak refuses resources that are held where the program may end
// (check_resource_leak). what names the place.
func (v *verifier) resourceLeak(what string, scope leakScope) *reject.Error {
	held := v.state.locks
	locks := scope != leakReferences
	if locks && held.Spin > 0 {
		return v.fail(CodeLock, linux.EINVAL, "%s cannot be used inside bpf_spin_lock-ed region", what)
	}
	if len(v.state.refs) > 0 && (scope == leakEverywhere || v.state.frameNo() == 0) {
		e := v.fail(CodeReference, linux.EINVAL, "%s would lead to reference leak", what)
		for _, r := range v.state.refs {
			e.Before = append(e.Before, fmt.Sprintf("Unreleased reference id=%d alloc_insn=%d", r.ID, r.Insn))
		}
		return e
	}
	if !locks {
		return nil
	}
	region := ""
	switch {
	case held.IRQ > 0:
		region = "bpf_local_irq_save-ed"
	case held.RCU > 0:
		region = "bpf_rcu_read_lock-ed"
	case held.Preempt > 0:
		region = "bpf_preempt_disable-ed"
	default:
		return nil
	}
	return v.fail(CodeLock, linux.EINVAL, "%s cannot be used inside %s region", what, region)
}

// checkHeldAtExit refuses what is held where a function ends.
func (v *verifier) checkHeldAtExit() *reject.Error {
	scope := leakReferences
	if v.state.frameNo() == 0 {
		scope = leakHere
	}
	return v.resourceLeak("BPF_EXIT instruction in main prog", scope)
}

// allowedUnderLock says whether a call is allowed while a spin lock is held.
func (v *verifier) allowedUnderLock(in isa.Insn) bool {
	switch in.Src {
	case isa.CallHelper:
		return in.Imm == linux.FuncSpinUnlock
	case isa.CallKfunc:
		return false
	}
	return true
}

// mayHoldLock says that a register points to a value with a spin lock.
func (r *reg) mayHoldLock() bool {
	return r.Map != nil && r.Type.base() == PtrToMapValue &&
		(r.Map.hasField("bpf_spin_lock") || r.Map.hasField("bpf_res_spin_lock"))
}
