package btfval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Object is a decoded structure, union or data section. It marshals to JSON
// with its members in the order of the type.
type Object []Field

// Field is a member of an [Object].
type Field struct {
	Name  string
	Value any
}

// Get returns the member of that name.
func (o Object) Get(name string) (any, bool) {
	for _, f := range o {
		if f.Name == name {
			return f.Value, true
		}
	}
	return nil, false
}

// MarshalJSON keeps the order of members.
func (o Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(f.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Pointer is a decoded pointer. It prints as hex, and as a hex string in JSON.
type Pointer uint64

func (p Pointer) String() string { return "0x" + strconv.FormatUint(uint64(p), 16) }

// MarshalText makes JSON write a string.
func (p Pointer) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Wide is an integer of 128 bits. It prints as hex, as in bpftool.
type Wide struct{ Hi, Lo uint64 }

func (w Wide) String() string {
	if w.Hi == 0 {
		return "0x" + strconv.FormatUint(w.Lo, 16)
	}
	return fmt.Sprintf("0x%x%016x", w.Hi, w.Lo)
}

// MarshalText makes JSON write a string.
func (w Wide) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// Float is a decoded floating-point number. NaN and the infinities, which JSON
// does not have, marshal as strings.
type Float float64

func (f Float) String() string { return strconv.FormatFloat(float64(f), 'g', -1, 64) }

// MarshalJSON writes a number or a string.
func (f Float) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte(`"` + f.String() + `"`), nil
	}
	return []byte(f.String()), nil
}

// Raw is bytes without a type. It prints as "0a 0b" and is a list of strings
// "0x0a" in JSON, as in bpftool.
type Raw []byte

func (r Raw) String() string { return fmt.Sprintf("% x", []byte(r)) }

// MarshalJSON writes a list of strings.
func (r Raw) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, v := range r {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `"0x%02x"`, v)
	}
	return append(b, ']'), nil
}

// appendValue prints a decoded value.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case Object:
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = strconv.AppendQuote(b, f.Name)
			b = append(b, ": "...)
			b = appendValue(b, f.Value)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendValue(b, e)
		}
		return append(b, ']')
	case string:
		return strconv.AppendQuote(b, v)
	}
	return fmt.Append(b, v)
}
