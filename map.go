package carom

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Map is a BPF map. Keys and values are Go values of the right size (integers, arrays, structs
// without padding, []byte), or encoding.BinaryMarshaler; a per-CPU map takes and gives slices
// with one element for each virtual CPU. It is safe for concurrent use.
type Map struct {
	core   engine.Map
	key    btf.Type
	value  btf.Type
	handle handle
}

func newMap(core engine.Map, spec *ebpf.MapSpec) *Map {
	m := &Map{core: core}
	if spec != nil {
		m.key, m.value = spec.Key, spec.Value
	}
	return m
}

// MapError says which operation on which key of a map failed.
type MapError struct {
	Map string
	Op  string // lookup, update, delete, next key, …
	Err error
}

func (e *MapError) Error() string { return fmt.Sprintf("map %s: %s: %v", e.Map, e.Op, e.Err) }

// Unwrap returns the cause and, for the errno that cilium/ebpf has a name for, that name.
func (e *MapError) Unwrap() []error {
	errs := []error{e.Err}
	var errno linux.Errno
	if errors.As(e.Err, &errno) {
		switch {
		case errno == linux.ENOENT:
			errs = append(errs, ebpf.ErrKeyNotExist)
		case errno == linux.EEXIST:
			errs = append(errs, ebpf.ErrKeyExist)
		case errno == linux.ENOTSUPP:
			errs = append(errs, ErrUnsupported)
		}
	}
	return errs
}

func (m *Map) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &MapError{Map: m.core.Name(), Op: op, Err: err}
}

// Name is the map's name.
func (m *Map) Name() string { return m.core.Name() }

// ID identifies the map while it exists.
func (m *Map) ID() ebpf.MapID { return ebpf.MapID(m.core.ID()) }

// Type is the map's type.
func (m *Map) Type() ebpf.MapType { return m.core.Type() }

// KeySize is the length of a key in bytes.
func (m *Map) KeySize() uint32 { return m.core.KeySize() }

// ValueSize is the length of a value in bytes, of one copy for per-CPU maps.
func (m *Map) ValueSize() uint32 { return m.core.ValueSize() }

// MaxEntries is how many elements fit, or the size in bytes of a ring buffer.
func (m *Map) MaxEntries() uint32 { return m.core.MaxEntries() }

// Flags are those the map was made with (BPF_F_…).
func (m *Map) Flags() uint32 { return m.core.Flags() }

// KeyType and ValueType are the map's BTF types, nil when the object has none.
func (m *Map) KeyType() btf.Type { return m.key }

// ValueType is the BTF type of a value, nil when the object has none.
func (m *Map) ValueType() btf.Type { return m.value }

// FD is the file descriptor of a map in the kernel, -1 of one in user space.
func (m *Map) FD() int { return m.core.FD() }

// Copies is how many values a per-CPU map has for each key; 1 for other types.
func (m *Map) Copies() int { return m.core.Copies() }

// Lookup copies the value of key to valueOut, a pointer. It wraps ebpf.ErrKeyNotExist when there
// is none. A PROG_ARRAY gives a program's id. Queues and stacks have no keys: with nil for one,
// Lookup gives the value that is next. A Bloom filter is asked for the value at valueOut.
func (m *Map) Lookup(key, valueOut any) error {
	return m.lookup(key, valueOut, 0, "lookup", m.core.Lookup)
}

// LookupWithFlags is Lookup with BPF_F_ flags.
func (m *Map) LookupWithFlags(key, valueOut any, flags ebpf.MapLookupFlags) error {
	return m.lookup(key, valueOut, uint64(flags), "lookup", m.core.Lookup)
}

// LookupAndDelete is Lookup followed by Delete as one step. It takes the next value from a queue or
// stack, whose key is nil.
func (m *Map) LookupAndDelete(key, valueOut any) error {
	return m.lookup(key, valueOut, 0, "lookup and delete", m.core.LookupAndDelete)
}

func (m *Map) lookup(key, valueOut any, flags uint64, op string, get func(k, v []byte, flags uint64) error) error {
	k, err := m.encodeKey(key)
	if err != nil {
		return m.fail(op, fmt.Errorf("key: %w", err))
	}
	v := make([]byte, m.sysValueSize())
	if m.core.Type() == ebpf.BloomFilter {
		if v, err = m.asked(valueOut); err != nil {
			return m.fail(op, fmt.Errorf("value: %w", err))
		}
	}
	if err := get(k, v, flags); err != nil {
		return m.fail(op, err)
	}
	return m.fail(op, m.decodeValue(v, valueOut))
}

