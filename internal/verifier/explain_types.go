package verifier

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// global is a variable in a data section.
type global struct {
	name      string
	off, size uint32
}

// dataSection lists the variables of a map that holds global data.
func dataSection(m *Map) ([]global, bool) {
	if m == nil {
		return nil, false
	}
	d, ok := m.Value.(*btf.Datasec)
	if !ok {
		return nil, false
	}
	var out []global
	for _, v := range d.Vars {
		if t, ok := v.Type.(*btf.Var); ok {
			out = append(out, global{t.Name, v.Offset, v.Size})
		}
	}
	return out, true
}

// memberAt names the member at an offset of a type: hits, or addr.port.
func memberAt(t btf.Type, off uint32) string {
	if d, ok := t.(*btf.Datasec); ok {
		for _, v := range d.Vars {
			if g, ok := v.Type.(*btf.Var); ok && off >= v.Offset && off < v.Offset+v.Size {
				if m := memberAt(g.Type, off-v.Offset); m != "" {
					return g.Name + "." + m
				}
				return g.Name
			}
		}
		return ""
	}
	s, ok := skipModifiers(t).(*btf.Struct)
	if !ok {
		return ""
	}
	for _, m := range s.Members {
		size, err := btf.Sizeof(m.Type)
		at := m.Offset.Bytes()
		if err != nil || off < at || off >= at+uint32(size) {
			continue
		}
		if a, ok := skipModifiers(m.Type).(*btf.Array); ok {
			return arrayMember(m.Name, a, off-at)
		}
		inner := memberAt(m.Type, off-at)
		switch {
		case inner == "":
			return m.Name
		case m.Name == "":
			return inner
		}
		return m.Name + "." + inner
	}
	return ""
}

// arrayMember names an element of an array.
func arrayMember(name string, a *btf.Array, off uint32) string {
	size, err := btf.Sizeof(a.Type)
	if err != nil || size == 0 {
		return name
	}
	return fmt.Sprintf("%s[%d]", name, off/uint32(size))
}
