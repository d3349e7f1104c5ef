package btfval

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// Limits against types that a broken object may hold.
const (
	maxDepth  = 64      // nesting of types
	maxValues = 1 << 20 // values in one decoded value
	maxSize   = 1 << 28 // bytes of a value made from text
)

// typeName is what C code calls the type.
func typeName(t btf.Type) string {
	for range maxDepth {
		switch v := t.(type) {
		case nil:
			return "bytes"
		case *btf.Const:
			t = v.Type
			continue
		case *btf.Volatile:
			t = v.Type
			continue
		case *btf.Restrict:
			t = v.Type
			continue
		case *btf.TypeTag:
			t = v.Type
			continue
		case *btf.Array:
			return fmt.Sprintf("%s[%d]", typeName(v.Type), v.Nelems)
		case *btf.Pointer:
			return "pointer"
		case *btf.Struct:
			return named("struct", v.Name)
		case *btf.Union:
			return named("union", v.Name)
		case *btf.Enum:
			return named("enum", v.Name)
		case *btf.Void:
			return "void"
		}
		return t.TypeName()
	}
	return "type"
}

func named(kind, name string) string {
	if name == "" {
		return kind
	}
	return kind + " " + name
}

// isString says whether an array of the type can hold a text: its elements are
// of a type named char, or of a character encoding.
func isString(a *btf.Array) bool {
	elem, ok := btf.As[*btf.Int](a.Type)
	return ok && elem.Size == 1 && (elem.Name == "char" || elem.Encoding == btf.Char)
}

// members of a structure, union or data section, by offset in bits.
func members(t btf.Type) ([]btf.Member, bool) {
	switch v := t.(type) {
	case *btf.Struct:
		return v.Members, true
	case *btf.Union:
		return v.Members, true
	case *btf.Datasec:
		out := make([]btf.Member, 0, len(v.Vars))
		for _, s := range v.Vars {
			if variable, ok := s.Type.(*btf.Var); ok {
				out = append(out, btf.Member{Name: variable.Name, Type: variable.Type, Offset: btf.Bits(s.Offset) * 8})
			}
		}
		return out, true
	}
	return nil, false
}

// isAnonymous says whether a member's own members belong to the structure
// around it.
func isAnonymous(m btf.Member) bool {
	if m.Name != "" {
		return false
	}
	_, ok := members(btf.UnderlyingType(m.Type))
	return ok
}

// sizeof also knows variables.
func sizeof(t btf.Type) (int, error) {
	if v, ok := t.(*btf.Var); ok {
		t = v.Type
	}
	if v, ok := t.(*btf.Datasec); ok {
		return int(v.Size), nil
	}
	return btf.Sizeof(t)
}

// enumName finds the name of a value.
func enumName(e *btf.Enum, v uint64) (string, bool) {
	mask := ^uint64(0)
	if e.Size < 8 {
		mask = 1<<(e.Size*8) - 1
	}
	for _, c := range e.Values {
		if c.Value&mask == v&mask {
			return c.Name, true
		}
	}
	return "", false
}
