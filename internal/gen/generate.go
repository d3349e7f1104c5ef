package gen

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
)

// generator makes one case.
type generator struct {
	*rand.Rand
	c      *Case
	kind   *kind
	labels int
	tails  bool     // packets change at the end, not at the start
	ring   bool     // there is a ring buffer
	nested bool     // there is a map in a map
	prog   int      // that is being made
	tables []string // PROG_ARRAYs
	stores []string // maps other than in, out, str and PROG_ARRAYs
}

// Generate makes the case with a number in the sequence of a seed.
func Generate(seed, number uint64) *Case {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, number))}
	g.kind = &kinds[pick(g, []int{4, 3, 2, 1, 1})]
	g.c = &Case{Name: fmt.Sprintf("%d_%d", seed, number), Type: g.kind.typ, Maps: map[string]*ebpf.MapSpec{}}
	g.tails = g.chance(40)
	g.maps()
	progs := 1 + g.IntN(4)
	for g.prog = range progs {
		g.c.Progs = append(g.c.Progs, g.program())
	}
	g.slots()
	for i := range 1 + g.IntN(3) {
		var data []byte
		if g.kind.skb || g.kind.end != 0 {
			data = g.packet()
		}
		r := Run{Prog: g.c.Progs[g.IntN(progs)].Name, Data: data, Context: g.kind.context(g, len(data))}
		for i > 0 && g.chance(20) {
			r.Set = append(r.Set, g.change())
		}
		g.c.Runs = append(g.c.Runs, r)
	}
	return g.c
}

// pick chooses an index with weights.
func pick(g *generator, weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := g.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return 0
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func choose[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) label() string {
	g.labels++
	return fmt.Sprintf("L%d", g.labels)
}

// edges are numbers at which widths, signs and shifts change.
var edges = [...]int64{
	0, 1, -1, 2, -2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, -128, 255, 256, 0x7fff, 0x8000, -0x8000,
	0xffff, 0x10000, 0x7fffffff, -0x80000000, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff,
	-0x8000000000000000, -0x7fffffffffffffff, 0x0123456789abcdef, -0x100000000,
}

// value is any 64-bit number, often one at an edge.
func (g *generator) value() int64 {
	if g.chance(60) {
		return edges[g.IntN(len(edges))]
	}
	return int64(g.Uint64()) >> g.IntN(64)
}

// imm is any 32-bit number.
func (g *generator) imm() int32 { return int32(g.value()) }

// Sizes of the maps that every case has.
const (
	inSize    = 256
	outSize   = 1024
	innerSize = 16 // values of the map in a map
	slotLen   = 32 // bytes of out for each function: runs, two sums, one word for atomics
)

func (g *generator) maps() {
	in := make([]byte, inSize)
	for i := 0; i < inSize; i += 8 {
		binary.LittleEndian.PutUint64(in[i:], uint64(g.value()))
	}
	add := func(name string, t ebpf.MapType, key, value, entries, flags uint32) {
		g.c.Maps[name] = &ebpf.MapSpec{
			Name: name, Type: t, KeySize: key, ValueSize: value, MaxEntries: entries, Flags: flags,
		}
	}
	add("in", ebpf.Array, 4, inSize, 1, 0)
	g.c.Maps["in"].Contents = []ebpf.MapKV{{Key: uint32(0), Value: in}}
	add("out", ebpf.Array, 4, outSize, 1, 0)
	add(".rodata.str", ebpf.Array, 4, uint32(stringsSize), 1, linux.MapReadOnlyProg)
	g.c.Maps[".rodata.str"].Contents = []ebpf.MapKV{{Key: uint32(0), Value: stringsData()}}
	if g.chance(8) { // rare: filling it waits for a grace period
		g.nested = true
		add("inner", ebpf.Array, 4, innerSize, 3, 0)
		add("outer", ebpf.ArrayOfMaps, 4, 4, 2, 0)
		g.c.Maps["outer"].InnerMap = &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: innerSize, MaxEntries: 3}
		g.c.Maps["outer"].Contents = []ebpf.MapKV{{Key: uint32(0), Value: "inner"}}
	}
	if g.chance(15) {
		g.ring = true
		add("ring", ebpf.RingBuf, 0, 0, 4096, 0)
	}
	for i := range 1 + g.IntN(2) {
		name := fmt.Sprintf("progs%d", i)
		add(name, ebpf.ProgramArray, 4, 4, uint32(1+g.IntN(6)), 0)
		g.tables = append(g.tables, name)
	}
	size := func() uint32 { return uint32(8 * (1 + g.IntN(4))) }
	few := func() uint32 { return uint32(1 + g.IntN(8)) }
	for _, m := range []struct {
		name string
		t    ebpf.MapType
		key  uint32
		n    uint32
		f    uint32
	}{
		{"arr", ebpf.Array, 4, few(), 0},
		{"pcpu", ebpf.PerCPUArray, 4, few(), 0},
		{"hash", ebpf.Hash, choose[uint32](g, 1, 2, 4, 8, 12), few(), choose[uint32](g, 0, linux.MapNoPrealloc)},
		{"phash", ebpf.PerCPUHash, choose[uint32](g, 4, 8), few(), choose[uint32](g, 0, linux.MapNoPrealloc)},
		{"lru", ebpf.LRUHash, 4, 1024, 0},
		{"lpm", ebpf.LPMTrie, choose[uint32](g, 5, 8), few(), linux.MapNoPrealloc},
	} {
		if g.chance(35) {
			add(m.name, m.t, m.key, size(), m.n, m.f)
			g.stores = append(g.stores, m.name)
		}
	}
}

func (g *generator) slots() {
	for _, name := range g.tables {
		for i := range g.c.Maps[name].MaxEntries {
			if g.chance(70) {
				g.c.Slots = append(g.c.Slots, Slot{name, i, g.c.Progs[g.IntN(len(g.c.Progs))].Name})
			}
		}
	}
}

// change sets or empties a slot.
func (g *generator) change() Slot {
	s := Slot{Map: g.tables[g.IntN(len(g.tables))]}
	s.Index = g.Uint32N(g.c.Maps[s.Map].MaxEntries)
	if g.chance(60) {
		s.Prog = g.c.Progs[g.IntN(len(g.c.Progs))].Name
	}
	return s
}

// packet has the headers that helpers look at, and noise.
func (g *generator) packet() []byte {
	b := make([]byte, 34+g.IntN(100))
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	binary.BigEndian.PutUint16(b[12:], choose[uint16](g, 0x0800, 0x0800, 0x0800, 0x86dd, 0x8100, 0x0806))
	b[14] = 0x45
	if b[12] == 0x86 {
		b[14] = 0x60
	}
	return b
}

// program makes a program with up to four subprograms.
func (g *generator) program() Prog {
	p := Prog{Name: fmt.Sprintf("p%d", g.prog)}
	subs := g.IntN(4)
	if g.chance(40) {
		subs = 0
	}
	// Later functions are made first, so that calls know what they call.
	var callees []*callee
	funcs := make([]Func, subs+1, subs+2)
	for i := subs; i > 0; i-- {
		c := &callee{name: fmt.Sprintf("sub%d", i), global: g.chance(40), memory: g.chance(50)}
		funcs[i] = g.function(i, c, callees)
		callees = append(callees, c)
	}
	funcs[0] = g.function(0, nil, callees)
	p.Funcs = append(funcs, g.visitor())
	return p
}
