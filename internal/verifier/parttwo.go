package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// What follows needs rules that this verifier does not have: kernel functions and accesses
// through BTF types. It is refused, with an error that says so.

// kfuncCallee describes a kernel function to the control flow analysis.
func (v *verifier) kfuncCallee(isa.Insn) cfg.Callee { return cfg.Callee{} }

// callKfunc interprets a call of a kernel function.
func (v *verifier) callKfunc(in isa.Insn) (flow, *reject.Error) {
	if name := v.prog.Kfuncs[in.Imm]; name != "" {
		return flowNext, v.unsupported("the kernel function " + name)
	}
	return flowNext, v.unsupported("kernel functions")
}

// wideBTF interprets a wide load of a kernel variable.
func (v *verifier) wideBTF(isa.Insn, *reg) *reject.Error {
	return v.unsupported("addresses of kernel variables")
}

// btfAccess checks an access through a pointer to a kernel structure.
func (v *verifier) btfAccess(memAccess, *reg, *reg) *reject.Error {
	return v.unsupported("accesses to kernel structures")
}

// btfContext checks an access to a context that BTF describes.
func (v *verifier) btfContext(memAccess, *reg) *reject.Error {
	return v.unsupported("contexts that BTF describes")
}

// mapStructAccess checks a read of a map's own structure.
func (v *verifier) mapStructAccess(memAccess, *reg, *reg) *reject.Error {
	return v.unsupported("reads of the structure of a map")
}
