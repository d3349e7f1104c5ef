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
// What is reported, and when, decides what is found, so it is done as in Linux: Begin before and
// Commit after every instruction; Write only for stores of all 8 bytes of a slot at a known
// offset, and where dynptrs, iterators and flags are put on the stack or taken from it; Read for
// every load, for each slot of memory that a helper gets, and for such objects; Forget when a
// function is entered; Update before a return and at the end of each path, pruned ones included.
// The reports of a callee reach its caller through Update alone.
//
// In one point it differs: Linux 6.18 compares old and new writes of an instruction in 32 bits
// and so may take a slot below fp-256 for written when it is not.
//
// A stack slot is 8 bytes; number n is at frame pointer - 8*(n+1). Sets of stack slots are
// 64-bit masks with bit n for slot n. Instructions are named by their slot in the program.
package liveness

import (
	"slices"

	"github.com/carom-bpf/carom/internal/linux"
)

// Program is what the analysis must know of the program; package cfg computes it.
type Program struct {
	Succ      [][2]int32 // by instruction: what may follow in the same frame, negative for none
	Functions []Function // ordered by Start
	// CallsCallback reports whether the call instruction runs a callback before it returns.
	CallsCallback func(insn int) bool
}

// Function is one subprogram.
type Function struct {
	Start, End int
	Postorder  []int32 // its instructions, each after those that it leads to
	HasLoop    bool
}

// Chain is how execution came to the current frame: for each frame the function that it
// belongs to, and for every frame but the last the call that it waits for.
type Chain struct {
	Starts    [linux.MaxFrames]int32 // first instruction of the function of each frame
	Callsites [linux.MaxFrames]int32 // the call in each frame but the last
	Frame     int                    // number of the last frame; 0 is the main program
}

// Tracker collects reads and writes and answers which slots are live. One is made for one
// verification; it must not be used by two goroutines at once.
type Tracker struct {
	prog  Program
	rank  []int32     // by instruction: its position in the postorder of its function
	roots []*instance // functions that were entered as frame 0
	last  *instance   // the one that was looked up last

	current *instance // nil between the end of a frame and the next instruction
	insn    int       // whose writes are collected
	writes  [linux.MaxFrames]uint64

	query      [linux.MaxFrames]*instance
	queryFrame int
	queryInsn  int
}

// New makes a tracker that knows of no reads and writes.
func New(p Program) *Tracker {
	t := &Tracker{prog: p, rank: make([]int32, len(p.Succ))}
	for _, f := range p.Functions {
		for n, insn := range f.Postorder {
			t.rank[insn] = int32(n)
		}
	}
	return t
}

func (t *Tracker) function(start int) *Function {
	n, _ := slices.BinarySearchFunc(t.prog.Functions, start, func(f Function, start int) int {
		return f.Start - start
	})
	return &t.prog.Functions[n]
}

// Begin starts an instruction in the last frame of a chain (bpf_reset_stack_write_marks).
func (t *Tracker) Begin(c *Chain, insn int) {
	in := t.ensure(c)
	t.insn = insn
	clear(t.writes[:in.frame+1])
}

func (t *Tracker) ensure(c *Chain) *instance {
	if t.current == nil {
		t.current = t.lookup(c)
	}
	return t.current
}

// Read tells that an instruction may read slots of a frame (bpf_mark_stack_read).
func (t *Tracker) Read(c *Chain, frame, insn int, mask uint64) {
	t.read(t.ensure(c), frame, insn, mask)
}

// Write tells that the instruction that was begun writes slots of a frame completely
// (bpf_mark_stack_write).
func (t *Tracker) Write(frame int, mask uint64) { t.writes[frame] |= mask }

// Commit ends the instruction that was begun: slots that it does not write every time that it
// is simulated are not certain to be written (bpf_commit_stack_write_marks). After Forget or
// Update it does nothing: what a call writes is known when its callee has returned.
func (t *Tracker) Commit() {
	if t.current != nil {
		t.commit(t.current, t.insn, &t.writes)
	}
}

// Forget tells that the chain of calls changes: at a call, at a return and at a callback
// (bpf_reset_live_stack_callchain).
func (t *Tracker) Forget() { t.current = nil }

// Update propagates what was collected for the functions of a chain, the innermost first, and
// forgets the current one (bpf_update_live_stack). It is called when a function returns and
// when a path ends, with the chain of that path, before another is taken up.
func (t *Tracker) Update(c *Chain) {
	t.current = nil
	for in := t.lookup(c); in != nil; in = in.outer {
		if in.updated {
			t.update(in)
		}
	}
}

// Ask prepares Alive for a state before an instruction in the last frame of a chain
// (bpf_live_stack_query_init).
func (t *Tracker) Ask(c *Chain, insn int) {
	t.queryFrame, t.queryInsn = c.Frame, insn
	in := t.lookup(c)
	for f := c.Frame; f >= 0; f-- {
		t.query[f] = in
		in = in.outer
	}
}

// AliveMask gives the slots of a frame that may be read after the state that Ask named. A
// callback may run again, so for the frame of its caller the call itself counts, too.
func (t *Tracker) AliveMask(frame int) uint64 {
	inner := t.query[t.queryFrame]
	live := inner.live(frame, t.queryInsn)
	for f := frame; f < t.queryFrame; f++ {
		site := int(t.query[f+1].callsite)
		if !t.prog.CallsCallback(site) {
			site++
		}
		live |= t.query[f].live(frame, site)
	}
	return live
}

// Alive reports whether one slot is in AliveMask (bpf_stack_slot_alive).
func (t *Tracker) Alive(frame, slot int) bool { return t.AliveMask(frame)>>slot&1 != 0 }
