package maps

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// hash is BPF_MAP_TYPE_HASH, PERCPU_HASH, LRU_HASH and LRU_PERCPU_HASH (kernel/bpf/hashtab.c):
// buckets of chained elements. Programs walk chains without a lock; writers hold the bucket's.
// An element never changes its place in a chain and its link always leads towards the end, so
// that a walk ends even when it stands on elements that were unlinked meanwhile.
//
// HASH and LRU_HASH store a new element for each update, with one store to the link that led to
// the old one: a reader finds either, never none. Per-CPU values are written in place.
type hash struct {
	*Common
	elems elems
	lru   *lru // nil unless the map evicts

	buckets uint64 // address of the first
	mask    uint64 // number of buckets - 1
	seed    uint64
	keySize uint32
	copies  int    // per-CPU values of an element, 0 where the value is part of the element
	stride  uint64 // distance between per-CPU values
	value   uint64 // offset of the value, or of the address of the per-CPU values
	live    atomic.Int64
	table   *mem.Region
}

// An element: link, hash, reference mark, two words of elems or lru, key, value.
const (
	hashNext = 0        // u64, address of the next element; first, so that a link's address names its element
	hashSum  = 8        // u32
	hashRef  = 12       // u32, 1 after a program looked the element up
	hashKey  = elemHead // key_size bytes, padded to 8
)

// A bucket.
const (
	bucketHead = 0 // u64, address of the first element
	bucketLock = 8 // u32
	bucketSize = 16
)

// LookupDeleter is implemented by map types that BPF_MAP_LOOKUP_AND_DELETE_ELEM accepts.
type LookupDeleter interface {
	// SysLookupDelete copies the value of key to value and removes key, with no update between.
	SysLookupDelete(key, value []byte, flags uint64) linux.Errno
}

func newHash(c *Common) (Map, error) {
	if err := checkHash(c); err != nil {
		return nil, err
	}
	perCPU := c.Type == ebpf.PerCPUHash || c.Type == ebpf.LRUCPUHash
	h := &hash{
		Common: c, keySize: c.KeySize, seed: hashSeed(&c.Spec),
		mask:  uint64(1)<<bits.Len32(c.MaxEntries-1) - 1,
		value: hashKey + roundUp8(c.KeySize), stride: roundUp8(c.ValueSize),
	}
	if perCPU {
		h.copies = c.host.CPUs
	}
	if err := h.allocate(); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	if err := c.register(h); err != nil {
		h.free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return h, nil
}

func (h *hash) allocate() error {
	values := mem.Layout{
		Kind: mem.KindMapValue, Name: h.Name, Owner: h,
		Stride: h.stride, ValueSize: uint64(h.ValueSize), Perm: h.progPerm(),
	}
	if h.copies == 0 {
		values.Stride, values.ValueOff = h.value+h.stride, h.value
		h.elems.layout = values
	} else {
		h.elems.layout = mem.Layout{Kind: mem.KindInternal, Name: h.Name, Owner: h, Stride: h.value + 8}
		h.elems.values, h.elems.copies, h.elems.slot = values, uint64(h.copies), h.value
	}
	table, err := h.host.Space.Alloc(mem.Layout{
		Kind: mem.KindInternal, Name: h.Name, Owner: h, Size: (h.mask + 1) * bucketSize, Stride: bucketSize,
	})
	if err != nil {
		return err
	}
	h.table, h.buckets = table, table.Base
	entries := uint64(h.MaxEntries)
	first := entries
	if h.Flags&linux.MapNoPrealloc != 0 {
		first = 0
	}
	if err := newElems(h.host, &h.elems, first, entries); err != nil {
		table.Free()
		return err
	}
	if isLRU(h.Type) {
		if h.lru, err = newLRU(h.host.Space, h.Name); err != nil {
			h.free()
			return err
		}
	}
	return nil
}

func (h *hash) free() {
	h.table.Free()
	h.elems.close()
	if h.lru != nil {
		h.lru.close()
	}
}

// Close implements Map.
func (h *hash) Close() {
	h.unregister()
	h.free()
}

func (h *hash) sum(key []byte) uint64 {
	switch h.keySize {
	case 4:
		return hashWord(h.seed, uint64(binary.LittleEndian.Uint32(key)))
	case 8:
		return hashWord(h.seed, binary.LittleEndian.Uint64(key))
	case 16:
		return hashPair(h.seed, binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:]))
	}
	return hashBytes(h.seed, key[:h.keySize])
}

