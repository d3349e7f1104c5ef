package maps

import (
	"errors"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

type createCase struct {
	name string
	Spec
	errno  linux.Errno
	memory bool // depends on how much memory the machine has; not for Linux
}

// entries is max_entries once the map is made.
func (c createCase) entries(cpus int) uint32 {
	if c.Flags&linux.MapNoCommonLRU != 0 {
		n := uint32(cpus)
		return (c.MaxEntries + n - 1) / n * n
	}
	return c.MaxEntries
}

// createCases are judged by Linux 6.18 on x86-64 (TestHashCreateMatchesLinux).
func createCases() []createCase {
	spec := func(t ebpf.MapType, key, value, entries, flags uint32) Spec {
		return Spec{Type: t, KeySize: key, ValueSize: value, MaxEntries: entries, Flags: flags}
	}
	return []createCase{
		{"hash", spec(ebpf.Hash, 4, 8, 1, 0), linux.OK, false},
		{"hash key 0", spec(ebpf.Hash, 0, 8, 1, 0), linux.EINVAL, false},
		{"hash value 0", spec(ebpf.Hash, 4, 0, 1, 0), linux.EINVAL, false},
		{"hash entries 0", spec(ebpf.Hash, 4, 8, 0, 0), linux.EINVAL, false},
		{"hash key 513", spec(ebpf.Hash, 513, 8, 1, 0), linux.OK, false},
		{"hash largest", spec(ebpf.Hash, 8, kmallocMax-hashElemSize-9, 1, linux.MapNoPrealloc), linux.OK, false},
		{"hash too large", spec(ebpf.Hash, 8, kmallocMax-hashElemSize-8, 1, linux.MapNoPrealloc), linux.E2BIG, false},
		{"hash too many", spec(ebpf.Hash, 4, 8, hashMaxBucket+1, linux.MapNoPrealloc), linux.E2BIG, false},
		{"hash too many 32 bits", spec(ebpf.Hash, 4, 8, 1<<32-1, 0), linux.E2BIG, false},
		{"hash no common lru", spec(ebpf.Hash, 4, 8, 1, linux.MapNoCommonLRU), linux.EINVAL, false},
		{"hash mmapable", spec(ebpf.Hash, 4, 8, 1, linux.MapMmapable), linux.EINVAL, false},
		{"hash inner map", spec(ebpf.Hash, 4, 8, 1, linux.MapInnerMap), linux.EINVAL, false},
		{"hash zero seed", spec(ebpf.Hash, 4, 8, 1, linux.MapZeroSeed), linux.OK, false},
		{"hash rdonly prog", spec(ebpf.Hash, 4, 8, 1, linux.MapReadOnlyProg), linux.OK, false},
		{"hash rdonly wronly prog", spec(ebpf.Hash, 4, 8, 1, linux.MapReadOnlyProg|linux.MapWriteOnlyProg), linux.EINVAL, false},
		{"hash rdonly wronly", spec(ebpf.Hash, 4, 8, 1, linux.MapReadOnly|linux.MapWriteOnly), linux.EINVAL, false},
		{"hash numa", spec(ebpf.Hash, 4, 8, 1, linux.MapNUMANode), linux.OK, false},
		{"percpu", spec(ebpf.PerCPUHash, 4, 8, 1, 0), linux.OK, false},
		{"percpu numa", spec(ebpf.PerCPUHash, 4, 8, 1, linux.MapNUMANode), linux.EINVAL, false},
		{"percpu largest", spec(ebpf.PerCPUHash, 4, perCPUMaxSize, 1, 0), linux.OK, false},
		{"percpu too large", spec(ebpf.PerCPUHash, 4, perCPUMaxSize+1, 1, 0), linux.E2BIG, false},
		{"lru", spec(ebpf.LRUHash, 4, 8, 1, 0), linux.OK, false},
		{"lru no prealloc", spec(ebpf.LRUHash, 4, 8, 1, linux.MapNoPrealloc), linux.ENOTSUPP, false},
		{"lru no prealloc, entries 0", spec(ebpf.LRUHash, 4, 8, 0, linux.MapNoPrealloc), linux.ENOTSUPP, false},
		{"lru no common lru", spec(ebpf.LRUHash, 4, 8, 5, linux.MapNoCommonLRU), linux.OK, false},
		{"lru no common lru numa", spec(ebpf.LRUHash, 4, 8, 5, linux.MapNoCommonLRU|linux.MapNUMANode), linux.EINVAL, false},
		{"lru percpu", spec(ebpf.LRUCPUHash, 4, 8, 1, 0), linux.OK, false},
		{"lpm", spec(ebpf.LPMTrie, 8, 8, 1, 1), linux.OK, false},
		{"lpm prealloc", spec(ebpf.LPMTrie, 8, 8, 1, 0), linux.EINVAL, false},
		{"lpm zero seed", spec(ebpf.LPMTrie, 8, 8, 1, 1|linux.MapZeroSeed), linux.EINVAL, false},
		{"lpm entries 0", spec(ebpf.LPMTrie, 8, 8, 0, 1), linux.EINVAL, false},
		{"lpm key 4", spec(ebpf.LPMTrie, 4, 8, 1, 1), linux.EINVAL, false},
		{"lpm key 5", spec(ebpf.LPMTrie, 5, 8, 1, 1), linux.OK, false},
		{"lpm key 260", spec(ebpf.LPMTrie, 260, 8, 1, 1), linux.OK, false},
		{"lpm key 261", spec(ebpf.LPMTrie, 261, 8, 1, 1), linux.EINVAL, false},
		{"lpm value 0", spec(ebpf.LPMTrie, 8, 0, 1, 1), linux.EINVAL, false},
		{"lpm value largest", spec(ebpf.LPMTrie, 8, lpmMaxValue, 1, 1), linux.OK, false},
		{"lpm value too large", spec(ebpf.LPMTrie, 8, lpmMaxValue+1, 1, 1), linux.EINVAL, false},
		{"no room", spec(ebpf.Hash, 4, 4<<20-64, 1<<20, 0), linux.ENOMEM, true},
	}
}

func TestHashCreate(t *testing.T) {
	h := hashHost(t, 2)
	for _, c := range createCases() {
		c.Name = "m"
		m, err := New(h, &c.Spec, 1)
		if err == nil {
			if got, want := m.Info().MaxEntries, c.entries(2); got != want {
				t.Errorf("%s: max_entries %d, want %d", c.name, got, want)
			}
			m.Close()
		}
		var e *Error
		switch {
		case c.errno == linux.OK && err != nil, c.errno != linux.OK && (!errors.As(err, &e) || e.Errno != c.errno):
			t.Errorf("%s: %v, want %v", c.name, err, c.errno)
		case err != nil && e.Reason == "":
			t.Errorf("%s: no reason in %v", c.name, err)
		}
	}
}
