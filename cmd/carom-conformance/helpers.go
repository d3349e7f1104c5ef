package main

import (
	"bytes"
	"math"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// helpers are the functions that programs of the suite may call, by number.
func helpers() map[uint32]*vm.Helper {
	rows := []struct {
		name   string
		unwind bool
		body   func(*vm.Call) uint64
	}{
		{"gather_bytes", false, gatherBytes},
		{"memfrob", false, memfrob},
		{"no_op", false, func(*vm.Call) uint64 { return 0 }},
		{"sqrti", false, func(k *vm.Call) uint64 { return uint64(math.Sqrt(float64(k.Args[0]))) }},
		{"strcmp_ext", false, strcmp},
		{"unwind", true, func(k *vm.Call) uint64 { return k.Args[0] }},
	}
	all := map[uint32]*vm.Helper{}
	for i, r := range rows {
		id := uint32(i)
		all[id] = &vm.Helper{Proto: linux.Proto{ID: id, Name: r.name}, UnwindOnZero: r.unwind, Func: r.body}
	}
	return all
}

// gatherBytes joins the low bytes of the arguments, the first one highest.
func gatherBytes(k *vm.Call) uint64 {
	v := uint64(0)
	for _, a := range k.Args {
		v = v<<8 | a&0xff
	}
	return v
}

// memfrob inverts bits of memory as memfrob(3) does.
func memfrob(k *vm.Call) uint64 {
	b, ok := k.Buffer(k.Args[0], k.Args[1])
	if !ok {
		return 0
	}
	for i := range b {
		b[i] ^= 42
	}
	return 0
}

// stringMax bounds strings without an end.
const stringMax = 1 << 16

// strcmp compares two C strings as strcmp(3) does.
func strcmp(k *vm.Call) uint64 {
	a, ok := k.TryString(k.Args[0], stringMax)
	if !ok {
		return k.Fail("r1 = %#x is not a string", k.Args[0])
	}
	b, ok := k.TryString(k.Args[1], stringMax)
	if !ok {
		return k.Fail("r2 = %#x is not a string", k.Args[1])
	}
	return uint64(int64(bytes.Compare(a, b)))
}
