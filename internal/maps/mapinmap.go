package maps

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// MapRef is a map that another map can hold. Ref keeps it from being closed until the matching
// Unref; whoever owns maps implements it around a Map.
type MapRef interface {
	Map
	Ref()
	Unref()
}

// MapOfMaps is what ARRAY_OF_MAPS and HASH_OF_MAPS offer besides Map. A program that looks a key
// up gets the inner map's descriptor, which is a map pointer.
type MapOfMaps interface {
	Map
	// Put stores inner under key and takes a reference on it. The map it replaces loses its
	// reference once no run can hold it. Errors are *Error with the errno of Linux; EINVAL for a
	// map that differs from the template names the fields.
	Put(key []byte, inner MapRef, flags uint64) error
	// Get returns the map under key, nil where there is none. The caller gets no reference.
	Get(key []byte) MapRef
}

// checkTemplate holds the rules of bpf_map_meta_alloc (kernel/bpf/map_in_map.c) for the inner
// map that serves as a template.
func checkTemplate(c *Common) error {
	t := c.Spec.Inner
	if t == nil {
		return c.fail(linux.EBADF, "a map of maps needs the definition of an inner map")
	}
	switch t.Type {
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		return c.fail(linux.EINVAL, "the inner map %s is a map of maps; only one level is allowed", t.Name)
	case ebpf.ProgramArray, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage, ebpf.StructOpsMap:
		return c.fail(linux.ENOTSUPP, "a %s cannot be an inner map", t.Type)
	}
	return nil
}

// checkInner holds the rules of map_meta_equal: the inner map must have the template's type,
// sizes and flags; some types compare max_entries too, as their verified code relies on it.
func (c *Common) checkInner(inner MapRef) error {
	if inner == nil {
		return c.refuse("update", linux.EBADF, "no map; use Delete to remove a key")
	}
	t, m := c.Spec.Inner, &inner.Info().Spec
	const kept = ^uint32(linux.MapReadOnly | linux.MapWriteOnly) // of a file descriptor, not the map
	fields := []struct {
		name       string
		have, want any
	}{
		{"type", m.Type, t.Type},
		{"key_size", m.KeySize, t.KeySize},
		{"value_size", m.ValueSize, t.ValueSize},
		{"map_flags", m.Flags & kept, t.Flags & kept},
	}
	fixed := t.Type == ebpf.XSKMap || t.Type == ebpf.Array && t.Flags&linux.MapInnerMap == 0
	if fixed {
		fields = append(fields, struct {
			name       string
			have, want any
		}{"max_entries", m.MaxEntries, t.MaxEntries})
	}
	reason := ""
	for _, f := range fields {
		if f.have != f.want {
			reason += fmt.Sprintf("; %s is %v, the inner map definition has %v", f.name, f.have, f.want)
		}
	}
	if reason != "" {
		if m.MaxEntries != t.MaxEntries && fixed && t.Type == ebpf.Array {
			reason += " (BPF_F_INNER_MAP in both would allow that max_entries differs)"
		}
		return c.refuse("update", linux.EINVAL, "map %s does not fit: %s", m.Name, reason[2:])
	}
	return nil
}

// releaseInner drops a reference once no run can hold the map.
func (c *Common) releaseInner(inner ...MapRef) {
	for _, m := range inner {
		if m != nil {
			c.host.Epochs.Retire(m.Unref)
		}
	}
}

// arrayOfMaps is BPF_MAP_TYPE_ARRAY_OF_MAPS. Its slots are words as those of a PROG_ARRAY.
type arrayOfMaps struct {
	*Common
	region *mem.Region
	mu     sync.Mutex
	inner  map[uint32]MapRef
	closed bool
}

func newArrayOfMaps(c *Common) (Map, error) {
	if err := checkFDArray(c, fdArrayFlags); err != nil {
		return nil, err
	}
	if err := checkTemplate(c); err != nil {
		return nil, err
	}
	a := &arrayOfMaps{Common: c, inner: map[uint32]MapRef{}}
	region, err := c.allocSlots(a)
	if err != nil {
		return nil, err
	}
	a.region = region
	return a, nil
}

func (a *arrayOfMaps) slot(index uint32) uint64 { return a.region.Base + slotSize*uint64(index) }

func (a *arrayOfMaps) Put(key []byte, inner MapRef, flags uint64) error {
	if len(key) != 4 {
		return a.refuse("update", linux.EINVAL, "the key has %d bytes instead of 4", len(key))
	}
	i := binary.LittleEndian.Uint32(key)
	if errno := a.checkPut(i, flags); errno != linux.OK {
		return a.putError(errno, i)
	}
	if err := a.checkInner(inner); err != nil {
		return err
	}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return a.refuse("update", linux.EBADF, "the map is closed")
	}
	inner.Ref()
	old := a.inner[i]
	a.inner[i] = inner
	mem.AtomicStore64(a.slot(i), inner.Info().Desc)
	a.mu.Unlock()
	a.releaseInner(old)
	return nil
}