// asked is the value that a Bloom filter is asked for: what valueOut points to.
func (m *Map) asked(valueOut any) ([]byte, error) {
	size := int(m.core.ValueSize())
	if p, ok := valueOut.(*[]byte); ok {
		return load.Bytes(*p, size)
	}
	return load.Bytes(valueOut, size)
}

// LookupBytes returns the value of key in bpf(2)'s layout, nil when there is none.
func (m *Map) LookupBytes(key any) ([]byte, error) {
	var v []byte
	err := m.Lookup(key, &v)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	}
	return v, err
}

// Put is Update with ebpf.UpdateAny.
func (m *Map) Put(key, value any) error { return m.Update(key, value, ebpf.UpdateAny) }

// Update stores value under key. The value for a PROG_ARRAY is a *Program, that for a map of
// maps is a *Map. Replacing a program is atomic: a running chain sees the old or the new one.
func (m *Map) Update(key, value any, flags ebpf.MapUpdateFlags) error {
	k, err := m.encodeKey(key)
	if err != nil {
		return m.fail("update", fmt.Errorf("key: %w", err))
	}
	switch v := value.(type) {
	case *Program:
		if v == nil {
			return m.fail("update", errors.New("the program is nil"))
		}
		return m.fail("update", m.core.UpdateProgram(k, v.core, uint64(flags)))
	case *Map:
		if v == nil {
			return m.fail("update", errors.New("the map is nil"))
		}
		return m.fail("update", m.core.UpdateMap(k, v.core, uint64(flags)))
	}
	b, err := m.encodeValue(value)
	if err != nil {
		return m.fail("update", fmt.Errorf("value: %w", err))
	}
	return m.fail("update", m.core.Update(k, b, uint64(flags)))
}

// Delete removes key. It wraps ebpf.ErrKeyNotExist when there is none.
func (m *Map) Delete(key any) error {
	k, err := m.encodeKey(key)
	if err != nil {
		return m.fail("delete", fmt.Errorf("key: %w", err))
	}
	return m.fail("delete", m.core.Delete(k))
}

// NextKey copies the key after key to nextKeyOut; a nil key asks for the first. It wraps
// ebpf.ErrKeyNotExist at the end.
func (m *Map) NextKey(key, nextKeyOut any) error {
	var k []byte
	if key != nil {
		var err error
		if k, err = m.encodeKey(key); err != nil {
			return m.fail("next key", fmt.Errorf("key: %w", err))
		}
	}
	next := make([]byte, m.core.KeySize())
	if err := m.core.NextKey(k, next); err != nil {
		return m.fail("next key", err)
	}
	return m.fail("next key", unmarshal(nextKeyOut, next))
}

// Freeze makes the map read-only for user space.
func (m *Map) Freeze() error { return m.fail("freeze", m.core.Freeze()) }

// Pin gives the map a name that references it: a file on bpffs in the kernel, a name in this
// process in user space.
func (m *Map) Pin(path string) error { return m.fail("pin", m.core.Pin(path)) }

// Unpin takes the name away.
func (m *Map) Unpin() error { return m.fail("unpin", m.core.Unpin()) }

// IsPinned reports whether the map has a pin that this handle knows of.
func (m *Map) IsPinned() bool { return m.core.IsPinned() }

// Clone returns another reference to the map, to be closed on its own.
func (m *Map) Clone() (*Map, error) {
	core, err := m.core.Clone()
	if err != nil {
		return nil, m.fail("clone", err)
	}
	return &Map{core: core, key: m.key, value: m.value}, nil
}

// Close gives up this reference. When the last one to a PROG_ARRAY goes, its slots are emptied.
func (m *Map) Close() error {
	if m == nil {
		return nil
	}
	err := m.core.Close()
	m.handle.release()
	return m.fail("close", err)
}

// LoadPinnedMap returns a reference to a map that was pinned in user space under path.
func LoadPinnedMap(path string) (*Map, error) {
	h, err := host()
	if err != nil {
		return nil, err
	}
	core, err := h.LoadPinned(path)
	if err != nil {
		return nil, err
	}
	return &Map{core: core}, nil
}

