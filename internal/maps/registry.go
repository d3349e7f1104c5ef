package maps

import "github.com/cilium/ebpf"

func constructorOf(t ebpf.MapType) (constructor, bool) {
	c, ok := map[ebpf.MapType]constructor{
		ebpf.Array:       newArray,
		ebpf.PerCPUArray: newPerCPUArray,
		ebpf.Hash:        newHash,
		ebpf.PerCPUHash:  newHash,
		ebpf.LRUHash:     newHash,
		ebpf.LRUCPUHash:  newHash,
		ebpf.LPMTrie:     newLPM,
	}[t]
	return c, ok
}
