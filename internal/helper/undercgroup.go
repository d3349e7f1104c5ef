package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
)

// cgroupHelpers ask whether a cgroup is that of a CGROUP_ARRAY or below it (kernel/trace/
// bpf_trace.c, net/core/filter.c). Packets have the socket of the task that sends them.
func cgroupHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncCurrentTaskUnderCgroup), Func: func(k *vm.Call) uint64 {
			return underCgroup(k, 0, linux.FuncCurrentTaskUnderCgroup)
		}},
		{Proto: proto(linux.FuncSKBUnderCgroup), Func: func(k *vm.Call) uint64 {
			return underCgroup(k, 1, linux.FuncSKBUnderCgroup)
		}},
	}
}

// underCgroup has the map in one argument and the index in the next one.
func underCgroup(k *vm.Call, arg int, id uint32) uint64 {
	m, ok := mapArgOf(k, k.Args[arg], arg, forCgroup, int(id), proto(id).Name)
	if !ok {
		return 0
	}
	a, ok := m.(*maps.CgroupArray)
	if !ok {
		return k.FailMap(arg, "a cgroup array")
	}
	want, errno := a.Get(uint32(k.Args[arg+1]))
	if errno != linux.OK {
		return errno.Neg()
	}
	w := k.CPU.World
	if w == nil {
		return 0
	}
	if uint32(w.CgroupID) == want {
		return 1
	}
	for _, parent := range w.CgroupParents {
		if uint32(parent) == want {
			return 1
		}
	}
	return 0
}