func (a *arrayOfMaps) Get(key []byte) MapRef {
	if len(key) != 4 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inner[binary.LittleEndian.Uint32(key)]
}

func (a *arrayOfMaps) Lookup(_ int, key []byte) uint64 {
	i := binary.LittleEndian.Uint32(key)
	if i >= a.MaxEntries {
		return 0
	}
	return mem.AtomicLoad64(a.slot(i))
}

func (a *arrayOfMaps) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

func (a *arrayOfMaps) Delete(int, []byte) linux.Errno { return linux.EINVAL }

func (a *arrayOfMaps) SysLookup(key, value []byte, flags uint64) linux.Errno {
	return sysLookupInner(a, key, value, flags)
}

// sysLookupInner gives the id of the inner map.
func sysLookupInner(m MapOfMaps, key, value []byte, flags uint64) linux.Errno {
	if errno := m.Info().sysLookupFlags(flags); errno != linux.OK {
		return errno
	}
	inner := m.Get(key)
	if inner == nil {
		return linux.ENOENT
	}
	binary.LittleEndian.PutUint32(value, inner.Info().ID)
	return linux.OK
}

func (a *arrayOfMaps) SysUpdate(key, _ []byte, flags uint64) linux.Errno {
	if errno := a.checkPut(binary.LittleEndian.Uint32(key), flags); errno != linux.OK {
		return errno
	}
	return linux.EBADF
}

func (a *arrayOfMaps) SysDelete(key []byte) linux.Errno {
	if errno := a.sysWrite(); errno != linux.OK {
		return errno
	}
	i := binary.LittleEndian.Uint32(key)
	if i >= a.MaxEntries {
		return linux.E2BIG
	}
	a.mu.Lock()
	old, ok := a.inner[i]
	if ok {
		delete(a.inner, i)
		mem.AtomicStore64(a.slot(i), 0)
	}
	a.mu.Unlock()
	if !ok {
		return linux.ENOENT
	}
	a.releaseInner(old)
	return linux.OK
}

func (a *arrayOfMaps) NextKey(key, next []byte) linux.Errno {
	if errno := a.sysRead(); errno != linux.OK {
		return errno
	}
	return nextIndex(a.MaxEntries, key, next)
}

func (a *arrayOfMaps) Close() {
	a.mu.Lock()
	done, old := a.closed, a.inner
	a.closed, a.inner = true, nil
	a.mu.Unlock()
	if done {
		return
	}
	a.unregister()
	a.region.Free()
	for _, m := range old {
		a.releaseInner(m)
	}
}

// hashOfMaps is BPF_MAP_TYPE_HASH_OF_MAPS. Each bucket is an immutable, sorted list that a
// change replaces, so that lookups take no lock and allocate nothing.
type hashOfMaps struct {
	*Common
	mu      sync.Mutex // for changes
	count   uint32
	closed  bool
	buckets [mapBuckets]atomic.Pointer[[]innerEntry]
}

type innerEntry struct {
	key   string
	desc  uint64
	inner MapRef
}

const (
	mapBuckets     = 256
	hashOfMapFlags = linux.MapNoPrealloc | linux.MapNUMANode | linux.MapReadOnly | linux.MapWriteOnly |
		linux.MapZeroSeed | linux.MapReadOnlyProg | linux.MapWriteOnlyProg
)

func newHashOfMaps(c *Common) (Map, error) {
	switch {
	case c.KeySize == 0:
		return nil, c.fail(linux.EINVAL, "key_size is 0")
	case c.ValueSize != 4:
		return nil, c.fail(linux.EINVAL, "value_size is %d, but a file descriptor has 4 bytes", c.ValueSize)
	case c.MaxEntries == 0:
		return nil, c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.Flags&^hashOfMapFlags != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^hashOfMapFlags)
	case c.Flags&linux.MapReadOnlyProg != 0 && c.Flags&linux.MapWriteOnlyProg != 0:
		return nil, c.fail(linux.EINVAL, "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other")
	}
	if err := checkTemplate(c); err != nil {
		return nil, err
	}
	h := &hashOfMaps{Common: c}
	if err := c.register(h); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return h, nil
}

// bucketOf hashes with FNV-1a: without a seed, so that iteration has the same order every time.
func bucketOf(key []byte) int {
	h := uint32(2166136261)
	for _, b := range key {
		h = (h ^ uint32(b)) * 16777619
	}
	return int((h ^ h>>16) % mapBuckets)
}

// load returns a bucket's entries.
func (h *hashOfMaps) load(b int) []innerEntry {
	if p := h.buckets[b].Load(); p != nil {
		return *p
	}
	return nil
}

