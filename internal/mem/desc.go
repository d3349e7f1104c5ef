package mem

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Descriptors are fixed 64-byte records outside the Go heap that stand for Go objects: a map
// pointer in a register is the address of a map's descriptor, a PROG_ARRAY slot holds the
// address of a program's. Their fields are what interpreter and native code need without
// asking Go.
const (
	// DescSize is the size of a descriptor in bytes.
	DescSize = 64
	// MaxDescs is how many descriptors of one kind a Space has room for.
	MaxDescs = 1 << 16
)

// Offsets of the fields of a map descriptor.
const (
	MapType       = 0  // u32, enum bpf_map_type
	MapKeySize    = 4  // u32
	MapValueSize  = 8  // u32
	MapMaxEntries = 12 // u32
	MapData       = 16 // u64, first slot (PROG_ARRAY) or first element (ARRAY), else 0
	MapIndex      = 24 // u32, index for Table.Object
	MapStride     = 28 // u32, distance between elements in bytes
	MapCPUStride  = 32 // u64, distance between the copies of two virtual CPUs, 0 without copies
)

// Offsets of the fields of a program descriptor.
const (
	ProgEntry = 0  // u64, native entry point, 0 without native code
	ProgIndex = 8  // u32, index for Table.Object
	ProgFlags = 12 // u32
	ProgID    = 16 // u64, id of the program
)

// ErrTooMany says that a Table is full.
var ErrTooMany = errors.New("too many BPF objects")

// Table hands out descriptors of one kind and keeps the objects behind them alive.
type Table struct {
	Base    uint64 // of descriptor 0
	region  *Region
	mu      sync.Mutex
	objects atomic.Pointer[[]any]
	free    []uint32
}

// NewTable reserves room for MaxDescs descriptors. Index 0 is never handed out.
func NewTable(s *Space, kind Kind) (*Table, error) {
	r, err := s.Alloc(Layout{Kind: kind, Name: kind.String() + " descriptors", Size: DescSize * MaxDescs, Stride: DescSize})
	if err != nil {
		return nil, err
	}
	t := &Table{Base: r.Base, region: r}
	objects := make([]any, 1, 64)
	t.objects.Store(&objects)
	return t, nil
}

// Add makes a zeroed descriptor for obj and returns its address and index.
func (t *Table) Add(obj any) (addr uint64, index uint32, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.objects.Load()
	if n := len(t.free); n > 0 {
		index = t.free[n-1]
		t.free = t.free[:n-1]
		next := append([]any(nil), old...)
		next[index] = obj
		t.objects.Store(&next)
	} else {
		if len(old) == MaxDescs {
			return 0, 0, ErrTooMany
		}
		index = uint32(len(old))
		next := append(old, obj)
		t.objects.Store(&next)
	}
	addr = t.Base + uint64(index)*DescSize
	clear(Bytes(addr, DescSize))
	return addr, index, nil
}

// Publish makes what was written to objects since they were added visible to whoever finds them
// with Object. Descriptors travel through memory that the race detector does not see, so that
// this is also what tells it of the order.
func (t *Table) Publish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.objects.Store(t.objects.Load())
}

// Remove releases a descriptor. The caller makes sure that no run can hold its address.
func (t *Table) Remove(index uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := append([]any(nil), *t.objects.Load()...)
	next[index] = nil
	t.objects.Store(&next)
	t.free = append(t.free, index)
	clear(Bytes(t.Base+uint64(index)*DescSize, DescSize))
}

// Len returns how many objects there are.
func (t *Table) Len() int {
	n := 0
	for _, o := range *t.objects.Load() {
		if o != nil {
			n++
		}
	}
	return n
}

// Object returns the object with this index, nil where there is none.
func (t *Table) Object(index uint32) any {
	objects := *t.objects.Load()
	if int(index) >= len(objects) {
		return nil
	}
	return objects[index]
}

// Lookup returns the object whose descriptor is at addr, nil where there is none.
func (t *Table) Lookup(addr uint64) any {
	off := addr - t.Base
	if off >= DescSize*MaxDescs || off%DescSize != 0 {
		return nil
	}
	return t.Object(uint32(off / DescSize))
}

// Contains reports whether addr is that of a descriptor slot of this table.
func (t *Table) Contains(addr uint64) bool {
	off := addr - t.Base
	return off < DescSize*MaxDescs && off%DescSize == 0
}
