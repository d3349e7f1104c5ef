package vm

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/trace"
)

// accessExit performs one load, store or atomic operation of native code with all checks.
func (c *CPU) accessExit(p *Program, insn int) bool {
	var r [16]uint64
	for i := range 11 {
		r[i] = c.word(ThreadR0 + 8*uint64(i))
	}
	st := c.stateOf(p.index)
	i, in := p.Insns[insn], &p.ops[insn]
	k := int(sizeCode(i.Op))
	written := i.Dst
	switch i.Class() {
	case isa.ClassLDX:
		v, ok := c.loadSlow(p, st, insn, r[i.Src]+uint64(int64(i.Off)), k)
		if !ok {
			return false
		}
		if i.Op&0xe0 == isa.ModeMEMSX {
			v = signExtend(v, k)
		}
		r[i.Dst] = v
	case isa.ClassST:
		return c.storeSlow(p, st, insn, r[i.Dst]+uint64(int64(i.Off)), k, uint64(int64(i.Imm)))
	default:
		if i.Op&0xe0 != isa.ModeATOMIC {
			return c.storeSlow(p, st, insn, r[i.Dst]+uint64(int64(i.Off)), k, r[i.Src])
		}
		var ok bool
		if written, ok = c.atomicExit(p, st, insn, in, &r, k); !ok {
			return false
		}
	}
	c.setWord(ThreadR0+8*uint64(written), r[written])
	return true
}

// atomicExit performs an atomic operation and returns the register that it writes.
func (c *CPU) atomicExit(p *Program, st *state, insn int, in *op, r *[16]uint64, k int) (written uint8, ok bool) {
	addr := r[in.dst] + uint64(int64(in.off))
	switch in.code {
	case opLoadAcq:
		addr = r[in.src] + uint64(int64(in.off))
		if !c.ordered(p, st, insn, addr, k, mem.PermRead) {
			return 0, false
		}
		r[in.dst] = mem.LoadAcquire(addr, k)
		return in.dst, true
	case opStoreRel:
		if !c.ordered(p, st, insn, addr, k, mem.PermWrite) {
			return 0, false
		}
		mem.StoreRelease(addr, k, r[in.src])
		return in.src, true
	}
	if !c.atomicSlow(p, st, insn, addr) {
		return 0, false
	}
	atomicOp(r, in, addr)
	if uint32(in.imm) == isa.AtomicCMPXCHG {
		return 0, true
	}
	return in.src, true
}

func signExtend(v uint64, k int) uint64 {
	shift := 64 - 8<<k
	return uint64(int64(v<<shift) >> shift)
}

// packetExit is LD_ABS and LD_IND.
func (c *CPU) packetExit(p *Program, insn int) {
	in := &p.ops[insn]
	off := int64(int32(in.imm))
	if in.code == opLdInd {
		off = int64(int32(uint32(in.imm) + uint32(c.word(ThreadR0+8*uint64(in.src)))))
	}
	v, ok := c.loadPacket(p, insn, off, int(in.off))
	c.setWord(ThreadR0, v)
	failed := uint64(0)
	if !ok {
		failed = 1
		c.setWord(ThreadR0, 0)
	}
	c.setWord(ThreadFlag, failed)
}

// siteOf returns the number of the tail-call site at an instruction.
func (p *Program) siteOf(insn int) int { return int(p.ops[insn].imm) }

// attempt returns the map and the index of a tail call.
func (c *CPU) attempt(p *Program, siteNo int) (mapPtr uint64, index uint32) {
	s := &p.native.Sites[siteNo]
	mapPtr, index = s.Map, s.Index
	if mapPtr == 0 {
		mapPtr = c.word(ThreadR0 + 16)
	}
	if !s.Constant {
		index = uint32(c.word(ThreadR0 + 24))
	}
	return mapPtr, index
}

// countExit counts a hop whose counter native code did not find, and shows it the way to it.
func (c *CPU) countExit(p *Program, insn int) {
	st, siteNo := c.stateOf(p.index), p.siteOf(insn)
	mapPtr, index := c.attempt(p, siteNo)
	target := c.stateOf(mem.Load32(c.word(ThreadDesc) + mem.ProgIndex)).prog
	if c.counting {
		c.countHop(st, siteNo, mapPtr, index, target)
		c.showCounters(st, siteNo)
	}
	if c.seesHops {
		c.tailCalls = linux.MaxTailCalls - int(c.word(ThreadBudget)&(1<<BudgetShift-1))
		c.report(p, insn, mapPtr, index, trace.Taken, target.Name)
	}
}

// missExit counts a hop that was not taken, with the first reason in the order of the checks.
func (c *CPU) missExit(p *Program, insn int) {
	siteNo := p.siteOf(insn)
	mapPtr, index := c.attempt(p, siteNo)
	why := trace.Empty
	switch {
	case index >= mem.Load32(mapPtr+mem.MapMaxEntries):
		why = trace.OutOfRange
	case c.word(ThreadBudget)&(1<<BudgetShift-1) == 0:
		why = trace.Limit
	}
	if c.counting {
		c.countMiss(c.stateOf(p.index), siteNo, mapPtr, index, why)
	}
	if c.seesHops {
		c.tailCalls = linux.MaxTailCalls - int(c.word(ThreadBudget)&(1<<BudgetShift-1))
		c.report(p, insn, mapPtr, index, why, "")
	}
}
