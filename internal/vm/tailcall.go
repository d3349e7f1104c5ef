package vm

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/trace"
	"github.com/cilium/ebpf"
)

// tailCall is the dispatcher: bpf_tail_call(ctx, map, index) with the checks of
// kernel/bpf/core.c, JMP_TAIL_CALL, in their order. It returns the state of the program that takes over the
// current frame, or nil when the hop is not taken and the caller goes on.
func (c *CPU) tailCall(p *Program, st *state, pc, siteNo int, mapPtr uint64, index uint32) *state {
	if off := mapPtr - c.machine.Maps.Base; off >= mem.DescSize*mem.MaxDescs || off%mem.DescSize != 0 ||
		mem.Load32(mapPtr+mem.MapType) != uint32(ebpf.ProgramArray) {
		c.fault(p, pc, ErrBadMap, "R2 = %#x is not a PROG_ARRAY; bpf_tail_call takes the map itself", mapPtr)
		return nil
	}
	if index >= mem.Load32(mapPtr+mem.MapMaxEntries) {
		c.miss(p, st, pc, siteNo, mapPtr, index, trace.OutOfRange)
		return nil
	}
	if c.tailCalls >= linux.MaxTailCalls {
		c.miss(p, st, pc, siteNo, mapPtr, index, trace.Limit)
		return nil
	}
	slot := mem.Load64(mapPtr+mem.MapData) + uint64(index)*8
	desc := mem.AtomicLoad64(slot)
	if desc == 0 {
		c.miss(p, st, pc, siteNo, mapPtr, index, trace.Empty)
		return nil
	}
	target := c.stateOf(mem.Load32(desc + mem.ProgIndex))
	c.tailCalls++
	h := hop{mapPtr: mapPtr, slot: slot, desc: desc, index: index, target: target}
	if c.counting {
		h.count = c.countHop(st, siteNo, mapPtr, index, target.prog)
	}
	st.hops[siteNo] = h
	if c.seesHops {
		c.report(p, pc, mapPtr, index, trace.Taken, target.prog.Name)
	}
	return target
}

// miss counts and reports a hop that was not taken.
func (c *CPU) miss(p *Program, st *state, pc, siteNo int, mapPtr uint64, index uint32, why trace.Reason) {
	c.misses++
	if c.counting {
		c.countMiss(st, siteNo, mapPtr, index, why)
	}
	if c.seesHops {
		c.report(p, pc, mapPtr, index, why, "")
	}
}

// report sends one attempt to the sink.
func (c *CPU) report(p *Program, pc int, mapPtr uint64, index uint32, why trace.Reason, to string) {
	e := &c.event
	*e = trace.Event{Kind: trace.Hop, From: p.Name, Insn: pc, Map: c.machine.mapName(mapPtr), Index: index,
		To: to, Reason: why, Taken: c.tailCalls}
	if why != trace.Taken {
		e.Kind = trace.Miss
	}
	c.Emit(p, pc, e)
}

// Emit completes an event with what the virtual CPU knows and sends it to the sink.
func (c *CPU) Emit(p *Program, insn int, e *trace.Event) {
	if c.sink == nil {
		return
	}
	e.CPU, e.From, e.Insn = c.ID, p.Name, insn
	if l := p.LineOf(insn); l != nil {
		e.File, e.Line = l.File, l.Line
	}
	if c.World != nil {
		e.PID, e.Comm = c.World.Task.PID, c.World.Task.Comm
		if c.World.Clock != nil {
			e.Time = c.World.Clock.Now(0)
		}
	}
	c.sink.Event(e)
}

// named is what the objects behind map descriptors offer.
type named interface{ MapName() string }

func (m *Machine) mapName(desc uint64) string {
	if n, ok := m.Maps.Lookup(desc).(named); ok {
		return n.MapName()
	}
	return "?"
}

// push saves the caller's frame for a bpf2bpf call.
func (c *CPU) push(p *Program, st *state, pc int, r *[16]uint64, loops uint32) bool {
	if c.depth+1-c.base >= linux.MaxFrames || c.depth+1 > maxDepth {
		c.fault(p, pc-1, ErrCallDepth, "the call stack of %d frames is too deep", c.depth+2-c.base)
		return false
	}
	c.frames[c.depth] = frame{prog: p, st: st, pc: pc, r6: r[6], r7: r[7], r8: r[8], r9: r[9], base: c.base, loops: loops}
	c.depth++
	return true
}
