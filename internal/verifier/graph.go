package verifier

import (
	"fmt"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf/btf"
)

// graphRoot is the head of a list, or the root of a tree, and what its nodes are in
// (struct btf_field_graph_root).
type graphRoot struct {
	tree   bool
	object *object // that the nodes are in
	node   uint32  // offset of the node in it
}

// rootName and nodeName are the kernel's structures.
func (g *graphRoot) rootName() string {
	if g.tree {
		return "bpf_rb_root"
	}
	return "bpf_list_head"
}

func (g *graphRoot) nodeName() string {
	if g.tree {
		return "bpf_rb_node"
	}
	return "bpf_list_node"
}

// graphArg checks the argument of a function on lists or trees.
func (v *verifier) graphArg(i int, kind kfuncArg, c *kfuncCall) *reject.Error {
	n := i + 1
	r := &v.state.regs()[n]
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(n, CodeArgument, linux.EINVAL, format, args...)
	}
	owned := r.Type == PtrToBTFID|MemAlloc
	switch kind {
	case kargListHead, kargRbRoot:
		switch {
		case r.Type != PtrToMapValue && !owned:
			return deny("arg#%d expected pointer to map value or allocated object", i)
		case owned && r.RefID == 0:
			return deny("allocated object must be referenced")
		}
		return v.rootArg(n, kind == kargRbRoot, c)
	case kargRbNode:
		if c.special != kfRbtreeAdd {
			switch {
			case !r.Type.ownsObject() || r.Type&NonOwnRef == 0 && r.RefID == 0, r.Type&NonOwnRef == 0 && r.RefID == 0:
				return deny("%s can only take non-owning or refcounted bpf_rb_node pointer", c.fn.Name)
			case v.inTreeCallback():
				return deny("%s not allowed in rbtree cb", c.fn.Name)
			}
			return v.nodeArg(n, c)
		}
	}
	switch {
	case !owned:
		return deny("arg#%d expected pointer to allocated object", i)
	case r.RefID == 0:
		return deny("allocated object must be referenced")
	}
	return v.nodeArg(n, c)
}

// rootArg checks the head of a list or the root of a tree: its lock must be held
// (__process_kf_arg_ptr_to_graph_root).
func (v *verifier) rootArg(n int, tree bool, c *kfuncCall) *reject.Error {
	r := &v.state.regs()[n]
	g := graphRoot{tree: tree}
	name := g.rootName()
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(n, CodeArgument, linux.EINVAL, format, args...)
	}
	if !r.Var.IsConst() {
		return deny("R%d doesn't have constant offset. %s has to be at the constant offset", n, name)
	}
	at := uint32(int64(r.Off) + int64(r.Var.Value))
	f := fieldAt(r.specialFields(), int64(at))
	if f == nil || f.Name != name {
		return deny("%s not found at offset=%d", name, at)
	}
	if !v.state.anyLock(r.ID, r.lockOwner()) {
		var e *reject.Error
		off := int64(-22)
		if l := r.specialField("bpf_spin_lock"); l != nil {
			off = int64(l.Off)
		}
		e = deny("bpf_spin_lock at off=%d must be held for %s", off, name)
		e.Code = CodeLock
		if v.state.locks.Spin > 0 {
			e.Before = []string{"held lock and object are not in the same allocation"}
		}
		return e
	}
	t := btf.Type(nil)
	if r.Type == PtrToMapValue {
		t = r.Map.Value
	} else {
		t = r.BTF.Type
	}
	if !v.graphContents(&g, t, at) {
		return v.unsupported(fmt.Sprintf("what the list or tree at offset %d contains", at))
	}
	c.root = &g
	return nil
}

