package verifier

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// kfuncIter checks an iterator that is passed to a kernel function.
func (v *verifier) kfuncIter(n int, c *kfuncCall) *reject.Error {
	it := &iterCall{fn: c.fn.Name, rcu: c.fn.Has(linux.KfuncRCUProtected)}
	switch {
	case c.fn.Has(linux.KfuncIterNew):
		it.use = iterNew
	case c.fn.Has(linux.KfuncIterNext):
		it.use = iterNext
	case c.fn.Has(linux.KfuncIterDestroy):
		it.use = iterDestroy
	}
	target := c.fn.Params[n-1].Type.Target
	it.typ = v.iterOf(target.Name, int(target.Size))
	c.iter = it
	if err := v.iterArg(n, it); err != nil {
		return err
	}
	if it.use != iterNew {
		c.ref = it.iter.ref
	}
	return nil
}

// iterElement is how far the element that an iterator gives is trusted.
func (v *verifier) iterElement(c *kfuncCall) RegType {
	if v.state.iterIn(c.iter.iter).Type&MemRCU != 0 {
		return MemRCU
	}
	return PtrTrusted
}

// asyncKfunc follows a function that registers a callback which runs later.
func (v *verifier) asyncKfunc(c *kfuncCall) *reject.Error {
	if c.special == kfWQSetCallback {
		return v.workCallback(c.sub)
	}
	return v.taskWorkCallback(c.sub)
}
