package load

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"github.com/carom-bpf/carom/internal/linux"
)

// Bytes gives the little-endian bytes of a key or value of a map, or of a variable or context;
// size is how many there must be, -1 for any number. An int takes 4 bytes where those are needed.
func Bytes(v any, size int) ([]byte, error) {
	if r := reflect.ValueOf(v); !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil() {
		return nil, fmt.Errorf("a nil %T is no value: %w", v, linux.EINVAL)
	}
	var b []byte
	var err error
	switch v := v.(type) {
	case []byte:
		b = v
	case string:
		b = []byte(v)
	case encoding.BinaryMarshaler:
		b, err = v.MarshalBinary()
	case int:
		if size == 4 && (v < math.MinInt32 || v > math.MaxUint32) {
			return nil, fmt.Errorf("%d does not fit into 4 bytes: %w", v, linux.EINVAL)
		}
		b = binary.LittleEndian.AppendUint64(nil, uint64(v))
		if size == 4 {
			b = b[:4]
		}
	default:
		b, err = binary.Append(nil, binary.LittleEndian, v)
	}
	if err != nil {
		return nil, fmt.Errorf("%T cannot be stored in a map: %w: %w", v, linux.EINVAL, err)
	}
	if size >= 0 && len(b) != size {
		return nil, fmt.Errorf("%T has %d bytes, the map needs %d: %w", v, len(b), size, linux.EINVAL)
	}
	return b, nil
}
