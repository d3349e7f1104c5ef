package jit

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/jit/amd64"
)

func (b *amd64Backend) atomic(op int32, w width, to address, src reg) {
	mw, s, m := machineWidth(w), machineReg(src), to.mem()
	switch op {
	case isa.AtomicXCHG:
		b.a.XchgMR(mw, m, s)
		return
	case isa.AtomicCMPXCHG:
		b.a.LockCmpxchg(mw, m, s)
		if w == w32 {
			b.a.MovRR(amd64.W32, amd64.RAX, amd64.RAX)
		}
		return
	case isa.AtomicADD | isa.AtomicFetch:
		b.a.LockXadd(mw, m, s)
		return
	}
	o := map[int32]amd64.ALU{isa.AtomicADD: amd64.Add, isa.AtomicOR: amd64.Or, isa.AtomicAND: amd64.And, isa.AtomicXOR: amd64.Xor}[op&^isa.AtomicFetch]
	if op&isa.AtomicFetch == 0 {
		b.a.LockOpMR(o, mw, m, s)
		return
	}
	b.fetchLoop(o, mw, m, s)
}

// fetchLoop is an operation that returns the old value and that the machine does not have: it is
// tried until nobody came between. RAX is that of the instruction.
func (b *amd64Backend) fetchLoop(o amd64.ALU, w amd64.Width, m amd64.Mem, s amd64.Reg) {
	operand := s
	if m.Uses(amd64.RAX) || s == amd64.RAX {
		// The address moves to tmp2, and an operand in RAX is read from where RAX is kept.
		b.a.Lea(amd64.W64, tmp2, m)
		m = amd64.At(tmp2, 0)
	}
	b.a.Push(amd64.RAX)
	if s == amd64.RAX {
		b.a.Push(amd64.RCX)
		b.a.MovRR(amd64.W64, amd64.RCX, amd64.RAX)
		operand = amd64.RCX
	}
	b.a.Load(w, amd64.RAX, m)
	again := b.a.Here()
	b.a.MovRR(w, tmp, amd64.RAX)
	b.a.OpRR(o, w, tmp, operand)
	b.a.LockCmpxchg(w, m, tmp)
	b.a.Jcc(amd64.CondNE, again)
	b.a.MovRR(w, tmp, amd64.RAX)
	if s == amd64.RAX {
		b.a.Pop(amd64.RCX)
	}
	b.a.Pop(amd64.RAX)
	b.a.MovRR(amd64.W64, s, tmp)
}

// Loads and stores of aligned words are ordered as acquire and release on x86.
func (b *amd64Backend) loadAcquire(size int, dst reg, from address) {
	b.load(size, false, dst, from)
}

func (b *amd64Backend) storeRelease(size int, to address, src reg) { b.store(size, to, src) }
