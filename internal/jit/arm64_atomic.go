package jit

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/jit/arm64"
)

// ordered gives the register that holds the address of an atomic access, which takes no offset. It
// may be a64Addr.
func (b *arm64Backend) ordered(at address) arm64.Reg {
	base := a64Reg(at.base)
	if at.off == 0 {
		return base
	}
	b.addImm(arm64.W64, a64Addr, base, int64(at.off))
	return a64Addr
}

// atomic is an atomic operation. As in Linux, those that return the old value are ordered with what
// is before and after, the others are not.
func (b *arm64Backend) atomic(op int32, w width, to address, src reg) {
	at := b.ordered(to)
	x := atomicOp{op: op, w: a64Width(w), at: at, src: a64Reg(src)}
	x.size = arm64.Size32
	if w == w64 {
		x.size = arm64.Size64
	}
	switch {
	case b.lse:
		b.atomicLSE(x)
	case op == isa.AtomicCMPXCHG:
		b.compareExclusive(x)
	default:
		b.atomicExclusive(x)
	}
}

// atomicOp is an atomic operation in terms of the machine.
type atomicOp struct {
	op   int32
	w    arm64.Width
	size arm64.Size
	at   arm64.Reg
	src  arm64.Reg
}

func (x atomicOp) fetches() bool { return x.op&isa.AtomicFetch != 0 }

// atomicLSE uses the instructions of FEAT_LSE.
func (b *arm64Backend) atomicLSE(x atomicOp) {
	order, old := arm64.Relaxed, arm64.XZR
	if x.fetches() {
		order, old = arm64.AcquireRelease, x.src
	}
	switch x.op {
	case isa.AtomicXCHG:
		b.a.Swp(x.size, arm64.AcquireRelease, x.src, x.src, x.at)
		return
	case isa.AtomicCMPXCHG:
		b.a.Cas(x.size, arm64.AcquireRelease, a64Reg(r0), x.src, x.at)
		return
	}
	switch x.op &^ isa.AtomicFetch {
	case isa.AtomicADD:
		b.a.Ldadd(x.size, order, x.src, old, x.at)
	case isa.AtomicOR:
		b.a.Ldset(x.size, order, x.src, old, x.at)
	case isa.AtomicXOR:
		b.a.Ldeor(x.size, order, x.src, old, x.at)
	case isa.AtomicAND: // the machine clears the bits that are set
		b.a.Mvn(x.w, a64Tmp, arm64.R(x.src))
		b.a.Ldclr(x.size, order, a64Tmp, old, x.at)
	}
}

// atomicExclusive tries until nobody came between. The barrier behind keeps what follows from being
// done before the store, which the release does not.
func (b *arm64Backend) atomicExclusive(x atomicOp) {
	again := b.a.Here()
	b.a.Ldxr(x.size, a64Tmp, x.at)
	value := a64Tmp2
	switch x.op &^ isa.AtomicFetch {
	case isa.AtomicADD:
		b.a.Add(x.w, value, a64Tmp, arm64.R(x.src))
	case isa.AtomicOR:
		b.a.Orr(x.w, value, a64Tmp, arm64.R(x.src))
	case isa.AtomicXOR:
		b.a.Eor(x.w, value, a64Tmp, arm64.R(x.src))
	case isa.AtomicAND:
		b.a.And(x.w, value, a64Tmp, arm64.R(x.src))
	default: // exchange
		value = x.src
	}
	if !x.fetches() {
		b.a.Stxr(x.size, a64Status, value, x.at)
		b.a.Cbnz(arm64.W32, a64Status, again)
		return
	}
	b.a.Stlxr(x.size, a64Status, value, x.at)
	b.a.Cbnz(arm64.W32, a64Status, again)
	b.a.Dmb(arm64.ISH)
	b.a.Mov(x.w, x.src, a64Tmp)
}

// compareExclusive is compare and exchange: R0 holds what is expected and gets what was found.
func (b *arm64Backend) compareExclusive(x atomicOp) {
	done := b.a.NewLabel()
	again := b.a.Here()
	b.a.Ldxr(x.size, a64Tmp, x.at)
	b.a.Cmp(x.w, a64Tmp, arm64.R(a64Reg(r0)))
	b.a.BCond(arm64.NE, done)
	b.a.Stlxr(x.size, a64Status, x.src, x.at)
	b.a.Cbnz(arm64.W32, a64Status, again)
	b.a.Bind(done)
	b.a.Dmb(arm64.ISH)
	b.a.Mov(x.w, a64Reg(r0), a64Tmp)
}

func (b *arm64Backend) loadAcquire(size int, dst reg, from address) {
	b.a.Ldar(a64Size(size), a64Reg(dst), b.ordered(from))
}

func (b *arm64Backend) storeRelease(size int, to address, src reg) {
	b.a.Stlr(a64Size(size), a64Reg(src), b.ordered(to))
}
