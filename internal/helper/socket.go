package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// socketHelpers look for sockets. There are none in user space, so that nothing is ever found; a
// caller who has some puts helpers of the same numbers in their place.
func socketHelpers() []vm.Helper {
	const any = linux.ArgAnything
	lookup := args{linux.ArgCtx, linux.ArgMem, linux.ArgSize, any, any}
	return []vm.Helper{
		{Proto: proto(84, "sk_lookup_tcp", linux.RetSocketOrNull, lookup), Func: socketLookup},
		{Proto: proto(85, "sk_lookup_udp", linux.RetSocketOrNull, lookup), Func: socketLookup},
		{Proto: proto(86, "sk_release", linux.RetInteger, args{linux.ArgSocket}), Func: socketRelease},
		{Proto: proto(99, "skc_lookup_tcp", linux.RetSocketOrNull, lookup), Func: socketLookup},
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
