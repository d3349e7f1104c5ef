package maps

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

const (
	accessFlags = linux.MapReadOnly | linux.MapWriteOnly | linux.MapReadOnlyProg | linux.MapWriteOnlyProg
	hashFlags   = accessFlags | linux.MapNoPrealloc | linux.MapNoCommonLRU | linux.MapNUMANode | linux.MapZeroSeed
)

// Limits of element sizes on x86-64 and arm64 with pages of 4 KiB.
const (
	kmallocMax    = 4 << 20  // KMALLOC_MAX_SIZE
	hashElemSize  = 48       // sizeof(struct htab_elem)
	perCPUMaxSize = 32 << 10 // PCPU_MIN_UNIT_SIZE
	hashMaxBucket = 1 << 27  // the largest power of two up to U32_MAX / sizeof(struct bucket)
)

func isLRU(t ebpf.MapType) bool { return t == ebpf.LRUHash || t == ebpf.LRUCPUHash }

// checkHash holds the rules of htab_map_alloc_check and htab_map_alloc, in their order.
func checkHash(c *Common) error {
	perCPU := c.Type == ebpf.PerCPUHash || c.Type == ebpf.LRUCPUHash
	if err := checkAccess(c, hashFlags); err != nil {
		return err
	}
	switch noCommon := c.Flags&linux.MapNoCommonLRU != 0; {
	case noCommon && !isLRU(c.Type):
		return c.fail(linux.EINVAL, "BPF_F_NO_COMMON_LRU is for LRU maps only")
	case isLRU(c.Type) && c.Flags&linux.MapNoPrealloc != 0:
		return c.fail(linux.ENOTSUPP, "LRU maps are always preallocated; remove BPF_F_NO_PREALLOC")
	case c.Flags&linux.MapNUMANode != 0 && (perCPU || noCommon):
		return c.fail(linux.EINVAL, "BPF_F_NUMA_NODE does not go with per-CPU memory")
	case c.MaxEntries == 0:
		return c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.KeySize == 0:
		return c.fail(linux.EINVAL, "key_size is 0")
	case c.ValueSize == 0:
		return c.fail(linux.EINVAL, "value_size is 0")
	case uint64(c.KeySize)+uint64(c.ValueSize) >= kmallocMax-hashElemSize:
		return c.fail(linux.E2BIG, "key_size %d and value_size %d exceed %d bytes together",
			c.KeySize, c.ValueSize, kmallocMax-hashElemSize-1)
	case perCPU && roundUp8(c.ValueSize) > perCPUMaxSize:
		return c.fail(linux.E2BIG, "value_size is %d, but a per-CPU value has at most %d bytes", c.ValueSize, perCPUMaxSize)
	}
	if c.Flags&linux.MapNoCommonLRU != 0 {
		// Each CPU's list has the same number of elements, at least one.
		n := uint64(c.host.CPUs)
		c.MaxEntries = uint32(min((uint64(c.MaxEntries)+n-1)/n*n, (1<<32-1)/n*n))
	}
	if c.MaxEntries > hashMaxBucket {
		return c.fail(linux.E2BIG, "max_entries is %d, the limit is %d", c.MaxEntries, hashMaxBucket)
	}
	return nil
}

// checkAccess refuses flags outside allowed and access flags that exclude each other
// (bpf_map_flags_access_ok, bpf_get_file_flag).
func checkAccess(c *Common, allowed uint32) error {
	both := func(a, b uint32) bool { return c.Flags&a != 0 && c.Flags&b != 0 }
	switch {
	case c.Flags&^allowed != 0:
		return c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^allowed)
	case both(linux.MapReadOnlyProg, linux.MapWriteOnlyProg):
		return c.fail(linux.EINVAL, "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other")
	case both(linux.MapReadOnly, linux.MapWriteOnly):
		return c.fail(linux.EINVAL, "BPF_F_RDONLY and BPF_F_WRONLY exclude each other")
	}
	return nil
}
