package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
)

func ringbufHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncRingbufOutput), Func: ringbufOutput},
		{Proto: proto(linux.FuncRingbufReserve), Func: ringbufReserve},
		{Proto: proto(linux.FuncRingbufSubmit), Func: func(k *vm.Call) uint64 {
			return ringbufCommit(k, "submit", (*maps.Ringbuf).Submit)
		}},
		{Proto: proto(linux.FuncRingbufDiscard), Func: func(k *vm.Call) uint64 {
			return ringbufCommit(k, "discard", (*maps.Ringbuf).Discard)
		}},
		{Proto: proto(linux.FuncRingbufQuery), Func: ringbufQuery},
	}
}

// record is what a virtual CPU holds for a reserved record.
type record struct{ *maps.Ringbuf }

// Discard implements vm.Discarder, for runs that failed.
func (r record) Discard(addr, flags uint64) { r.Ringbuf.Discard(addr, flags) }

func ringArg(k *vm.Call, id int, name string) (*maps.Ringbuf, bool) {
	m, ok := mapArg(k, forRingbuf, id, name)
	if !ok {
		return nil, false
	}
	ring, ok := m.(*maps.Ringbuf)
	if !ok {
		k.FailMap(0, "a ring buffer")
	}
	return ring, ok
}

func ringbufOutput(k *vm.Call) uint64 {
	ring, ok := ringArg(k, 130, "bpf_ringbuf_output")
	if !ok {
		return 0
	}
	data, ok := k.Bytes(k.Args[1], k.Args[2])
	if !ok {
		return 0
	}
	return ring.Output(data, k.Args[3]).Neg()
}

func ringbufReserve(k *vm.Call) uint64 {
	ring, ok := ringArg(k, 131, "bpf_ringbuf_reserve")
	if !ok || k.Args[2] != 0 {
		return 0
	}
	addr := ring.Reserve(k.Args[1])
	if addr != 0 {
		k.CPU.Hold(addr, k.Args[1], record{ring})
	}
	return addr
}

func ringbufCommit(k *vm.Call, verb string, commit func(r *maps.Ringbuf, addr, flags uint64) linux.Errno) uint64 {
	addr := k.Args[0]
	held, ok := k.CPU.Release(addr)
	if r, isRecord := held.(record); isRecord {
		commit(r.Ringbuf, addr, k.Args[1])
		return 0
	}
	if ok {
		k.CPU.Hold(addr, 0, held)
	}
	return k.Fail("R1 = %#x is not a reserved ring buffer record; %s each record once, with the address that bpf_ringbuf_reserve returned", addr, verb)
}

func ringbufQuery(k *vm.Call) uint64 {
	ring, ok := ringArg(k, 134, "bpf_ringbuf_query")
	if !ok {
		return 0
	}
	return ring.Query(k.Args[1])
}
