package maps

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
)

// MaxStack is kernel.perf_event_max_stack: how many addresses a stack has at most.
const MaxStack = 127

// struct bpf_stack_build_id: an s32 status, 20 bytes of build id, and an offset or address.
const (
	buildIDSize   = 32
	buildIDStatus = 2 // BPF_STACK_BUILD_ID_IP: only the address is known
	buildIDAddr   = 24
)

// Flags of bpf_get_stackid and bpf_get_stack.
const (
	StackSkip    = 0xff    // BPF_F_SKIP_FIELD_MASK
	StackUser    = 1 << 8  // BPF_F_USER_STACK
	StackFastCmp = 1 << 9  // BPF_F_FAST_STACK_CMP
	StackReuse   = 1 << 10 // BPF_F_REUSE_STACKID
	StackBuildID = 1 << 11 // BPF_F_USER_BUILD_ID
)

// StackTrace is BPF_MAP_TYPE_STACK_TRACE (kernel/bpf/stackmap.c): stacks by their hash. There are
// no files in user space, so that a map with BPF_F_STACK_BUILD_ID has addresses without build ids,
// as Linux does where it cannot find the file.
type StackTrace struct {
	*Common
	buckets uint32 // max_entries, rounded up to a power of two, less one

	mu     sync.RWMutex
	stacks map[uint32]stackEntry
}

type stackEntry struct {
	hash uint32
	data []byte
}

func newStackTrace(c *Common) (Map, error) {
	const known = linux.MapNUMANode | linux.MapReadOnly | linux.MapWriteOnly | linux.MapStackBuildID
	unit := uint32(8)
	if c.Flags&linux.MapStackBuildID != 0 {
		unit = buildIDSize
	}
	switch {
	case c.Flags&^known != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^known)
	case c.accessClash():
		return nil, c.fail(linux.EINVAL, "BPF_F_RDONLY and BPF_F_WRONLY exclude each other")
	case c.MaxEntries == 0:
		return nil, c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.KeySize != 4:
		return nil, c.fail(linux.EINVAL, "key_size is %d, but the id of a stack has 4 bytes", c.KeySize)
	case c.ValueSize < 8 || c.ValueSize%unit != 0:
		return nil, c.fail(linux.EINVAL, "value_size is %d, but a stack has a multiple of %d bytes", c.ValueSize, unit)
	case c.ValueSize/unit > MaxStack:
		return nil, c.fail(linux.EINVAL, "value_size is %d, which is more than the %d addresses of kernel.perf_event_max_stack", c.ValueSize, MaxStack)
	case c.MaxEntries > 1<<31:
		return nil, c.fail(linux.E2BIG, "max_entries is %d, a stack trace map has at most %d", c.MaxEntries, uint32(1<<31))
	}
	s := &StackTrace{Common: c, buckets: bucketMask(c.MaxEntries), stacks: map[uint32]stackEntry{}}
	if err := c.register(s); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return s, nil
}

// depth is how many addresses fit.
func (s *StackTrace) depth() int {
	if s.Flags&linux.MapStackBuildID != 0 {
		return int(s.ValueSize / buildIDSize)
	}
	return int(s.ValueSize / 8)
}

// Insert is bpf_get_stackid once the flags are good: it stores what is left of the addresses behind
// those to skip, and returns its id. EFAULT: nothing is left; EEXIST: another stack has the id;
// ENOMEM: max_entries stacks are there.
func (s *StackTrace) Insert(addrs []uint64, flags uint64) (id uint32, errno linux.Errno) {
	skip := int(flags & StackSkip)
	if addrs = addrs[:min(len(addrs), skip+s.depth(), MaxStack)]; len(addrs) <= skip {
		return 0, linux.EFAULT
	}
	var plain []byte
	for _, a := range addrs[skip:] {
		plain = binary.LittleEndian.AppendUint64(plain, a)
	}
	hash := jhash(plain, 0)
	id = hash & s.buckets
	s.mu.Lock()
	defer s.mu.Unlock()
	old, there := s.stacks[id]
	if there && old.hash == hash && flags&StackFastCmp != 0 {
		return id, linux.OK
	}
	data := s.encode(plain)
	switch {
	case there && old.hash == hash && bytes.Equal(old.data, data):
		return id, linux.OK
	case there && flags&StackReuse == 0:
		return 0, linux.EEXIST
	case uint64(len(s.stacks)) >= uint64(s.MaxEntries):
		return 0, linux.ENOMEM // the new stack is made before the old one goes
	}
	s.stacks[id] = stackEntry{hash, data}
	return id, linux.OK
}

// encode gives the addresses the form of the map's values.
func (s *StackTrace) encode(plain []byte) []byte {
	if s.Flags&linux.MapStackBuildID == 0 {
		return plain
	}
	return BuildIDs(plain)
}

// BuildIDs makes a struct bpf_stack_build_id, without a build id, of each address.
func BuildIDs(plain []byte) []byte {
	out := make([]byte, len(plain)/8*buildIDSize)
	for i := 0; i < len(plain); i += 8 {
		e := out[i/8*buildIDSize:]
		binary.LittleEndian.PutUint32(e, buildIDStatus)
		copy(e[buildIDAddr:], plain[i:i+8])
	}
	return out
}

// Lookup implements Map. Programs cannot read stacks.
func (s *StackTrace) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (s *StackTrace) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map.
func (s *StackTrace) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map. What a stack does not fill is zero.
func (s *StackTrace) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := s.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.read(key, value)
}

func (s *StackTrace) read(key, value []byte) linux.Errno {
	e, there := s.stacks[binary.LittleEndian.Uint32(key)]
	if !there {
		return linux.ENOENT
	}
	clear(value[copy(value, e.data):])
	return linux.OK
}

// SysLookupDelete implements LookupDeleter.
func (s *StackTrace) SysLookupDelete(key, value []byte, flags uint64) linux.Errno {
	if errno := s.checkTake(flags); errno != linux.OK {
		return errno
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	errno := s.read(key, value)
	if errno == linux.OK {
		delete(s.stacks, binary.LittleEndian.Uint32(key))
	}
	return errno
}

// SysUpdate implements Map.
func (s *StackTrace) SysUpdate([]byte, []byte, uint64) linux.Errno {
	if errno := s.sysWrite(); errno != linux.OK {
		return errno
	}
	return linux.EINVAL
}

// SysDelete implements Map.
func (s *StackTrace) SysDelete(key []byte) linux.Errno {
	if errno := s.sysWrite(); errno != linux.OK {
		return errno
	}
	id := binary.LittleEndian.Uint32(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.stacks[id]; !there {
		if id > s.buckets {
			return linux.E2BIG
		}
		return linux.ENOENT
	}
	delete(s.stacks, id)
	return linux.OK
}

// NextKey implements Map. It goes on at the first id for a key without a stack.
func (s *StackTrace) NextKey(key, next []byte) linux.Errno {
	if errno := s.sysRead(); errno != linux.OK {
		return errno
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	from := uint32(0)
	if key != nil {
		id := binary.LittleEndian.Uint32(key)
		if _, there := s.stacks[id]; there {
			from = id + 1
		}
	}
	found, best := false, uint32(0)
	for id := range s.stacks {
		if id >= from && (!found || id < best) {
			found, best = true, id
		}
	}
	if !found {
		return linux.ENOENT
	}
	binary.LittleEndian.PutUint32(next, best)
	return linux.OK
}

// Close implements Map.
func (s *StackTrace) Close() { s.unregister() }
