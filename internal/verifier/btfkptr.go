package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// isKptr says that a field holds a pointer that bpf_kptr_xchg may move (BPF_KPTR).
func (f *Field) isKptr() bool {
	return f.Kind == FieldKptrUntrusted || f.Kind == FieldKptr || f.Kind == FieldPercpuKptr
}

// pointee returns what a field of a map points to: a structure of the kernel or, if it has none of
// that name, one of the program.
func (v *verifier) pointee(f *Field) *object {
	if t := v.kernelType(f.Target); t != nil {
		return v.typeOf(t)
	}
	return v.ownType(f.Target)
}

// fieldAt returns the field that begins at an offset.
func fieldAt(fields []Field, off int64) *Field {
	for i := range fields {
		if int64(fields[i].Off) == off {
			return &fields[i]
		}
	}
	return nil
}

// fieldAccess checks whether an access may touch the fields of a map value (check_map_access).
// direct is an access by the program itself.
func (v *verifier) fieldAccess(n, off, size int, direct bool) *reject.Error {
	r := &v.state.regs()[n]
	for i := range r.Map.Fields {
		f := &r.Map.Fields[i]
		if r.Smin+int64(off) >= int64(f.Off+f.Size) || uint64(f.Off) >= r.Umax+uint64(off+size) {
			continue
		}
		deny := func(format string, args ...any) *reject.Error {
			return v.failReg(n, CodeMapAccess, linux.EACCES, format, args...)
		}
		at := int64(off) + int64(r.Var.Value)
		switch {
		case f.Kind == FieldStruct:
			return deny("%s cannot be accessed directly by load/store", f.Name)
		case !direct:
			return deny("%s cannot be accessed indirectly by helper", f.Name)
		case !r.Var.IsConst():
			return deny("%s access cannot have variable offset", f.Name)
		case at != int64(f.Off):
			return deny("%s access misaligned expected=%d off=%d", f.Name, f.Off, uint64(at))
		case size != 8:
			return deny("%s access size must be BPF_DW", f.Name)
		}
	}
	return nil
}

// kptrAccess checks a load or store of a pointer in a map (check_map_kptr_access).
func (v *verifier) kptrAccess(a memAccess, f *Field, result *reg) *reject.Error {
	in := v.insns[v.insn]
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(a.reg, CodeMapAccess, linux.EACCES, format, args...)
	}
	load := in.Class() == isa.ClassLDX
	switch {
	case in.Op&0xe0 != isa.ModeMEM:
		return deny("kptr in map can only be accessed using BPF_MEM instruction mode")
	case !load && (f.Kind == FieldKptr || f.Kind == FieldPercpuKptr):
		return deny("store to referenced kptr disallowed")
	case !load && f.Kind == FieldUptr:
		return deny("store to uptr disallowed")
	case in.Class() == isa.ClassST && in.Imm != 0:
		return deny("BPF_ST imm must be 0 when storing to kptr at off=%d", f.Off)
	}
	switch {
	case load && f.Kind == FieldUptr:
		result.setPointer(PtrToMem | MaybeNull)
		result.MemSize, _ = sizeOfType(f.Target)
		result.ID = v.newID()
	case load:
		o := v.pointee(f)
		v.setBTF(result, o, v.kptrFlags(f, o))
	case in.Class() == isa.ClassSTX:
		if v.state.regs()[a.value].isNull() {
			return nil
		}
		if err := v.matchKptr(a.value, f); err != nil {
			err.Errno = linux.EACCES
			return err
		}
	}
	return nil
}

// rcuProtected are the kernel's objects that RCU protects (rcu_protected_types).
var rcuProtected = map[string]bool{
	"prog_test_ref_kfunc": true, "cgroup": true, "bpf_cpumask": true, "task_struct": true, "bpf_crypto_ctx": true,
}