// graphContents reads what the nodes of a list or tree are in from the declaration tag
// "contains:STRUCT:MEMBER" (btf_find_graph_root).
func (v *verifier) graphContents(g *graphRoot, t btf.Type, at uint32) bool {
	for _, tag := range tagsAt(t, at) {
		text, ok := strings.CutPrefix(tag, "contains:")
		if !ok {
			continue
		}
		name, member, ok := strings.Cut(text, ":")
		if !ok || v.prog.Struct == nil {
			return false
		}
		s := v.prog.Struct(name)
		if s == nil {
			return false
		}
		for i := range s.Members {
			if t, ok := s.Members[i].Type.(*btf.Struct); ok && s.Members[i].Name == member && t.Name == g.nodeName() {
				g.object, g.node = v.ownStruct(s), uint32(s.Members[i].Offset.Bytes())
				return true
			}
		}
	}
	return false
}

// tagsAt returns the declaration tags of the member or variable at an offset.
func tagsAt(t btf.Type, at uint32) []string {
	switch s := skipModifiers(t).(type) {
	case *btf.Datasec:
		for _, v := range s.Vars {
			variable, ok := v.Type.(*btf.Var)
			if !ok || at < v.Offset || at >= v.Offset+v.Size {
				continue
			}
			if _, isArray := skipModifiers(variable.Type).(*btf.Array); isArray || at == v.Offset && len(variable.Tags) > 0 {
				if len(variable.Tags) > 0 {
					return variable.Tags
				}
			}
			return tagsAt(variable.Type, at-v.Offset)
		}
	case *btf.Array:
		size, ok := sizeOfType(skipModifiers(s.Type))
		if ok && size > 0 {
			return tagsAt(s.Type, at%size)
		}
	case *btf.Struct:
		for i := range s.Members {
			m := &s.Members[i]
			off := uint32(m.Offset.Bytes())
			size, ok := sizeOfMember(m.Type)
			if !ok || at < off || at >= off+size {
				continue
			}
			if len(m.Tags) > 0 {
				return m.Tags
			}
			return tagsAt(m.Type, at-off)
		}
	}
	return nil
}

func sizeOfMember(t btf.Type) (uint32, bool) {
	n, err := btf.Sizeof(t)
	return uint32(n), err == nil && n > 0
}

// nodeArg checks a node of a list or tree (__process_kf_arg_ptr_to_graph_node).
func (v *verifier) nodeArg(n int, c *kfuncCall) *reject.Error {
	r := &v.state.regs()[n]
	g := c.root
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(n, CodeArgument, linux.EINVAL, format, args...)
	}
	if !r.Var.IsConst() {
		return deny("R%d doesn't have constant offset. %s has to be at the constant offset", n, g.nodeName())
	}
	at := uint32(int64(r.Off) + int64(r.Var.Value))
	if f := fieldAt(r.specialFields(), int64(at)); f == nil || f.Name != g.nodeName() {
		return deny("%s not found at offset=%d", g.nodeName(), at)
	}
	if r.BTF != g.object {
		return deny("operation on %s expects arg#1 %s at offset=%d in struct %s, but arg is at offset=%d in struct %s",
			g.rootName(), g.nodeName(), g.node, g.object.Name, at, r.BTF.Name)
	}
	if at != g.node {
		return deny("arg#1 offset=%d, but expected %s at offset=%d in struct %s", at, g.nodeName(), g.node, g.object.Name)
	}
	c.object = r.BTF
	return nil
}

// setNode makes r a node of a list or tree (mark_reg_graph_node).
func (v *verifier) setNode(r *reg, g *graphRoot) {
	r.setPointer(PtrToBTFID | MemAlloc)
	r.BTF = g.object
	r.Off = int32(g.node)
}

// setNonOwning makes r a reference that is valid as long as the lock is held (ref_set_non_owning).
func (v *verifier) setNonOwning(r *reg) {
	r.Type |= NonOwnRef
	if r.specialField("bpf_refcount") != nil {
		r.Type |= MemRCU
	}
}

// toNonOwning makes all registers of a reference non-owning ones: the object now belongs to a list
// or tree (ref_convert_owning_non_owning).
func (v *verifier) toNonOwning(id uint32) {
	v.state.eachReg(func(r *reg) {
		if id != 0 && r.RefID == id {
			r.RefID = 0
			v.setNonOwning(r)
		}
	})
}
