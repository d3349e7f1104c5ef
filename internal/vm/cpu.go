package vm

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/trace"
	"github.com/carom-bpf/carom/world"
)

const (
	frameSize   = linux.MaxStack
	frameStride = 1024 // a gap behind each frame makes an overrun visible
	// A tail call in a subprogram keeps the callers' frames, so a chain may stack up 7 frames
	// for each of its 34 programs.
	maxDepth = (linux.MaxTailCalls+1)*(linux.MaxFrames-1) + 1

	// FrameStride is how far the frames of two functions are apart that call each other, in bytes.
	FrameStride = frameStride

	// PacketHeadroom is the room before the packet in bytes, for headers that a program adds.
	PacketHeadroom = linux.XDPHeadroom
	// PacketMax is the largest packet in bytes.
	PacketMax      = 1 << 18
	packetTailroom = 1 << 12

	ctxMax     = 1 << 16
	scratchMax = 1 << 15

	// fuelSlice is how many instructions run between two looks at the budget and the context.
	fuelSlice = 1 << 16
)

// DefaultBudget is the instruction budget of a run that sets none.
const DefaultBudget = 1 << 32

// CPU is a virtual CPU. It runs one program at a time and must not be used concurrently.
type CPU struct {
	ID      int
	machine *Machine
	reader  *mem.Reader

	stack   *mem.Region
	packet  *mem.Region
	ctx     *mem.Region
	scratch *mem.Region
	pool    *mem.Pool // counters

	frames [maxDepth + 1]frame
	depth  int
	base   int      // depth of the entry frame of the running program
	states []*state // by program index
	gen    uint64   // Epochs.Generation that states are good for

	// The run.
	stop      stopReason
	err       *Error
	tailCalls int
	misses    int
	fuel      int64 // instructions until the next look
	budget    int64 // instructions left beyond fuel
	executed  int64 // instructions handed out as fuel so far
	goctx     context.Context
	running   bool
	unwound   *Helper
	entry     *Program
	throwBase int
	throwR0   uint64
	call      Call

	// What the run's program may touch.
	found      window // scratch of find
	pkt, pktW  window // packet for loads and for stores
	meta       uint64 // first byte of the packet's metadata
	packetData uint64
	none       window
	ctxAddr    uint64
	ctxSize    uint32
	ctxFields  *linux.Context
	ctxWin     window // contexts of plain bytes
	ctxWinW    window
	records    []record
	runMem     []*mem.Region

	// Packet is what helpers know about the packet beyond its bytes.
	Packet Packet
	// World is the environment of the run.
	World *world.World
	// Redirect is what the redirect helpers recorded.
	Redirect Redirect

	counting bool
	gone     Counts // of programs that were released
	// freeCounters are counters of released programs, by number of slots.
	freeCounters map[uint32][]uint64
	sink         trace.Sink
	seesHops     bool // the sink wants to know of tail calls
	event        trace.Event
	rng          *rand.PCG

	scratchNext uint64

	// Native code.
	thread       uint64 // address of the thread block, 0 without native code
	threadRegion *mem.Region
	inNative     bool   // the budgets are in the thread block
	counters     uint64 // table of counters by program index for native code, 0 before the first use
	noCounters   uint64 // a table like it that stays empty
	blind        bool   // there is no memory for these tables
}

type frame struct {
	prog           *Program
	st             *state
	pc             int
	r6, r7, r8, r9 uint64
	base           int    // depth of the entry frame of prog
	loops          uint32 // may_goto iterations left
}

type stopReason uint8

const (
	running stopReason = iota
	stopError
	stopUnwind
	stopThrow
)

// window is memory that a program may touch: n bytes from lo on, or, when mask is a stride minus
// one, that many bytes of elements that lie so far apart. An access of 1<<k bytes must start
// below lim[k] in its element.
type window struct {
	lo   uint64
	n    uint64
	mask uint64
	lim  [4]uint64
}

// set makes w one piece of n bytes.
func (w *window) set(lo, n uint64) { w.setElements(lo, n, ^uint64(0), n) }

// setElements makes w a row of elements with valid bytes each.
func (w *window) setElements(lo, n, mask, valid uint64) {
	*w = window{lo: lo, n: n, mask: mask, lim: [4]uint64{
		valid, valid - min(valid, 1), valid - min(valid, 3), valid - min(valid, 7),
	}}
}

// fits reports whether an access of 1<<k bytes at addr lies in the window.
func (w *window) fits(addr, k uint64) bool {
	off := addr - w.lo
	return off&w.mask < w.lim[k] && off < w.n
}

// room returns how many bytes from addr on lie in its element, 0 when addr is outside.
func (w *window) room(addr uint64) uint64 {
	off := addr - w.lo
	if valid := w.lim[0]; off < w.n && off&w.mask < valid {
		return valid - off&w.mask
	}
	return 0
}

// state is what one virtual CPU knows about one program: for each instruction the window of its
// last access, and for each tail-call site its counters.
type state struct {
	prog   *Program
	sites  []site
	edges  []*edgeTable // by tail-call site
	hops   []hop        // by tail-call site
	native uint64       // addresses of counters by tail-call site for native code, 0 before the first
}

// hop is the last tail call that a site made: as long as map, index and slot are the same, so is
// the target, which is nil before the first.
type hop struct {
	mapPtr uint64
	slot   uint64 // address of the slot
	desc   uint64 // what the slot held
	count  uint64 // address of the counter, 0 when hops are not counted
	index  uint32
	target *state
}

type site struct {
	w   *window
	own *window
}

type record struct {
	lo, n uint64
	ring  any
}