// kptrFlags says how far a pointer is trusted that is loaded from a map (btf_ld_kptr_type).
func (v *verifier) kptrFlags(f *Field, o *object) RegType {
	safe := f.Kind == FieldPercpuKptr || f.Kind == FieldKptr && (!o.Kernel || rcuProtected[o.Name])
	if !safe || !v.inRCU() {
		return MaybeNull | PtrUntrusted
	}
	flags := MaybeNull | MemRCU
	switch {
	case f.Kind == FieldPercpuKptr:
		flags |= MemPercpu
	case !o.Kernel:
		flags |= MemAlloc
	}
	if !o.Kernel && hasGraphNode(o.fields) {
		flags |= NonOwnRef
	}
	return flags
}

// hasGraphNode says that an object may be in a list or tree.
func hasGraphNode(fields []Field) bool {
	for i := range fields {
		if n := fields[i].Name; n == "bpf_list_node" || n == "bpf_rb_node" {
			return true
		}
	}
	return false
}

// matchKptr checks that a register may be stored in a field (map_kptr_match_type).
func (v *verifier) matchKptr(n int, f *Field) *reject.Error {
	r := &v.state.regs()[n]
	want := v.pointee(f)
	allowed := MaybeNull | PtrTrusted | MemRCU
	if f.Kind == FieldKptrUntrusted {
		allowed |= PtrUntrusted
	}
	if r.BTF != nil && !r.BTF.Kernel {
		allowed = MaybeNull | MemAlloc
		if f.Kind == FieldPercpuKptr {
			allowed |= MemPercpu
		}
	}
	name := ""
	bad := func() *reject.Error {
		alternative := ""
		if f.Kind == FieldKptrUntrusted {
			alternative = " or " + (PtrToBTFID | PtrUntrusted).String() + want.Name
		}
		return v.failReg(n, CodeArgument, linux.EINVAL, "invalid kptr access, R%d type=%s%s expected=%s%s%s",
			n, r.Type, name, PtrToBTFID, want.Name, alternative)
	}
	if r.Type.base() != PtrToBTFID || r.Type.flags()&^allowed != 0 {
		return bad()
	}
	name = r.BTF.Name
	if err := v.fixedOffset(n, r, true); err != nil {
		return err
	}
	if !v.holds(r.BTF, int(r.Off), want, f.Kind != FieldKptrUntrusted) {
		return bad()
	}
	return nil
}

// kptrDest finds the field that bpf_kptr_xchg changes (process_kptr_func).
func (v *verifier) kptrDest(n int, meta *callMeta) *reject.Error {
	r := &v.state.regs()[n]
	deny := func(errno linux.Errno, format string, args ...any) *reject.Error {
		return v.failReg(n, CodeArgument, errno, format, args...)
	}
	var fields []Field
	if r.Type.ownsObject() {
		fields = r.BTF.fields
	} else {
		if r.Map.Value == nil {
			return deny(linux.EINVAL, "map '%s' has to have BTF in order to use bpf_kptr_xchg", r.Map.Name)
		}
		fields = r.Map.Fields
		meta.m = r.Map
	}
	any := false
	for i := range fields {
		any = any || fields[i].isKptr()
	}
	at := int64(r.Off) + int64(r.Var.Value)
	switch {
	case !r.Var.IsConst():
		return deny(linux.EINVAL, "R%d doesn't have constant offset. kptr has to be at the constant offset", n)
	case !any:
		return deny(linux.EINVAL, "R%d has no valid kptr", n)
	}
	f := fieldAt(fields, at)
	switch {
	case f == nil || !f.isKptr():
		return deny(linux.EACCES, "off=%d doesn't point to kptr", at)
	case f.Kind == FieldKptrUntrusted:
		return deny(linux.EACCES, "off=%d kptr isn't referenced kptr", at)
	}
	meta.kptr = f
	return nil
}

// keepPerCPU keeps pointers to a per-CPU object of the program that is handed over to a map: under
// RCU it stays where it is (the case of bpf_kptr_xchg in check_helper_call).
func (v *verifier) keepPerCPU(ref uint32) {
	v.state.eachReg(func(r *reg) {
		if r.RefID == ref && r.Type&MemAlloc != 0 && r.Type&MemPercpu != 0 {
			r.RefID = 0
			r.Type = r.Type&^MemAlloc | MemRCU
		}
	})
}
