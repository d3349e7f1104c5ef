package verifier

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/isa"
)

// Limits of the path that is shown.
const (
	maxSteps    = 12 // places in all
	maxBranches = 5  // branches, the last ones
)

// path lists the places that led to the rejection, oldest first.
func (x *explainer) path() []PathStep {
	if x.t == nil || len(x.t.insns) == 0 {
		return x.steps
	}
	why := map[int]string{}
	for _, n := range x.relevant() {
		x.chain(n, why, 0)
	}
	x.branches(why)
	for i, insn := range x.t.insns {
		if s := x.notes[insn]; s != "" {
			why[i] = s
		}
	}
	for _, m := range x.t.marks {
		if x.usesPacket() {
			x.addWhy(why, m.at, "packet pointers became invalid here: "+x.callName(x.t.insns[m.at])+"() may move the packet")
		}
	}
	last := len(x.t.insns) - 1
	var at []int
	for i := range last {
		if why[i] != "" {
			at = append(at, i)
		}
	}
	if len(at) > maxSteps {
		at = append(at[:1:1], at[len(at)-maxSteps+1:]...)
	}
	var out []PathStep
	for _, i := range at {
		s := x.place(x.t.insns[i], why[i])
		if n := len(out); n > 0 && out[n-1].Insn == s.Insn && out[n-1].Why == s.Why {
			continue
		}
		out = append(out, s)
	}
	if out = append(out, x.steps...); len(out) == 0 {
		return nil // the place itself says it all
	}
	return append(out, x.place(x.t.insns[last], "rejected here"))
}

// place makes a step of an instruction.
func (x *explainer) place(insn int, why string) PathStep {
	s := PathStep{Insn: insn, Why: why, Text: x.disassemble(insn)}
	if l := x.v.lineAt(insn); l != nil {
		s.File, s.Line = l.File, l.Line
		if l.Text != "" {
			s.Text = l.Text
		}
	}
	return s
}

func (x *explainer) disassemble(insn int) string {
	var next isa.Insn
	if insn+1 < len(x.v.insns) {
		next = x.v.insns[insn+1]
	}
	text := isa.Disassemble(x.v.insns[insn], next, isa.Names{PC: insn, Map: func(load isa.Insn) string {
		if m := x.v.mapOf(load); m != nil {
			return m.Name
		}
		return ""
	}})
	if len(text) > 5 {
		return text[5:] // without the opcode
	}
	return text
}

// relevant lists the values that the rejection is about.
func (x *explainer) relevant() []*node {
	var out []*node
	add := func(r int) {
		if n := x.node(r); n != nil {
			out = append(out, n)
		}
	}
	if x.r.Reg >= 0 {
		add(x.r.Reg)
	}
	in := x.v.insns[x.r.Insn]
	switch {
	case x.r.Code == CodePointerMath || x.r.Code == CodeUnbounded:
		add(int(in.Dst))
		if in.Op&isa.SrcReg != 0 {
			add(int(in.Src))
		}
	case x.r.Code == CodeArgument && x.r.Reg > 1 && x.node(x.r.Reg) != nil && x.t.regs[x.r.Reg].Type == ScalarValue:
		add(x.r.Reg - 1)
	}
	return out
}

// usesPacket says that a packet pointer that became a number is involved.
func (x *explainer) usesPacket() bool {
	for _, n := range x.relevant() {
		if n.kind == fromMovedData || n.kind == fromMath && n.from[0] != nil && n.from[0].kind == fromMovedData {
			return true
		}
	}
	return false
}

// chain notes where a value and those it was made of come from.
func (x *explainer) chain(n *node, why map[int]string, depth int) {
	if n == nil || n.at < 0 || depth > 6 {
		return
	}
	for _, from := range x.inputs(n, 0) {
		if (n.kind != fromMemory || depth == 0 && n.ptr.Type.base() != PtrToCtx) && n.kind != fromCall {
			x.chain(from, why, depth+1)
		}
	}
	if s := x.made(n); s != "" {
		x.addWhy(why, n.at, s)
	}
}

