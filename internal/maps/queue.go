package maps

import (
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// Keyless is implemented by the map types that have values and no keys: queues, stacks and Bloom
// filters. Programs reach them with bpf_map_push_elem and its kin only.
type Keyless interface {
	// Push is bpf_map_push_elem.
	Push(value []byte, flags uint64) linux.Errno
	// Pop is bpf_map_pop_elem: it takes the next value out.
	Pop(value []byte) linux.Errno
	// Peek is bpf_map_peek_elem: it copies the next value, or asks a Bloom filter for value.
	Peek(value []byte) linux.Errno
}

// accessClash is the opposite of bpf_map_flags_access_ok.
func (c *Common) accessClash() bool {
	both := func(mask uint32) bool { return c.Flags&mask == mask }
	return both(linux.MapReadOnly|linux.MapWriteOnly) || both(linux.MapReadOnlyProg|linux.MapWriteOnlyProg)
}

// queue is BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK (kernel/bpf/queue_stack_maps.c): a ring of
// max_entries values, taken from its old or its new end.
type queue struct {
	*Common
	region *mem.Region

	mu    sync.Mutex
	first uint64 // position of the oldest value
	count uint64
}

func newQueue(c *Common) (Map, error) {
	const known = linux.MapNUMANode | accessFlags
	switch {
	case c.MaxEntries == 0:
		return nil, c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.KeySize != 0:
		return nil, c.fail(linux.EINVAL, "key_size is %d, but a %s has no keys", c.KeySize, c.Type)
	case c.ValueSize == 0:
		return nil, c.fail(linux.EINVAL, "value_size is 0")
	case c.Flags&^known != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^known)
	case c.accessClash():
		return nil, c.fail(linux.EINVAL, "map_flags %#x: read-only and write-only exclude each other", c.Flags)
	case c.ValueSize > kmallocMax:
		return nil, c.fail(linux.E2BIG, "value_size is %d, a %s has at most %d bytes", c.ValueSize, c.Type, kmallocMax)
	}
	q := &queue{Common: c}
	region, err := c.host.Space.Alloc(mem.Layout{
		Kind: mem.KindInternal, Name: c.Name, Owner: q, Size: uint64(c.MaxEntries) * uint64(c.ValueSize),
	})
	if err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	q.region = region
	if err := c.register(q); err != nil {
		region.Free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return q, nil
}

// at is the n-th value from the oldest.
func (q *queue) at(n uint64) []byte {
	i := (q.first + n) % uint64(q.MaxEntries)
	return mem.Bytes(q.region.Base+i*uint64(q.ValueSize), uint64(q.ValueSize))
}

// Push implements Keyless. With BPF_EXIST a full map loses its oldest value, else E2BIG.
func (q *queue) Push(value []byte, flags uint64) linux.Errno {
	if flags != linux.UpdateAny && flags != linux.UpdateExist {
		return linux.EINVAL
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == uint64(q.MaxEntries) {
		if flags != linux.UpdateExist {
			return linux.E2BIG
		}
		q.drop()
	}
	copy(q.at(q.count), value)
	q.count++
	return linux.OK
}

// drop takes the oldest value away.
func (q *queue) drop() {
	q.first = (q.first + 1) % uint64(q.MaxEntries)
	q.count--
}

// Peek implements Keyless. An empty map gives zeros and ENOENT.
func (q *queue) Peek(value []byte) linux.Errno {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.read(value)
}

func (q *queue) read(value []byte) linux.Errno {
	switch {
	case q.count == 0:
		clear(value)
		return linux.ENOENT
	case q.Type == ebpf.Stack:
		copy(value, q.at(q.count-1))
	default:
		copy(value, q.at(0))
	}
	return linux.OK
}

// Pop implements Keyless.
func (q *queue) Pop(value []byte) linux.Errno {
	q.mu.Lock()
	defer q.mu.Unlock()
	errno := q.read(value)
	switch {
	case errno != linux.OK:
	case q.Type == ebpf.Stack:
		q.count--
	default:
		q.drop()
	}
	return errno
}

// Lookup implements Map. Values have no addresses.
func (q *queue) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (q *queue) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map.
func (q *queue) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map: it peeks.
func (q *queue) SysLookup(_, value []byte, flags uint64) linux.Errno {
	if errno := q.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	return q.Peek(value[:q.ValueSize])
}

// SysUpdate implements Map: it pushes.
func (q *queue) SysUpdate(_, value []byte, flags uint64) linux.Errno {
	if errno := q.sysWrite(); errno != linux.OK {
		return errno
	}
	return q.Push(value[:q.ValueSize], flags)
}

// SysDelete implements Map.
func (q *queue) SysDelete([]byte) linux.Errno {
	if errno := q.sysWrite(); errno != linux.OK {
		return errno
	}
	return linux.EINVAL
}

// SysLookupDelete implements LookupDeleter: it pops. There is no flag, and both reading and
// writing must be allowed.
func (q *queue) SysLookupDelete(_, value []byte, flags uint64) linux.Errno {
	if errno := q.checkTake(flags); errno != linux.OK {
		return errno
	}
	return q.Pop(value[:q.ValueSize])
}

// NextKey implements Map.
func (q *queue) NextKey([]byte, []byte) linux.Errno {
	if errno := q.sysRead(); errno != linux.OK {
		return errno
	}
	return linux.EINVAL
}

// Close implements Map.
func (q *queue) Close() {
	q.unregister()
	q.region.Free()
}
