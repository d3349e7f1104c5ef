package verifier

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// matchingObject finds the kernel structure that a parameter of a global function means: the one
// of its kind and name, where "___" and what follows does not count (btf_get_ptr_to_btf_id,
// kernel/bpf/btf.c).
func (v *verifier) matchingObject(i int, t btf.Type) (*object, *reject.Error) {
	spec, err := v.prog.Kernel.Spec()
	if err != nil {
		return nil, v.unsupported("kernel structures as arguments without the types (BTF) of a kernel")
	}
	refuse := func(errno linux.Errno, what string) *reject.Error {
		return v.fail(CodeFuncInfo, errno, "arg#%d reference type('%s %s') %s", i, kindName(t), nameOf(t), what)
	}
	name := essentialName(nameOf(t))
	types, _ := spec.AnyTypesByName(name)
	var found btf.Type
	for _, k := range types {
		if kindName(k) != kindName(t) {
			continue
		}
		if found != nil {
			return nil, refuse(linux.ESRCH, "is ambiguous")
		}
		found = k
	}
	if found == nil {
		return nil, refuse(linux.ENOENT, "has no matches")
	}
	return v.typeOf(found), nil
}

// trustedArg is a parameter with the tag arg:trusted.
func (v *verifier) trustedArg(i int, t btf.Type, tags argTag) (subArg, *reject.Error) {
	if tags&tagNonNull != 0 {
		return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d has invalid combination of tags", i)
	}
	o, err := v.matchingObject(i, t)
	if err != nil {
		return subArg{}, err
	}
	a := subArg{kind: linux.ArgPtrToBTFID | linux.PtrTrusted, object: o}
	if tags&tagNullable != 0 {
		a.kind |= linux.PtrMaybeNull
	}
	return a, nil
}

// untrustedArg is a parameter with the tag arg:untrusted: a structure or number that is read
// whatever the address is.
func (v *verifier) untrustedArg(i int, t btf.Type, tags argTag) (subArg, *reject.Error) {
	if tags != tagUntrusted {
		return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d untrusted cannot be combined with any other tags", i)
	}
	switch t.(type) {
	case *btf.Void, *btf.Int, *btf.Enum:
		return subArg{kind: linux.ArgPtrToMem | linux.MemRdonly | linux.PtrUntrusted}, nil
	}
	o, err := v.matchingObject(i, t)
	if err != nil {
		return subArg{}, err
	}
	if composite(o.Type) == nil {
		return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL,
			"arg#%d has type %s '%s', but only struct or primitive types are allowed", i, kindName(o.Type), "")
	}
	return subArg{kind: linux.ArgPtrToBTFID | linux.PtrUntrusted, object: o}, nil
}

// matchObject checks a pointer to an object that is passed to a global function.
func (v *verifier) matchObject(n int, a subArg) *reject.Error {
	if v.state.regs()[n].isNull() && a.kind.Has(linux.PtrMaybeNull) {
		return nil
	}
	if err := v.checkRegType(objectArg{n: n, arg: a.kind, want: a.object}); err != nil {
		return err
	}
	return v.checkRegOffset(n, a.kind)
}

// hookResult checks R0 where an LSM or struct_ops program ends (check_return_code).
func (v *verifier) hookResult(r *reg) *reject.Error {
	const exit = "At program exit"
	h := v.hook
	if h.ops != "" {
		return v.memberResult(r)
	}
	if v.prog.AttachType != ebpf.AttachLSMCgroup {
		low, high := h.resultRange()
		if r.Type == ScalarValue && int64(low) <= int64(r.S32min) && r.S32max <= high {
			return v.markPrecise(0)
		}
		return v.resultWithin(r, low, high, exit)
	}
	if !h.returnsVoid() {
		return v.resultWithin(r, 0, 1, exit)
	}
	err := v.resultWithin(r, 1, 1, exit)
	if err != nil {
		err.Before = append(err.Before, err.Message)
		err.Message = "Note, BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!"
	}
	return err
}

// memberResult checks R0 where a struct_ops program ends: a member that returns a pointer may
// return a referenced object of its type, or NULL.
func (v *verifier) memberResult(r *reg) *reject.Error {
	p, ok := skipModifiers(v.hook.proto.Return).(*btf.Pointer)
	if !ok {
		return nil
	}
	want := skipModifiers(p.Target)
	if r.Type.base() == PtrToBTFID && r.BTF.Type == want && r.RefID != 0 {
		return v.fixedOffset(0, r, false)
	}
	if composite(want) == nil {
		return nil
	}
	return v.resultWithin(r, 0, 0, "At program exit")
}
