package maps

import "github.com/cilium/ebpf"

func constructorOf(t ebpf.MapType) (constructor, bool) {
	c, ok := map[ebpf.MapType]constructor{
		ebpf.Array:       newArray,
		ebpf.PerCPUArray: newPerCPUArray,
	}[t]
	return c, ok
}
