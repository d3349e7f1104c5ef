package caromtest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// contents are the elements of a map, keys and values as bytes.
type contents map[string]string

// mostEntries bounds the maps that are compared as a whole.
const mostEntries = 1 << 16

// snapshot reads the maps that can be read.
func snapshot(coll map[string]*carom.Map) (map[string]contents, error) {
	out := map[string]contents{}
	for name, m := range coll {
		if !readable(m) {
			continue
		}
		c := contents{}
		it := m.Iterate()
		var key, value []byte
		for it.Next(&key, &value) {
			if m.Type() == ebpf.ProgramArray || m.Type() == ebpf.ArrayOfMaps || m.Type() == ebpf.HashOfMaps {
				value = nil // ids differ
			}
			c[string(key)] = string(value)
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
		out[name] = c
	}
	return out, nil
}

func readable(m *carom.Map) bool {
	switch m.Type() {
	case ebpf.Array, ebpf.Hash, ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.LPMTrie,
		ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		return m.MaxEntries() <= mostEntries
	}
	return false
}

type mapDiff struct{ where, a, b string }

// diffMaps compares snapshots. Engines may have different numbers of CPUs; what both have counts.
func diffMaps(a, b map[string]contents, ignore []string) []mapDiff {
	var out []mapDiff
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if slices.Contains(ignore, name) || b[name] == nil {
			continue
		}
		keys := maps.Clone(a[name])
		maps.Copy(keys, b[name])
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			x, inA := a[name][k]
			y, inB := b[name][k]
			if n := min(len(x), len(y)); inA && inB && n > 0 {
				x, y = x[:n], y[:n]
			}
			if inA == inB && x == y {
				continue
			}
			out = append(out, mapDiff{fmt.Sprintf("map %s, key % x", name, k), show(x, y, inA), show(y, x, inB)})
		}
	}
	return out
}

// show gives the bytes of x from the first on that differs from y.
func show(x, y string, there bool) string {
	if !there {
		return "absent"
	}
	i := 0
	for i < len(x) && i < len(y) && x[i] == y[i] {
		i++
	}
	i &^= 7
	end := min(len(x), i+64)
	return fmt.Sprintf("from byte %d of %d: % x", i, len(x), x[i:end])
}