func (m *Map) sysValueSize() int {
	if n := m.core.Copies(); n > 1 || isPerCPU(m.core.Type()) {
		return n * int((m.core.ValueSize()+7)&^7)
	}
	return int(m.core.ValueSize())
}

func isPerCPU(t ebpf.MapType) bool {
	return t == ebpf.PerCPUArray || t == ebpf.PerCPUHash || t == ebpf.LRUCPUHash || t == ebpf.PerCPUCGroupStorage
}

// encodeKey gives a key in bpf(2)'s layout. Maps without keys take nil.
func (m *Map) encodeKey(key any) ([]byte, error) {
	size := int(m.core.KeySize())
	if size == 0 && key == nil {
		return []byte{}, nil
	}
	return load.Bytes(key, size)
}

// encodeValue gives a value in bpf(2)'s layout.
func (m *Map) encodeValue(value any) ([]byte, error) {
	size := int(m.core.ValueSize())
	if b, ok := value.([]byte); ok && isPerCPU(m.core.Type()) && len(b) == m.sysValueSize() {
		return b, nil
	}
	if !isPerCPU(m.core.Type()) {
		return load.Bytes(value, size)
	}
	v := reflect.ValueOf(value)
	if v.Kind() != reflect.Slice {
		return nil, fmt.Errorf("%T: a per-CPU map takes a slice with %d values", value, m.core.Copies())
	}
	if v.Len() > m.core.Copies() {
		return nil, fmt.Errorf("%d values for %d virtual CPUs", v.Len(), m.core.Copies())
	}
	stride := (size + 7) &^ 7
	out := make([]byte, m.sysValueSize())
	for i := range v.Len() {
		b, err := load.Bytes(v.Index(i).Interface(), size)
		if err != nil {
			return nil, err
		}
		copy(out[i*stride:], b)
	}
	return out, nil
}

func (m *Map) decodeValue(b []byte, out any) error {
	if p, ok := out.(*[]byte); ok {
		*p = b
		return nil
	}
	if !isPerCPU(m.core.Type()) {
		return unmarshal(out, b)
	}
	p := reflect.ValueOf(out)
	if p.Kind() != reflect.Pointer || p.Elem().Kind() != reflect.Slice {
		return fmt.Errorf("%T: a per-CPU map gives its values to a pointer to a slice", out)
	}
	size, stride := int(m.core.ValueSize()), int(m.core.ValueSize()+7)&^7
	n := m.core.Copies()
	s := reflect.MakeSlice(p.Elem().Type(), n, n)
	for i := range n {
		if err := unmarshal(s.Index(i).Addr().Interface(), b[i*stride:][:size]); err != nil {
			return err
		}
	}
	p.Elem().Set(s)
	return nil
}

// MapIterator walks over the elements of a map. Elements that are added or deleted meanwhile may
// or may not be seen.
type MapIterator struct {
	m    *Map
	prev []byte
	n    uint64
	err  error
	done bool
}

// Iterate starts a walk over all elements. Empty slots of a PROG_ARRAY are skipped.
func (m *Map) Iterate() *MapIterator { return &MapIterator{m: m} }

// Next copies the next key and value and reports whether there was one.
func (i *MapIterator) Next(keyOut, valueOut any) bool {
	for !i.done && i.err == nil {
		key := make([]byte, i.m.core.KeySize())
		if err := i.m.core.NextKey(i.prev, key); err != nil {
			i.done = true
			if !errors.Is(err, linux.ENOENT) {
				i.err = i.m.fail("iterate", err)
			}
			return false
		}
		// A deleted element restarts the walk, so bound it.
		if i.n++; i.n > uint64(i.m.core.MaxEntries())*2+1 {
			i.err = i.m.fail("iterate", ebpf.ErrIterationAborted)
			return false
		}
		i.prev = key
		v := make([]byte, i.m.sysValueSize())
		if err := i.m.core.Lookup(key, v, 0); err != nil {
			if errors.Is(err, linux.ENOENT) {
				continue
			}
			i.err = i.m.fail("iterate", err)
			return false
		}
		i.err = i.m.fail("iterate", errors.Join(unmarshal(keyOut, key), i.m.decodeValue(v, valueOut)))
		return i.err == nil
	}
	return false
}

// Err returns what ended the walk early.
func (i *MapIterator) Err() error { return i.err }

// nativeOrder is the byte order of all platforms that carom supports.
var nativeOrder = binary.LittleEndian
