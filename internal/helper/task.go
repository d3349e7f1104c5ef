package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/world"
)

// taskHelpers tell where a program runs: CPU, task, cgroup, network namespace.
func taskHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncGetPrandomU32), Func: func(k *vm.Call) uint64 { return k.CPU.Rand() >> 32 }},
		{Proto: proto(linux.FuncGetSmpProcessorID), Func: func(k *vm.Call) uint64 { return uint64(k.CPU.ID) }},
		{Proto: proto(linux.FuncGetNUMANodeID), Func: func(*vm.Call) uint64 { return 0 }},
		{Proto: proto(linux.FuncGetCurrentPIDTGID), Func: func(k *vm.Call) uint64 {
			t := task(k)
			return uint64(t.TGID)<<32 | uint64(t.PID)
		}},
		{Proto: proto(linux.FuncGetCurrentUIDGID), Func: func(k *vm.Call) uint64 {
			t := task(k)
			return uint64(t.GID)<<32 | uint64(t.UID)
		}},
		{Proto: proto(linux.FuncGetCurrentComm), Func: currentComm},
		{Proto: proto(linux.FuncGetCurrentCgroupID), Func: func(k *vm.Call) uint64 {
			if k.CPU.World == nil {
				return 0
			}
			return k.CPU.World.CgroupID
		}},
		{Proto: proto(linux.FuncGetNetnsCookie), Func: func(k *vm.Call) uint64 {
			if k.CPU.World == nil {
				return 0
			}
			return k.CPU.World.NetnsID
		}},
		// The cookie belongs to an attachment; a run has none.
		{Proto: proto(linux.FuncGetAttachCookie), Func: func(*vm.Call) uint64 { return 0 }},
	}
}

func task(k *vm.Call) world.Task {
	if k.CPU.World == nil {
		return world.Task{}
	}
	return k.CPU.World.Task
}

// taskCommLen is TASK_COMM_LEN, the terminating NUL included.
const taskCommLen = 16

// currentComm fills the whole buffer: name, NUL, zeros (strscpy_pad).
func currentComm(k *vm.Call) uint64 {
	buf, ok := k.Buffer(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok || len(buf) == 0 {
		return 0
	}
	comm := task(k).Comm
	comm = comm[:min(len(comm), taskCommLen-1, len(buf)-1)]
	clear(buf[copy(buf, comm):])
	return 0
}
