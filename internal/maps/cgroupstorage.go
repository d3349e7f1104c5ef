package maps

import (
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// Largest values in bytes (cgroup_storage_map_alloc, kernel/bpf/local_storage.c):
// BPF_LOCAL_STORAGE_MAX_VALUE_SIZE, and PCPU_MIN_UNIT_SIZE for one per CPU. Measured on x86-64.
const (
	maxCgroupStorage       = 65407
	maxPerCPUCgroupStorage = 32768
)

// cgroupStorageKey is the size of struct bpf_cgroup_storage_key in bytes: the inode number of a
// cgroup and an attach type. A key of 8 bytes is the inode number alone.
const cgroupStorageKey = 16

// CgroupStorage is BPF_MAP_TYPE_CGROUP_STORAGE and BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE
// (kernel/bpf/local_storage.c). Linux has a value for each cgroup that a program is attached to,
// and a fresh, zeroed one for each BPF_PROG_TEST_RUN, which no key leads to. As programs cannot be
// attached in user space, there are only those: each run has its own, also while another one is
// under way, and it stays for all repetitions.
type CgroupStorage struct {
	*Common

	mu   sync.RWMutex
	runs map[any]*mem.Region // of the runs under way
	free []*mem.Region
}

func newCgroupStorage(c *Common) (Map, error) {
	const known = linux.MapNUMANode | linux.MapReadOnly | linux.MapWriteOnly | linux.MapReadOnlyProg | linux.MapWriteOnlyProg
	most := uint32(maxCgroupStorage)
	if c.Type == ebpf.PerCPUCGroupStorage {
		most = maxPerCPUCgroupStorage
	}
	both := func(a, b uint32) bool { return c.Flags&a != 0 && c.Flags&b != 0 }
	switch {
	case c.KeySize != cgroupStorageKey && c.KeySize != 8:
		return nil, c.fail(linux.EINVAL, "key_size is %d; a key is a struct bpf_cgroup_storage_key of 16 bytes or a cgroup's number of 8", c.KeySize)
	case c.ValueSize == 0:
		return nil, c.fail(linux.EINVAL, "value_size is 0")
	case c.ValueSize > most:
		return nil, c.fail(linux.E2BIG, "value_size is %d, a %s has at most %d bytes", c.ValueSize, c.Type, most)
	case c.Flags&^known != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^known)
	case both(linux.MapReadOnly, linux.MapWriteOnly), both(linux.MapReadOnlyProg, linux.MapWriteOnlyProg):
		return nil, c.fail(linux.EINVAL, "map_flags %#x: read-only and write-only exclude each other", c.Flags)
	case c.MaxEntries != 0:
		return nil, c.fail(linux.EINVAL, "max_entries is %d, but must be 0: the cgroups decide", c.MaxEntries)
	}
	s := &CgroupStorage{Common: c, runs: map[any]*mem.Region{}}
	if err := c.register(s); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return s, nil
}

// Begin gives a run a zeroed value. run identifies it until End; it must be comparable.
func (s *CgroupStorage) Begin(run any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		r := s.free[n-1]
		s.free = s.free[:n-1]
		clear(r.Bytes()[:s.ValueSize])
		s.runs[run] = r
		return nil
	}
	size := roundUp8(s.ValueSize)
	r, err := s.host.Space.Alloc(mem.Layout{
		Kind: mem.KindMapValue, Name: s.Name, Owner: s,
		Size: size, Stride: size, ValueSize: uint64(s.ValueSize), Perm: s.progPerm(),
	})
	if err != nil {
		return s.refuse("storage of a run", linux.ENOMEM, "%v", err)
	}
	s.runs[run] = r
	return nil
}

// End takes the value of a run back.
func (s *CgroupStorage) End(run any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[run]; r != nil {
		delete(s.runs, run)
		s.free = append(s.free, r)
	}
}

// Of returns the address of a run's value, 0 for a run that has none.
func (s *CgroupStorage) Of(run any) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.runs[run]; r != nil {
		return r.Base
	}
	return 0
}

// Lookup implements Map. Programs get their value from bpf_get_local_storage only.
func (s *CgroupStorage) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (s *CgroupStorage) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map.
func (s *CgroupStorage) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map. There is no cgroup that a program is attached to.
func (s *CgroupStorage) SysLookup(_, _ []byte, flags uint64) linux.Errno {
	if errno := s.sysLookupFlags(flags); errno != linux.OK {
		return errno
	}
	return linux.ENOENT
}

// SysUpdate implements Map. Values come with attachments: only those that exist can be set.
func (s *CgroupStorage) SysUpdate(_, _ []byte, flags uint64) linux.Errno {
	switch errno := s.sysWrite(); {
	case errno != linux.OK:
		return errno
	case flags&^linux.UpdateExist != 0:
		return linux.EINVAL
	}
	return linux.ENOENT
}

// SysDelete implements Map. Values go with attachments.
func (s *CgroupStorage) SysDelete([]byte) linux.Errno {
	if errno := s.sysWrite(); errno != linux.OK {
		return errno
	}
	return linux.EINVAL
}

// NextKey implements Map.
func (s *CgroupStorage) NextKey(_, _ []byte) linux.Errno {
	if errno := s.sysRead(); errno != linux.OK {
		return errno
	}
	return linux.ENOENT
}

// Close implements Map.
func (s *CgroupStorage) Close() {
	s.unregister()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		r.Free()
	}
	for _, r := range s.free {
		r.Free()
	}
	s.runs, s.free = nil, nil
}
