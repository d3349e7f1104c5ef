package caromtest

import (
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// EdgeCounts is the name under which Case.Skip leaves out the comparison of tail-call counts.
const EdgeCounts = "edges"

// Verifier is the name under which Case.Skip says why carom's verifier cannot judge the programs of
// a case that engines in user space load unverified for that reason.
const Verifier = "verifier"

// traits are what a case uses, which decides what has to be watched.
type traits struct {
	runs      bool // a step runs a program
	probes    bool
	tailCalls bool
	prints    bool
	records   bool
	cpus      int // that runs take place on
}

// traits looks at the spec of the case. A spec that cannot be made uses nothing.
func (c *Case) traits() traits {
	t := traits{cpus: 1}
	for _, s := range c.Steps {
		t.runs = t.runs || s.Want != nil
		t.probes = t.probes || s.Probe != nil
		t.prints = t.prints || s.Want != nil && s.Want.Trace != nil
		t.cpus = max(t.cpus, s.CPU+1)
	}
	spec, err := c.spec()
	if err != nil {
		return t
	}
	for _, p := range spec.Programs {
		t.tailCalls = t.tailCalls || calls(p, asm.FnTailCall)
		t.prints = t.prints || t.runs && calls(p, asm.FnTracePrintk, asm.FnTraceVprintk)
	}
	for _, m := range spec.Maps {
		t.records = t.records || m.Type == ebpf.PerfEventArray || m.Type == ebpf.RingBuf
	}
	return t
}

// calls reports whether a program calls one of these helpers.
func calls(p *ebpf.ProgramSpec, helpers ...asm.BuiltinFunc) bool {
	return slices.ContainsFunc(p.Instructions, func(ins asm.Instruction) bool {
		return ins.IsBuiltinCall() && slices.Contains(helpers, asm.BuiltinFunc(ins.Constant))
	})
}

// Skipped says why the case leaves an engine out, or with EdgeCounts the comparison of tail-call
// counts, or with Verifier the verification in user space; "" when it does not.
func (c *Case) Skipped(engine string) string {
	if c.Unsafe != "" && (engine == kernel.Name || engine == EdgeCounts) {
		return c.Unsafe
	}
	if engine == Verifier {
		return c.unverified()
	}
	if engine == carom.JIT.Name() && c.Skip[engine] == "" {
		return c.Skip[carom.Interpreter.Name()] // both load with the same verifier
	}
	return c.Skip[engine]
}

// unverified says why carom's verifier does not judge the programs.
func (c *Case) unverified() string {
	switch {
	case c.Skip[Verifier] != "":
		return c.Skip[Verifier]
	case c.Verify == carom.VerifySkip:
		return "Linux rejects the programs; they run unverified"
	}
	return c.Skip[carom.Interpreter.Name()]
}

// CountsEdges reports whether there are tail calls whose counts the engines can be compared by:
// the case runs programs, not only in user space, and they have tail calls.
func (c *Case) CountsEdges() bool {
	runs := slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Want != nil })
	if !runs || c.Refused != nil || c.Skipped(kernel.Name) != "" {
		return false
	}
	if c.Asm != nil && c.Prepare == nil && !slices.ContainsFunc(slices.Collect(maps.Values(c.Asm)), hasTailCall) {
		return false // without assembling the text
	}
	return c.traits().tailCalls
}

func hasTailCall(text string) bool { return strings.Contains(text, "call bpf_tail_call") }
