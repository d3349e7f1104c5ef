package verifier

import (
	"fmt"
	"slices"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// refKind is what a program holds (enum ref_state_type, include/linux/bpf_verifier.h).
type refKind uint8

const (
	refObject     refKind = iota // a resource that must be released
	refIRQ                       // interrupts are disabled
	refLock                      // a bpf_spin_lock
	refResLock                   // a bpf_res_spin_lock
	refResLockIRQ                // one that was taken with interrupts disabled
)

// isLock says that a lock is held.
func (k refKind) isLock() bool { return k >= refLock }

// reference is a resource that the program must release (struct bpf_reference_state).
type reference struct {
	ID   uint32
	Insn int
	Kind refKind
	Lock any // of locks: whose they are, see lockOwner
}

// held says in which regions the program is.
type held struct {
	Spin, RCU, Preempt int
	IRQ                uint32 // the newest region without interrupts, 0 for none
	// LockID and LockOwner are the lock that was taken last and is still held.
	LockID    uint32
	LockOwner any
}

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
		if s.refs[i].ID == id && s.refs[i].Kind == refObject {
			s.refs = slices.Delete(s.refs, i, i+1)
			return true
		}
	}
	return false
}

// releaseReference gives up a reference: what was known through it is gone (release_reference).
func (v *verifier) releaseReference(id uint32) bool {
	if !v.state.dropReference(id) {
		return false
	}
	v.forgetReference(id)
	return true
}

// releaseArg gives up the reference of an argument.
func (v *verifier) releaseArg(meta *callMeta) *reject.Error {
	if n := meta.release; n != 0 && meta.proto.Args[n-1].Base() == linux.ArgPtrToDynptr {
		return v.releaseDynptr(n)
	}
	if meta.release == 0 || meta.ref == 0 && v.state.regs()[meta.release].isNull() {
		return nil
	}
	if meta.kptr != nil && v.inRCU() {
		v.keepPerCPU(meta.ref)
	}
	if !v.releaseReference(meta.ref) {
		p := meta.proto
		return v.failReg(meta.release, CodeReference, linux.EINVAL,
			"func %s#%d reference has not been acquired before", p.Name, p.ID)
	}
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
	if scope == leakEverywhere || v.state.frameNo() == 0 {
		var lines []string
		for _, r := range v.state.refs {
			if r.Kind == refObject {
				lines = append(lines, fmt.Sprintf("Unreleased reference id=%d alloc_insn=%d", r.ID, r.Insn))
			}
		}
		if len(lines) > 0 {
			e := v.fail(CodeReference, linux.EINVAL, "%s would lead to reference leak", what)
			e.Before = lines
			return e
		}
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
		return kfuncSpecialOf(v.prog.Kfuncs[in.Imm]).underLock()
	}
	return true
}

// mayHoldLock says that a register points to a value or object with a spin lock
// (reg_may_point_to_spin_lock).
func (r *reg) mayHoldLock() bool {
	return r.specialField("bpf_spin_lock") != nil || r.specialField("bpf_res_spin_lock") != nil
}

// specialFields are the special fields of what a register points to (reg_btf_record).
func (r *reg) specialFields() []Field {
	switch {
	case r.Type.base() == PtrToMapValue && r.Map != nil:
		return r.Map.Fields
	case r.Type.ownsObject() && r.BTF != nil:
		return r.BTF.fields
	}
	return nil
}

// specialField returns the first field of a name, nil where there is none.
func (r *reg) specialField(name string) *Field {
	fields := r.specialFields()
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

// coversRefs compares the resources that the program holds (refsafe).
func (m *idMap) coversRefs(old, cur *state) bool {
	a, b := &old.locks, &cur.locks
	if len(old.refs) != len(cur.refs) || a.Spin != b.Spin || a.RCU != b.RCU || a.Preempt != b.Preempt ||
		!m.match(a.IRQ, b.IRQ) || !m.match(a.LockID, b.LockID) || a.LockOwner != b.LockOwner {
		return false
	}
	for i := range old.refs {
		ro, rc := &old.refs[i], &cur.refs[i]
		if !m.match(ro.ID, rc.ID) || ro.Kind != rc.Kind || ro.Lock != rc.Lock {
			return false
		}
	}
	return true
}
