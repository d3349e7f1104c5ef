package btfval

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/cilium/ebpf/btf"
)

// setNumber parses an integer, bool, enumerator or pointer into bits of out.
func setNumber(path string, typ btf.Type, n node, out []byte, off, bits uint) error {
	if n.kind == list || n.kind == object {
		return &Error{path, typeName(typ), "give one number"}
	}
	low, high, signed := new(big.Int), new(big.Int).Lsh(big.NewInt(1), bits), false
	var v *big.Int
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Enum:
		signed = t.Signed
		for _, c := range t.Values {
			if c.Name == n.text {
				v = new(big.Int).SetUint64(c.Value)
				if signed {
					v.SetInt64(int64(c.Value))
				}
				break
			}
		}
		if v == nil && n.kind == quoted {
			return &Error{path, typeName(typ), fmt.Sprintf("%q is not one of %s", n.text, enumNames(t))}
		}
	case *btf.Int:
		signed = t.Encoding&btf.Signed != 0
		if t.Encoding == btf.Bool {
			high.SetInt64(2)
			v = map[string]*big.Int{"true": big.NewInt(1), "false": big.NewInt(0)}[n.text]
		}
	}
	if signed {
		high.Rsh(high, 1)
		low.Neg(high)
	}
	high.Sub(high, big.NewInt(1))
	if v == nil {
		var ok bool
		if v, ok = integer(n.text); !ok {
			return &Error{path, typeName(typ), fmt.Sprintf("%q is not %s", n.text, expected(typ))}
		}
	}
	if v.Cmp(low) < 0 || v.Cmp(high) > 0 {
		return &Error{path, typeName(typ), fmt.Sprintf("%s is out of range (%d to %d)", n.text, low, high)}
	}
	storeBits(out, off, bits, v)
	return nil
}

func expected(typ btf.Type) string {
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Enum:
		return "a number or one of " + enumNames(t)
	case *btf.Int:
		if t.Encoding == btf.Bool {
			return "true or false"
		}
	}
	return "an integer (42, -1, 0x2a)"
}

func enumNames(e *btf.Enum) string {
	var out []string
	for i, v := range e.Values {
		if i == 20 {
			out = append(out, "...")
			break
		}
		out = append(out, v.Name)
	}
	return strings.Join(out, ", ")
}

// integer parses a number in the bases of Go, or a character in quotes. A
// leading zero does not make a number octal.
func integer(text string) (*big.Int, bool) {
	if len(text) > 2 && text[0] == '\'' && text[len(text)-1] == '\'' {
		r, n := utf8.DecodeRuneInString(text[1:])
		return big.NewInt(int64(r)), n == len(text)-2 && r != utf8.RuneError
	}
	digits := strings.TrimLeft(text, "+-")
	if len(text)-len(digits) > 1 || len(digits) > 200 || strings.Contains(digits, "_") {
		return nil, false
	}
	base := 0
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		base = 10
	}
	return new(big.Int).SetString(text, base)
}

// storeBits writes the low bits of v, in two's complement, at a bit offset.
func storeBits(out []byte, off, bits uint, v *big.Int) {
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), bits))
	}
	for i := range bits {
		at := off + i
		mask := byte(1) << (at % 8)
		out[at/8] = out[at/8]&^mask | byte(v.Bit(int(i)))<<(at%8)
	}
}

// parseRaw makes a value without a type.
func parseRaw(size int, text string) ([]byte, error) {
	if size < 0 || size > maxSize {
		return nil, &Error{"", "bytes", fmt.Sprintf("a size of %d", size)}
	}
	out := make([]byte, size)
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, rawPrefix) {
		return out, setRaw("", nil, text, out)
	}
	if fields := strings.Fields(text); len(fields) > 1 {
		return out, setBytes(fields, out)
	}
	v, ok := integer(text)
	if !ok {
		return nil, &Error{"", "bytes", fmt.Sprintf("%q is not an integer (42, -1, 0x2a) or bytes (hex:0a0b, 0a 0b)", text)}
	}
	// No accepted number has more than 1024 bits.
	low := uint(min(size, 128)) * 8
	limit := new(big.Int).Lsh(big.NewInt(1), low)
	least := new(big.Int).Neg(new(big.Int).Rsh(limit, 1))
	if v.Cmp(least) < 0 || v.Cmp(limit) >= 0 {
		return nil, &Error{"", "bytes", fmt.Sprintf("%s does not fit %d bytes", text, size)}
	}
	storeBits(out, 0, low, v)
	for i := int(low / 8); v.Sign() < 0 && i < size; i++ {
		out[i] = 0xff
	}
	return out, nil
}

// setBytes takes bytes as they are printed.
func setBytes(fields []string, out []byte) error {
	if len(fields) != len(out) {
		return &Error{"", "bytes", fmt.Sprintf("%d bytes given, %d are needed", len(fields), len(out))}
	}
	for i, f := range fields {
		b, err := hex.DecodeString(strings.TrimPrefix(f, "0x"))
		if err != nil || len(b) != 1 {
			return &Error{"", "bytes", fmt.Sprintf("%q is not a byte of two hex digits", f)}
		}
		out[i] = b[0]
	}
	return nil
}
