package verifier

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf/btf"
)

// percpuMax is the size of the largest per-CPU object (BPF_GLOBAL_PERCPU_MA_MAX_SIZE,
// kernel/bpf/verifier.c).
const percpuMax = 512

func typeID(n uint64) btf.TypeID { return btf.TypeID(uint32(n)) }

// newObject is the result of bpf_obj_new and bpf_percpu_obj_new: an object of a type of the program.
func (v *verifier) newObject(r0 *reg, c *kfuncCall) *reject.Error {
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(1, CodeArgument, linux.EINVAL, format, args...)
	}
	perCPU := c.special == kfPercpuObjNew
	switch {
	case c.constant != uint64(uint32(c.constant)):
		return deny("local type ID argument must be in range [0, U32_MAX]")
	case len(v.prog.Funcs) == 0:
		return deny("bpf_obj_new/bpf_percpu_obj_new requires prog BTF")
	}
	t := v.prog.Types[typeID(c.constant)]
	s, ok := t.(*btf.Struct)
	if !ok {
		return deny("bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct")
	}
	o := v.ownStruct(s)
	if perCPU {
		switch {
		case s.Size > percpuMax:
			return deny("bpf_percpu_obj_new type size (%d) is greater than %d", s.Size, percpuMax)
		case !linux.OnlyScalars(s):
			return deny("bpf_percpu_obj_new type ID argument must be of a struct of scalars")
		case len(o.fields) > 0:
			return deny("bpf_percpu_obj_new type ID argument must not contain special fields")
		}
	}
	r0.setPointer(PtrToBTFID | MemAlloc)
	if perCPU {
		r0.Type |= MemPercpu
	}
	r0.BTF = o
	return nil
}

// ownStruct returns the object for a structure of the program. Structures of a name are the same.
func (v *verifier) ownStruct(s *btf.Struct) *object {
	if v.prog.Struct != nil && s.Name != "" {
		if t := v.prog.Struct(s.Name); t != nil {
			s = t
		}
	}
	return v.ownType(s)
}

// allocatedArg checks an object of the program that is given up.
func (v *verifier) allocatedArg(i int, c *kfuncCall) *reject.Error {
	n := i + 1
	r := &v.state.regs()[n]
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(n, CodeArgument, linux.EINVAL, format, args...)
	}
	switch r.Type {
	case PtrToBTFID | MemAlloc:
		if c.special != kfObjDrop {
			return deny("arg#%d expected for bpf_obj_drop_impl()", i)
		}
	case PtrToBTFID | MemAlloc | MemPercpu:
		if c.special != kfPercpuObjDrop {
			return deny("arg#%d expected for bpf_percpu_obj_drop_impl()", i)
		}
	default:
		return deny("arg#%d expected pointer to allocated object", i)
	}
	if r.RefID == 0 {
		return deny("allocated object must be referenced")
	}
	c.object = r.BTF
	return nil
}

// refcountedArg checks an object of which one more reference is taken.
func (v *verifier) refcountedArg(i int, c *kfuncCall) *reject.Error {
	n := i + 1
	r := &v.state.regs()[n]
	if !r.Type.ownsObject() {
		return v.failReg(n, CodeArgument, linux.EINVAL, "arg#%d is neither owning or non-owning ref", i)
	}
	c.owning = r.Type&NonOwnRef == 0
	if r.specialField("bpf_refcount") == nil {
		return v.failReg(n, CodeArgument, linux.EINVAL, "arg#%d doesn't point to a type with bpf_refcount field", i)
	}
	c.object = r.BTF
	return nil
}
