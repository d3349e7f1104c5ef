package btfval

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

const rawPrefix = "hex:"

// Parse makes the bytes of a value from text:
//
//   - integers and pointers: 42, -1, 0x2a, 0o52, 0b101010, or 'A' for its code
//   - bool: true, false, 1, 0; float: 1.5
//   - enumerations: a name or a number
//   - arrays of char: text, with or without quotes; shorter texts are filled
//     with zeros
//   - arrays: [1, 2]; missing elements are zero
//   - structures and unions: {"field": 1, other: [2, 3]}; missing members are
//     zero, and members of an anonymous member are named directly
//   - everything: hex:0a0b0c0d, the raw bytes, all of them
//
// Without a type (nil) the text is one integer, little-endian in size bytes, or
// the bytes in hexadecimal: hex:0a0b or 0a 0b. With a type, size is that of
// the map's key or value, or 0 when it is not known; another size than the
// type's is an error. A value outside its type's range is an error that says
// the range. The error is an [*Error].
func Parse(typ btf.Type, size int, text string) ([]byte, error) {
	if typ == nil {
		return parseRaw(size, text)
	}
	if v, ok := typ.(*btf.Var); ok {
		typ = v.Type
	}
	n, err := sizeof(typ)
	switch {
	case err != nil:
		return nil, &Error{"", typeName(typ), "the type has no size"}
	case size != 0 && size != n:
		return nil, &Error{"", typeName(typ), fmt.Sprintf("the type has %d bytes, the map says %d", n, size)}
	case n > maxSize:
		return nil, &Error{"", typeName(typ), fmt.Sprintf("%d bytes are too many to be given as text", n)}
	}
	out := make([]byte, n)
	tree, err := parseTop(typ, text)
	if err != nil {
		return nil, err
	}
	e := encoder{}
	if err := e.value("", typ, tree, out, 0); err != nil {
		return nil, err
	}
	return out, nil
}

// parseTop also takes a text for an array of char as it is.
func parseTop(typ btf.Type, text string) (node, error) {
	if a, ok := btf.As[*btf.Array](typ); ok && isString(a) {
		if !strings.HasPrefix(text, `"`) && !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, rawPrefix) {
			return node{kind: quoted, text: text}, nil
		}
	}
	return parseText(text)
}

type encoder struct{ values int }

func (e *encoder) value(path string, typ btf.Type, n node, out []byte, depth int) error {
	if e.values++; depth > maxDepth || e.values > maxValues {
		return &Error{path, typeName(typ), "the value is nested too deeply or has too many parts"}
	}
	if n.kind == word && strings.HasPrefix(n.text, rawPrefix) {
		return setRaw(path, typ, n.text, out)
	}
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Array:
		return e.array(path, t, n, out, depth)
	case *btf.Struct, *btf.Union, *btf.Datasec:
		return e.composite(path, t, n, out, depth)
	case *btf.Float:
		return setFloat(path, t, n, out)
	case *btf.Int, *btf.Enum, *btf.Pointer:
		return setNumber(path, typ, n, out, 0, uint(len(out))*8)
	}
	return &Error{path, typeName(typ), "values of this type cannot be given"}
}

func setRaw(path string, typ btf.Type, text string, out []byte) error {
	b, err := hex.DecodeString(text[len(rawPrefix):])
	if err != nil {
		return &Error{path, typeName(typ), fmt.Sprintf("%q is not an even number of hex digits", text[len(rawPrefix):])}
	}
	if len(b) != len(out) {
		return &Error{path, typeName(typ), fmt.Sprintf("%d bytes given, the type has %d", len(b), len(out))}
	}
	copy(out, b)
	return nil
}

