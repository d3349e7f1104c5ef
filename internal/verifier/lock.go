package verifier

import (
	"slices"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// ownTypes stands for the types of the program as the owner of a lock: that of a map value is
// the map, that of an allocated object the BTF of its type.
type ownTypes struct{}

// lockOwner is the part of a lock's identity that its id does not have (active_lock_ptr).
func (r *reg) lockOwner() any {
	if r.Type.base() == PtrToMapValue {
		return r.Map
	}
	return ownTypes{}
}

// lockCall is a call that takes or gives up a lock.
type lockCall struct {
	n    int // register that points to the lock
	kind refKind
	take bool
}

// field names the structure of the lock, without "_lock" at its end.
func (c lockCall) field() string {
	if c.kind == refLock {
		return "bpf_spin"
	}
	return "bpf_res_spin"
}

// lock takes or gives up a lock (process_spin_lock).
func (v *verifier) lock(c lockCall) *reject.Error {
	r := &v.state.regs()[c.n]
	name := c.field()
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(c.n, CodeLock, linux.EINVAL, format, args...)
	}
	inMap := r.Type.base() == PtrToMapValue
	switch {
	case !r.Var.IsConst():
		return deny("R%d doesn't have constant offset. %s_lock has to be at the constant offset", c.n, name)
	case inMap && r.Map.Value == nil && len(r.Map.Fields) == 0:
		return deny("map '%s' has to have BTF in order to use %s_lock", kernelName(r.Map.Name), name)
	}
	f := r.specialField(name + "_lock")
	if f == nil || inMap && !v.rootsKnown(r.Map) {
		what, whose := "local", "kptr"
		if inMap {
			what, whose = "map", kernelName(r.Map.Name)
		}
		return deny("%s '%s' has no valid %s_lock", what, whose, name)
	}
	if at := int64(r.Off) + int64(r.Var.Value); at != int64(f.Off) {
		return deny("off %d doesn't point to 'struct %s_lock' that is at %d", at, name, f.Off)
	}
	owner := r.lockOwner()
	s := v.state
	if c.take {
		if c.kind != refLock && s.locks.Spin > 0 &&
			(s.heldLock(refResLock, r.ID, owner) >= 0 || s.heldLock(refResLockIRQ, r.ID, owner) >= 0) {
			return deny("Acquiring the same lock again, AA deadlock detected")
		}
		s.refs = append(s.refs, reference{ID: r.ID, Insn: v.insn, Kind: c.kind, Lock: owner})
		s.locks.Spin++
		s.locks.LockID, s.locks.LockOwner = r.ID, owner
		return nil
	}
	switch {
	case s.locks.Spin == 0:
		return deny("%s_unlock without taking a lock", name)
	case s.heldLock(c.kind, r.ID, owner) < 0:
		return deny("%s_unlock of different lock", name)
	case r.ID != s.locks.LockID || owner != s.locks.LockOwner:
		return deny("%s_unlock cannot be out of order", name)
	}
	s.unlock(s.heldLock(c.kind, r.ID, owner))
	v.dropNonOwning()
	return nil
}

// rootsKnown says that the structures which lists and trees of a map contain are known. Where they
// are not, the kernel takes the map for one without special fields.
func (v *verifier) rootsKnown(m *Map) bool {
	for i := range m.Fields {
		f := &m.Fields[i]
		g := graphRoot{tree: f.Name == "bpf_rb_root"}
		if (g.tree || f.Name == "bpf_list_head") && !v.graphContents(&g, m.Value, f.Off) {
			return false
		}
	}
	return true
}

// spinLock checks the argument of bpf_spin_lock and bpf_spin_unlock.
func (v *verifier) spinLock(n int, meta *callMeta) *reject.Error {
	if v.inTreeCallback() {
		return v.failReg(n, CodeLock, linux.EACCES, "can't spin_{lock,unlock} in rbtree cb")
	}
	return v.lock(lockCall{n: n, kind: refLock, take: meta.proto.ID == linux.FuncSpinLock})
}

// heldLock returns the index of a lock that is held, -1 where it is not.
func (s *state) heldLock(kind refKind, id uint32, owner any) int {
	for i := range s.refs {
		if r := &s.refs[i]; r.Kind == kind && r.ID == id && r.Lock == owner {
			return i
		}
	}
	return -1
}

// anyLock says that a lock of an identity is held, whatever its kind.
func (s *state) anyLock(id uint32, owner any) bool {
	return slices.ContainsFunc(s.refs, func(r reference) bool {
		return r.Kind.isLock() && r.ID == id && r.Lock == owner
	})
}

// unlock gives up the lock at an index; the one before it is then the newest (release_lock_state).
func (s *state) unlock(at int) {
	s.locks.Spin--
	s.locks.LockID, s.locks.LockOwner = 0, nil
	for _, r := range s.refs[:at] {
		if r.Kind.isLock() {
			s.locks.LockID, s.locks.LockOwner = r.ID, r.Lock
		}
	}
	s.refs = slices.Delete(s.refs, at, at+1)
}

// dropNonOwning forgets what is only known as long as the lock of a list or tree is held
// (invalidate_non_owning_refs).
func (v *verifier) dropNonOwning() {
	v.state.eachReg(func(r *reg) {
		if r.Type&NonOwnRef != 0 {
			r.setUnknown()
		}
	})
}

// kernelName is the name of a map as the kernel keeps it (BPF_OBJ_NAME_LEN).
func kernelName(s string) string {
	const longest = 15
	if len(s) > longest {
		return s[:longest]
	}
	return s
}
