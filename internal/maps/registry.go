package maps

import "github.com/cilium/ebpf"

func constructorOf(t ebpf.MapType) (constructor, bool) {
	c, ok := map[ebpf.MapType]constructor{
		ebpf.Array:          newArray,
		ebpf.PerCPUArray:    newPerCPUArray,
		ebpf.Hash:           newHash,
		ebpf.PerCPUHash:     newHash,
		ebpf.LRUHash:        newHash,
		ebpf.LRUCPUHash:     newHash,
		ebpf.LPMTrie:        newLPM,
		ebpf.ProgramArray:   newProgArray,
		ebpf.ArrayOfMaps:    newArrayOfMaps,
		ebpf.HashOfMaps:     newHashOfMaps,
		ebpf.PerfEventArray: newPerfArray,
		ebpf.RingBuf:        newRingbuf,

		ebpf.DevMap:     newRedirectArray,
		ebpf.DevMapHash: newDevMapHash,
		ebpf.CPUMap:     newRedirectArray,
		ebpf.XSKMap:     newRedirectArray,

		ebpf.Queue:       newQueue,
		ebpf.Stack:       newQueue,
		ebpf.BloomFilter: newBloom,
		ebpf.StackTrace:  newStackTrace,
		ebpf.CGroupArray: newCgroupArray,

		ebpf.SkStorage:     newLocalStorage,
		ebpf.TaskStorage:   newLocalStorage,
		ebpf.InodeStorage:  newLocalStorage,
		ebpf.CgroupStorage: newLocalStorage,

		ebpf.CGroupStorage:       newCgroupStorage,
		ebpf.PerCPUCGroupStorage: newCgroupStorage,
	}[t]
	return c, ok
}
