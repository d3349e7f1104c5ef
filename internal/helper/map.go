package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

func mapHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncMapLookupElem), Func: mapLookup},
		{Proto: proto(linux.FuncMapUpdateElem), Func: mapUpdate},
		{Proto: proto(linux.FuncMapDeleteElem), Func: mapDelete},
		{Proto: proto(linux.FuncMapLookupPerCPUElem), Func: mapLookupPerCPU},
	}
}

// tailCallHelpers is the prototype alone: a tail call is a transfer of control that the machine
// makes itself.
func tailCallHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncTailCall)},
	}
}

// Groups of map types for check_map_func_compatibility (kernel/bpf/verifier.c).
const (
	forLookup = 1 << iota // bpf_map_lookup_elem
	forChange             // bpf_map_update_elem, bpf_map_delete_elem
	forPerCPU             // bpf_map_lookup_percpu_elem
	forEach               // bpf_for_each_map_elem
	forPerf
	forRingbuf
	forPush // bpf_map_push_elem, bpf_map_peek_elem
	forPop  // bpf_map_pop_elem
	forStack
	forCgroup // bpf_current_task_under_cgroup, bpf_skb_under_cgroup
)

// usesOf says which helpers take a map of this type.
func usesOf(t ebpf.MapType) int {
	switch t {
	case ebpf.ProgramArray, ebpf.CPUMap, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage:
		return 0 // helpers of their own
	case ebpf.PerfEventArray:
		return forPerf
	case ebpf.RingBuf:
		return forRingbuf
	case ebpf.StackTrace:
		return forStack
	case ebpf.CGroupArray:
		return forCgroup
	case ebpf.Queue, ebpf.Stack:
		return forPush | forPop
	case ebpf.BloomFilter:
		return forPush
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.DevMap, ebpf.DevMapHash, ebpf.XSKMap:
		return forLookup
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash:
		return forLookup | forChange | forPerCPU | forEach
	case ebpf.Array, ebpf.Hash, ebpf.LRUHash:
		return forLookup | forChange | forEach
	}
	return forLookup | forChange
}

// mapArg returns the map in R1. Where there is none, or one that the helper does not take, it
// ends the run with the words of Linux's verifier.
func mapArg(k *vm.Call, use int, id int, name string) (maps.Map, bool) {
	return mapArgOf(k, k.Args[0], 0, use, id, name)
}

// mapArgOf is mapArg for the map in another argument.
func mapArgOf(k *vm.Call, desc uint64, arg, use, id int, name string) (maps.Map, bool) {
	m, ok := k.Map(desc).(maps.Map)
	if !ok {
		k.FailMap(arg, "a map")
		return nil, false
	}
	info := m.Info()
	if usesOf(info.Type)&use != 0 {
		return m, true
	}
	if use == forEach {
		k.Fail("map %s: callback function not allowed for map of type %s", info.Name, info.Type)
	} else {
		k.Fail("map %s: cannot pass map_type %d into func %s#%d", info.Name, uint32(info.Type), name, id)
	}
	return nil, false
}

func mapLookup(k *vm.Call) uint64 {
	desc := k.Args[0]
	if !k.CPU.Machine().Maps.Contains(desc) {
		return k.FailMap(0, "a map")
	}
	// Arrays are served from the descriptor, as Linux inlines them.
	switch ebpf.MapType(mem.Load32(desc + mem.MapType)) {
	case ebpf.Array, ebpf.PerCPUArray:
		key, ok := k.Bytes(k.Args[1], 4)
		if !ok {
			return 0
		}
		_ = key[3]
		index := uint64(key[0]) | uint64(key[1])<<8 | uint64(key[2])<<16 | uint64(key[3])<<24
		if index >= uint64(mem.Load32(desc+mem.MapMaxEntries)) {
			return 0
		}
		return mem.Load64(desc+mem.MapData) + index*uint64(mem.Load32(desc+mem.MapStride)) +
			uint64(k.CPU.ID)*mem.Load64(desc+mem.MapCPUStride)
	}
	m, ok := mapArg(k, forLookup, 1, "bpf_map_lookup_elem")
	if !ok {
		return 0
	}
	key, ok := k.Bytes(k.Args[1], uint64(mem.Load32(desc+mem.MapKeySize)))
	if !ok {
		return 0
	}
	return m.Lookup(k.CPU.ID, key)
}

func mapUpdate(k *vm.Call) uint64 {
	m, ok := mapArg(k, forChange, 2, "bpf_map_update_elem")
	if !ok {
		return 0
	}
	info := m.Info()
	key, ok := k.Bytes(k.Args[1], uint64(info.KeySize))
	if !ok {
		return 0
	}
	value, ok := k.Bytes(k.Args[2], uint64(info.ValueSize))
	if !ok {
		return 0
	}
	return m.Update(k.CPU.ID, key, value, k.Args[3]).Neg()
}

func mapDelete(k *vm.Call) uint64 {
	m, ok := mapArg(k, forChange, 3, "bpf_map_delete_elem")
	if !ok {
		return 0
	}
	key, ok := k.Bytes(k.Args[1], uint64(m.Info().KeySize))
	if !ok {
		return 0
	}
	return m.Delete(k.CPU.ID, key).Neg()
}

// mapLookupPerCPU returns the copy of any CPU; one that does not exist gives NULL.
func mapLookupPerCPU(k *vm.Call) uint64 {
	m, ok := mapArg(k, forPerCPU, 195, "bpf_map_lookup_percpu_elem")
	if !ok {
		return 0
	}
	info := m.Info()
	key, ok := k.Bytes(k.Args[1], uint64(info.KeySize))
	cpu := uint32(k.Args[2])
	copies := info.SysValueSize() / int((info.ValueSize+7)&^7)
	if !ok || uint64(cpu) >= uint64(copies) {
		return 0
	}
	return m.Lookup(int(cpu), key)
}
