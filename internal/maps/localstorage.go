package maps

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// maxLocalStorage is BPF_LOCAL_STORAGE_MAX_VALUE_SIZE on x86-64 in bytes.
const maxLocalStorage = 65407

// LocalStorage is BPF_MAP_TYPE_SK_STORAGE, TASK_STORAGE, INODE_STORAGE and CGRP_STORAGE
// (kernel/bpf/bpf_local_storage.c): a value for each object that has one. Objects have numbers:
// programs get that of the pointer they pass, and user space uses it as the key, where Linux
// has a file descriptor; 0 and negative keys are no object.
type LocalStorage struct {
	*Common
	elems elems

	mu     sync.RWMutex
	values map[uint64]uint64 // addresses of elements by object
}

func newLocalStorage(c *Common) (Map, error) {
	const known = linux.MapNoPrealloc | linux.MapClone
	switch {
	case c.Flags&^known != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^known)
	case c.Flags&linux.MapNoPrealloc == 0:
		return nil, c.fail(linux.EINVAL, "map_flags needs BPF_F_NO_PREALLOC")
	case c.MaxEntries != 0:
		return nil, c.fail(linux.EINVAL, "max_entries is %d, but must be 0: the objects decide", c.MaxEntries)
	case c.KeySize != 4:
		return nil, c.fail(linux.EINVAL, "key_size is %d, but a key has 4 bytes", c.KeySize)
	case c.ValueSize == 0:
		return nil, c.fail(linux.EINVAL, "value_size is 0")
	case !c.HasTypes:
		return nil, c.fail(linux.EINVAL, "the map needs BTF types for key and value; define it with __type(key, int) and __type(value, …)")
	case c.ValueSize > maxLocalStorage:
		return nil, c.fail(linux.E2BIG, "value_size is %d, a %s has at most %d bytes", c.ValueSize, c.Type, maxLocalStorage)
	}
	s := &LocalStorage{Common: c, values: map[uint64]uint64{}}
	s.elems.layout = mem.Layout{
		Kind: mem.KindMapValue, Name: c.Name, Owner: s, Stride: elemHead + roundUp8(c.ValueSize),
		ValueOff: elemHead, ValueSize: uint64(c.ValueSize), Perm: mem.PermRW,
	}
	if err := newElems(c.host, &s.elems, 0, math.MaxUint32); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	if err := c.register(s); err != nil {
		s.elems.close()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return s, nil
}

// Of returns the address of an object's value, 0 where there is none.
func (s *LocalStorage) Of(object uint64) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e := s.values[object]; e != 0 {
		return e + elemHead
	}
	return 0
}

// Create is Of, but makes a value where there is none: a copy of initial, zeros behind it. It
// returns 0 when no memory is left.
func (s *LocalStorage) Create(cpu int, object uint64, initial []byte) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.values[object]
	if e == 0 {
		if e = s.elems.alloc(cpu); e == 0 {
			return 0
		}
		b := mem.Bytes(e+elemHead, uint64(s.ValueSize))
		clear(b[copy(b, initial):])
		s.values[object] = e
	}
	return e + elemHead
}

// Remove takes an object's value away. ENOENT: there is none.
func (s *LocalStorage) Remove(cpu int, object uint64) linux.Errno {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.values[object]
	if e == 0 {
		return linux.ENOENT
	}
	delete(s.values, object)
	s.elems.retire(cpu, e)
	return linux.OK
}

// object is the number that a key stands for.
func (s *LocalStorage) object(key []byte) (uint64, linux.Errno) {
	n := int32(binary.LittleEndian.Uint32(key))
	if n <= 0 {
		return 0, linux.EBADF
	}
	return uint64(n), linux.OK
}

// Lookup implements Map. Programs use bpf_sk_storage_get and its kin.
func (s *LocalStorage) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (s *LocalStorage) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map.
func (s *LocalStorage) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map.
func (s *LocalStorage) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := s.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	object, errno := s.object(key)
	if errno != linux.OK {
		return errno
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.values[object]
	if e == 0 {
		return linux.ENOENT
	}
	mem.ReadWords(value[:s.ValueSize], e+elemHead)
	return linux.OK
}

// SysUpdate implements Map. A program that holds the old value goes on with it: an update makes a
// new one.
func (s *LocalStorage) SysUpdate(key, value []byte, flags uint64) linux.Errno {
	if errno := s.sysWrite(); errno != linux.OK {
		return errno
	}
	if flags&linux.UpdateLock != 0 {
		return linux.EINVAL
	}
	object, errno := s.object(key)
	if errno != linux.OK {
		return errno
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.values[object]
	switch {
	case flags > linux.UpdateExist:
		return linux.EINVAL
	case old != 0 && flags == linux.UpdateNoExist:
		return linux.EEXIST
	case old == 0 && flags == linux.UpdateExist:
		return linux.ENOENT
	}
	e := s.elems.alloc(userSpace)
	if e == 0 {
		return linux.ENOMEM
	}
	copy(mem.Bytes(e+elemHead, uint64(s.ValueSize)), value)
	s.values[object] = e
	if old != 0 {
		s.elems.retire(userSpace, old)
	}
	return linux.OK
}

// SysDelete implements Map.
func (s *LocalStorage) SysDelete(key []byte) linux.Errno {
	if errno := s.sysWrite(); errno != linux.OK {
		return errno
	}
	object, errno := s.object(key)
	if errno != linux.OK {
		return errno
	}
	return s.Remove(userSpace, object)
}

// NextKey implements Map. The values of a map cannot be listed.
func (s *LocalStorage) NextKey([]byte, []byte) linux.Errno { return linux.ENOTSUPP }

// Close implements Map.
func (s *LocalStorage) Close() {
	s.unregister()
	s.elems.close()
}