func (h *hash) bucket(sum uint64) uint64 { return h.buckets + sum&h.mask*bucketSize }

// find returns the element of key, 0 where there is none. The caller is inside a run.
func (h *hash) find(key []byte) uint64 {
	switch h.keySize {
	case 4:
		k := binary.LittleEndian.Uint32(key)
		e := mem.AtomicLoad64(h.bucket(hashWord(h.seed, uint64(k))))
		for e != 0 && mem.Load32(e+hashKey) != k {
			e = mem.AtomicLoad64(e)
		}
		return e
	case 8:
		k := binary.LittleEndian.Uint64(key)
		e := mem.AtomicLoad64(h.bucket(hashWord(h.seed, k)))
		for e != 0 && mem.Load64(e+hashKey) != k {
			e = mem.AtomicLoad64(e)
		}
		return e
	case 16:
		k, l := binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])
		e := mem.AtomicLoad64(h.bucket(hashPair(h.seed, k, l)))
		for e != 0 && (mem.Load64(e+hashKey) != k || mem.Load64(e+hashKey+8) != l) {
			e = mem.AtomicLoad64(e)
		}
		return e
	}
	sum := h.sum(key)
	_, e := h.locate(h.bucket(sum), sum, key)
	return e
}

// locate returns the element of key in a bucket and the address of the link to it. Where there
// is no such element, e is 0.
func (h *hash) locate(bucket, sum uint64, key []byte) (link, e uint64) {
	link = bucket
	for e = mem.AtomicLoad64(link); e != 0; e = mem.AtomicLoad64(link) {
		if mem.Load32(e+hashSum) == uint32(sum>>32) && bytes.Equal(mem.Bytes(e+hashKey, uint64(h.keySize)), key[:h.keySize]) {
			return link, e
		}
		link = e
	}
	return link, 0
}

// addr is the address of the value that cpu sees.
func (h *hash) addr(e uint64, cpu int) uint64 {
	if h.copies == 0 {
		return e + h.value
	}
	return mem.Load64(e+h.value) + uint64(cpu)*h.stride
}

func (h *hash) Lookup(cpu int, key []byte) uint64 {
	e := h.find(key)
	if e == 0 {
		return 0
	}
	if h.lru != nil {
		mark(e)
	}
	return h.addr(e, cpu)
}

func (h *hash) Update(cpu int, key, value []byte, flags uint64) linux.Errno {
	return h.update(cpu, key, value, flags)
}

func (h *hash) SysUpdate(key, value []byte, flags uint64) linux.Errno {
	if errno := h.sysWrite(); errno != linux.OK {
		return errno
	}
	return h.update(userSpace, key, value, flags)
}

// update holds the order of htab_map_update_elem: flags, existence, room. No value here has a
// bpf_spin_lock, so BPF_F_LOCK is refused with all other flags.
func (h *hash) update(cpu int, key, value []byte, flags uint64) linux.Errno {
	if flags > linux.UpdateExist {
		return linux.EINVAL
	}
	sum := h.sum(key)
	b := h.bucket(sum)
	for {
		mem.Lock(b + bucketLock)
		link, old := h.locate(b, sum, key)
		errno := checkExist(old != 0, flags)
		if errno == linux.OK {
			errno = h.store(cpu, link, old, sum, key, value)
		}
		mem.Unlock(b + bucketLock)
		if errno != linux.E2BIG || h.lru == nil {
			return errno
		}
		h.evict(cpu)
	}
}

