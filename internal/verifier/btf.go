package verifier

import (
	"errors"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"
)

// KernelTypes is the BTF of a kernel. It is read when a program first needs it, which takes a
// while, and may be shared by verifications that run at the same time.
type KernelTypes struct {
	load func() (*btf.Spec, error)
}

// NewKernelTypes returns types that load reads when they are first needed.
func NewKernelTypes(load func() (*btf.Spec, error)) *KernelTypes {
	return &KernelTypes{load: sync.OnceValues(load)}
}

// errNoTypes says that a program was handed over without the types of a kernel.
var errNoTypes = errors.New("no kernel types were given")

// Spec returns the types.
func (k *KernelTypes) Spec() (*btf.Spec, error) {
	if k == nil {
		return nil, errNoTypes
	}
	return k.load()
}

// find returns the type of a name and kind with the lowest id, nil where there is none
// (btf_find_by_name_kind).
func find[T btf.Type](k *KernelTypes, name string) (found T, ok bool) {
	if name == "" { // before the types are read, which takes long
		return found, false
	}
	spec, err := k.Spec()
	if err != nil {
		return found, false
	}
	types, err := spec.AnyTypesByName(name)
	if err != nil {
		return found, false
	}
	lowest := ^btf.TypeID(0)
	for _, t := range types {
		x, isT := t.(T)
		if !isT || t.TypeName() != name {
			continue
		}
		if id, err := spec.TypeID(t); err == nil && id < lowest {
			found, ok, lowest = x, true, id
		}
	}
	return found, ok
}

// object is what a pointer of kind PtrToBTFID points to: a type of the kernel or, for objects
// that the program allocates, one of its own. Registers are compared by its address, so there
// is one of each type.
type object struct {
	Type   btf.Type // nil where only the name is known
	Name   string
	Kernel bool
	safe   *safeFields
	fields []Field // special members of a type of the program
}

// String returns the name as the log prints it.
func (o *object) String() string {
	if o == nil {
		return ""
	}
	return o.Name
}

// isStruct says that the object is a structure or union, behind qualifiers.
func (o *object) isStruct() bool {
	return o != nil && composite(skipModifiers(o.Type)) != nil
}

// typeOf returns the object for a type of the kernel.
func (v *verifier) typeOf(t btf.Type) *object {
	if o := v.objects[t]; o != nil {
		return o
	}
	return v.intern(t, &object{Type: t, Name: t.TypeName(), Kernel: true})
}

// ownType returns the object for a type of the program.
func (v *verifier) ownType(t btf.Type) *object {
	if o := v.objects[t]; o != nil {
		return o
	}
	return v.intern(t, &object{Type: t, Name: t.TypeName(), fields: Fields(t)})
}

func (v *verifier) intern(t btf.Type, o *object) *object {
	if v.objects == nil {
		v.objects = map[btf.Type]*object{}
	}
	v.objects[t] = o
	return o
}

// named returns the kernel's structure of a name; where its types are not known, an object of
// which there is only the name.
func (v *verifier) named(name string) *object {
	if o := v.byName[name]; o != nil {
		return o
	}
	if v.byName == nil {
		v.byName = map[string]*object{}
	}
	o := &object{Name: name, Kernel: true}
	if s, ok := find[*btf.Struct](v.prog.Kernel, name); ok {
		o = v.typeOf(s)
	}
	v.byName[name] = o
	return o
}

// kernelType returns the kernel's structure or union with the name and kind of a program's type,
// nil where there is none.
func (v *verifier) kernelType(t btf.Type) btf.Type {
	switch t := t.(type) {
	case *btf.Struct:
		if s, ok := find[*btf.Struct](v.prog.Kernel, t.Name); ok {
			return s
		}
	case *btf.Union:
		if u, ok := find[*btf.Union](v.prog.Kernel, t.Name); ok {
			return u
		}
	}
	return nil
}

// layout is a structure or union.
type layout struct {
	name    string
	size    uint32
	members []btf.Member
	union   bool
}

// composite returns the layout of a structure or union, nil for other types.
func composite(t btf.Type) *layout {
	switch s := t.(type) {
	case *btf.Struct:
		return &layout{shownName(s.Name), s.Size, s.Members, false}
	case *btf.Union:
		return &layout{shownName(s.Name), s.Size, s.Members, true}
	}
	return nil
}

// shownName is a name in messages.
func shownName(name string) string {
	if name == "" {
		return "(anon)"
	}
	return name
}

// tagOf returns the tag that stands directly behind a pointer.
func tagOf(p *btf.Pointer) string {
	if tag, ok := p.Target.(*btf.TypeTag); ok {
		return tag.Value
	}
	return ""
}

// flagOfTag is what the tags __user, __percpu and __rcu say of a pointer.
func flagOfTag(tag string) RegType {
	switch tag {
	case "user":
		return MemUser
	case "percpu":
		return MemPercpu
	case "rcu":
		return MemRCU
	}
	return 0
}

// safeFields are the members of a structure that stay trusted when they are read, by the
// suffixes of the structures in which the kernel lists them (BTF_TYPE_SAFE_RCU and the others
// in kernel/bpf/verifier.c).
type safeFields [4]map[string]btf.Type

// Which list a member is in.
const (
	safeTrusted = iota
	safeTrustedOrNull
	safeRCU
	safeRCUOrNull
)

var safeSuffixes = [4]string{"__safe_trusted", "__safe_trusted_or_null", "__safe_rcu", "__safe_rcu_or_null"}

// isSafe says that a member that points to target is in a list (btf_nested_type_is_trusted).
func (v *verifier) isSafe(o *object, list int, member string, target btf.Type) bool {
	if o.safe == nil {
		o.safe = &safeFields{}
		for i, suffix := range safeSuffixes {
			o.safe[i] = v.safeMembers(o, suffix)
		}
	}
	t, ok := o.safe[list][member]
	return ok && t == target
}

func (v *verifier) safeMembers(o *object, suffix string) map[string]btf.Type {
	if !o.Kernel {
		return nil
	}
	s, ok := find[*btf.Struct](v.prog.Kernel, o.Name+suffix)
	if !ok {
		return nil
	}
	members := map[string]btf.Type{}
	for _, m := range s.Members {
		if p, ok := m.Type.(*btf.Pointer); ok {
			members[m.Name] = skipModifiers(p.Target)
		}
	}
	return members
}

// essentialName cuts the flavour "___…" from the name of a type.
func essentialName(name string) string {
	if i := strings.LastIndex(name, "___"); i > 0 {
		return name[:i]
	}
	return name
}
