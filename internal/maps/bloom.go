package maps

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// bloomHashes is how many hash functions a filter has when map_extra says 0, and bloomMost the most
// that map_extra, of which four bits count, can ask for.
const (
	bloomHashes = 5
	bloomMost   = 0xf
)

// bloom is BPF_MAP_TYPE_BLOOM_FILTER (kernel/bpf/bloom_filter.c): a set of bits. The hash functions
// are those of Linux. With BPF_F_ZERO_SEED they have its seed too, so that the same values are
// taken for others; without, Linux draws the seed, and here it follows from the definition.
type bloom struct {
	*Common
	region *mem.Region
	hashes uint32
	seed   uint32
	mask   uint32 // bits - 1
}

func newBloom(c *Common) (Map, error) {
	const known = linux.MapNUMANode | linux.MapZeroSeed | accessFlags
	switch {
	case c.KeySize != 0:
		return nil, c.fail(linux.EINVAL, "key_size is %d, but a Bloom filter has no keys", c.KeySize)
	case c.ValueSize == 0:
		return nil, c.fail(linux.EINVAL, "value_size is 0")
	case c.MaxEntries == 0:
		return nil, c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.Flags&^known != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^known)
	case c.accessClash():
		return nil, c.fail(linux.EINVAL, "map_flags %#x: read-only and write-only exclude each other", c.Flags)
	case c.Extra&^bloomMost != 0:
		return nil, c.fail(linux.EINVAL, "map_extra is %#x; it is the number of hash functions, at most %d", c.Extra, bloomMost)
	case c.ValueSize > kmallocMax:
		return nil, c.fail(linux.E2BIG, "value_size is %d, a Bloom filter has at most %d bytes", c.ValueSize, kmallocMax)
	}
	b := &bloom{Common: c, hashes: uint32(c.Extra)}
	if b.hashes == 0 {
		b.hashes = bloomHashes
	}
	if c.Flags&linux.MapZeroSeed == 0 {
		b.seed = uint32(hashSeed(&c.Spec))
	}
	b.mask = bloomMask(c.MaxEntries, b.hashes)
	region, err := c.host.Space.Alloc(mem.Layout{
		Kind: mem.KindInternal, Name: c.Name, Owner: b, Size: max(8, (uint64(b.mask)+1)/8),
	})
	if err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	b.region = region
	if err := c.register(b); err != nil {
		region.Free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return b, nil
}

// bloomMask is the number of bits less one: 7/5 bits for each entry and hash function, rounded up
// to a power of two, 64 at least and 2^32 at most.
func bloomMask(entries, hashes uint32) uint32 {
	n := uint64(entries) * uint64(hashes)
	if n > 1<<32-1 {
		return 1<<32 - 1
	}
	n = n / 5 * 7
	switch {
	case n > 1<<31:
		return 1<<32 - 1
	case n <= 64:
		return 63
	}
	return uint32(1)<<bits.Len32(uint32(n)-1) - 1
}

// bit is the word and the bit in it that one hash function picks.
func (b *bloom) bit(value []byte, i uint32) (word *uint64, mask uint64) {
	h := jhash(value, b.seed+i) & b.mask
	return mem.Word64(b.region.Base + uint64(h/64)*8), 1 << (h % 64)
}

// Push implements Keyless. There is no flag but BPF_ANY.
func (b *bloom) Push(value []byte, flags uint64) linux.Errno {
	if flags != linux.UpdateAny {
		return linux.EINVAL
	}
	for i := range b.hashes {
		word, mask := b.bit(value, i)
		atomic.OrUint64(word, mask)
	}
	return linux.OK
}

// Peek implements Keyless: ENOENT says that value was never pushed.
func (b *bloom) Peek(value []byte) linux.Errno {
	for i := range b.hashes {
		if word, mask := b.bit(value, i); atomic.LoadUint64(word)&mask == 0 {
			return linux.ENOENT
		}
	}
	return linux.OK
}

// Pop implements Keyless.
func (b *bloom) Pop([]byte) linux.Errno { return linux.EOPNOTSUPP }

// Lookup implements Map.
func (b *bloom) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (b *bloom) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map.
func (b *bloom) Delete(int, []byte) linux.Errno { return linux.EOPNOTSUPP }

// SysLookup implements Map: it asks for the value that it is given.
func (b *bloom) SysLookup(_, value []byte, flags uint64) linux.Errno {
	if errno := b.sysReadFlags(flags); errno != linux.OK {
		return errno
	}
	return b.Peek(value[:b.ValueSize])
}

// SysUpdate implements Map: it pushes.
func (b *bloom) SysUpdate(_, value []byte, flags uint64) linux.Errno {
	if errno := b.sysWrite(); errno != linux.OK {
		return errno
	}
	return b.Push(value[:b.ValueSize], flags)
}

// SysDelete implements Map.
func (b *bloom) SysDelete([]byte) linux.Errno {
	if errno := b.sysWrite(); errno != linux.OK {
		return errno
	}
	return linux.EOPNOTSUPP
}

// NextKey implements Map.
func (b *bloom) NextKey([]byte, []byte) linux.Errno {
	if errno := b.sysRead(); errno != linux.OK {
		return errno
	}
	return linux.EOPNOTSUPP
}

// Close implements Map.
func (b *bloom) Close() {
	b.unregister()
	b.region.Free()
}

// jhash is Jenkins' lookup3 as Linux has it (include/linux/jhash.h, jhash and jhash2).
func jhash(key []byte, seed uint32) uint32 {
	a := uint32(0xdeadbeef) + uint32(len(key)) + seed
	b, c := a, a
	for ; len(key) > 12; key = key[12:] {
		a += binary.LittleEndian.Uint32(key)
		b += binary.LittleEndian.Uint32(key[4:])
		c += binary.LittleEndian.Uint32(key[8:])
		a = (a - c) ^ bits.RotateLeft32(c, 4)
		c += b
		b = (b - a) ^ bits.RotateLeft32(a, 6)
		a += c
		c = (c - b) ^ bits.RotateLeft32(b, 8)
		b += a
		a = (a - c) ^ bits.RotateLeft32(c, 16)
		c += b
		b = (b - a) ^ bits.RotateLeft32(a, 19)
		a += c
		c = (c - b) ^ bits.RotateLeft32(b, 4)
		b += a
	}
	if len(key) == 0 {
		return c
	}
	var last [12]byte
	copy(last[:], key)
	a += binary.LittleEndian.Uint32(last[0:])
	b += binary.LittleEndian.Uint32(last[4:])
	c += binary.LittleEndian.Uint32(last[8:])
	c = (c ^ b) - bits.RotateLeft32(b, 14)
	a = (a ^ c) - bits.RotateLeft32(c, 11)
	b = (b ^ a) - bits.RotateLeft32(a, 25)
	c = (c ^ b) - bits.RotateLeft32(b, 16)
	a = (a ^ c) - bits.RotateLeft32(c, 4)
	b = (b ^ a) - bits.RotateLeft32(a, 14)
	return (c ^ b) - bits.RotateLeft32(b, 24)
}
