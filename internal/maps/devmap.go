package maps

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// The targets of bpf_redirect_map. There are neither network devices nor sockets in user space:
// a DEVMAP takes any ifindex but 0, a XSKMAP any number in the place of a socket. A program that
// runs on an entry has a file descriptor in Linux, so entries with one are refused.

// cpumapMaxQueue is the longest queue of a CPUMAP entry in packets (kernel/bpf/cpumap.c).
const cpumapMaxQueue = 16384

// A CPUMAP may have as many entries as the kernel may have CPUs (CONFIG_NR_CPUS), which is
// linux.MaxCPUs here; where carom has fewer virtual CPUs, the others do not exist.

// redirectRule is what BPF_MAP_CREATE checks of one type (dev_map_init_map in
// kernel/bpf/devmap.c, cpu_map_alloc in kernel/bpf/cpumap.c, xsk_map_alloc in net/xdp/xskmap.c).
type redirectRule struct {
	wide  bool   // values of 8 bytes, the second word for a program, are allowed
	flags uint32 // that are allowed
	most  uint32 // entries
	errno linux.Errno
}

func redirectRuleOf(t ebpf.MapType) redirectRule {
	const flags = linux.MapNUMANode | linux.MapReadOnly | linux.MapWriteOnly
	switch t {
	case ebpf.DevMapHash:
		return redirectRule{true, flags, 1 << 31, linux.EINVAL}
	case ebpf.CPUMap:
		return redirectRule{true, linux.MapNUMANode, linux.MaxCPUs, linux.E2BIG}
	case ebpf.XSKMap:
		return redirectRule{false, flags, ^uint32(0), linux.E2BIG}
	}
	return redirectRule{true, flags, ^uint32(0), linux.E2BIG}
}

func checkRedirect(c *Common) error {
	r := redirectRuleOf(c.Type)
	sizes := "4"
	if r.wide {
		sizes = "4 or 8"
	}
	switch {
	case c.KeySize != 4:
		return c.fail(linux.EINVAL, "key_size is %d, but a key of a %s has 4 bytes", c.KeySize, c.Type)
	case c.ValueSize != 4 && (c.ValueSize != 8 || !r.wide):
		return c.fail(linux.EINVAL, "value_size is %d, but a value of a %s has %s bytes", c.ValueSize, c.Type, sizes)
	case c.MaxEntries == 0:
		return c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.Flags&^r.flags != 0:
		return c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^r.flags)
	case c.Flags&linux.MapReadOnly != 0 && c.Flags&linux.MapWriteOnly != 0:
		return c.fail(linux.EINVAL, "BPF_F_RDONLY and BPF_F_WRONLY exclude each other")
	case c.MaxEntries > r.most:
		return c.fail(r.errno, "max_entries is %d, a %s has at most %d", c.MaxEntries, c.Type, r.most)
	}
	return nil
}

// targets are the entries of a map for redirects. Programs may only read them, and an old pointer
// still reads the old entry until the run ends, as each update makes a new one.
type targets struct{ elems }

func (t *targets) init(c *Common, m Map) error {
	t.layout = mem.Layout{
		Kind: mem.KindMapValue, Name: c.Name, Owner: m,
		Stride: elemHead + 8, ValueOff: elemHead, ValueSize: uint64(c.ValueSize), Perm: mem.PermRead,
	}
	return newElems(c.host, &t.elems, 0, uint64(c.MaxEntries))
}

// add makes an entry with the first word of a value; the id of its program is 0, for none.
func (t *targets) add(value []byte) (elem uint64, errno linux.Errno) {
	e := t.alloc(userSpace)
	if e == 0 {
		return 0, linux.ENOMEM
	}
	mem.Store64(e+elemHead, uint64(binary.LittleEndian.Uint32(value)))
	return e, linux.OK
}

func readTarget(elem uint64, value []byte) linux.Errno {
	if elem == 0 {
		return linux.ENOENT
	}
	copy(value, mem.Bytes(elem+elemHead, uint64(len(value))))
	return linux.OK
}

// hasProgram reports whether a value asks for a program to run: its second word is a file
// descriptor, of which 0 and negative ones mean none.
func hasProgram(value []byte) bool {
	return len(value) == 8 && int32(binary.LittleEndian.Uint32(value[4:])) > 0
}

// redirectArray is BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_CPUMAP and BPF_MAP_TYPE_XSKMAP.
type redirectArray struct {
	*Common
	targets targets
	mu      sync.Mutex  // of writers
	slots   *mem.Region // addresses of entries
}

