package maps

import (
	"encoding/binary"
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
)

// CgroupArray is BPF_MAP_TYPE_CGROUP_ARRAY (kernel/bpf/arraymap.c, cgroup_array_map_ops). User
// space stores file descriptors of cgroups in Linux. Here the lower half of a cgroup's id takes
// their place, so that a run's world says what is in it; 0 and negative numbers are no cgroup.
type CgroupArray struct {
	*Common

	mu    sync.RWMutex
	slots map[uint32]uint32 // ids by index
}

func newCgroupArray(c *Common) (Map, error) {
	const known = linux.MapNUMANode | linux.MapReadOnly | linux.MapWriteOnly
	switch {
	case c.KeySize != 4 || c.ValueSize != 4:
		return nil, c.fail(linux.EINVAL, "key_size is %d and value_size %d, but both must be 4", c.KeySize, c.ValueSize)
	case c.MaxEntries == 0:
		return nil, c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.Flags&^known != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^known)
	case c.accessClash():
		return nil, c.fail(linux.EINVAL, "BPF_F_RDONLY and BPF_F_WRONLY exclude each other")
	}
	a := &CgroupArray{Common: c, slots: map[uint32]uint32{}}
	if err := c.register(a); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return a, nil
}

// Get returns the lower half of the id of the cgroup at an index. E2BIG: there is no such index;
// EAGAIN: there is no cgroup.
func (a *CgroupArray) Get(index uint32) (id uint32, errno linux.Errno) {
	if index >= a.MaxEntries {
		return 0, linux.E2BIG
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if id = a.slots[index]; id == 0 {
		return 0, linux.EAGAIN
	}
	return id, linux.OK
}

// Lookup implements Map.
func (a *CgroupArray) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (a *CgroupArray) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map.
func (a *CgroupArray) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map. Linux does not tell which cgroup is there.
func (a *CgroupArray) SysLookup(_, _ []byte, flags uint64) linux.Errno {
	if errno := a.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	return linux.ENOTSUPP
}

// SysUpdate implements Map.
func (a *CgroupArray) SysUpdate(key, value []byte, flags uint64) linux.Errno {
	index := binary.LittleEndian.Uint32(key)
	if errno := a.checkPut(index, flags); errno != linux.OK {
		return errno
	}
	id := binary.LittleEndian.Uint32(value)
	if int32(id) <= 0 {
		return linux.EBADF
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.slots[index] = id
	return linux.OK
}

// SysDelete implements Map.
func (a *CgroupArray) SysDelete(key []byte) linux.Errno {
	if errno := a.sysWrite(); errno != linux.OK {
		return errno
	}
	index := binary.LittleEndian.Uint32(key)
	if index >= a.MaxEntries {
		return linux.E2BIG
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.slots[index] == 0 {
		return linux.ENOENT
	}
	delete(a.slots, index)
	return linux.OK
}

// NextKey implements Map. It visits every index.
func (a *CgroupArray) NextKey(key, next []byte) linux.Errno {
	if errno := a.sysRead(); errno != linux.OK {
		return errno
	}
	return nextIndex(a.MaxEntries, key, next)
}

// Close implements Map.
func (a *CgroupArray) Close() { a.unregister() }
