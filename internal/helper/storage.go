package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
)

func storageHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncGetLocalStorage), Func: localStorage},
	}
}

// localStorage returns the run's value of a cgroup storage map (kernel/bpf/cgroup.c,
// bpf_get_local_storage). It is that of the program that the run started with; programs that it
// tail-calls use the same map, as the owner of their PROG_ARRAY sees to.
func localStorage(k *vm.Call) uint64 {
	m, ok := k.Map(k.Args[0]).(maps.Map)
	if !ok {
		return k.FailMap(0, "a map")
	}
	s, ok := m.(*maps.CgroupStorage)
	info := m.Info()
	switch {
	case !ok:
		return k.Fail("map %s: cannot pass map_type %d into func bpf_get_local_storage#81", info.Name, uint32(info.Type))
	case k.Args[1] != 0:
		return k.Fail("get_local_storage() doesn't support non-zero flags")
	}
	addr := s.Of(k.CPU)
	if addr == 0 {
		return k.Fail("map %s: the program that the run started with does not use this cgroup storage", info.Name)
	}
	return addr
}
