package carom

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
)

// marshal gives the little-endian bytes of a value; size is what the map needs, -1 for any.
func marshal(v any, size int) ([]byte, error) {
	var b []byte
	var err error
	switch v := v.(type) {
	case []byte:
		b = v
	case string:
		b = []byte(v)
	case encoding.BinaryMarshaler:
		b, err = v.MarshalBinary()
	default:
		if n := binary.Size(v); n < 0 {
			if i, ok := v.(int); ok && size == 4 {
				v = int32(i)
			} else if ok {
				v = int64(i)
			}
		}
		b, err = binary.Append(nil, nativeOrder, v)
	}
	if err != nil {
		return nil, fmt.Errorf("%T cannot be stored in a map: %w", v, err)
	}
	if size >= 0 && len(b) != size {
		return nil, fmt.Errorf("%T has %d bytes, the map needs %d", v, len(b), size)
	}
	return b, nil
}

// unmarshal fills what out points at.
func unmarshal(out any, b []byte) error {
	switch p := out.(type) {
	case *[]byte:
		*p = bytes.Clone(b)
		return nil
	case *string:
		*p = string(b)
		return nil
	case []byte:
		if len(p) < len(b) {
			return fmt.Errorf("%d bytes do not fit into %d", len(b), len(p))
		}
		copy(p, b)
		return nil
	case encoding.BinaryUnmarshaler:
		return p.UnmarshalBinary(b)
	}
	if n := binary.Size(out); n != len(b) {
		return fmt.Errorf("%T has %d bytes, the map gives %d", out, n, len(b))
	}
	_, err := binary.Decode(b, nativeOrder, out)
	return err
}
