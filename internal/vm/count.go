package vm

import (
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/trace"
)

// Counters of one tail-call site lie outside the Go heap, so that native code can increment
// them: a header, then one entry for each slot of the PROG_ARRAY.
const (
	edgeOutOfRange = 0 // u64, attempts with an index past the end
	edgeLastIndex  = 8 // u64, the last such index
	edgeSlots      = 64

	slotTaken  = 0  // u64
	slotEmpty  = 8  // u64
	slotLimit  = 16 // u64
	slotTarget = 24 // u64, id of the program that slotTaken counts
	slotSize   = 32
)

// edgeTable is the counters of one site and one map. A site that is reached with several maps
// has a list.
type edgeTable struct {
	mapPtr uint64
	name   string // of the map, which may be gone when the counters are read
	base   uint64
	slots  uint32
	next   *edgeTable
	// targets are the names of the programs in slotTarget, which may be gone when they are read.
	targets map[uint32]string
	// earlier holds the counts for programs that a slot held before.
	earlier []Edge
}

// Edge is how often one tail-call site did one thing.
type Edge struct {
	Program *Program // makes the call
	Insn    int
	Map     string
	Index   uint32
	Reason  trace.Reason
	Target  string // name of the program that ran next; empty for a miss
	Count   uint64
}

func (c *CPU) edgesOf(st *state, siteNo int, mapPtr uint64) *edgeTable {
	n := mem.Load32(mapPtr + mem.MapMaxEntries)
	for e := st.edges[siteNo]; e != nil; e = e.next {
		if e.mapPtr == mapPtr && e.slots == n { // another map may have got the descriptor
			return e
		}
	}
	base, err := c.pool.Alloc(edgeSlots + uint64(n)*slotSize)
	if err != nil {
		return nil // counting is best effort: without memory, the run goes on uncounted
	}
	e := &edgeTable{mapPtr: mapPtr, name: c.machine.mapName(mapPtr), base: base, slots: n, next: st.edges[siteNo],
		targets: map[uint32]string{}}
	st.edges[siteNo] = e
	return e
}

// countHop counts a tail call that was taken and returns the address of the counter.
func (c *CPU) countHop(st *state, siteNo int, mapPtr uint64, index uint32, target *Program) uint64 {
	e := c.edgesOf(st, siteNo, mapPtr)
	if e == nil {
		return 0
	}
	slot := e.base + edgeSlots + uint64(index)*slotSize
	if mem.Load64(slot+slotTarget) != uint64(target.ID) {
		e.retarget(st, siteNo, index, slot)
		mem.Store64(slot+slotTarget, uint64(target.ID))
		e.targets[index] = target.Name
	}
	mem.Store64(slot+slotTaken, mem.Load64(slot+slotTaken)+1)
	return slot + slotTaken
}

// retarget moves the count of a replaced program out of the slot.
func (e *edgeTable) retarget(st *state, siteNo int, index uint32, slot uint64) {
	n := mem.Load64(slot + slotTaken)
	if n == 0 {
		return
	}
	e.earlier = append(e.earlier, Edge{Program: st.prog, Insn: st.prog.sites[siteNo], Map: e.name, Index: index, Target: e.targets[index], Count: n})
	mem.Store64(slot+slotTaken, 0)
}

func (c *CPU) countMiss(st *state, siteNo int, mapPtr uint64, index uint32, why trace.Reason) {
	e := c.edgesOf(st, siteNo, mapPtr)
	if e == nil {
		return
	}
	word := e.base + edgeOutOfRange
	switch why {
	case trace.OutOfRange:
		mem.Store64(e.base+edgeLastIndex, uint64(index))
	case trace.Empty:
		word = e.base + edgeSlots + uint64(index)*slotSize + slotEmpty
	case trace.Limit:
		word = e.base + edgeSlots + uint64(index)*slotSize + slotLimit
	}
	mem.Store64(word, mem.Load64(word)+1)
}

// Edges appends all counters that are not zero. The virtual CPU must not be running.
func (c *CPU) Edges(dst []Edge) []Edge {
	dst = append(dst, c.gone...)
	for _, st := range c.states {
		if st != nil {
			dst = st.appendEdges(dst)
		}
	}
	return dst
}

func (st *state) appendEdges(dst []Edge) []Edge {
	for i := range st.edges {
		for e := st.edges[i]; e != nil; e = e.next {
			dst = e.append(dst, Edge{Program: st.prog, Insn: st.prog.sites[i], Map: e.name})
		}
	}
	return dst
}

func (e *edgeTable) append(dst []Edge, edge Edge) []Edge {
	dst = append(dst, e.earlier...)
	if n := mem.Load64(e.base + edgeOutOfRange); n > 0 {
		edge.Index, edge.Reason, edge.Count = uint32(mem.Load64(e.base+edgeLastIndex)), trace.OutOfRange, n
		dst = append(dst, edge)
	}
	for i := range e.slots {
		slot := e.base + edgeSlots + uint64(i)*slotSize
		edge.Index = i
		if n := mem.Load64(slot + slotTaken); n > 0 {
			taken := edge
			taken.Count, taken.Target, taken.Reason = n, e.targets[i], trace.Taken
			dst = append(dst, taken)
		}
		if n := mem.Load64(slot + slotEmpty); n > 0 {
			edge.Reason, edge.Count = trace.Empty, n
			dst = append(dst, edge)
		}
		if n := mem.Load64(slot + slotLimit); n > 0 {
			edge.Reason, edge.Count = trace.Limit, n
			dst = append(dst, edge)
		}
	}
	return dst
}
