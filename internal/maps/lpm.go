package maps

import (
	"encoding/binary"
	"math/bits"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// lpm is BPF_MAP_TYPE_LPM_TRIE (kernel/bpf/lpm_trie.c): a binary trie with compressed paths. A
// key is struct bpf_lpm_trie_key: the length of the prefix in bits, then its bytes, the most
// significant bit first. A node holds a prefix; nodes that only fork the path have no value and
// always two children. Programs walk without a lock, writers hold the trie's; an update
// replaces the node, so that old pointers read the old value.
type lpm struct {
	*Common
	elems     elems
	dataSize  uint64
	maxPrefix uint32
	value     uint64 // offset of the value in a node

	state  uint64 // address of the words below
	region *mem.Region
}

// Offsets in lpm.state.
const (
	lpmRoot    = 0  // u64
	lpmLock    = 8  // u32
	lpmEntries = 16 // u64, nodes with a value
)

// A node: two children, the words of elems, prefix length, flags, data, value.
const (
	nodeChild  = 0 // u64 twice
	nodePrefix = elemHead
	nodeFork   = elemHead + 4 // u32, 1 where the node has no value
	nodeData   = elemHead + 8 // padded to 8
)

// Limits of lpm_trie.c.
const (
	lpmPrefixLen = 4 // bytes of the key before its data
	lpmMinKey    = lpmPrefixLen + 1
	lpmMaxData   = 256
	lpmMaxKey    = lpmPrefixLen + lpmMaxData
	lpmNodeSize  = 24 // sizeof(struct lpm_trie_node)
	lpmMaxValue  = kmallocMax - lpmMaxData - lpmNodeSize
	lpmFlags     = accessFlags | linux.MapNoPrealloc | linux.MapNUMANode
)

func checkLPM(c *Common) error {
	if err := checkAccess(c, lpmFlags); err != nil {
		return err
	}
	switch {
	case c.Flags&linux.MapNoPrealloc == 0:
		return c.fail(linux.EINVAL, "LPM tries need BPF_F_NO_PREALLOC in map_flags")
	case c.MaxEntries == 0:
		return c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.KeySize < lpmMinKey || c.KeySize > lpmMaxKey:
		return c.fail(linux.EINVAL, "key_size is %d; a u32 prefix length and 1 to %d bytes make %d to %d",
			c.KeySize, lpmMaxData, lpmMinKey, lpmMaxKey)
	case c.ValueSize == 0 || c.ValueSize > lpmMaxValue:
		return c.fail(linux.EINVAL, "value_size is %d, it can be 1 to %d", c.ValueSize, lpmMaxValue)
	}
	return nil
}

func newLPM(c *Common) (Map, error) {
	if err := checkLPM(c); err != nil {
		return nil, err
	}
	t := &lpm{Common: c, dataSize: uint64(c.KeySize) - lpmPrefixLen}
	t.maxPrefix = uint32(t.dataSize * 8)
	t.value = nodeData + (t.dataSize+7)&^7
	region, err := c.host.Space.Alloc(mem.Layout{Name: c.Name, Owner: t, Size: mem.DescSize})
	if err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	t.region, t.state = region, region.Base
	t.elems.layout = mem.Layout{
		Kind: mem.KindMapValue, Name: c.Name, Owner: t, Perm: c.progPerm(),
		Stride: t.value + roundUp8(c.ValueSize), ValueOff: t.value, ValueSize: uint64(c.ValueSize),
	}
	// Each prefix may need a fork above it.
	if err := newElems(c.host, &t.elems, 0, 2*uint64(c.MaxEntries)); err != nil {
		region.Free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	if err := c.register(t); err != nil {
		t.free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return t, nil
}

func (t *lpm) free() {
	t.elems.close()
	t.region.Free()
}

// Close implements Map.
func (t *lpm) Close() {
	t.unregister()
	t.free()
}

// prefix splits a key. ok is false where its length exceeds the data.
func (t *lpm) prefix(key []byte) (n uint32, data []byte, ok bool) {
	n = binary.LittleEndian.Uint32(key)
	return n, key[lpmPrefixLen:t.KeySize], n <= t.maxPrefix
}

// match returns how many leading bits of data the node's prefix shares, at most limit.
func (t *lpm) match(node uint64, data []byte, limit uint32) uint32 {
	if len(data) == 4 {
		diff := mem.Load32(node+nodeData) ^ binary.LittleEndian.Uint32(data)
		return min(uint32(bits.LeadingZeros32(bits.ReverseBytes32(diff))), limit)
	}
	n := uint32(0)
	at := node + nodeData
	for ; len(data) >= 8; data = data[8:] {
		diff := mem.Load64(at) ^ binary.LittleEndian.Uint64(data)
		n += uint32(bits.LeadingZeros64(bits.ReverseBytes64(diff)))
		if diff != 0 || n >= limit {
			return min(n, limit)
		}
		at += 8
	}
	for i, b := range data {
		diff := mem.Load8(at+uint64(i)) ^ b
		n += uint32(bits.LeadingZeros8(diff))
		if diff != 0 || n >= limit {
			break
		}
	}
	return min(n, limit)
}

// branch is the address of the link that leads from node to data. The node's prefix is shorter
// than the data.
func branch(node uint64, data []byte, prefix uint32) uint64 {
	return node + nodeChild + uint64(data[prefix/8]>>(7-prefix%8)&1)*8
}

func isFork(node uint64) bool { return mem.Load32(node+nodeFork) != 0 }

// find returns the node with the longest prefix of key.
func (t *lpm) find(key []byte) uint64 {
	n, data, ok := t.prefix(key)
	if !ok {
		return 0
	}
	found := uint64(0)
	for node := mem.AtomicLoad64(t.state + lpmRoot); node != 0; {
		p := mem.Load32(node + nodePrefix)
		if t.match(node, data, min(p, n)) < p {
			break
		}
		if !isFork(node) {
			found = node
		}
		if p == t.maxPrefix {
			break
		}
		node = mem.AtomicLoad64(branch(node, data, p))
	}
	return found
}

func (t *lpm) Lookup(_ int, key []byte) uint64 {
	node := t.find(key)
	if node == 0 {
		return 0
	}
	return node + t.value
}

func (t *lpm) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := t.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	mem.Lock(t.state + lpmLock)
	defer mem.Unlock(t.state + lpmLock)
	node := t.find(key)
	if node == 0 {
		return linux.ENOENT
	}
	mem.ReadWords(value[:t.ValueSize], node+t.value)
	return linux.OK
}

func (t *lpm) SysUpdate(key, value []byte, flags uint64) linux.Errno {
	if errno := t.sysWrite(); errno != linux.OK {
		return errno
	}
	return t.Update(userSpace, key, value, flags)
}

// Update holds the order of trie_update_elem: flags, prefix length, memory, existence, room.
func (t *lpm) Update(cpu int, key, value []byte, flags uint64) linux.Errno {
	n, data, ok := t.prefix(key)
	if flags > linux.UpdateExist || !ok {
		return linux.EINVAL
	}
	mem.Lock(t.state + lpmLock)
	defer mem.Unlock(t.state + lpmLock)
	node := t.elems.alloc(cpu)
	if node == 0 {
		return linux.ENOMEM
	}
	mem.Store64(node+nodeChild, 0)
	mem.Store64(node+nodeChild+8, 0)
	mem.Store32(node+nodePrefix, n)
	mem.Store32(node+nodeFork, 0)
	copy(mem.Bytes(node+nodeData, t.dataSize), data)
	copy(mem.Bytes(node+t.value, uint64(t.ValueSize)), value)
	errno := t.insert(cpu, node, n, data, flags)
	if errno != linux.OK {
		t.elems.release(node)
	}
	return errno
}

// insert links a new node. The caller holds the lock.
func (t *lpm) insert(cpu int, node uint64, n uint32, data []byte, flags uint64) linux.Errno {
	link, old, _, _ := t.path(data, n)
	if old == 0 {
		if errno := t.count(flags); errno != linux.OK {
			return errno
		}
		mem.AtomicStore64(link, node)
		return linux.OK
	}
	p := mem.Load32(old + nodePrefix)
	common := t.match(old, data, min(p, n))
	if common == p { // the same prefix
		if isFork(old) {
			if errno := t.count(flags); errno != linux.OK {
				return errno
			}
		} else if flags == linux.UpdateNoExist {
			return linux.EEXIST
		}
		mem.Store64(node+nodeChild, mem.AtomicLoad64(old+nodeChild))
		mem.Store64(node+nodeChild+8, mem.AtomicLoad64(old+nodeChild+8))
		mem.AtomicStore64(link, node)
		t.elems.retire(cpu, old)
		return linux.OK
	}
	if errno := t.count(flags); errno != linux.OK {
		return errno
	}
	oldData := mem.Bytes(old+nodeData, t.dataSize)
	if common == n { // the new prefix contains the old one
		mem.Store64(branch(node, oldData, n), old)
		mem.AtomicStore64(link, node)
		return linux.OK
	}
	fork := t.elems.alloc(cpu)
	if fork == 0 {
		t.uncount()
		return linux.ENOMEM
	}
	mem.Store32(fork+nodePrefix, common)
	mem.Store32(fork+nodeFork, 1)
	copy(mem.Bytes(fork+nodeData, t.dataSize), oldData)
	mem.Store64(branch(fork, oldData, common), old)
	mem.Store64(branch(fork, data, common), node)
	mem.AtomicStore64(link, fork)
	return linux.OK
}

// path walks towards a prefix of n bits and stops at the node that equals or contradicts it, or
// at an empty link (node 0). It also returns the node before, and the link to that one. The
// caller holds the lock.
func (t *lpm) path(data []byte, n uint32) (link, node, parent, parentLink uint64) {
	link = t.state + lpmRoot
	for {
		node = mem.AtomicLoad64(link)
		if node == 0 {
			return link, 0, parent, parentLink
		}
		p := mem.Load32(node + nodePrefix)
		if p >= n || t.match(node, data, p) < p {
			return link, node, parent, parentLink
		}
		parent, parentLink = node, link
		link = branch(node, data, p)
	}
}

// count makes room for one more prefix (trie_check_add_elem).
func (t *lpm) count(flags uint64) linux.Errno {
	n := mem.Load64(t.state + lpmEntries)
	switch {
	case flags == linux.UpdateExist:
		return linux.ENOENT
	case n == uint64(t.MaxEntries):
		return linux.ENOSPC
	}
	mem.Store64(t.state+lpmEntries, n+1)
	return linux.OK
}

func (t *lpm) uncount() {
	mem.Store64(t.state+lpmEntries, mem.Load64(t.state+lpmEntries)-1)
}

func (t *lpm) SysDelete(key []byte) linux.Errno {
	if errno := t.sysWrite(); errno != linux.OK {
		return errno
	}
	return t.Delete(userSpace, key)
}

// Delete removes exactly the prefix, as trie_delete_elem does.
func (t *lpm) Delete(cpu int, key []byte) linux.Errno {
	n, data, ok := t.prefix(key)
	if !ok {
		return linux.EINVAL
	}
	mem.Lock(t.state + lpmLock)
	defer mem.Unlock(t.state + lpmLock)
	link, node, parent, parentLink := t.path(data, n)
	if node == 0 || mem.Load32(node+nodePrefix) != n || t.match(node, data, n) != n || isFork(node) {
		return linux.ENOENT
	}
	t.uncount()
	left, right := mem.AtomicLoad64(node+nodeChild), mem.AtomicLoad64(node+nodeChild+8)
	switch {
	case left != 0 && right != 0: // still needed to fork the path
		mem.Store32(node+nodeFork, 1)
		return linux.OK
	case left == 0 && right == 0 && parent != 0 && isFork(parent): // a fork with one child is none
		sibling := mem.AtomicLoad64(parent + nodeChild)
		if sibling == node {
			sibling = mem.AtomicLoad64(parent + nodeChild + 8)
		}
		mem.AtomicStore64(parentLink, sibling)
		t.elems.retire(cpu, parent)
	default:
		mem.AtomicStore64(link, left|right)
	}
	t.elems.retire(cpu, node)
	return linux.OK
}

// NextKey goes from more to less specific prefixes: children before their parent, the 0 branch
// first. A key that is not there starts again (trie_get_next_key).
func (t *lpm) NextKey(key, next []byte) linux.Errno {
	if errno := t.sysRead(); errno != linux.OK {
		return errno
	}
	mem.Lock(t.state + lpmLock)
	defer mem.Unlock(t.state + lpmLock)
	root := mem.AtomicLoad64(t.state + lpmRoot)
	if root == 0 {
		return linux.ENOENT
	}
	node := uint64(0)
	if key == nil {
		node = deepest(root)
	} else if n, data, ok := t.prefix(key); ok {
		node = t.after(root, data, n)
	} else {
		node = deepest(root)
	}
	if node == 0 {
		return linux.ENOENT
	}
	binary.LittleEndian.PutUint32(next, mem.Load32(node+nodePrefix))
	copy(next[lpmPrefixLen:t.KeySize], mem.Bytes(node+nodeData, t.dataSize))
	return linux.OK
}

// after returns the node that follows a prefix, 0 where it is the last one. On the way down it
// keeps what would come next: the first of the 1 branch where the way takes the 0 branch, else
// the node itself if it has a value.
func (t *lpm) after(root uint64, data []byte, n uint32) uint64 {
	next := uint64(0)
	for node := root; node != 0; {
		p := mem.Load32(node + nodePrefix)
		if p > n || t.match(node, data, p) < p {
			break
		}
		if p == n {
			if isFork(node) {
				break
			}
			return next
		}
		if !isFork(node) {
			next = node
		}
		link := branch(node, data, p)
		if sibling := mem.AtomicLoad64(node + nodeChild + 8); link == node+nodeChild && sibling != 0 {
			next = deepest(sibling)
		}
		node = mem.AtomicLoad64(link)
	}
	return deepest(root)
}

// deepest returns the first node of a subtree: 0 branches down to a leaf, a 1 branch only where
// there is no other.
func deepest(node uint64) uint64 {
	for {
		child := mem.AtomicLoad64(node + nodeChild)
		if child == 0 {
			child = mem.AtomicLoad64(node + nodeChild + 8)
		}
		if child == 0 {
			return node
		}
		node = child
	}
}