func (e *encoder) array(path string, a *btf.Array, n node, out []byte, depth int) error {
	if isString(a) && n.kind != list && n.kind != object {
		if len(n.text) > len(out) {
			return &Error{path, typeName(a), fmt.Sprintf("%q has %d bytes, at most %d fit", n.text, len(n.text), len(out))}
		}
		copy(out, n.text)
		return nil
	}
	if n.kind != list {
		return &Error{path, typeName(a), "give a list: [1, 2]"}
	}
	if len(n.items) > int(a.Nelems) {
		return &Error{path, typeName(a), fmt.Sprintf("%d elements given, at most %d fit", len(n.items), a.Nelems)}
	}
	size, err := sizeof(a.Type)
	if err != nil {
		return &Error{path, typeName(a), "its elements have no size"}
	}
	for i, it := range n.items {
		if err := e.value(fmt.Sprintf("%s[%d]", path, i), a.Type, it.value, out[i*size:(i+1)*size], depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) composite(path string, typ btf.Type, n node, out []byte, depth int) error {
	if n.kind != object {
		return &Error{path, typeName(typ), `give its members: {"name": 1}`}
	}
	var seen []string
	for _, it := range n.items {
		where := join(path, it.name)
		m, off, ok := find(typ, it.name, 0)
		if !ok {
			return &Error{where, typeName(typ), "there is no such member; there are " + strings.Join(names(typ, nil, 0), ", ")}
		}
		if slices.Contains(seen, it.name) {
			return &Error{where, typeName(typ), "the member is given twice"}
		}
		seen = append(seen, it.name)
		if err := e.member(where, m, off, it.value, out, depth); err != nil {
			return err
		}
	}
	return nil
}

// member sets a member that starts at bit off.
func (e *encoder) member(path string, m btf.Member, off uint64, n node, out []byte, depth int) error {
	size := uint64(m.BitfieldSize)
	if size == 0 {
		bytes, err := sizeof(m.Type)
		if err != nil {
			return &Error{path, typeName(m.Type), "the type has no size"}
		}
		size = uint64(bytes) * 8
	}
	if off+size > uint64(len(out))*8 || m.BitfieldSize > 128 {
		return &Error{path, typeName(m.Type), fmt.Sprintf("its bits %d to %d are outside of %d bytes", off, off+size, len(out))}
	}
	if m.BitfieldSize > 0 {
		return setNumber(path, m.Type, n, out, uint(off), uint(size))
	}
	return e.value(path, m.Type, n, out[off/8:(off+size)/8], depth+1)
}

// find looks a member up, also inside anonymous ones.
func find(typ btf.Type, name string, depth int) (btf.Member, uint64, bool) {
	list, _ := members(typ)
	for _, m := range list {
		if isAnonymous(m) && depth < maxDepth {
			if in, off, ok := find(btf.UnderlyingType(m.Type), name, depth+1); ok {
				return in, off + uint64(m.Offset), true
			}
		} else if m.Name == name && name != "" {
			return m, uint64(m.Offset), true
		}
	}
	return btf.Member{}, 0, false
}

func names(typ btf.Type, out []string, depth int) []string {
	list, _ := members(typ)
	for _, m := range list {
		if isAnonymous(m) && depth < maxDepth {
			out = names(btf.UnderlyingType(m.Type), out, depth+1)
		} else if m.Name != "" {
			out = append(out, m.Name)
		}
		if len(out) > 20 {
			return append(out[:20], "...")
		}
	}
	return out
}

func setFloat(path string, t *btf.Float, n node, out []byte) error {
	v, err := strconv.ParseFloat(n.text, len(out)*8)
	if err != nil || n.kind == list || n.kind == object {
		return &Error{path, typeName(t), fmt.Sprintf("%q is not a number that fits %d bytes", n.text, len(out))}
	}
	switch len(out) {
	case 4:
		binary.LittleEndian.PutUint32(out, math.Float32bits(float32(v)))
	case 8:
		binary.LittleEndian.PutUint64(out, math.Float64bits(v))
	default:
		return &Error{path, typeName(t), fmt.Sprintf("a float of %d bytes; give %s and its bytes", len(out), rawPrefix)}
	}
	return nil
}