func checkExist(exists bool, flags uint64) linux.Errno {
	switch {
	case exists && flags == linux.UpdateNoExist:
		return linux.EEXIST
	case !exists && flags == linux.UpdateExist:
		return linux.ENOENT
	}
	return linux.OK
}

// store writes key and value over the element old, or makes a new one where it is 0. The caller
// holds the bucket's lock; link is that of old.
func (h *hash) store(cpu int, link, old, sum uint64, key, value []byte) linux.Errno {
	if old != 0 && h.copies != 0 {
		h.writeCopies(cpu, old, value)
		if h.lru != nil {
			mark(old)
		}
		return linux.OK
	}
	if old == 0 && !h.reserve() {
		return linux.E2BIG
	}
	e := h.elems.alloc(cpu)
	if e == 0 {
		if old == 0 {
			h.live.Add(-1)
		}
		return linux.ENOMEM
	}
	h.fill(cpu, e, sum, key, value)
	if old == 0 {
		link = h.bucket(sum)
		mem.Store64(e+hashNext, mem.AtomicLoad64(link))
	} else {
		mem.Store64(e+hashNext, mem.AtomicLoad64(old+hashNext))
	}
	if h.lru != nil {
		h.lru.add(e)
		if old != 0 {
			h.lru.remove(old)
			mark(e)
		}
	}
	mem.AtomicStore64(link, e)
	if old != 0 {
		h.elems.retire(cpu, old)
	}
	return linux.OK
}

