package vm

import (
	"strings"

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
	slotSize   = 1 << CounterShift
)

// What native code needs of that to count hops.
const (
	CounterSlots  = edgeSlots // offset of the entry of slot 0
	CounterShift  = 5         // log2 of the size of an entry
	CounterSize   = slotSize
	CounterTaken  = slotTaken
	CounterTarget = slotTarget
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
	earlier Counts
}

// Edge is one thing that one tail-call site did. It holds names, not objects, so that counts of
// programs and maps that are gone add up with those of their successors.
type Edge struct {
	From   string // program that makes the call
	Insn   int
	File   string // source position of the call, if the object has one
	Line   int
	Source string
	Map    string
	Index  uint32 // the last one, for trace.OutOfRange
	Reason trace.Reason
	Target string // program that ran next; empty for a miss
}

// Counts says how often things happened.
type Counts map[Edge]uint64

// edgeAt is the edge of a site without what happened there.
func (st *state) edgeAt(siteNo int, mapName string) Edge {
	insn := st.prog.sites[siteNo]
	e := Edge{From: st.prog.Name, Insn: insn, Map: mapName}
	if l := st.prog.LineOf(insn); l != nil {
		e.File, e.Line, e.Source = l.File, l.Line, strings.TrimSpace(l.Text)
	}
	return e
}

func (c *CPU) edgesOf(st *state, siteNo int, mapPtr uint64) *edgeTable {
	n := mem.Load32(mapPtr + mem.MapMaxEntries)
	for e := st.edges[siteNo]; e != nil; e = e.next {
		if e.mapPtr == mapPtr && e.slots == n { // another map may have got the descriptor
			return e
		}
	}
	base, err := c.counterMemory(n)
	if err != nil {
		return nil // counting is best effort: without memory, the run goes on uncounted
	}
	e := &edgeTable{mapPtr: mapPtr, name: c.machine.mapName(mapPtr), base: base, slots: n, next: st.edges[siteNo],
		targets: map[uint32]string{}, earlier: Counts{}}
	st.edges[siteNo] = e
	return e
}

// sitesMax is how many bytes the table of counters by program index takes. Most of it is never
// touched.
const sitesMax = 8 * mem.MaxDescs

// showCounters lets native code find the counters of a site, which it looks for by program index,
// then by site. A site that was reached with several maps is not shown: it always leaves.
func (c *CPU) showCounters(st *state, siteNo int) {
	e := st.edges[siteNo]
	if c.counters == 0 || e == nil {
		return
	}
	if st.native == 0 {
		addr, err := c.pool.Alloc(8 * uint64(len(st.edges)))
		if err != nil {
			return
		}
		st.native = addr
		mem.Store64(c.counters+8*uint64(st.prog.index), addr)
	}
	shown := e.base
	if e.next != nil {
		shown = 0
	}
	mem.Store64(st.native+8*uint64(siteNo), shown)
}

// observe tells native code what becomes of hops: nothing, or they are counted, or every one of
// them leaves, because a sink wants to see it. The last is counting with a table that stays empty.
func (c *CPU) observe() {
	if c.thread == 0 {
		return
	}
	shown := uint64(0)
	switch {
	case c.seesHops:
		shown = c.observed(&c.noCounters)
	case c.counting:
		shown = c.observed(&c.counters)
	}
	c.setWord(ThreadSites, shown)
}

// observed makes a table of counters by program index unless it is there.
func (c *CPU) observed(table *uint64) uint64 {
	if *table == 0 {
		addr, err := c.pool.Alloc(sitesMax)
		if err != nil {
			c.blind = true // hops are seen in the interpreter
			return 0
		}
		*table = addr
	}
	return *table
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
	edge := st.edgeAt(siteNo, e.name)
	edge.Index, edge.Target = index, e.targets[index]
	e.earlier[edge] += n
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

// counterMemory returns the address of zeroed counters for n slots. Those of released programs
// are used again.
func (c *CPU) counterMemory(n uint32) (uint64, error) {
	if free := c.freeCounters[n]; len(free) > 0 {
		c.freeCounters[n] = free[:len(free)-1]
		return free[len(free)-1], nil
	}
	return c.pool.Alloc(edgeSlots + uint64(n)*slotSize)
}

// forget keeps the counts of a released program and takes its counters back.
func (c *CPU) forget(st *state) {
	st.addEdges(c.gone)
	if st.native != 0 {
		mem.Store64(c.counters+8*uint64(st.prog.index), 0)
	}
	for _, e := range st.edges {
		for ; e != nil; e = e.next {
			clear(mem.Bytes(e.base, edgeSlots+uint64(e.slots)*slotSize))
			c.freeCounters[e.slots] = append(c.freeCounters[e.slots], e.base)
		}
	}
}

// Edges adds all counts to sum. The virtual CPU must not be running.
func (c *CPU) Edges(sum Counts) {
	for e, n := range c.gone {
		sum[e] += n
	}
	for _, st := range c.states {
		if st != nil {
			st.addEdges(sum)
		}
	}
}

func (st *state) addEdges(sum Counts) {
	for i, e := range st.edges {
		for ; e != nil; e = e.next {
			e.add(sum, st.edgeAt(i, e.name))
		}
	}
}

// add adds the table's counts for the site that edge describes.
func (e *edgeTable) add(sum Counts, edge Edge) {
	for earlier, n := range e.earlier {
		sum[earlier] += n
	}
	put := func(n uint64, index uint32, why trace.Reason, target string) {
		if n > 0 {
			edge.Index, edge.Reason, edge.Target = index, why, target
			sum[edge] += n
		}
	}
	put(mem.Load64(e.base+edgeOutOfRange), uint32(mem.Load64(e.base+edgeLastIndex)), trace.OutOfRange, "")
	for i := range e.slots {
		slot := e.base + edgeSlots + uint64(i)*slotSize
		put(mem.Load64(slot+slotTaken), i, trace.Taken, e.targets[i])
		put(mem.Load64(slot+slotEmpty), i, trace.Empty, "")
		put(mem.Load64(slot+slotLimit), i, trace.Limit, "")
	}
}
