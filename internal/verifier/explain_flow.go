package verifier

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/isa"
)

func (x *explainer) loop() explanation {
	what := fmt.Sprintf("The loop at %s may go on forever: after one more round, nothing that the verifier follows has changed.", x.v.where(x.v.insn))
	return explanation{
		what,
		"Count with a local variable that changes in every round, and compare it with a constant; or use bpf_loop, bpf_for or may_goto.",
	}
}

func (x *explainer) tooComplex() explanation {
	if len(x.v.pending) > MaxPending {
		return explanation{
			fmt.Sprintf("More than %d branches wait to be explored at once, most of them from %s: a loop leaves one in every round.",
				MaxPending, x.v.where(x.busiest())),
			"Let loops run fewer rounds, or write them with bpf_loop, whose body is verified for all rounds at once.",
		}
	}
	what := fmt.Sprintf("The paths through the program have more than %d instructions together.", MaxInsns)
	const parts = "Move parts into global functions, which are verified once, and tail-call the rest."
	if rounds, from, to := x.running(); rounds > manyRounds {
		x.steps = append(x.steps, x.place(from, fmt.Sprintf("this loop is in round %d", rounds)))
		return explanation{
			fmt.Sprintf("%s Linux follows every round of a loop, and the loop %s is still running in round %d.",
				what, x.v.span(from, to), rounds),
			"Let it run fewer rounds, or write it with bpf_loop or may_goto, whose body is verified for all rounds at once. " + parts,
		}
	}
	if hot, count := x.hottest(); count > 1 {
		what += fmt.Sprintf(" %s was reached in at least %d different states.", upperFirst(x.v.where(hot)), count)
		x.steps = append(x.steps, x.place(hot, fmt.Sprintf("%d different states were kept here", count)))
	}
	return explanation{what, "Variables that differ between paths multiply them: compare less, or let branches come together with the same values. " + parts}
}

// span names the places from one instruction to another: "in lines 14 to 17".
func (v *verifier) span(from, to int) string {
	first, last := 0, 0
	for at := from; at <= to; at++ {
		l := v.lineAt(at)
		if l == nil || l.Line == 0 {
			continue
		}
		if first == 0 || l.Line < first {
			first = l.Line
		}
		last = max(last, l.Line)
	}
	switch {
	case first == 0:
		return fmt.Sprintf("of insns %d to %d", from, to)
	case first == last:
		return fmt.Sprintf("in line %d", first)
	}
	return fmt.Sprintf("in lines %d to %d", first, last)
}

// manyRounds is from how many rounds on a loop is named as what makes a program too complex.
const manyRounds = 1000

// running finds the loop that the current path is in: how often it went around, and the first and
// the last of its instructions.
func (x *explainer) running() (rounds, from, to int) {
	loop := x.v.graph.SCCAt(x.v.insn)
	if loop == 0 {
		return 0, 0, 0
	}
	from = -1
	for at := range x.v.insns {
		if x.v.graph.SCCAt(at) == loop {
			if from < 0 {
				from = at
			}
			to = at
		}
	}
	for _, at := range x.v.path(MaxInsns) {
		if at == from {
			rounds++
		}
	}
	return rounds, from, to
}

// hottest finds the instruction with the most saved states.
func (x *explainer) hottest() (insn, count int) {
	n := make([]int, len(x.v.insns))
	for _, list := range x.v.saved {
		for _, s := range list {
			if s == nil || s.insn < 0 || s.insn >= len(n) {
				continue
			}
			if n[s.insn]++; n[s.insn] > count {
				insn, count = s.insn, n[s.insn]
			}
		}
	}
	return insn, count
}

// busiest finds the instruction that left the most branches.
func (x *explainer) busiest() int {
	n, best := map[int]int{}, -1
	for _, p := range x.v.pending {
		if n[p.prev]++; best < 0 || n[p.prev] > n[best] {
			best = p.prev
		}
	}
	return best
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-32) + s[1:]
}

