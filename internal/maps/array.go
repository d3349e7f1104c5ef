package maps

import (
	"encoding/binary"
	"math"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// array is BPF_MAP_TYPE_ARRAY and BPF_MAP_TYPE_PERCPU_ARRAY (kernel/bpf/arraymap.c): every
// element exists and is zero from the start, updates write in place, nothing can be deleted.
type array struct {
	*Common
	region *mem.Region
	stride uint64    // between elements
	copies int       // per element; 1, or one for each virtual CPU
	cpu    uint64    // between the copies of two virtual CPUs
	keys   [][4]byte // of ForEach, by virtual CPU
}

const arrayFlags = linux.MapNUMANode | linux.MapReadOnly | linux.MapWriteOnly | linux.MapReadOnlyProg |
	linux.MapWriteOnlyProg | linux.MapMmapable | linux.MapInnerMap

func newArray(c *Common) (Map, error)       { return makeArray(c, 1) }
func newPerCPUArray(c *Common) (Map, error) { return makeArray(c, c.host.CPUs) }

// checkArray holds the rules of array_map_alloc_check.
func checkArray(c *Common) error {
	switch {
	case c.KeySize != 4:
		return c.fail(linux.EINVAL, "key_size is %d, but the index of an array has 4 bytes", c.KeySize)
	case c.MaxEntries == 0:
		return c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.ValueSize == 0:
		return c.fail(linux.EINVAL, "value_size is 0")
	case c.Flags&^arrayFlags != 0:
		return c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^arrayFlags)
	case c.accessClash():
		return c.fail(linux.EINVAL, "map_flags %#x: read-only and write-only exclude each other", c.Flags)
	case c.ValueSize > math.MaxInt32:
		return c.fail(linux.E2BIG, "value_size is %d, an array has at most %d bytes", c.ValueSize, math.MaxInt32)
	case c.Type == ebpf.PerCPUArray && roundUp8(c.ValueSize) > perCPUMaxSize:
		return c.fail(linux.E2BIG, "value_size is %d, a per-CPU array has at most %d bytes", c.ValueSize, perCPUMaxSize)
	}
	return nil
}

func makeArray(c *Common, copies int) (Map, error) {
	if err := checkArray(c); err != nil {
		return nil, err
	}
	const notPerCPU = linux.MapMmapable | linux.MapInnerMap | linux.MapNUMANode
	if c.Type == ebpf.PerCPUArray && c.Flags&notPerCPU != 0 {
		return nil, c.fail(linux.EINVAL, "per-CPU arrays cannot be BPF_F_MMAPABLE, BPF_F_INNER_MAP or BPF_F_NUMA_NODE")
	}
	a := &array{Common: c, stride: roundUp8(c.ValueSize), copies: copies, keys: make([][4]byte, c.host.CPUs)}
	a.cpu = a.stride * uint64(c.MaxEntries)
	region, err := c.host.Space.Alloc(mem.Layout{
		Kind: mem.KindMapValue, Name: c.Name, Owner: a,
		Size: a.cpu * uint64(copies), Stride: a.stride, ValueSize: uint64(c.ValueSize), Perm: c.progPerm(),
	})
	if err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	a.region = region
	if err := c.register(a); err != nil {
		region.Free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	mem.Store64(c.Desc+mem.MapData, region.Base)
	mem.Store32(c.Desc+mem.MapStride, uint32(a.stride))
	if copies > 1 {
		mem.Store64(c.Desc+mem.MapCPUStride, a.cpu)
	}
	return a, nil
}

func (a *array) addr(cpu int, index uint32) uint64 {
	if a.copies == 1 {
		cpu = 0
	}
	return a.region.Base + uint64(cpu)*a.cpu + uint64(index)*a.stride
}

// Value returns the address and length of the array's values, for direct value loads
// (BPF_PSEUDO_MAP_VALUE), which Linux allows for arrays of one element.
func (a *array) Value() (addr, size uint64) { return a.region.Base, uint64(a.ValueSize) }

func (a *array) Lookup(cpu int, key []byte) uint64 {
	i := binary.LittleEndian.Uint32(key)
	if i >= a.MaxEntries {
		return 0
	}
	return a.addr(cpu, i)
}

// check holds the order of array_map_update_elem: flags, then index, existence, and BPF_F_LOCK,
// which needs a bpf_spin_lock in the value: no value here has one.
func (a *array) check(key []byte, flags uint64) (uint32, linux.Errno) {
	if flags&^linux.UpdateLock > linux.UpdateExist {
		return 0, linux.EINVAL
	}
	i := binary.LittleEndian.Uint32(key)
	switch {
	case i >= a.MaxEntries:
		return 0, linux.E2BIG
	case flags&linux.UpdateNoExist != 0:
		return 0, linux.EEXIST
	case flags&linux.UpdateLock != 0:
		return 0, linux.EINVAL
	}
	return i, linux.OK
}

func (a *array) Update(cpu int, key, value []byte, flags uint64) linux.Errno {
	i, errno := a.check(key, flags)
	if errno == linux.OK {
		mem.CopyWords(a.addr(cpu, i), value[:a.ValueSize])
	}
	return errno
}

func (a *array) Delete(int, []byte) linux.Errno { return linux.EINVAL }

func (a *array) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := a.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	i := binary.LittleEndian.Uint32(key)
	if i >= a.MaxEntries {
		return linux.ENOENT
	}
	for cpu := range a.copies {
		mem.ReadWords(value[uint64(cpu)*a.stride:][:a.ValueSize], a.addr(cpu, i))
	}
	return linux.OK
}

func (a *array) SysUpdate(key, value []byte, flags uint64) linux.Errno {
	if errno := a.sysWrite(); errno != linux.OK {
		return errno
	}
	if flags&linux.UpdateLock != 0 {
		return linux.EINVAL // map_update_elem refuses it first
	}
	i, errno := a.check(key, flags)
	if errno != linux.OK {
		return errno
	}
	for cpu := range a.copies {
		mem.CopyWords(a.addr(cpu, i), value[uint64(cpu)*a.stride:][:a.ValueSize])
	}
	return linux.OK
}

func (a *array) SysDelete([]byte) linux.Errno {
	if errno := a.sysWrite(); errno != linux.OK {
		return errno
	}
	return linux.EINVAL
}

func (a *array) NextKey(key, next []byte) linux.Errno {
	if errno := a.sysRead(); errno != linux.OK {
		return errno
	}
	return nextIndex(a.MaxEntries, key, next)
}

// nextIndex is array_map_get_next_key: an unknown key restarts at 0.
func nextIndex(n uint32, key, next []byte) linux.Errno {
	i := uint32(0)
	if key != nil {
		k := binary.LittleEndian.Uint32(key)
		switch {
		case k == n-1:
			return linux.ENOENT
		case k < n:
			i = k + 1
		}
	}
	binary.LittleEndian.PutUint32(next, i)
	return linux.OK
}

// ForEach implements Iterator (bpf_for_each_array_elem).
func (a *array) ForEach(cpu int, visit func(key []byte, value uint64) bool) int {
	key := &a.keys[cpu]
	for i := range a.MaxEntries {
		binary.LittleEndian.PutUint32(key[:], i)
		if !visit(key[:], a.addr(cpu, i)) {
			return int(i) + 1
		}
	}
	return int(a.MaxEntries)
}

// Close implements Map.
func (a *array) Close() {
	a.unregister()
	a.region.Free()
}
