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

// Analysis collects reads and writes and answers which slots are live. One is made for one
// verification; it must not be used by two goroutines at once.
type Analysis struct {
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

// New makes an empty analysis.
func New(p Program) *Analysis {
	a := &Analysis{prog: p, rank: make([]int32, len(p.Succ))}
	for _, f := range p.Functions {
		for n, insn := range f.Postorder {
			a.rank[insn] = int32(n)
		}
	}
	return a
}

func (a *Analysis) function(start int) *Function {
	n, _ := slices.BinarySearchFunc(a.prog.Functions, start, func(f Function, start int) int {
		return f.Start - start
	})
	return &a.prog.Functions[n]
}

// Begin starts an instruction in the last frame of a chain (bpf_reset_stack_write_marks).
func (a *Analysis) Begin(c *Chain, insn int) {
	in := a.ensure(c)
	a.insn = insn
	clear(a.writes[:in.frame+1])
}

func (a *Analysis) ensure(c *Chain) *instance {
	if a.current == nil {
		a.current = a.lookup(c)
	}
	return a.current
}

// Read tells that an instruction may read slots of a frame (bpf_mark_stack_read).
func (a *Analysis) Read(c *Chain, frame, insn int, mask uint64) {
	a.read(a.ensure(c), frame, insn, mask)
}

// Write tells that the instruction that was begun writes slots of a frame completely
// (bpf_mark_stack_write).
func (a *Analysis) Write(frame int, mask uint64) { a.writes[frame] |= mask }

// Commit ends the instruction that was begun: slots that it does not write every time that it
// is simulated are not certain to be written (bpf_commit_stack_write_marks). After Forget or
// Update it does nothing: what a call writes is known when its callee has returned.
func (a *Analysis) Commit() {
	if a.current != nil {
		a.commit(a.current, a.insn, &a.writes)
	}
}

// Forget tells that the chain of calls changes: at a call, at a return and at a callback
// (bpf_reset_live_stack_callchain).
func (a *Analysis) Forget() { a.current = nil }

// Update propagates what was collected for the functions of a chain, the innermost first, and
// forgets the current one (bpf_update_live_stack). It is called when a function returns and
// when a path ends, with the chain of that path, before another is taken up.
func (a *Analysis) Update(c *Chain) {
	a.current = nil
	for in := a.lookup(c); in != nil; in = in.outer {
		if in.updated {
			a.update(in)
		}
	}
}

// Ask prepares Alive for a state before an instruction in the last frame of a chain
// (bpf_live_stack_query_init).
func (a *Analysis) Ask(c *Chain, insn int) {
	a.queryFrame, a.queryInsn = c.Frame, insn
	in := a.lookup(c)
	for f := c.Frame; f >= 0; f-- {
		a.query[f] = in
		in = in.outer
	}
}

// AliveMask gives the slots of a frame that may be read after the state that Ask named. A
// callback may run again, so for the frame of its caller the call itself counts, too.
func (a *Analysis) AliveMask(frame int) uint64 {
	inner := a.query[a.queryFrame]
	live := inner.live(frame, a.queryInsn)
	for f := frame; f < a.queryFrame; f++ {
		site := int(a.query[f+1].callsite)
		if !a.prog.CallsCallback(site) {
			site++
		}
		live |= a.query[f].live(frame, site)
	}
	return live
}

// Alive reports whether one slot is in AliveMask (bpf_stack_slot_alive).
func (a *Analysis) Alive(frame, slot int) bool { return a.AliveMask(frame)>>slot&1 != 0 }
