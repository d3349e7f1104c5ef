// Package maps implements the BPF map types with the semantics, flags and error numbers of
// Linux, one file a family. Values live outside the Go heap at addresses that programs use.
package maps

import (
	"fmt"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// Map is what every map type offers. The methods without the Sys prefix serve programs and
// helpers on a virtual CPU; those with it serve user space and behave as bpf(2) does, with keys
// and values in bpf(2)'s layout (per-CPU values: one copy for each virtual CPU, each rounded up
// to 8 bytes). Keys and values have the map's sizes; a method for which the type has no
// operation returns what Linux returns, ENOTSUPP or EINVAL among others.
//
// All methods are safe for concurrent use and never wait for a run to end.
type Map interface {
	// Info returns what all types share.
	Info() *Common

	// Lookup returns the address of the value that the virtual CPU sees, 0 where there is none.
	Lookup(cpu int, key []byte) uint64
	// Update is bpf_map_update_elem; flags are linux.UpdateAny and its kin.
	Update(cpu int, key, value []byte, flags uint64) linux.Errno
	// Delete is bpf_map_delete_elem.
	Delete(cpu int, key []byte) linux.Errno

	// SysLookup copies the value of key to value.
	SysLookup(key, value []byte, flags uint64) linux.Errno
	// SysUpdate stores value under key.
	SysUpdate(key, value []byte, flags uint64) linux.Errno
	// SysDelete removes key.
	SysDelete(key []byte) linux.Errno
	// NextKey copies the key after key to next; a nil key asks for the first one.
	// ENOENT says that there is none.
	NextKey(key, next []byte) linux.Errno

	// Close releases the map's memory. Nothing may use the map any more.
	Close()
}

// Iterator is implemented by map types that bpf_for_each_map_elem accepts.
type Iterator interface {
	// ForEach calls visit with each key and the address of its value as virtual CPU cpu sees it,
	// until visit returns false. The key is valid during the call only. ForEach returns how many
	// elements it visited.
	ForEach(cpu int, visit func(key []byte, value uint64) bool) int
}

// Host is what maps need of the machine they live in.
type Host struct {
	Space  *mem.Space
	Epochs *mem.Epochs
	Descs  *mem.Table // of map descriptors
	CPUs   int        // virtual CPUs; sizes per-CPU maps
	// Readers[cpu] is the epoch word of a virtual CPU, for maps that reuse memory which a run
	// released itself.
	Readers []*mem.Reader
	// Inner finds the map behind a descriptor, for maps of maps.
	Inner func(desc uint64) Map
}

// Spec describes a map to make. It mirrors union bpf_attr of BPF_MAP_CREATE.
type Spec struct {
	Name       string
	Type       ebpf.MapType
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Flags      uint32
	Extra      uint64 // map_extra
	HasTypes   bool   // key and value have BTF types
	Inner      *Spec  // template for maps of maps
}

// Common is the part that all map types share.
type Common struct {
	Spec
	ID     uint32
	Desc   uint64 // address of the map's descriptor: a map pointer in a register
	frozen atomic.Bool

	host  *Host
	index uint32
}

// Error says why a map could not be made or used.
type Error struct {
	Map    string
	Op     string // create, update, …
	Errno  linux.Errno
	Reason string // the field or limit at fault and the remedy
}

func (e *Error) Error() string {
	s := fmt.Sprintf("map %s: %s: %s", e.Map, e.Op, e.Errno.Error())
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

func (e *Error) Unwrap() error { return e.Errno }

// Freeze makes the map read-only for user space (BPF_MAP_FREEZE), which needs the right to write.
func (c *Common) Freeze() linux.Errno {
	if c.Flags&linux.MapReadOnly != 0 || c.frozen.Swap(true) {
		return linux.EPERM
	}
	return linux.OK
}

// Frozen reports whether Freeze was called.
func (c *Common) Frozen() bool { return c.frozen.Load() }

// MapName is the map's name.
func (c *Common) MapName() string { return c.Name }

// Info implements Map.
func (c *Common) Info() *Common { return c }

// SysValueSize is the length of a value as bpf(2) passes it.
func (c *Common) SysValueSize() int {
	switch c.Type {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage:
		return c.host.CPUs * int(roundUp8(c.ValueSize))
	}
	return int(c.ValueSize)
}

// register gives the map its descriptor.
func (c *Common) register(m Map) error {
	addr, index, err := c.host.Descs.Add(m)
	if err != nil {
		return err
	}
	c.Desc, c.index = addr, index
	mem.Store32(addr+mem.MapType, uint32(c.Type))
	mem.Store32(addr+mem.MapKeySize, c.KeySize)
	mem.Store32(addr+mem.MapValueSize, c.ValueSize)
	mem.Store32(addr+mem.MapMaxEntries, c.MaxEntries)
	mem.Store32(addr+mem.MapIndex, index)
	return nil
}

func (c *Common) unregister() {
	if c.index != 0 {
		c.host.Descs.Remove(c.index)
		c.index = 0
	}
}

// progPerm is what programs may do with values.
func (c *Common) progPerm() mem.Perm {
	switch {
	case c.Flags&linux.MapReadOnlyProg != 0:
		return mem.PermRead
	case c.Flags&linux.MapWriteOnlyProg != 0:
		return mem.PermWrite
	}
	return mem.PermRW
}

func (c *Common) fail(errno linux.Errno, reason string, args ...any) error {
	return &Error{Map: c.Name, Op: "create", Errno: errno, Reason: fmt.Sprintf(reason, args...)}
}

// sysWrite refuses writes from user space that flags or Freeze forbid.
func (c *Common) sysWrite() linux.Errno {
	if c.frozen.Load() || c.Flags&linux.MapReadOnly != 0 {
		return linux.EPERM
	}
	return linux.OK
}

func (c *Common) sysRead() linux.Errno {
	if c.Flags&linux.MapWriteOnly != 0 {
		return linux.EPERM
	}
	return linux.OK
}

// checkTake holds what bpf(2) checks before it takes an element, in its order: flags, the rights to
// read and to write, and BPF_F_LOCK, which needs a lock in the value.
func (c *Common) checkTake(flags uint64) linux.Errno {
	switch {
	case flags&^linux.UpdateLock != 0:
		return linux.EINVAL
	case c.sysRead() != linux.OK || c.sysWrite() != linux.OK:
		return linux.EPERM
	case flags != 0:
		return linux.EINVAL
	}
	return linux.OK
}

// SysLookupDelete implements LookupDeleter for types whose elements cannot be taken.
func (c *Common) SysLookupDelete(_, _ []byte, flags uint64) linux.Errno {
	if errno := c.checkTake(flags); errno != linux.OK {
		return errno
	}
	return linux.ENOTSUPP
}

func roundUp8(n uint32) uint64 { return (uint64(n) + 7) &^ 7 }

// constructor makes one type of map from its attributes, which it checks.
type constructor func(*Common) (Map, error)

// New makes a map. Errors are *Error with the errno that BPF_MAP_CREATE gives for the same
// attributes.
func New(h *Host, spec *Spec, id uint32) (Map, error) {
	make, ok := constructorOf(spec.Type)
	c := &Common{Spec: *spec, ID: id, host: h}
	if !ok {
		return nil, c.fail(linux.EINVAL, "map type %s is not supported by the user-space engines", spec.Type)
	}
	if spec.Extra != 0 && spec.Type != ebpf.BloomFilter {
		return nil, c.fail(linux.EINVAL, "map_extra is %#x, but must be 0 for this type", spec.Extra)
	}
	if spec.Inner != nil {
		inner := *spec.Inner
		c.Spec.Inner = &inner
	}
	m, err := make(c)
	if err != nil {
		return nil, err
	}
	if c.Desc == 0 {
		m.Close()
		return nil, c.fail(linux.ENOMEM, "no descriptor")
	}
	return m, nil
}
