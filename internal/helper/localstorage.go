package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

// storageRule are the two helpers of a kind of local storage (kernel/bpf/bpf_task_storage.c and its
// kin, net/core/bpf_sk_storage.c).
type storageRule struct {
	kind        ebpf.MapType
	get, remove uint32
}

func localStorageHelpers() []vm.Helper {
	rows := []vm.Helper{{Proto: proto(linux.FuncGetCurrentTaskBTF), Func: currentTask}}
	for _, r := range []storageRule{
		{ebpf.SkStorage, linux.FuncSKStorageGet, linux.FuncSKStorageDelete},
		{ebpf.TaskStorage, linux.FuncTaskStorageGet, linux.FuncTaskStorageDelete},
		{ebpf.InodeStorage, linux.FuncInodeStorageGet, linux.FuncInodeStorageDelete},
		{ebpf.CgroupStorage, linux.FuncCgrpStorageGet, linux.FuncCgrpStorageDelete},
	} {
		rows = append(rows,
			vm.Helper{Proto: proto(r.get), Func: func(k *vm.Call) uint64 { return storageGet(k, r) }},
			vm.Helper{Proto: proto(r.remove), Func: func(k *vm.Call) uint64 { return storageDelete(k, r) }})
	}
	return rows
}

// storageCreate is BPF_LOCAL_STORAGE_GET_F_CREATE and BPF_SK_STORAGE_GET_F_CREATE.
const storageCreate = 1

func storageArg(k *vm.Call, kind ebpf.MapType, id uint32) (*maps.LocalStorage, bool) {
	m, ok := k.Map(k.Args[0]).(maps.Map)
	if !ok {
		k.FailMap(0, "a map")
		return nil, false
	}
	s, ok := m.(*maps.LocalStorage)
	if info := m.Info(); !ok || info.Type != kind {
		k.Fail("map %s: cannot pass map_type %d into func %s#%d", info.Name, uint32(info.Type), proto(id).Name, id)
		return nil, false
	}
	return s, true
}

// storageGet returns the value of the object in R2. With the flag it makes one where there is none:
// a copy of what R3 points to, or zeros.
func storageGet(k *vm.Call, r storageRule) uint64 {
	s, ok := storageArg(k, r.kind, r.get)
	object, flags := objectOf(k.Args[1]), k.Args[3]
	if !ok || object == 0 || flags&^storageCreate != 0 {
		return 0
	}
	if addr := s.Of(object); addr != 0 || flags == 0 {
		return addr
	}
	var initial []byte
	if k.Args[2] != 0 {
		if initial, ok = k.Bytes(k.Args[2], uint64(s.ValueSize)); !ok {
			return 0
		}
	}
	return s.Create(k.CPU.ID, object, initial)
}

func storageDelete(k *vm.Call, r storageRule) uint64 {
	s, ok := storageArg(k, r.kind, r.remove)
	if !ok {
		return 0
	}
	object := objectOf(k.Args[1])
	if object == 0 {
		return linux.EINVAL.Neg()
	}
	return s.Remove(k.CPU.ID, object).Neg()
}

// A task has an address of Linux's direct map on x86-64, made of its thread number, and nothing is
// there: a program may hand it to helpers and may not read it.
const (
	taskBase  = 0xffff888000000000
	taskShift = 14
	maxPID    = 1 << 22 // PID_MAX_LIMIT
)

// currentTask is bpf_get_current_task_btf.
func currentTask(k *vm.Call) uint64 {
	return taskBase + uint64(task(k).PID%maxPID)<<taskShift
}

// objectOf is the number of the object that a program points to, 0 for NULL: a task's thread
// number, by which user space finds the value too, or the address of anything else. The task
// without a number, as in a run without a world, has its address.
func objectOf(addr uint64) uint64 {
	if off := addr - taskBase; off != 0 && off < maxPID<<taskShift {
		return off >> taskShift
	}
	return addr
}
