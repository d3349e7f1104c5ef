package verifier

import (
	"slices"

	"github.com/cilium/ebpf/btf"
)

// FieldKind is what a special field of a map value or object holds beside the structures that
// Field.Name names.
type FieldKind uint8

// Kinds of field.
const (
	FieldStruct        FieldKind = iota // a structure of the kernel, as Name says
	FieldKptrUntrusted                  // __kptr_untrusted: a pointer that nobody owns
	FieldKptr                           // __kptr: a reference that the map owns
	FieldPercpuKptr                     // __percpu_kptr: a reference to a per-CPU object
	FieldUptr                           // __uptr: memory of user space that is shared with the program
)

// maxFields is how many special fields Linux takes in one type (BTF_FIELDS_MAX,
// include/linux/bpf.h).
const maxFields = 11

// fieldNames are the structures that programs reach through helpers only (btf_get_field_type,
// kernel/bpf/btf.c).
var fieldNames = []string{
	"bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_list_head", "bpf_list_node",
	"bpf_rb_root", "bpf_rb_node", "bpf_refcount", "bpf_task_work",
}

// Fields returns the special fields of a map value, a data section or a structure, by offset
// (btf_parse_fields, kernel/bpf/btf.c).
func Fields(t btf.Type) []Field {
	var fields []Field
	switch s := skipModifiers(t).(type) {
	case *btf.Struct:
		fields = structFields(nil, s, 0, 0)
	case *btf.Datasec:
		for _, v := range s.Vars {
			if variable, ok := v.Type.(*btf.Var); ok {
				fields = fieldsAt(fields, variable.Type, v.Offset, 0)
			}
		}
	}
	slices.SortStableFunc(fields, func(a, b Field) int { return int(a.Off) - int(b.Off) })
	return fields
}

func structFields(fields []Field, s *btf.Struct, base uint32, depth int) []Field {
	for i := range s.Members {
		fields = fieldsAt(fields, s.Members[i].Type, base+uint32(s.Members[i].Offset/8), depth)
	}
	return fields
}

// fieldsAt adds the fields of a member or variable. Elements of arrays have fields of their own.
func fieldsAt(fields []Field, t btf.Type, off uint32, depth int) []Field {
	n := uint32(1)
	for {
		a, ok := t.(*btf.Array)
		if !ok {
			break
		}
		n *= a.Nelems
		t = a.Type
	}
	size, ok := sizeOfType(skipModifiers(t))
	if !ok {
		return fields
	}
	for i := range min(n, maxFields) {
		at := off + i*size
		if f, ok := pointerField(t, at); ok {
			fields = append(fields, f)
			continue
		}
		s, ok := t.(*btf.Struct)
		switch {
		case !ok:
			return fields
		case slices.Contains(fieldNames, s.Name):
			fields = append(fields, Field{Name: s.Name, Off: at, Size: s.Size})
		case depth < 4:
			fields = structFields(fields, s, at, depth+1)
		}
	}
	return fields
}

// pointerField reads the tag of a pointer that a map owns (btf_find_kptr).
func pointerField(t btf.Type, off uint32) (Field, bool) {
	if v, ok := t.(*btf.Volatile); ok {
		t = v.Type
	}
	p, ok := t.(*btf.Pointer)
	if !ok {
		return Field{}, false
	}
	f := Field{Name: "kptr", Off: off, Size: 8, Target: skipModifiers(p.Target)}
	switch tagOf(p) {
	case "kptr_untrusted":
		f.Kind = FieldKptrUntrusted
	case "kptr":
		f.Kind = FieldKptr
	case "percpu_kptr":
		f.Kind, f.Name = FieldPercpuKptr, "percpu_kptr"
	case "uptr":
		f.Kind, f.Name = FieldUptr, "uptr"
	default:
		return Field{}, false
	}
	return f, composite(f.Target) != nil
}
