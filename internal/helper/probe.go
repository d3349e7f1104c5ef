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
	row := func(id uint32, read func(*vm.Call, probeSpace) uint64, s probeSpace) vm.Helper {
		return vm.Helper{
			Proto: proto(id),
			Func:  func(k *vm.Call) uint64 { return read(k, s) },
		}
	}
	return []vm.Helper{
		row(linux.FuncProbeRead, probeRead, anySpace),
		row(linux.FuncProbeReadStr, probeString, anySpace),
		row(linux.FuncProbeReadUser, probeRead, userSpace),
		row(linux.FuncProbeReadKernel, probeRead, kernelSpace),
		row(linux.FuncProbeReadUserStr, probeString, userSpace),
		row(linux.FuncProbeReadKernelStr, probeString, kernelSpace),
		row(linux.FuncCopyFromUser, probeRead, userSpace),
		{Proto: proto(linux.FuncProbeWriteUser), Func: probeWriteUser},
	}
}

// probeSpace is the memory that a helper means.
type probeSpace uint8

const (
	anySpace probeSpace = iota // by the address
	userSpace
	kernelSpace
)

// x86-64: where user space ends, with the guard page behind it, and the bits that are equal in
// every kernel address (arch/x86/mm/maccess.c).
const (
	taskSizeMax  = 1<<47 - 4096
	signShift    = 47
	kernelSign   = -1
	vsyscallPage = 0xffffffffff600000
)

// badAddress is the error for an address that cannot be read: EFAULT, but ERANGE where Linux does
// not even try to read kernel memory.
func badAddress(k *vm.Call, addr uint64, s probeSpace) linux.Errno {
	switch {
	case s == userSpace, s == anySpace && addr < taskSizeMax, k.CPU.Machine().Space.Find(addr) != nil:
		return linux.EFAULT
	case int64(addr)>>signShift != kernelSign, addr&^4095 == vsyscallPage:
		return linux.ERANGE
	}
	return linux.EFAULT
}

func probeRead(k *vm.Call, s probeSpace) uint64 {
	dst, ok := k.Buffer(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok {
		return 0
	}
	src, ok := k.Try(k.Args[2], uint64(len(dst)))
	if !ok {
		clear(dst)
		return badAddress(k, k.Args[2], s).Neg()
	}
	copyWords(dst, src)
	return 0
}

// copyWords copies as copy_from_kernel_nofault does, which shows where the two overlap: from the
// first byte on, eight bytes at a time, then four, two and one.
func copyWords(dst, src []byte) {
	for size := 8; size > 0; size /= 2 {
		for len(dst) >= size {
			copy(dst[:size], src[:size])
			dst, src = dst[size:], src[size:]
		}
	}
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
// whole word (lib/strncpy_from_user.c).
func probeString(k *vm.Call, s probeSpace) uint64 {
	dst, ok := k.Buffer(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok || len(dst) == 0 {
		return 0
	}
	src, ok := k.TryString(k.Args[2], uint64(len(dst)))
	if !ok {
		clear(dst)
		return badAddress(k, k.Args[2], s).Neg()
	}
	n := copy(dst, src)
	if n == len(dst) {
		dst[n-1] = 0
		return uint64(n)
	}
	dst[n] = 0
	wholeWords := s == userSpace || s == anySpace && isRunMemory(k)
	if end := n&^7 + 8; wholeWords && end <= len(dst) {
		clear(dst[n:end])
	}
	return uint64(n) + 1
}

// probeWriteUser writes memory of the probed task.
func probeWriteUser(k *vm.Call) uint64 {
	src, ok := k.Bytes(k.Args[1], uint64(uint32(k.Args[2])))
	if !ok {
		return 0
	}
	dst := k.Args[0]
	if !k.CPU.Check(dst, uint64(len(src)), mem.PermWrite) {
		return linux.EFAULT.Neg()
	}
	copy(mem.Bytes(dst, uint64(len(src))), src)
	return 0
}
