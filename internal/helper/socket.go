package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// socketHelpers look for sockets. There are none in user space, so that nothing is ever found; a
// caller who has some puts helpers of the same numbers in their place.
func socketHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncSKLookupTCP), Func: socketLookup},
		{Proto: proto(linux.FuncSKLookupUDP), Func: socketLookup},
		{Proto: proto(linux.FuncSKRelease), Func: socketRelease},
		{Proto: proto(linux.FuncSKCLookupTCP), Func: socketLookup},
	}
}

// socketLookup reads the tuple, whatever its size, and finds nothing (net/core/filter.c,
// bpf_skc_lookup, which returns NULL also for bad sizes, flags and network namespaces).
func socketLookup(k *vm.Call) uint64 {
	n := uint64(uint32(k.Args[2]))
	if n == 0 {
		return k.Fail("R3 invalid zero-sized read: the size of the tuple is 0")
	}
	_, _ = k.Bytes(k.Args[1], n)
	return 0
}

// socketRelease ends the run: no lookup gave the program a socket.
func socketRelease(k *vm.Call) uint64 {
	return k.Fail("R1 = %#x is not a socket that the program holds; check the result of the lookup for NULL", k.Args[0])
}