// reserve counts one more live element unless the map is full.
func (h *hash) reserve() bool {
	for {
		n := h.live.Load()
		if n >= int64(h.MaxEntries) {
			return false
		}
		if h.live.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// fill writes an element that nobody can read yet.
func (h *hash) fill(cpu int, e, sum uint64, key, value []byte) {
	mem.Store32(e+hashSum, uint32(sum>>32))
	mem.Store32(e+hashRef, 0)
	copy(mem.Bytes(e+hashKey, uint64(h.keySize)), key)
	if h.copies == 0 {
		copy(mem.Bytes(e+h.value, uint64(h.ValueSize)), value)
		return
	}
	if cpu != userSpace {
		// A program sets its own CPU's value, the others start at 0 (pcpu_init_value).
		clear(mem.Bytes(h.addr(e, 0), uint64(h.copies)*h.stride))
	}
	h.writeCopies(cpu, e, value)
}

// writeCopies writes the value of one virtual CPU, or all from user space.
func (h *hash) writeCopies(cpu int, e uint64, value []byte) {
	if cpu != userSpace {
		mem.CopyWords(h.addr(e, cpu), value[:h.ValueSize])
		return
	}
	for c := range h.copies {
		mem.CopyWords(h.addr(e, c), value[uint64(c)*h.stride:][:h.stride])
	}
}

func (h *hash) Delete(cpu int, key []byte) linux.Errno { return h.remove(cpu, key, nil) }

func (h *hash) SysDelete(key []byte) linux.Errno {
	if errno := h.sysWrite(); errno != linux.OK {
		return errno
	}
	return h.remove(userSpace, key, nil)
}

// remove unlinks key after it copied its value to value, unless that is nil.
func (h *hash) remove(cpu int, key, value []byte) linux.Errno {
	sum := h.sum(key)
	b := h.bucket(sum)
	mem.Lock(b + bucketLock)
	link, e := h.locate(b, sum, key)
	if e != 0 {
		if value != nil {
			h.read(e, value)
		}
		h.unlink(cpu, link, e)
	}
	mem.Unlock(b + bucketLock)
	if e == 0 {
		return linux.ENOENT
	}
	return linux.OK
}

// unlink removes the live element e. The caller holds the bucket's lock.
func (h *hash) unlink(cpu int, link, e uint64) {
	mem.AtomicStore64(link, mem.AtomicLoad64(e+hashNext))
	if h.lru != nil {
		h.lru.remove(e)
	}
	h.live.Add(-1)
	h.elems.retire(cpu, e)
}

func (h *hash) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := h.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	sum := h.sum(key)
	b := h.bucket(sum)
	// User space is no reader that epochs know: only the lock keeps the element from reuse.
	mem.Lock(b + bucketLock)
	_, e := h.locate(b, sum, key)
	if e != 0 {
		h.read(e, value)
	}
	mem.Unlock(b + bucketLock)
	if e == 0 {
		return linux.ENOENT
	}
	return linux.OK
}

// read copies an element's value in bpf(2)'s layout.
func (h *hash) read(e uint64, value []byte) {
	if h.copies == 0 {
		mem.ReadWords(value[:h.ValueSize], e+h.value)
		return
	}
	for c := range h.copies {
		mem.ReadWords(value[uint64(c)*h.stride:][:h.stride], h.addr(e, c))
	}
}

// SysLookupDelete implements LookupDeleter.
func (h *hash) SysLookupDelete(key, value []byte, flags uint64) linux.Errno {
	if errno := h.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	if errno := h.sysWrite(); errno != linux.OK {
		return errno
	}
	return h.remove(userSpace, key, value)
}

// sysReadFlags holds the order of map_lookup_elem: unknown flags, permission, BPF_F_LOCK, which
// needs a bpf_spin_lock in the value.
func (c *Common) sysReadFlags(flags uint64) linux.Errno {
	if flags&^linux.UpdateLock != 0 {
		return linux.EINVAL
	}
	if errno := c.sysRead(); errno != linux.OK {
		return errno
	}
	if flags != 0 {
		return linux.EINVAL
	}
	return linux.OK
}

// NextKey walks the buckets in order and each chain from its head; an unknown key starts again
// at the first, as in htab_map_get_next_key.
func (h *hash) NextKey(key, next []byte) linux.Errno {
	if errno := h.sysRead(); errno != linux.OK {
		return errno
	}
	b := h.buckets
	if key != nil {
		sum := h.sum(key)
		at := h.bucket(sum)
		mem.Lock(at + bucketLock)
		_, e := h.locate(at, sum, key)
		found := e != 0 && h.copyKey(next, mem.AtomicLoad64(e+hashNext))
		mem.Unlock(at + bucketLock)
		if found {
			return linux.OK
		}
		if e != 0 {
			b = at + bucketSize
		}
	}
	for end := h.buckets + (h.mask+1)*bucketSize; b < end; b += bucketSize {
		if mem.AtomicLoad64(b) == 0 {
			continue
		}
		mem.Lock(b + bucketLock)
		found := h.copyKey(next, mem.AtomicLoad64(b))
		mem.Unlock(b + bucketLock)
		if found {
			return linux.OK
		}
	}
	return linux.ENOENT
}

func (h *hash) copyKey(dst []byte, e uint64) bool {
	if e == 0 {
		return false
	}
	copy(dst[:h.keySize], mem.Bytes(e+hashKey, uint64(h.keySize)))
	return true
}

// ForEach implements Iterator (bpf_for_each_hash_elem): the next element is fixed before visit
// is called, so that visit may delete the one it sees.
func (h *hash) ForEach(cpu int, visit func(key []byte, value uint64) bool) int {
	h.elems.walks[cpu].Add(1)
	defer h.elems.walks[cpu].Add(-1)
	n := 0
	for i := range h.mask + 1 {
		e := mem.AtomicLoad64(h.buckets + i*bucketSize)
		for e != 0 {
			next := mem.AtomicLoad64(e + hashNext)
			n++
			if !visit(mem.Bytes(e+hashKey, uint64(h.keySize)), h.addr(e, cpu)) {
				return n
			}
			e = next
		}
	}
	return n
}
