package mem

// Kind says what a region is for.
type Kind uint8

// The kinds of region.
const (
	KindInternal  Kind = iota // no program may touch it
	KindStack                 // frames of one virtual CPU
	KindContext               // the context of a run; accesses go through its field table
	KindPacket                // the packet buffer of one virtual CPU
	KindMapValue              // elements of a map
	KindRingbuf               // records; a virtual CPU knows the ones it has reserved
	KindMapDesc               // map descriptors: what a map pointer in a register points at
	KindProgDesc              // program descriptors: what a PROG_ARRAY slot points at
	KindRunMemory             // memory that the caller supplied for one run
)

// String names the kind as error messages do.
func (k Kind) String() string {
	names := [...]string{"internal memory", "stack", "context", "packet", "map value", "ring buffer record",
		"map", "program", "run memory"}
	if int(k) < len(names) {
		return names[k]
	}
	return "memory"
}

// Perm says what a program may do with memory.
type Perm uint8

// Permissions.
const (
	PermRead  Perm = 1 << iota // loads
	PermWrite                  // stores and atomic operations
	PermRW    = PermRead | PermWrite
)

// String names the permission.
func (p Perm) String() string {
	return [...]string{"no access", "read-only", "write-only", "read-write"}[p&PermRW]
}

// Region is a committed part of a Space. Its fields are fixed once it is made.
type Region struct {
	Layout
	Base uint64

	id     uint32
	chunks uint64
	space  *Space
	freed  bool // under space.mu
}

// Window returns the part of an element around addr that may be accessed with perm: its first
// address and its length in bytes. An access is good when all of it lies in one window; n is 0
// where there is none.
func (r *Region) Window(addr uint64, perm Perm) (lo, n uint64) {
	off := addr - r.Base
	if off >= r.Layout.Size {
		return 0, 0
	}
	elem := off - off%r.Stride
	in := off - elem
	if in-r.ValueOff < r.ValueSize && r.Perm&perm == perm {
		return r.Base + elem + r.ValueOff, r.ValueSize
	}
	return 0, 0
}

// Bytes returns the region's memory. The slice is valid until Free.
func (r *Region) Bytes() []byte { return Bytes(r.Base, r.Layout.Size) }
