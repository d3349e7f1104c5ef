// Package liveness finds out which stack slots a program may still read, so that the verifier
// need not compare the others when it asks whether it was in a state before
// (kernel/bpf/liveness.c of Linux 6.18).
//
// While the program is simulated, every instruction reports which slots of which frame it may
// read and which it certainly writes, per chain of calls that led to it. Over these sets an
// ordinary live-variable analysis runs whenever a path ends; it covers all paths through a
// function that were seen so far, not one path alone. What a function does to the frames of its
// callers is passed on to the call instruction.
//
// A slot is 8 bytes; number n is at frame pointer - 8*(n+1). Sets of slots are 64-bit masks
// with bit n for slot n.
package liveness

import "github.com/carom-bpf/carom/internal/linux"

// Graph is what the analysis must know of the program; package cfg has it.
type Graph interface {
	// Successors gives the slots that may follow in the same frame, negative for none.
	Successors(slot int) [2]int32
	// Function gives the instruction slots of the subprogram that starts at slot start, and
	// those slots in postorder.
	Function(start int) (end int, postorder []int32)
	// CallsCallback reports whether the call at slot runs a callback before it returns.
	CallsCallback(slot int) bool
}

// Chain is how execution came to the current frame: for each frame the function that it
// belongs to, and for every frame but the last the call that it waits for.
type Chain struct {
	Starts    [linux.MaxFrames]int32 // first slot of the function of each frame
	Callsites [linux.MaxFrames]int32 // slot of the call in each frame but the last
	Frame     int                    // number of the last frame; 0 is the main program
}

// key makes chains comparable: what lies beyond the last frame does not count.
func (c *Chain) key(frame int) (k Chain) {
	k.Frame = frame
	copy(k.Starts[:frame+1], c.Starts[:frame+1])
	copy(k.Callsites[:frame], c.Callsites[:frame])
	return k
}

// masks are the sets of one instruction for one frame.
type masks struct {
	mayRead   uint64 // slots that the instruction may read
	mustWrite uint64 // slots that it writes on every path
	written   uint64 // slots that it or all that follows writes, within the function
	live      uint64 // slots that may be read at or after it before they are written
}

// instance is a function in one chain of calls.
type instance struct {
	chain   Chain
	outer   *instance // of the caller; nil for the main program
	inner   []*instance
	start   int
	end     int
	post    []int32
	updated bool // something changed since the last propagation
	dropped bool // some mustWrite lost slots
	frames  [linux.MaxFrames][]masks
	// seen says for which instructions mustWrite is set.
	seen []bool
}

// Analysis collects reads and writes and answers which slots are live. One is made for a
// program; it must not be used by two goroutines.
type Analysis struct {
	graph Graph
	roots []*instance // functions that were entered as a frame 0
	last  *instance   // the one that was found last

	current *instance
	insn    int                     // whose writes are collected
	writes  [linux.MaxFrames]uint64 // by that instruction
	query   [linux.MaxFrames]*instance
	frame   int // of the query
	at      int // slot of the query
}

// New makes an empty analysis.
func New(g Graph) *Analysis { return &Analysis{graph: g} }

// Enter says what chain of calls the following reads and writes belong to. It is called
// whenever the frame changes: at a call, a return, and when another path is taken up.
func (a *Analysis) Enter(c *Chain) { a.current = a.lookup(c, c.Frame) }

// Read tells that the instruction at slot may read slots of a frame, as mask.
func (a *Analysis) Read(frame, slot int, mask uint64) { a.current.read(frame, slot, mask) }

// BeginWrites starts to collect the writes of the instruction at slot.
func (a *Analysis) BeginWrites(slot int) {
	a.insn = slot
	clear(a.writes[:a.current.chain.Frame+1])
}

// Write adds slots of a frame that the instruction certainly writes.
func (a *Analysis) Write(frame int, mask uint64) { a.writes[frame] |= mask }

// CommitWrites takes the collected writes over: what an instruction does not write every time
// that it is simulated is not certain.
func (a *Analysis) CommitWrites() { a.current.commit(a.insn, &a.writes) }

// Update propagates what was collected for the functions of a chain, the innermost first, and
// forgets the current one. It is called when a path ended, before the next is taken up, and when
// a function returns.
func (a *Analysis) Update(c *Chain) {
	a.current = nil
	for in := a.lookup(c, c.Frame); in != nil; in = in.outer {
		if in.updated {
			a.update(in)
		}
	}
}

// Ask prepares Alive for a state at slot in the last frame of a chain.
func (a *Analysis) Ask(c *Chain, slot int) {
	a.frame, a.at = c.Frame, slot
	in := a.lookup(c, c.Frame)
	for f := c.Frame; f >= 0; f-- {
		a.query[f] = in
		in = in.outer
	}
}

// AliveMask gives the slots of a frame that may be read from the state on that Ask named.
func (a *Analysis) AliveMask(frame int) uint64 {
	inner := a.query[a.frame]
	live := inner.live(frame, a.at)
	for f := frame; f < a.frame; f++ {
		site := int(inner.chain.Callsites[f])
		if !a.graph.CallsCallback(site) {
			site++
		}
		live |= a.query[f].live(frame, site)
	}
	return live
}

// Alive reports whether a slot of a frame may be read from the state on that Ask named.
func (a *Analysis) Alive(frame, slot int) bool { return a.AliveMask(frame)>>slot&1 != 0 }