func newRedirectArray(c *Common) (Map, error) {
	if err := checkRedirect(c); err != nil {
		return nil, err
	}
	r := &redirectArray{Common: c}
	if err := r.targets.init(c, r); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	slots, err := c.allocSlots(r)
	if err != nil {
		r.targets.close()
		return nil, err
	}
	r.slots = slots
	return r, nil
}

func (r *redirectArray) slot(i uint32) uint64 { return r.slots.Base + slotSize*uint64(i) }

// at returns the entry at an index, 0 where there is none.
func (r *redirectArray) at(key []byte) uint64 {
	i := binary.LittleEndian.Uint32(key)
	if i >= r.MaxEntries {
		return 0
	}
	return mem.AtomicLoad64(r.slot(i))
}

// Lookup implements Map. Programs see the value of a DEVMAP, and of a XSKMAP the number that
// stands for the socket, where Linux has the number of its queue.
func (r *redirectArray) Lookup(_ int, key []byte) uint64 {
	if e := r.at(key); e != 0 {
		return e + elemHead
	}
	return 0
}

func (r *redirectArray) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

func (r *redirectArray) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map. Linux does not tell which socket a XSKMAP holds.
func (r *redirectArray) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := r.sysLookupFlags(flags); errno != linux.OK {
		return errno
	}
	if r.Type == ebpf.XSKMap {
		return linux.EOPNOTSUPP
	}
	return readTarget(r.at(key), value[:r.ValueSize])
}

