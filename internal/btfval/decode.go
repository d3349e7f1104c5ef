package btfval

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/cilium/ebpf/btf"
)

// Error says why bytes do not decode.
type Error struct {
	Path   string // the member, as in "flow.ports[1]"; empty for the whole
	Type   string // its type
	Reason string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s: %s", e.Type, e.Reason)
	}
	return fmt.Sprintf("%s (%s): %s", e.Path, e.Type, e.Reason)
}

// Format appends the text of data, decoded as typ, to b. A nil type prints the
// bytes in hexadecimal. Bytes after those of the type are ignored. The error is
// an [*Error].
func Format(b []byte, typ btf.Type, data []byte) ([]byte, error) {
	v, err := Value(typ, data)
	if err != nil {
		return b, err
	}
	return appendValue(b, v), nil
}

// Value decodes data as typ to Go values that encoding/json takes: int64,
// uint64, bool, string (a text or the name of an enumerator), [Float],
// [Pointer], [Wide], []any, [Object], and [Raw] for a nil type. Bytes after
// those of the type are ignored. The error is an [*Error].
func Value(typ btf.Type, data []byte) (any, error) {
	if typ == nil {
		return Raw(append([]byte(nil), data...)), nil
	}
	d := decoder{}
	return d.value("", typ, data, 0)
}

type decoder struct{ values int }

func (d *decoder) value(path string, typ btf.Type, data []byte, depth int) (any, error) {
	if v, ok := typ.(*btf.Var); ok {
		typ = v.Type
	}
	if d.values++; depth > maxDepth || d.values > maxValues {
		return nil, &Error{path, typeName(typ), "the type is nested too deeply or has too many members"}
	}
	size, err := sizeof(typ)
	if err != nil {
		return nil, &Error{path, typeName(typ), "the type has no size"}
	}
	if len(data) < size {
		return nil, &Error{path, typeName(typ), fmt.Sprintf("the type has %d bytes, %d are there", size, len(data))}
	}
	data = data[:size]
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Array:
		return d.array(path, t, data, depth)
	case *btf.Struct, *btf.Union, *btf.Datasec:
		return d.members(path, nil, t, data, depth)
	default:
		return d.scalar(path, t, data)
	}
}

// scalar decodes a type without parts.
func (d *decoder) scalar(path string, typ btf.Type, data []byte) (any, error) {
	switch t := typ.(type) {
	case *btf.Float:
		switch len(data) {
		case 4:
			return single(math.Float32frombits(binary.LittleEndian.Uint32(data))), nil
		case 8:
			return Float(math.Float64frombits(binary.LittleEndian.Uint64(data))), nil
		}
		return Raw(append([]byte(nil), data...)), nil
	case *btf.Pointer:
		return Pointer(loadBits(data, 0, 64).Lo), nil
	case *btf.Int, *btf.Enum:
		if len(data) > 16 {
			break
		}
		return number(t, loadBits(data, 0, uint(len(data))*8), uint(len(data))*8), nil
	}
	return nil, &Error{path, typeName(typ), "values of this type cannot be shown"}
}

// single gives the shortest number that is the same float, so that 0.1f prints
// as 0.1.
func single(f float32) Float {
	v, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return Float(f)
	}
	return Float(v)
}

// number gives meaning to bits of an integer or enumeration.
func number(typ btf.Type, v Wide, bits uint) any {
	signed := false
	switch t := typ.(type) {
	case *btf.Enum:
		value := v.Lo
		if t.Signed {
			value = signExtend(v.Lo, bits)
		}
		if name, ok := enumName(t, value); ok {
			return name
		}
		signed = t.Signed
	case *btf.Int:
		if t.Encoding == btf.Bool {
			return v != Wide{}
		}
		signed = t.Encoding&btf.Signed != 0
	}
	switch {
	case bits > 64:
		return v
	case signed:
		return int64(signExtend(v.Lo, bits))
	}
	return v.Lo
}

func signExtend(v uint64, bits uint) uint64 {
	if bits == 0 || bits >= 64 {
		return v
	}
	return uint64(int64(v<<(64-bits)) >> (64 - bits))
}

// loadBits reads size (at most 128) bits from bit offset off; those beyond the
// data are 0.
func loadBits(data []byte, off, size uint) Wide {
	var w Wide
	for i := uint(0); i < size; {
		at := off + i
		if at/8 >= uint(len(data)) {
			break
		}
		n := min(8-at%8, size-i)
		v := uint64(data[at/8]>>(at%8)) & (1<<n - 1)
		if i < 64 {
			w.Lo |= v << i
			if i+n > 64 {
				w.Hi |= v >> (64 - i)
			}
		} else {
			w.Hi |= v << (i - 64)
		}
		i += n
	}
	return w
}

func (d *decoder) array(path string, a *btf.Array, data []byte, depth int) (any, error) {
	if isString(a) {
		if text, ok := printable(data); ok {
			return text, nil
		}
	}
	size, err := sizeof(a.Type)
	if err != nil || size == 0 {
		return []any{}, nil
	}
	out := make([]any, 0, min(int(a.Nelems), maxValues))
	for i := range int(a.Nelems) {
		v, err := d.value(fmt.Sprintf("%s[%d]", path, i), a.Type, data[i*size:], depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// printable is bpftool's rule for a text: printable ASCII up to a NUL.
func printable(data []byte) (string, bool) {
	for i, c := range data {
		switch {
		case c == 0:
			return string(data[:i]), true
		case c < ' ' || c > '~':
			return "", false
		}
	}
	return "", false
}

// members appends the members of a composite type to out.
func (d *decoder) members(path string, out Object, typ btf.Type, data []byte, depth int) (Object, error) {
	list, _ := members(typ)
	if out == nil {
		out = make(Object, 0, len(list))
	}
	for _, m := range list {
		d.values++
		where := join(path, m.Name)
		off := int64(m.Offset / 8)
		switch {
		case m.BitfieldSize > 0:
			v, err := bitfield(where, m, data)
			if err != nil {
				return nil, err
			}
			out = append(out, Field{m.Name, v})
			continue
		case off > int64(len(data)):
			return nil, &Error{where, typeName(m.Type), fmt.Sprintf("it begins at byte %d of %d", off, len(data))}
		case depth > maxDepth || d.values > maxValues:
			return nil, &Error{where, typeName(m.Type), "the type is nested too deeply or has too many members"}
		case isAnonymous(m):
			var err error
			if out, err = d.members(path, out, btf.UnderlyingType(m.Type), data[off:], depth+1); err != nil {
				return nil, err
			}
			continue
		}
		v, err := d.value(where, m.Type, data[off:], depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, Field{m.Name, v})
	}
	return out, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func bitfield(path string, m btf.Member, data []byte) (any, error) {
	off, size := uint64(m.Offset), uint64(m.BitfieldSize)
	if size > 128 || off+size > uint64(len(data))*8 {
		return nil, &Error{path, typeName(m.Type), fmt.Sprintf("its bits %d to %d are outside of %d bytes", off, off+size, len(data))}
	}
	return number(btf.UnderlyingType(m.Type), loadBits(data, uint(off), uint(size)), uint(size)), nil
}
