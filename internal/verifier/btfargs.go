package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf/btf"
)

// objectArg is a pointer to an object that a function takes.
type objectArg struct {
	n    int // register
	arg  linux.ArgType
	want *object
	// helper is the helper that takes it, nil for functions of the program.
	helper *linux.Proto
	kptr   *Field // bpf_kptr_xchg: the field that it goes to
}

// checkObjectArg checks a register of kind PtrToBTFID, which the argument takes, against the
// object that is wanted (the second half of check_reg_type).
func (v *verifier) checkObjectArg(a objectArg) *reject.Error {
	r := &v.state.regs()[a.n]
	switch a.arg.Base() {
	case linux.ArgPtrToMapKey, linux.ArgPtrToMapValue, linux.ArgPtrToMem:
		if !a.arg.Has(linux.MemRdonly) {
			return v.failReg(a.n, CodeArgument, linux.EACCES,
				"%s() may write into memory pointed by R%d type=%s", a.helper.Name, a.n, r.Type)
		}
		return nil
	}
	switch r.Type &^ MaybeNull {
	case PtrToBTFID, PtrToBTFID | PtrTrusted, PtrToBTFID | MemRCU:
	case PtrToBTFID | MemAlloc, PtrToBTFID | MemPercpu | MemAlloc:
		if a.kptr != nil {
			return v.matchKptr2(a)
		}
		return nil
	default:
		return nil
	}
	release := a.arg.Has(linux.ObjRelease)
	if r.Type.mayBeNull() && (!a.arg.Has(linux.PtrMaybeNull) || release) {
		return v.failReg(a.n, CodeArgument, linux.EACCES, "Possibly NULL pointer passed to helper arg%d", a.n)
	}
	if a.kptr != nil {
		return v.matchKptr2(a)
	}
	strict := release && (a.helper == nil || a.helper.ID != linux.FuncSKRelease)
	if v.holds(r.BTF, int(r.Off), a.want, strict) {
		return nil
	}
	if r.BTF.Type == nil || a.want.Type == nil {
		if r.BTF.Name != a.want.Name || r.Off != 0 {
			return v.unsupported("arguments that point to kernel structures without the types (BTF) of a kernel")
		}
		return nil
	}
	return v.failReg(a.n, CodeArgument, linux.EACCES, "R%d is of type %s but %s is expected", a.n, r.BTF, a.want)
}

func (v *verifier) matchKptr2(a objectArg) *reject.Error {
	err := v.matchKptr(a.n, a.kptr)
	if err != nil {
		err.Errno = linux.EACCES
	}
	return err
}

// wantedObject returns the kernel structure that an argument of a helper must be.
func (v *verifier) wantedObject(arg linux.ArgType, name string) *object {
	if name == "" && arg.Base() == linux.ArgPtrToBTFIDSockCommon {
		name = "sock_common"
	}
	return v.named(name)
}

// perCPUResult makes R0 the variable of one CPU that a per-CPU pointer leads to
// (RET_PTR_TO_MEM_OR_BTF_ID).
func (v *verifier) perCPUResult(r0 *reg, meta *callMeta, flags RegType) *reject.Error {
	o := meta.object
	t := skipModifiers(o.Type)
	if composite(t) == nil {
		size, ok := sizeOfType(t)
		if !ok {
			return v.fail(CodeArgument, linux.EINVAL, "unable to resolve the size of type '%s': -22", nameOf(t))
		}
		r0.setPointer(PtrToMem | flags)
		r0.MemSize = size
		return nil
	}
	if meta.allocated {
		r0.setPointer(PtrToBTFID | MemAlloc | MemRCU)
	} else {
		r0.setPointer(PtrToBTFID | flags&^MemRdonly)
	}
	r0.BTF = o
	return nil
}

// Ksym is a kernel symbol that a wide load refers to (extern … __ksym).
type Ksym struct {
	Name string
	// Typed says that the program declares a type: the verifier then knows what is there. The
	// address of others is only a number.
	Typed bool
}

// wideBTF interprets a wide load of a kernel variable (check_pseudo_btf_id, check_ld_imm). What a
// loader does before, finding the variable in the kernel's BTF by its name, is done here.
func (v *verifier) wideBTF(in isa.Insn, dst *reg) *reject.Error {
	sym, ok := v.prog.Ksyms[v.insn]
	if !ok {
		return v.unsupported("addresses of kernel variables that have no name")
	}
	if !sym.Typed {
		dst.setUnknown()
		return nil
	}
	if _, err := v.prog.Kernel.Spec(); err != nil {
		return v.unsupported("kernel variables without the types (BTF) of a kernel")
	}
	variable, ok := find[*btf.Var](v.prog.Kernel, sym.Name)
	if !ok {
		if _, isFunc := find[*btf.Func](v.prog.Kernel, sym.Name); isFunc {
			dst.setPointer(PtrToMem | MemRdonly)
			return nil
		}
		// Loaders put 0 for a weak symbol and do not load programs that need others.
		dst.setConst(0)
		return nil
	}
	t := skipModifiers(variable.Type)
	switch {
	case v.isPerCPU(variable):
		dst.setPointer(PtrToBTFID | MemPercpu)
		dst.BTF = v.typeOf(variable.Type)
	case composite(t) != nil:
		dst.setPointer(PtrToBTFID)
		dst.BTF = v.typeOf(variable.Type)
	default:
		size, ok := sizeOfType(t)
		if !ok {
			return v.fail(CodeArgument, linux.EINVAL, "ldimm64 unable to resolve the size of type '%s': -22", nameOf(t))
		}
		dst.setPointer(PtrToMem | MemRdonly)
		dst.MemSize = size
	}
	return nil
}

// isPerCPU says that a variable is in the section of per-CPU variables.
func (v *verifier) isPerCPU(variable *btf.Var) bool {
	section, ok := find[*btf.Datasec](v.prog.Kernel, ".data..percpu")
	if !ok {
		return false
	}
	for i := range section.Vars {
		if section.Vars[i].Type == btf.Type(variable) {
			return true
		}
	}
	return false
}
