package carom

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
)

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