// Packet describes the packet of a run.
type Packet struct {
	// LinkLen is how many bytes of link header precede the first byte that the program sees,
	// for types whose data starts at the network header.
	LinkLen int
	// L2 says that data starts with the link header.
	L2 bool
	// NetOff is the offset of the network header in data.
	NetOff int
	// CsumLevel is 1 + skb->csum_level where the checksum is known to be good, else 0.
	CsumLevel int
	// HasHash says that the packet's hash is known; it may be 0.
	HasHash bool
	// Encapsulated says that bpf_skb_adjust_room put an outer header before the packet.
	Encapsulated bool
	// Writable says that the program may store into the packet directly.
	Writable bool
	Protocol uint16 // in network byte order, as in __sk_buff
	Hidden   int    // bytes behind the packet that len counts but direct access does not reach
}

// Redirect is a recorded bpf_redirect or bpf_redirect_map.
type Redirect struct {
	Set     bool
	Ifindex uint32
	Flags   uint64
	Map     string // for redirect_map
	Key     uint64
}

// Limits bounds one run. The zero value means the defaults.
type Limits struct {
	Budget int64 // instructions; DefaultBudget when 0
}

// NewCPU makes a virtual CPU.
func (m *Machine) NewCPU(id int) (*CPU, error) {
	c := &CPU{ID: id, machine: m, rng: rand.NewPCG(0, uint64(id)), gone: Counts{}, freeCounters: map[uint32][]uint64{}}
	for _, r := range []struct {
		to     **mem.Region
		layout mem.Layout
	}{
		{&c.stack, mem.Layout{Kind: mem.KindStack, Name: "stack", Size: frameStride * (maxDepth + 1), Stride: frameStride, ValueSize: frameSize, Perm: mem.PermRW}},
		{&c.packet, mem.Layout{Kind: mem.KindPacket, Name: "packet", Size: PacketHeadroom + PacketMax + packetTailroom}},
		{&c.ctx, mem.Layout{Kind: mem.KindContext, Name: "context", Size: ctxMax}},
		{&c.scratch, mem.Layout{Kind: mem.KindRunMemory, Name: "helper memory", Size: scratchMax, Perm: mem.PermRW}},
	} {
		r.layout.Owner = c
		region, err := m.Space.Alloc(r.layout)
		if err != nil {
			c.free()
			return nil, fmt.Errorf("virtual CPU %d: %w", id, err)
		}
		*r.to = region
	}
	c.pool = mem.NewPool(m.Space, "counters")
	c.reader = m.Epochs.NewReader()
	c.call.CPU = c
	c.ctxAddr = c.ctx.Base
	if m.HasNative() {
		if err := c.newThread(); err != nil {
			c.Close()
			return nil, fmt.Errorf("virtual CPU %d: %w", id, err)
		}
	}
	return c, nil
}

// Reader returns the virtual CPU's epoch word.
func (c *CPU) Reader() *mem.Reader { return c.reader }

// Machine returns the machine that the virtual CPU belongs to.
func (c *CPU) Machine() *Machine { return c.machine }

// Close releases the virtual CPU, which must not be running.
func (c *CPU) Close() {
	c.machine.Epochs.RemoveReader(c.reader)
	c.pool.Free()
	c.free()
}

func (c *CPU) free() {
	for _, r := range []*mem.Region{c.stack, c.packet, c.ctx, c.scratch, c.threadRegion} {
		if r != nil {
			r.Free()
		}
	}
}

// FillStack overwrites all frames with a pattern, to make reads of uninitialised stack visible.
func (c *CPU) FillStack(pattern byte) {
	b := c.stack.Bytes()
	for i := range b {
		b[i] = pattern
	}
}

// SetSeed makes the random helper repeatable.
func (c *CPU) SetSeed(seed uint64) { c.rng.Seed(seed, uint64(c.ID)) }

// SetSink chooses who is told about hops, misses and printed lines; nil for nobody.
func (c *CPU) SetSink(s trace.Sink) {
	c.sink, c.seesHops = s, trace.Wants(s, trace.Hop) || trace.Wants(s, trace.Miss)
	c.observe()
}

// Sink returns the sink of events, nil when there is none.
func (c *CPU) Sink() trace.Sink { return c.sink }

// SetCounting switches the counters of tail-call sites.
func (c *CPU) SetCounting(on bool) {
	if c.counting == on {
		return
	}
	c.counting = on
	c.observe()
	for _, s := range c.states {
		if s != nil {
			clear(s.hops) // they know where to count
		}
	}
}

func (c *CPU) frameBase(depth int) uint64 { return c.stack.Base + uint64(depth)*frameStride }

// stateOf finds or makes the state for a program. An index is not given to another program while
// a run can still meet the old one, and states of released programs are dropped between runs, so
// the index alone identifies the program.
func (c *CPU) stateOf(index uint32) *state {
	if int(index) < len(c.states) {
		if s := c.states[index]; s != nil {
			return s
		}
	}
	return c.newState(index)
}

func (c *CPU) newState(index uint32) *state {
	for int(index) >= len(c.states) {
		c.states = append(c.states, nil)
	}
	p := c.machine.Progs.Object(index).(*Program)
	s := &state{prog: p, sites: make([]site, len(p.ops)), edges: make([]*edgeTable, len(p.sites)), hops: make([]hop, len(p.sites))}
	for i := range s.sites {
		s.sites[i].w = &c.none
	}
	c.states[index] = s
	return s
}

// dropHints forgets all windows, because memory that one of them shows may be gone, and the
// states of programs that were released.
func (c *CPU) dropHints() {
	for i, s := range c.states {
		switch {
		case s == nil:
		case s.prog.released.Load():
			c.forget(s)
			c.states[i] = nil
		default:
			for i := range s.sites {
				s.sites[i].w = &c.none
			}
			clear(s.hops)
		}
	}
}
