package verifier

import (
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// iterType is a kind of open-coded iterator: a structure on the stack that three kernel functions
// make, advance and destroy.
type iterType struct {
	Name  string // of the structure without "bpf_iter_"
	Slots int
}

// iterOf returns the kind of iterator of a structure, always the same pointer for a name.
func (v *verifier) iterOf(structure string, size int) *iterType {
	name := strings.TrimPrefix(structure, "bpf_iter_")
	for _, t := range v.iters {
		if t.Name == name {
			return t
		}
	}
	t := &iterType{Name: name, Slots: size / slotSize}
	v.iters = append(v.iters, t)
	return t
}

// iterUse is what a call does with an iterator.
type iterUse uint8

const (
	iterUses    iterUse = iota // takes it as an argument
	iterNew                    // makes it
	iterNext                   // asks for the next element
	iterDestroy                // ends it
)

// iterPlace is where an iterator is, and its reference.
type iterPlace struct {
	frame, spi int
	ref        uint32
}

// iterCall is a call of a kernel function that takes an iterator.
type iterCall struct {
	fn   string
	use  iterUse
	typ  *iterType
	rcu  bool // an iterator that is made needs an RCU read-side section (KF_RCU_PROTECTED)
	iter iterPlace
}

// iterArg checks argument n of a kernel function, an iterator (process_iter_arg).
func (v *verifier) iterArg(n int, c *iterCall) *reject.Error {
	r := &v.state.regs()[n]
	if r.Type != PtrToStack {
		return v.failReg(n, CodeArgument, linux.EINVAL, "arg#%d expected pointer to an iterator on stack", n-1)
	}
	if c.use == iterNew {
		return v.newIter(n, c)
	}
	spi, why, ok := v.objectSlot(r, "iter", c.typ.Slots)
	uninit := func() *reject.Error {
		return after(why, v.failReg(n, CodeIter, linux.EINVAL, "expected an initialized iter_%s as arg #%d", c.typ.Name, n-1))
	}
	if !ok {
		return uninit()
	}
	f := v.frameOf(r)
	for i := range c.typ.Slots {
		s := &f.Stack[spi-i]
		if s.Type&PtrUntrusted != 0 {
			return v.failReg(n, CodeIter, linux.EPROTO, "expected an RCU CS when using %s", c.fn)
		}
		if (s.RefID != 0) != (i == 0) || s.Object.Iter != c.typ || !s.holds(slotIter) {
			return uninit()
		}
	}
	v.readObject(f, spi, c.typ.Slots)
	c.iter = iterPlace{frame: f.No, spi: spi, ref: f.Stack[spi].RefID}
	if c.use == iterDestroy {
		v.endIter(f, c)
	}
	return nil
}

// newIter makes an iterator on the stack (mark_stack_slots_iter).
func (v *verifier) newIter(n int, c *iterCall) *reject.Error {
	r := &v.state.regs()[n]
	f := v.frameOf(r)
	spi, why, ok := v.objectSlot(r, "iter", c.typ.Slots)
	used := why != nil
	for i := 0; ok && i < c.typ.Slots; i++ {
		for _, k := range f.Stack[spi-i].Kind {
			used = used || k == slotIter
		}
	}
	if used {
		return after(why, v.failReg(n, CodeIter, linux.EINVAL, "expected uninitialized iter_%s as arg #%d", c.typ.Name, n-1))
	}
	if err := v.writeObject(n, c.typ.Slots); err != nil {
		return err
	}
	spi, _, _ = v.objectSlot(r, "iter", c.typ.Slots)
	ref := v.acquire()
	// There is no kind of register for iterators.
	t := PtrToStack
	if c.rcu {
		if v.inRCU() {
			t |= MemRCU
		} else {
			t |= PtrUntrusted
		}
	}
	for i := range c.typ.Slots {
		s := &f.Stack[spi-i]
		s.reg = reg{Type: t, Scalar: scalar.Const(0)}
		s.Object = stackObject{Iter: c.typ}
		if i == 0 {
			s.RefID = ref
		}
		s.fill(slotIter)
		v.live.Write(f.No, 1<<(spi-i))
		v.scratchSlot(f, spi-i)
	}
	return nil
}

// inRCU says that the program is in an RCU read-side section (in_rcu_cs).
func (v *verifier) inRCU() bool {
	held := &v.state.locks
	return held.RCU > 0 || held.Spin > 0 || !v.state.inSleepable
}

// endIter takes a destroyed iterator from the stack (unmark_stack_slots_iter).
func (v *verifier) endIter(f *frame, c *iterCall) {
	v.state.dropReference(c.iter.ref)
	v.forgetReference(c.iter.ref)
	v.clearObject(f, c.iter.spi, c.typ.Slots)
	for i := range c.typ.Slots {
		v.scratchSlot(f, c.iter.spi-i)
	}
}

// iterIn returns the state of an iterator.
func (s *state) iterIn(p iterPlace) *reg { return &s.frames[p.frame].Stack[p.spi].reg }

// iterNextCall splits the path after a call that asked for the next element, when R0 is set: it
// goes on here without one, and a branch goes on with one (process_iter_next_call). Whatever the
// number of elements, the call finds none at some time, so a loop that comes back to a state that
// was seen ends.
func (v *verifier) iterNextCall(c *iterCall) *reject.Error {
	if !v.state.iterIn(c.iter).Object.Drained {
		prev := v.earlierAt(v.state.parent, v.insn)
		s, err := v.push(v.insn+1, v.insn)
		if err != nil {
			err.Errno = linux.ENOMEM
			return err
		}
		s.iterIn(c.iter).Object.Depth++
		if prev != nil {
			if err := v.widen(prev, s); err != nil {
				return err
			}
		}
		v.setNotNull(&s.regs()[0])
	}
	v.state.iterIn(c.iter).Object.Drained = true
	v.state.regs()[0].setConst(0)
	return nil
}

// isIterNext says that an instruction asks an iterator for its next element: of kernel functions,
// those alone are checkpoints without calling back.
func (v *verifier) isIterNext(insn int) bool {
	return v.graph.Has(insn, cfg.Checkpoint) && !v.graph.Has(insn, cfg.CallsCallback) &&
		v.insns[insn].Op == isa.ClassJMP|isa.CALL && v.insns[insn].Src == isa.CallKfunc
}

// iterConverged says that an iterator whose next element is asked for has more, in a state that
// an earlier one covers.
func (v *verifier) iterConverged() bool {
	r := &v.state.regs()[1]
	spi, _ := slotOf(int(r.Off) + int(int64(r.Var.Value)))
	return !v.frameOf(r).Stack[spi].Object.Drained
}

// iterDepthsDiffer says that an iterator has advanced since the old state
// (iter_active_depths_differ).
func iterDepthsDiffer(old, cur *state) bool {
	for i, f := range old.frames {
		for j := range f.Stack {
			s := &f.Stack[j]
			if s.Kind[0] == slotIter && !s.Object.Drained && cur.frames[i].Stack[j].Object.Depth != s.Object.Depth {
				return true
			}
		}
	}
	return false
}

// eachIter calls f for every slot of an iterator.
func (s *state) eachIter(f func(*reg)) {
	for _, fr := range s.frames {
		for i := range fr.Stack {
			if fr.Stack[i].Kind[slotSize-1] == slotIter {
				f(&fr.Stack[i].reg)
			}
		}
	}
}