// inputs lists what a value was made of. One expression is one step: what was computed on the way
// is left out.
func (x *explainer) inputs(n *node, depth int) []*node {
	var out []*node
	for _, from := range n.from {
		switch {
		case from == nil:
		case depth < 8 && from.kind == fromMath && n.kind == fromMath && x.sameLine(from, n):
			out = append(out, x.inputs(from, depth+1)...)
		default:
			out = append(out, from)
		}
	}
	return out
}

// sameLine says that two values were made in the same source line.
func (x *explainer) sameLine(a, b *node) bool {
	la, lb := x.v.lineAt(x.t.insns[a.at]), x.v.lineAt(x.t.insns[b.at])
	return la != nil && lb != nil && la.Line == lb.Line
}

func (x *explainer) addWhy(why map[int]string, at int, s string) {
	if why[at] == "" {
		why[at] = s
	}
}

// made says how a value came to be.
func (x *explainer) made(n *node) string {
	in := x.insnOf(n)
	dst := fmt.Sprintf("R%d", in.Dst)
	if name := x.variable(n); name != "" {
		dst = name
	}
	switch n.kind {
	case fromConst:
		if in.Class() == isa.ClassST {
			return ""
		}
		return fmt.Sprintf("%s = %d", dst, int64(n.val.Var.Value))
	case fromAddress:
		return dst + " = " + x.origin(n)
	case fromMemory:
		if s := x.memory(n); s != "" {
			if n.val.Type != ScalarValue {
				return fmt.Sprintf("%s = %s: %s", dst, s, kindPhrase(&n.val))
			}
			return fmt.Sprintf("%s = %s (%s)", dst, s, rangeText(&n.val))
		}
	case fromCall:
		if name := x.variable(n); name == "" {
			dst = "R0"
		}
		s := dst + " = " + x.callText(n)
		switch {
		case n.val.Type.mayBeNull():
			return s + " may return NULL"
		case n.val.Type == ScalarValue:
			return s + ": " + rangeText(&n.val)
		}
		return s
	case fromMath:
		return x.computed(n, in, dst)
	case fromClobber:
		if x.insnOf(n).Op == opCall {
			return "the call of " + x.callName(x.t.insns[n.at]) + "() overwrites R0 to R5"
		}
	case fromReleased:
		return x.callName(x.t.insns[n.at]) + "() gives it up here"
	case fromMovedData:
		return "packet pointers became invalid here: " + x.callName(x.t.insns[n.at]) + "() may move the packet"
	}
	return ""
}

// computed says what arithmetic made.
func (x *explainer) computed(n *node, in isa.Insn, dst string) string {
	if n.val.Type == ScalarValue {
		return fmt.Sprintf("%s is now %s", dst, rangeText(&n.val))
	}
	if n.val.Var.IsConst() {
		return fmt.Sprintf("%s = %s at offset %d", dst, kindPhrase(&n.val), int64(n.val.Off)+int64(n.val.Var.Value))
	}
	return fmt.Sprintf("%s = %s plus a variable offset (%s)", dst, kindPhrase(&n.val), rangeText(&n.val))
}

// branches notes the last conditional jumps of the path.
func (x *explainer) branches(why map[int]string) {
	if len(x.t.to) == 0 {
		return
	}
	left := maxBranches
	for i := len(x.t.insns) - 2; i >= 0 && left > 0; i-- {
		if x.t.to[i] == 0 {
			continue
		}
		left--
		if why[i] != "" {
			continue
		}
		cond := x.disassemble(x.t.insns[i])
		truth := "does not hold"
		if x.t.to[i] == 1 {
			truth = "holds"
		}
		if k := len(cond); k > 0 {
			cond = condition(cond)
		}
		why[i] = fmt.Sprintf("this branch: %s %s, on to %s", cond, truth, x.v.where(x.t.insns[i+1]))
	}
}

// condition cuts a jump down to what it compares.
func condition(text string) string {
	const begin = "if "
	if len(text) < len(begin) || text[:len(begin)] != begin {
		return text
	}
	text = text[len(begin):]
	for i := 0; i+6 <= len(text); i++ {
		if text[i:i+6] == " goto " {
			return text[:i]
		}
	}
	return text
}
