package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// probeHelpers copy memory whose address the program need not have checked. All of them fill the
// destination with zeros when they fail (kernel/trace/bpf_trace.c, mm/maccess.c). There is one
// address space: the user and kernel forms read the same memory.
func probeHelpers() []vm.Helper {
	row := func(id uint32, name string, f func(*vm.Call) uint64) vm.Helper {
		return vm.Helper{Proto: proto(id, name, linux.RetInteger, args{linux.ArgMemOut, linux.ArgSizeOrZero, linux.ArgAnything}), Func: f}
	}
	return []vm.Helper{
		row(4, "probe_read", probeRead),
		row(45, "probe_read_str", func(k *vm.Call) uint64 { return probeString(k, isRunMemory(k)) }),
		row(112, "probe_read_user", probeRead),
		row(113, "probe_read_kernel", probeRead),
		row(114, "probe_read_user_str", func(k *vm.Call) uint64 { return probeString(k, true) }),
		row(115, "probe_read_kernel_str", func(k *vm.Call) uint64 { return probeString(k, false) }),
		row(148, "copy_from_user", probeRead),
	}
}

func probeRead(k *vm.Call) uint64 {
	dst, ok := k.Buffer(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok {
		return 0
	}
	src, ok := k.Try(k.Args[2], uint64(len(dst)))
	if !ok {
		clear(dst)
		return linux.EFAULT.Neg()
	}
	copy(dst, src)
	return 0
}

// isRunMemory reports whether R3 points into memory that the run supplied, which stands for that
// of the probed task.
func isRunMemory(k *vm.Call) bool {
	r := k.CPU.Machine().Space.Find(k.Args[2])
	return r != nil && r.Kind == mem.KindRunMemory
}

// probeString copies up to the first NUL and returns the length with it. A string that does not
// fit is cut, and its last byte becomes the NUL. Linux copies strings of user space eight bytes
// at a time and zeroes what follows the NUL in its word, as far as the destination holds the
// whole word (lib/strncpy_from_user.c); wholeWords asks for that.
func probeString(k *vm.Call, wholeWords bool) uint64 {
	dst, ok := k.Buffer(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok || len(dst) == 0 {
		return 0
	}
	src, ok := k.TryString(k.Args[2], uint64(len(dst)))
	if !ok {
		clear(dst)
		return linux.EFAULT.Neg()
	}
	n := copy(dst, src)
	if n == len(dst) {
		dst[n-1] = 0
		return uint64(n)
	}
	dst[n] = 0
	if end := n&^7 + 8; wholeWords && end <= len(dst) {
		clear(dst[n:end])
	}
	return uint64(n) + 1
}
