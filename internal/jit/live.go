package jit

import (
	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// regs is a set of registers: bit n for Rn.
type regs uint16

const (
	arguments regs = 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<5
	clobbered      = arguments | 1<<0 // by calls
)

func of(r uint8) regs { return 1 << r }

// effect is what an instruction does to registers.
type effect struct {
	uses, defines regs
	pure          bool // does nothing else, so that nobody misses it when the result is not used
}

// liveness computes for each instruction the registers whose values are used after it.
func (c *compiler) liveness() {
	c.live = make([]regs, len(c.insns))
	in := make([]regs, len(c.insns)+1)
	for changed := true; changed; {
		changed = false
		for n := len(c.insns) - 1; n >= 0; n-- {
			if !c.seen(n) || n > 0 && c.insns[n-1].IsWide() && c.seen(n-1) {
				continue
			}
			out := c.liveOut(n, in)
			e := c.effect(n)
			c.live[n] = out
			if e.pure && e.defines&out == 0 {
				e.uses = 0
			}
			if now := out&^e.defines | e.uses; now != in[n] {
				in[n], changed = now, true
			}
		}
	}
}

// liveOut joins what the successors of an instruction use.
func (c *compiler) liveOut(n int, in []regs) regs {
	i := c.insns[n]
	next := in[n+slots(i)]
	if i.Class() != isa.ClassJMP && i.Class() != isa.ClassJMP32 {
		return next
	}
	target, ok := jumpTarget(n, i)
	switch {
	case i.Op == isa.ClassJMP|isa.EXIT:
		return 0
	case !ok:
		return next
	case i.Op&0xf0 == isa.JA:
		return in[target]
	case i.Op&0xf0 == isa.JCOND:
		return in[target] | next
	}
	switch c.ways(n, i) {
	case always:
		return in[target]
	case never:
		return next
	}
	return in[target] | next
}

// effect says what an instruction does. What is not known uses all registers.
func (c *compiler) effect(n int) effect {
	i := c.insns[n]
	dst, src := of(i.Dst), of(i.Src)
	switch i.Class() {
	case isa.ClassALU, isa.ClassALU64:
		return effectALU(i, dst, src)
	case isa.ClassJMP, isa.ClassJMP32:
		return c.effectJump(n, i, dst, src)
	case isa.ClassLD:
		if i.IsWide() {
			return effect{defines: dst, pure: true}
		}
		return effect{uses: of(6) | src, defines: clobbered}
	case isa.ClassLDX:
		access := c.in.Facts.Insns[n].Access
		return effect{uses: src, defines: dst, pure: access != facts.Unknown && access != facts.Kernel}
	case isa.ClassST:
		return effect{uses: dst}
	}
	switch {
	case i.Op&0xe0 != isa.ModeATOMIC:
		return effect{uses: dst | src}
	case i.Imm == isa.AtomicLoadAcq:
		return effect{uses: src, defines: dst}
	}
	return effect{uses: dst | src | of(0)}
}

func effectALU(i isa.Insn, dst, src regs) effect {
	e := effect{uses: dst, defines: dst, pure: true}
	switch op := i.Op & 0xf0; {
	case op == isa.MOV && i.Op&isa.SrcReg != 0:
		e.uses = src
	case op == isa.MOV:
		e.uses = 0
	case op != isa.END && op != isa.NEG && i.Op&isa.SrcReg != 0:
		e.uses |= src
	}
	return e
}

func (c *compiler) effectJump(n int, i isa.Insn, dst, src regs) effect {
	switch i.Op & 0xf0 {
	case isa.JA, isa.JCOND:
		return effect{}
	case isa.EXIT:
		return effect{uses: of(0)}
	case isa.CALL:
		return c.effectCall(n, i)
	}
	if i.Op&isa.SrcReg != 0 {
		return effect{uses: dst | src}
	}
	return effect{uses: dst}
}

func (c *compiler) effectCall(n int, i isa.Insn) effect {
	e := effect{uses: arguments, defines: clobbered}
	if i.Src == isa.CallLocal {
		return e
	}
	if _, ok := c.sites[n]; ok {
		s := c.siteAt(n)
		e.uses = of(1)
		if s.slot == 0 {
			e.uses |= of(3)
		}
		if s.mapPtr == 0 {
			e.uses |= of(2)
		}
		return e
	}
	switch a := c.lookups[n]; {
	case a != nil && (a.constant || a.onStack):
		e.uses = 0
	case a != nil:
		e.uses = of(2)
	case c.builtin(c.p.Helpers[n], linux.FuncGetSmpProcessorID):
		e.uses = 0
	}
	return e
}

// findLookups notes the calls that are lookups in arrays, and where their keys are.
func (c *compiler) findLookups() {
	for n := 0; n < len(c.insns); n += slots(c.insns[n]) {
		i := c.insns[n]
		if !c.seen(n) || i.Op != isa.ClassJMP|isa.CALL || i.Src != isa.CallHelper || !c.builtin(c.p.Helpers[n], linux.FuncMapLookupElem) {
			continue
		}
		a := c.arrayOf(&c.in.Facts.Insns[n])
		if a == nil {
			continue
		}
		if c.fuse != nil {
			a.keyOff, a.onStack = c.stackKey(n)
		}
		c.lookups[n] = a
	}
}

// stackKey returns the offset from R10 of the key that a lookup gets in R2, where the instructions
// right before it say so.
func (c *compiler) stackKey(n int) (off int32, ok bool) {
	sum := int64(0)
	for m := n; m > 0; {
		if _, target := c.labels[m]; target {
			return 0, false // other ways lead here
		}
		m--
		if m > 0 && c.insns[m-1].IsWide() {
			m--
		}
		i := c.insns[m]
		class := i.Class()
		if class == isa.ClassJMP || class == isa.ClassJMP32 {
			return 0, false
		}
		if d, writes := written(i); !writes || d != 2 {
			continue
		}
		switch {
		case class != isa.ClassALU64:
			return 0, false
		case i.Op == isa.ClassALU64|isa.ADD:
			sum += int64(i.Imm)
		case i.Op == isa.ClassALU64|isa.MOV|isa.SrcReg && i.Off == 0 && i.Src == isa.FP:
			return int32(sum), sum >= -linux.MaxStack && sum <= -4
		default:
			return 0, false
		}
	}
	return 0, false
}
