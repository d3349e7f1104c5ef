package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// What follows needs rules that this verifier does not have: kernel functions.
// It is refused, with an error that says so.

// kfuncCallee describes a kernel function to the control flow analysis.
func (v *verifier) kfuncCallee(isa.Insn) cfg.Callee { return cfg.Callee{} }

// callKfunc interprets a call of a kernel function.
func (v *verifier) callKfunc(in isa.Insn) (flow, *reject.Error) {
	if name := v.prog.Kfuncs[in.Imm]; name != "" {
		return flowNext, v.unsupported("the kernel function " + name)
	}
	return flowNext, v.unsupported("kernel functions")
}
