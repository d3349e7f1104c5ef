package verifier

import "github.com/carom-bpf/carom/internal/verifier/reject"

// stats gives the numbers of the exploration.
func (v *verifier) stats() Stats {
	s := Stats{
		Insns: v.processed, TotalStates: v.total, PeakStates: v.peak, MaxPerInsn: v.maxPerInsn,
		StackDepth: v.deepest,
	}
	if v.graph == nil {
		return s
	}
	for i, g := range v.graph.Subprogs {
		sub := SubprogStats{Name: v.funcName(g.Start), Start: g.Start, End: g.End}
		if i < len(v.subs) {
			sub.Stack = v.subs[i].depth
		}
		s.Subprogs = append(s.Subprogs, sub)
	}
	return s
}

// funcName is the name of the function that starts at an instruction, empty without func_info.
func (v *verifier) funcName(start int) string {
	for _, f := range v.prog.Funcs {
		if f.Insn == start {
			return f.Name
		}
	}
	return ""
}

// verdict is what is known of the program that was accepted.
func (v *verifier) verdict() *Verdict {
	return &Verdict{Stats: v.stats(), Facts: v.facts()}
}

// locate adds the source position to a reason.
func (v *verifier) locate(r *reject.Error) *Error {
	e := &Error{Reason: *r, Program: v.prog.Name}
	if l := v.lineAt(r.Insn); l != nil {
		e.File, e.Line, e.Source = l.File, l.Line, l.Text
	}
	v.explain(e)
	return e
}
