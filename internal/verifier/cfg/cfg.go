// Package cfg does what Linux does with a program before it simulates it: it finds the
// subprograms, judges the form of the instructions, walks the control flow graph and computes
// what the simulation needs to know of it (kernel/bpf/verifier.c of 6.18, bpf_check up to
// do_check_main).
//
// All indexes are instruction slots, as in package isa; a wide load takes two.
package cfg

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// MaxInsns is the largest number of slots that a privileged loader may give
// (BPF_COMPLEXITY_LIMIT_INSNS, include/linux/bpf.h).
const MaxInsns = 1_000_000

// Input is a program and what the analysis must know from outside. Nil functions are allowed.
type Input struct {
	// Insns is the program as it is given to bpf(2), pseudo sources in place.
	Insns []isa.Insn

	// Funcs are the records of func_info, in order; none when the program has no BTF.
	Funcs []Func

	// ExceptionCallback is the slot of the subprogram that the main program names as its
	// exception callback, 0 when there is none.
	ExceptionCallback int

	// Helper describes the helper with this number. Without the function, or where it
	// answers with Known false (no such helper for this program), all of r1 to r5 count as
	// read and the call has no effects.
	Helper func(id int32) Callee

	// Kfunc is Helper for the kernel function that the instruction calls.
	Kfunc func(insn isa.Insn) Callee

	// AddKfunc judges the call of a kernel function while the subprograms are looked for
	// (add_kfunc_call).
	AddKfunc func(slot int, insn isa.Insn) *reject.Error

	// BTF judges line and relocation records (check_btf_info) after the layout of the
	// subprograms was found to agree with Funcs.
	BTF func(g *Graph) *reject.Error

	// Wide resolves a wide load of a map, of a map value or of a BTF variable, in program
	// order. Its form was judged before.
	Wide func(slot int, insn, second isa.Insn) *reject.Error
}

// Func is one record of func_info.
type Func struct {
	Start      int  // instruction slot
	ReturnsInt bool // returns an integer of at most 8 bytes or an enum
}

// Callee is what control flow and register liveness depend on in a helper or kernel function.
type Callee struct {
	Known         bool
	Params        uint8 // registers from r1 on that it reads, at most 5
	Void          bool  // leaves nothing in r0
	Fastcall      bool  // leaves unused argument registers alone (allow_fastcall and inlined)
	ChangesPacket bool  // packet pointers are invalid after it; true of bpf_tail_call too
	MightSleep    bool
	SyncCallback  bool // runs a callback before it returns
	AsyncCallback bool // registers a callback that runs later
	IterNext      bool // advances an open-coded iterator
}

// Mark is a set of facts about one instruction.
type Mark uint8

// Marks of instructions (struct bpf_insn_aux_data, include/linux/bpf_verifier.h).
const (
	Prune         Mark = 1 << iota // states are compared here
	JumpPoint                      // reached other than from the slot before; history is kept
	Checkpoint                     // a state is always saved here
	CallsCallback                  // calls a function that runs a callback before it returns
	Fastcall                       // spill or fill around a call that keeps its registers
)

// Subprog is one function of the program.
type Subprog struct {
	Start, End     int // slots; End is one past the last
	Exit           int // slot of the last exit, -1 when there is none
	PostorderStart int // first index into Graph.Postorder; PostorderEnd is one past the last
	PostorderEnd   int
	HasTailCall    bool // a tail call stands in it, reachable or not
	HasLoadAbs     bool // a load from the packet by offset stands in it
	HasMayGoto     bool
	HasLoop        bool // its instructions can be executed again in the same frame
	ChangesPacket  bool // it or what it calls invalidates packet pointers
	MightSleep     bool // it or what it calls may sleep

	// FastcallOff is the lowest stack offset, 0 or negative, that is not used by spills
	// around calls which keep their registers alone; see FastcallStack.
	FastcallOff  int16
	keepFastcall bool
}

// Graph is what is known of a program before it is simulated. It is not changed afterwards.
type Graph struct {
	Insns    []isa.Insn
	Subprogs []Subprog
	Marks    []Mark
	// Postorder has the slots of every subprogram after those they lead to, subprogram by
	// subprogram; second slots of wide loads are not in it.
	Postorder []int32
	// SCC numbers the loop that an instruction belongs to, from 1 on; 0 is none. It is nil
	// when the program has no loop.
	SCC []uint32
	// Loops is how many numbers SCC has.
	Loops int
	// Live has a bit for each register that may be read at or after the instruction before
	// it is written.
	Live []uint16
	// FastcallSpills is how many pairs of spill and fill stand around a call, by its slot.
	// It is nil when no call has any.
	FastcallSpills []uint8

	// Succ has the successors of every instruction in its frame: the slots that may be executed
	// after it, None where there is no first or second one. A call leads to the instruction
	// after it. A tail call leads to the exit of its subprogram, too, because the program that
	// runs instead returns to the caller, and so does a load from the packet in a subprogram,
	// because it returns when there is no such byte. Linux 6.18 lacks these two and accepts too
	// much for it (mended by e40f5a6bf88a and ee861486e377).
	Succ [][2]int32

	backEdge bool
}

// None stands for a successor that is not there.
const None = int32(-1)

// SubprogAt gives the index of the subprogram that contains a slot.
func (g *Graph) SubprogAt(slot int) int {
	lo, hi := 0, len(g.Subprogs)
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if g.Subprogs[mid].Start <= slot {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// Has reports whether an instruction has one of the marks.
func (g *Graph) Has(slot int, m Mark) bool { return g.Marks[slot]&m != 0 }

// SCCAt gives the loop that an instruction belongs to, 0 for none.
func (g *Graph) SCCAt(slot int) uint32 {
	if g.SCC == nil {
		return 0
	}
	return g.SCC[slot]
}

// Analyze judges the form and the control flow of a program in the order of bpf_check. The
// error is what bpf(2) returns and the last line that it logs.
func Analyze(p Input) (*Graph, *reject.Error) {
	if len(p.Insns) == 0 || len(p.Insns) > MaxInsns {
		return nil, &reject.Error{
			Code: CodeProgramSize, Errno: linux.E2BIG, Insn: -1, Reg: -1,
			Found: "a program of no or too many instructions", Needed: "1 to 1000000 instructions",
		}
	}
	g := &Graph{Insns: p.Insns, Marks: make([]Mark, len(p.Insns))}
	a := &analysis{Graph: g, in: &p}
	for _, step := range []func() *reject.Error{
		a.findSubprogs, a.checkSubprogs, a.checkFuncs, a.checkInsns, a.walk,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	a.link()
	a.order()
	if g.backEdge {
		a.findLoops()
	}
	a.computeLive()
	a.findFastcalls()
	return g, nil
}

// analysis is the state of one call of Analyze.
type analysis struct {
	*Graph
	in    *Input
	state []uint8 // of the walk
	stack []int32
}

// callee describes what a call instruction calls; unknown for subprograms.
func (a *analysis) callee(i isa.Insn) Callee {
	if i.Op != opCall {
		return Callee{}
	}
	switch {
	case i.Src == isa.CallHelper && a.in.Helper != nil:
		return a.in.Helper(i.Imm)
	case i.Src == isa.CallKfunc && a.in.Kfunc != nil:
		return a.in.Kfunc(i)
	}
	return Callee{}
}