func (x *explainer) mayGoto() explanation {
	return explanation{"The may_goto instruction is malformed.", "Write it with the macro can_loop or cond_break."}
}

func (x *explainer) unreachable() explanation {
	what := fmt.Sprintf("No path leads to %s.", x.v.where(x.r.Insn))
	if x.r.Insn > 0 {
		if prev := x.v.insns[x.r.Insn-1]; prev.Op == isa.ClassJMP|isa.EXIT || prev.Op == isa.ClassJMP|isa.JA {
			what += " The instruction before leaves for elsewhere, and no jump comes here."
		}
	}
	return explanation{what, "Remove the code. A compiler that left it there took it for reachable, for example after a call of a function that never returns."}
}

func (x *explainer) jumpRange() explanation {
	return explanation{
		fmt.Sprintf("The jump at %s leads out of its function.", x.v.where(x.r.Insn)),
		"Let jumps stay inside of a function; calls are for the rest.",
	}
}

func (x *explainer) jumpWide() explanation {
	return explanation{"A jump leads into the second half of a 16-byte load.", "Correct the distance: such a load counts as two instructions."}
}

func (x *explainer) fallThrough() explanation {
	sub := x.v.functionAt(x.r.Insn)
	return explanation{
		fmt.Sprintf("%s does not end: after its last instruction, it would run on into what follows.", sub),
		"Return at the end of the function. Compiled C lacks it after undefined behaviour, such as an endless loop or a division by a constant zero that the compiler has seen.",
	}
}

// functionAt names the function of an instruction, also before functions were found.
func (v *verifier) functionAt(insn int) string {
	name := "The program"
	for _, f := range v.prog.Funcs {
		if f.Insn <= insn && f.Name != "" {
			name = f.Name + "()"
		}
	}
	return name
}

func (x *explainer) callTarget() explanation {
	return explanation{"A call leads to a place that is no function.", "Link the objects again; the distance of the call is wrong."}
}

func (x *explainer) programSize() explanation {
	return explanation{"The program is larger than Linux takes.", "Split it with tail calls."}
}

func (x *explainer) tailCallBTF() explanation {
	return explanation{
		"A subprogram with a tail call or BPF_LD_ABS needs BTF, so that Linux knows what it returns.",
		"Compile with -g, and do not strip BTF.",
	}
}

func (x *explainer) tailCallReturn() explanation {
	return explanation{
		fmt.Sprintf("%s has a tail call or BPF_LD_ABS, which may end it with a result, so that it must return an int.", x.v.functionAt(x.r.Insn)),
		"Let the function return int, or long.",
	}
}

func (x *explainer) opcode() explanation {
	return explanation{
		fmt.Sprintf("There is no instruction with the opcode 0x%02x.", x.v.insns[x.r.Insn].Op),
		"Compile for an instruction set that the kernel has: -mcpu=v3 is understood by all of the last years.",
	}
}

func (x *explainer) reserved() explanation {
	return explanation{
		"The instruction is malformed: a field that it does not use is not zero, or a number in it is out of range.",
		"Compilers do not make such instructions: look at what assembled or changed the program.",
	}
}

func (x *explainer) unsupported() explanation {
	return explanation{
		fmt.Sprintf("carom's verifier cannot judge this program, because it does not know %s. Linux may accept it.", x.r.Found),
		"Load it into Linux for a verdict. carom runs it in the interpreter, which checks every access.",
	}
}

func (x *explainer) program() explanation {
	if x.r.Found == "" && x.v.sleepable {
		return explanation{
			fmt.Sprintf("A program of type %s cannot be sleepable here.", x.v.prog.Type),
			"Leave out the .s of its section, or attach it with fentry, fexit, LSM, iter or uprobe.",
		}
	}
	if x.r.Found == "" {
		return explanation{}
	}
	return explanation{fmt.Sprintf("A %s cannot be loaded.", x.r.Found), "Use " + x.r.Needed + "; the name of the section decides: SEC(\"xdp\"), SEC(\"tc\"), …"}
}
