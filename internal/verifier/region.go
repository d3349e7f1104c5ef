package verifier

import (
	"slices"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// enterRegions follows the kernel functions that begin and end regions in which the program may
// not sleep, and refuses functions that sleep in them (check_kfunc_call).
func (v *verifier) enterRegions(c *kfuncCall) *reject.Error {
	if err := v.rcuRegion(c); err != nil {
		return err
	}
	deny := func(errno linux.Errno, format string) *reject.Error {
		return v.fail(CodeLock, errno, format, c.fn.Name)
	}
	held := &v.state.locks
	sleeps := c.fn.Has(linux.KfuncSleepable)
	switch {
	case c.special == kfPreemptDisable:
		held.Preempt++
	case c.special == kfPreemptEnable && held.Preempt > 0:
		held.Preempt--
	case c.special == kfPreemptEnable:
		return deny(linux.EINVAL, "unmatched attempt to enable preemption (kernel function %s)")
	case held.Preempt > 0 && sleeps:
		return deny(linux.EACCES, "kernel func %s is sleepable within non-preemptible region")
	}
	switch {
	case held.IRQ > 0 && sleeps:
		return deny(linux.EACCES, "kernel func %s is sleepable within IRQ-disabled region")
	case c.fn.Has(linux.KfuncRCUProtected) && !v.inRCU():
		return deny(linux.EACCES, "kernel func %s requires RCU critical section protection")
	}
	return nil
}

// rcuRegion follows bpf_rcu_read_lock and bpf_rcu_read_unlock. What RCU protected is not trusted
// any more behind the region.
func (v *verifier) rcuRegion(c *kfuncCall) *reject.Error {
	lock, unlock := c.special == kfRCULock, c.special == kfRCUUnlock
	held := &v.state.locks
	deny := func(errno linux.Errno, format string) *reject.Error {
		return v.fail(CodeLock, errno, format, c.fn.Name)
	}
	switch {
	case held.RCU == 0 && lock:
		held.RCU = 1
	case held.RCU == 0 && unlock:
		return deny(linux.EINVAL, "unmatched rcu read unlock (kernel function %s)")
	case held.RCU == 0:
	case (lock || unlock) && v.inTreeCallback():
		return v.fail(CodeLock, linux.EACCES, "Calling bpf_rcu_read_{lock,unlock} in unnecessary rbtree callback")
	case lock:
		return deny(linux.EINVAL, "nested rcu read lock (kernel function %s)")
	case unlock:
		untrust := func(r *reg) {
			if r.Type&MemRCU != 0 {
				r.Type = r.Type&^(MemRCU|MaybeNull) | PtrUntrusted
			}
		}
		v.state.eachReg(untrust)
		v.state.eachIter(untrust)
		held.RCU = 0
	case c.fn.Has(linux.KfuncSleepable):
		return deny(linux.EACCES, "kernel func %s is sleepable within rcu_read_lock region")
	}
	return nil
}

// inTreeCallback says that the running function is the comparison of a tree
// (in_rbtree_lock_required_cb).
func (v *verifier) inTreeCallback() bool {
	f := v.state.cur()
	if !f.InCallback || f.CallSite < 0 {
		return false
	}
	in := v.insns[f.CallSite]
	return isKfuncCall(in) && kfuncSpecialOf(v.prog.Kfuncs[in.Imm]) == kfRbtreeAdd
}

// What made an IRQ flag: the functions that only disable interrupts, or those that take a lock.
const (
	irqNative = iota
	irqLock
)

// irqFlag follows the functions that save and restore the state of interrupts in a slot of the
// stack (process_irq_flag).
func (v *verifier) irqFlag(n int, c *kfuncCall) *reject.Error {
	class := uint32(irqNative)
	if c.special == kfResLockIRQ || c.special == kfResUnlockIRQ {
		class = irqLock
	}
	if c.special == kfIRQSave || c.special == kfResLockIRQ {
		return v.saveIRQ(n, class)
	}
	return v.restoreIRQ(n, class)
}

func (v *verifier) saveIRQ(n int, class uint32) *reject.Error {
	r := &v.state.regs()[n]
	spi, why, ok := v.objectSlot(r, "irq_flag", 1)
	f := v.frameOf(r)
	if why != nil || ok && slices.Contains(f.Stack[spi].Kind[:], slotIRQ) {
		return after(why, v.failReg(n, CodeArgument, linux.EINVAL, "expected uninitialized irq flag as arg#%d", n-1))
	}
	if err := v.checkMem(memAccess{reg: n, size: slotSize, kind: accessWrite, value: -1}); err != nil {
		return err
	}
	spi, _, _ = v.objectSlot(r, "irq_flag", 1)
	id := v.newID()
	v.state.refs = append(v.state.refs, reference{ID: id, Insn: v.insn, Kind: refIRQ})
	v.state.locks.IRQ = id
	s := &f.Stack[spi]
	s.reg = reg{Type: PtrToStack, Scalar: scalar.Const(0), RefID: id, MemSize: class}
	s.fill(slotIRQ)
	v.liveStackWrite(f, spi, slotSize)
	v.scratchSlot(f, spi)
	return nil
}

func (v *verifier) restoreIRQ(n int, class uint32) *reject.Error {
	r := &v.state.regs()[n]
	spi, why, ok := v.objectSlot(r, "irq_flag", 1)
	f := v.frameOf(r)
	if !ok || f.Stack[spi].RefID == 0 || !f.Stack[spi].holds(slotIRQ) {
		return after(why, v.failReg(n, CodeArgument, linux.EINVAL, "expected an initialized irq flag as arg#%d", n-1))
	}
	s := &f.Stack[spi]
	v.liveStackRead(f, spi)
	if s.MemSize != class {
		names := [...]string{"native", "lock"}
		return v.failReg(n, CodeArgument, linux.EINVAL,
			"irq flag acquired by %s kfuncs cannot be restored with %s kfuncs", names[s.MemSize], names[class])
	}
	if s.RefID != v.state.locks.IRQ {
		at := 0
		for _, ref := range v.state.refs {
			if ref.ID == v.state.locks.IRQ {
				at = ref.Insn
			}
		}
		return v.failReg(n, CodeLock, linux.EACCES,
			"cannot restore irq state out of order, expected id=%d acquired at insn_idx=%d", v.state.locks.IRQ, at)
	}
	v.state.leaveIRQ(s.RefID)
	s.setNotInit()
	s.RefID, s.MemSize = 0, 0
	s.Kind = [slotSize]slotKind{}
	v.liveStackWrite(f, spi, slotSize)
	v.scratchSlot(f, spi)
	return nil
}

// leaveIRQ ends a region without interrupts; the one around it is then the newest
// (release_irq_state).
func (s *state) leaveIRQ(id uint32) {
	s.locks.IRQ = 0
	for i, r := range s.refs {
		if r.Kind != refIRQ {
			continue
		}
		if r.ID == id {
			s.refs = slices.Delete(s.refs, i, i+1)
			return
		}
		s.locks.IRQ = r.ID
	}
}
