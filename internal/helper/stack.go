package helper

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
)

// stackHelpers read stacks (kernel/bpf/stackmap.c). The kernel's stack is what the world says. The
// user's is what the world says; else, where the program has registers of x86-64, it starts at ip
// and follows the frame pointers through the run's memory (perf_callchain_user,
// arch/x86/events/core.c).
func stackHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncGetStackid), Func: getStackID},
		{Proto: proto(linux.FuncGetStack), Func: getStack},
	}
}

func getStackID(k *vm.Call) uint64 {
	m, ok := mapArgOf(k, k.Args[1], 1, forStack, 27, "bpf_get_stackid")
	if !ok {
		return 0
	}
	s, ok := m.(*maps.StackTrace)
	flags := k.Args[2]
	switch {
	case !ok:
		return k.FailMap(1, "a stack trace map")
	case flags&^(maps.StackSkip|maps.StackUser|maps.StackFastCmp|maps.StackReuse) != 0:
		return linux.EINVAL.Neg()
	}
	var room [maps.MaxStack]uint64
	id, errno := s.Insert(stackOf(k, flags&maps.StackUser != 0, room[:0]), flags)
	if errno != linux.OK {
		return errno.Neg()
	}
	return uint64(int64(int32(id)))
}

// getStack copies addresses and clears what they do not fill. It returns the bytes that they fill.
func getStack(k *vm.Call) uint64 {
	buf, ok := k.Buffer(k.Args[1], uint64(uint32(k.Args[2])))
	if !ok {
		return 0
	}
	flags := k.Args[3]
	skip, unit := int(flags&maps.StackSkip), 8
	if flags&maps.StackBuildID != 0 {
		unit = 32
	}
	user := flags&maps.StackUser != 0
	if flags&^(maps.StackSkip|maps.StackUser|maps.StackBuildID) != 0 || !user && unit != 8 || len(buf)%unit != 0 {
		clear(buf)
		return linux.EINVAL.Neg()
	}
	var room [maps.MaxStack]uint64
	addrs := stackOf(k, user, room[:0])
	addrs = addrs[:min(len(addrs), skip+len(buf)/unit, maps.MaxStack)]
	if len(addrs) < skip {
		clear(buf)
		return linux.EFAULT.Neg()
	}
	var plain []byte
	for _, a := range addrs[skip:] {
		plain = binary.LittleEndian.AppendUint64(plain, a)
	}
	if unit != 8 {
		plain = maps.BuildIDs(plain)
	}
	n := copy(buf, plain)
	clear(buf[n:])
	return uint64(n)
}

// Offsets of struct pt_regs of x86-64.
const (
	regsBP = 32
	regsIP = 128
)

// stackOf collects addresses, the innermost first, up to the capacity of out.
func stackOf(k *vm.Call, user bool, out []uint64) []uint64 {
	w := k.CPU.World
	switch {
	case w != nil && !user:
		return append(out, w.KernelStack[:min(len(w.KernelStack), cap(out))]...)
	case !user:
		return out
	case w != nil && w.UserStack != nil:
		return append(out, w.UserStack[:min(len(w.UserStack), cap(out))]...)
	}
	if t := k.Program().Type; t != ebpf.Kprobe && t != ebpf.PerfEvent {
		return out
	}
	regs := k.CPU.ContextBytes()
	out = append(out, binary.LittleEndian.Uint64(regs[regsIP:]))
	for fp := binary.LittleEndian.Uint64(regs[regsBP:]); len(out) < cap(out); {
		frame, ok := k.Try(fp, 16)
		if !ok {
			break
		}
		fp = binary.LittleEndian.Uint64(frame)
		out = append(out, binary.LittleEndian.Uint64(frame[8:]))
	}
	return out
}