// find returns where key is in entries, or would be inserted.
func find(entries []innerEntry, key []byte) (int, bool) {
	lo, hi := 0, len(entries)
	for lo < hi {
		if mid := (lo + hi) / 2; entries[mid].key < string(key) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(entries) && entries[lo].key == string(key)
}

func (h *hashOfMaps) entry(key []byte) *innerEntry {
	entries := h.load(bucketOf(key))
	if i, ok := find(entries, key); ok {
		return &entries[i]
	}
	return nil
}

func (h *hashOfMaps) Lookup(_ int, key []byte) uint64 {
	if e := h.entry(key); e != nil {
		return e.desc
	}
	return 0
}

func (h *hashOfMaps) Get(key []byte) MapRef {
	if e := h.entry(key); e != nil {
		return e.inner
	}
	return nil
}

func (h *hashOfMaps) Put(key []byte, inner MapRef, flags uint64) error {
	switch {
	case h.sysWrite() != linux.OK:
		return h.refuse("update", linux.EPERM, "the map is frozen or read-only for user space")
	case len(key) != int(h.KeySize):
		return h.refuse("update", linux.EINVAL, "the key has %d bytes instead of %d", len(key), h.KeySize)
	case flags > linux.UpdateExist:
		return h.refuse("update", linux.EINVAL, "flags %#x are not allowed for this type", flags)
	}
	if err := h.checkInner(inner); err != nil {
		return err
	}
	old, err := h.store(key, inner, flags)
	if err != nil {
		return err
	}
	h.releaseInner(old)
	return nil
}

func (h *hashOfMaps) store(key []byte, inner MapRef, flags uint64) (old MapRef, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := bucketOf(key)
	entries := h.load(b)
	i, exists := find(entries, key)
	switch {
	case h.closed:
		return nil, h.refuse("update", linux.EBADF, "the map is closed")
	case exists && flags == linux.UpdateNoExist:
		return nil, h.refuse("update", linux.EEXIST, "the key exists")
	case !exists && flags == linux.UpdateExist:
		return nil, h.refuse("update", linux.ENOENT, "the key does not exist")
	case !exists && h.count == h.MaxEntries:
		return nil, h.refuse("update", linux.E2BIG, "all %d entries are in use; raise max_entries", h.MaxEntries)
	}
	inner.Ref()
	next := make([]innerEntry, 0, len(entries)+1)
	next = append(append(next, entries[:i]...), innerEntry{string(key), inner.Info().Desc, inner})
	if exists {
		old = entries[i].inner
		i++
	} else {
		h.count++
	}
	next = append(next, entries[i:]...)
	h.buckets[b].Store(&next)
	return old, nil
}

func (h *hashOfMaps) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

func (h *hashOfMaps) Delete(int, []byte) linux.Errno { return linux.EINVAL }

func (h *hashOfMaps) SysLookup(key, value []byte, flags uint64) linux.Errno {
	return sysLookupInner(h, key, value, flags)
}

func (h *hashOfMaps) SysUpdate(_, _ []byte, flags uint64) linux.Errno {
	if errno := h.sysWrite(); errno != linux.OK {
		return errno
	}
	if flags > linux.UpdateExist {
		return linux.EINVAL
	}
	return linux.EBADF
}

func (h *hashOfMaps) SysDelete(key []byte) linux.Errno {
	if errno := h.sysWrite(); errno != linux.OK {
		return errno
	}
	old := h.remove(key)
	if old == nil {
		return linux.ENOENT
	}
	h.releaseInner(old)
	return linux.OK
}

func (h *hashOfMaps) remove(key []byte) MapRef {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := bucketOf(key)
	entries := h.load(b)
	i, exists := find(entries, key)
	if !exists {
		return nil
	}
	next := append(append([]innerEntry(nil), entries[:i]...), entries[i+1:]...)
	h.buckets[b].Store(&next)
	h.count--
	return entries[i].inner
}

// NextKey implements Map. As on Linux, a key that is gone restarts the iteration.
func (h *hashOfMaps) NextKey(key, next []byte) linux.Errno {
	if errno := h.sysRead(); errno != linux.OK {
		return errno
	}
	from, b := 0, 0
	if key != nil {
		k := bucketOf(key)
		if i, ok := find(h.load(k), key); ok {
			from, b = i+1, k
		}
	}
	for ; b < mapBuckets; b, from = b+1, 0 {
		if entries := h.load(b); from < len(entries) {
			copy(next, entries[from].key)
			return linux.OK
		}
	}
	return linux.ENOENT
}

func (h *hashOfMaps) Close() {
	h.mu.Lock()
	done := h.closed
	h.closed = true
	var old []MapRef
	for b := range h.buckets {
		if p := h.buckets[b].Swap(nil); p != nil {
			for _, e := range *p {
				old = append(old, e.inner)
			}
		}
	}
	h.mu.Unlock()
	if done {
		return
	}
	h.unregister()
	h.releaseInner(old...)
}