// SysUpdate implements Map. A DEVMAP entry with ifindex 0 and a CPUMAP entry with a queue of 0
// packets are no entry.
func (r *redirectArray) SysUpdate(key, value []byte, flags uint64) linux.Errno {
	if errno := r.sysWrite(); errno != linux.OK {
		return errno
	}
	i := binary.LittleEndian.Uint32(key)
	switch {
	case flags > linux.UpdateExist:
		return linux.EINVAL
	case i >= r.MaxEntries:
		return linux.E2BIG
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	keep, errno := r.check(i, value[:r.ValueSize], flags)
	if errno != linux.OK {
		return errno
	}
	if !keep {
		r.replace(i, 0)
		return linux.OK
	}
	e, errno := r.targets.add(value)
	if errno == linux.OK {
		r.replace(i, e)
	}
	return errno
}

// check holds what dev_map_update_elem, cpu_map_update_elem and xsk_map_update_elem check, in
// their order, once flags and index are good. A value that is not kept empties the slot.
func (r *redirectArray) check(i uint32, value []byte, flags uint64) (keep bool, errno linux.Errno) {
	first := binary.LittleEndian.Uint32(value)
	if r.Type == ebpf.XSKMap {
		there := mem.AtomicLoad64(r.slot(i))
		switch {
		case there == 0 && flags == linux.UpdateExist:
			return false, linux.ENOENT
		case there != 0 && flags == linux.UpdateNoExist && mem.Load32(there+elemHead) != first:
			return false, linux.EEXIST
		}
		return true, linux.OK
	}
	switch {
	case flags == linux.UpdateNoExist:
		return false, linux.EEXIST // every index is taken to exist
	case r.Type == ebpf.DevMap && hasProgram(value):
		return false, linux.EINVAL
	case r.Type == ebpf.DevMap:
		return first != 0, linux.OK
	case first > cpumapMaxQueue:
		return false, linux.EOVERFLOW
	case int(i) >= r.host.CPUs:
		return false, linux.ENODEV
	case first != 0 && hasProgram(value):
		return false, linux.ENOMEM
	}
	return first != 0, linux.OK
}

// replace puts an entry, or 0, into a slot. The caller holds the lock.
func (r *redirectArray) replace(i uint32, e uint64) {
	old := mem.AtomicLoad64(r.slot(i))
	mem.AtomicStore64(r.slot(i), e)
	if old != 0 {
		r.targets.retire(userSpace, old)
	}
}

// SysDelete implements Map. Deleting an empty slot is no error.
func (r *redirectArray) SysDelete(key []byte) linux.Errno {
	if errno := r.sysWrite(); errno != linux.OK {
		return errno
	}
	i := binary.LittleEndian.Uint32(key)
	if i >= r.MaxEntries {
		return linux.EINVAL
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replace(i, 0)
	return linux.OK
}

// NextKey implements Map. It visits every index.
func (r *redirectArray) NextKey(key, next []byte) linux.Errno {
	if errno := r.sysRead(); errno != linux.OK {
		return errno
	}
	return nextIndex(r.MaxEntries, key, next)
}

// Close implements Map.
func (r *redirectArray) Close() {
	r.unregister()
	r.slots.Free()
	r.targets.close()
}

// devMapHash is BPF_MAP_TYPE_DEVMAP_HASH. Keys are visited bucket by bucket, a bucket being the
// low bits of the key, the entry that was stored last first.
type devMapHash struct {
	*Common
	targets targets
	mask    uint32 // buckets - 1

	mu      sync.RWMutex
	entries map[uint32]uint64   // by key
	chains  map[uint32][]uint32 // keys by bucket
}

func newDevMapHash(c *Common) (Map, error) {
	if err := checkRedirect(c); err != nil {
		return nil, err
	}
	d := &devMapHash{Common: c, mask: bucketMask(c.MaxEntries), entries: map[uint32]uint64{}, chains: map[uint32][]uint32{}}
	if err := d.targets.init(c, d); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	if err := c.register(d); err != nil {
		d.targets.close()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return d, nil
}

// bucketMask is roundup_pow_of_two(n) - 1.
func bucketMask(n uint32) uint32 {
	mask := uint32(0)
	for mask < n-1 {
		mask = mask<<1 | 1
	}
	return mask
}

func (d *devMapHash) at(key []byte) uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.entries[binary.LittleEndian.Uint32(key)]
}

// Lookup implements Map.
func (d *devMapHash) Lookup(_ int, key []byte) uint64 {
	if e := d.at(key); e != 0 {
		return e + elemHead
	}
	return 0
}

func (d *devMapHash) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

func (d *devMapHash) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map.
func (d *devMapHash) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := d.sysLookupFlags(flags); errno != linux.OK {
		return errno
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return readTarget(d.entries[binary.LittleEndian.Uint32(key)], value[:d.ValueSize])
}

// SysUpdate implements Map (__dev_map_hash_update_elem). BPF_EXIST does not need an entry.
func (d *devMapHash) SysUpdate(key, value []byte, flags uint64) linux.Errno {
	if errno := d.sysWrite(); errno != linux.OK {
		return errno
	}
	k := binary.LittleEndian.Uint32(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.entries[k]
	switch {
	case flags > linux.UpdateExist || binary.LittleEndian.Uint32(value) == 0:
		return linux.EINVAL
	case old != 0 && flags == linux.UpdateNoExist:
		return linux.EEXIST
	case hasProgram(value[:d.ValueSize]):
		return linux.EINVAL
	case old == 0 && uint64(len(d.entries)) >= uint64(d.MaxEntries):
		return linux.E2BIG
	}
	e, errno := d.targets.add(value)
	if errno != linux.OK {
		return errno
	}
	if old != 0 {
		d.remove(k, old)
	}
	d.entries[k] = e
	d.chains[k&d.mask] = slices.Insert(d.chains[k&d.mask], 0, k)
	return linux.OK
}

// remove takes an entry away. The caller holds the lock.
func (d *devMapHash) remove(k uint32, e uint64) {
	delete(d.entries, k)
	b := k & d.mask
	chain := d.chains[b]
	if i := slices.Index(chain, k); i >= 0 {
		chain = slices.Delete(chain, i, i+1)
	}
	if d.chains[b] = chain; len(chain) == 0 {
		delete(d.chains, b)
	}
	d.targets.retire(userSpace, e)
}

// SysDelete implements Map.
func (d *devMapHash) SysDelete(key []byte) linux.Errno {
	if errno := d.sysWrite(); errno != linux.OK {
		return errno
	}
	k := binary.LittleEndian.Uint32(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.entries[k]
	if e == 0 {
		return linux.ENOENT
	}
	d.remove(k, e)
	return linux.OK
}

// NextKey implements Map. An unknown key restarts the walk.
func (d *devMapHash) NextKey(key, next []byte) linux.Errno {
	if errno := d.sysRead(); errno != linux.OK {
		return errno
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	from := uint32(0)
	if key != nil {
		k := binary.LittleEndian.Uint32(key)
		chain := d.chains[k&d.mask]
		if i := slices.Index(chain, k); i >= 0 {
			if i+1 < len(chain) {
				binary.LittleEndian.PutUint32(next, chain[i+1])
				return linux.OK
			}
			from = k&d.mask + 1
		}
	}
	first, found := uint32(0), false
	for b := range d.chains {
		if b >= from && (!found || b < first) {
			first, found = b, true
		}
	}
	if !found {
		return linux.ENOENT
	}
	binary.LittleEndian.PutUint32(next, d.chains[first][0])
	return linux.OK
}

// Close implements Map.
func (d *devMapHash) Close() {
	d.unregister()
	d.targets.close()
}
