package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

// queueHelpers are for maps without keys (kernel/bpf/helpers.c).
func queueHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncMapPushElem), Func: mapPush},
		{Proto: proto(linux.FuncMapPopElem), Func: mapPop},
		{Proto: proto(linux.FuncMapPeekElem), Func: mapPeek},
	}
}

func keylessArg(k *vm.Call, use, id int, name string) (maps.Keyless, uint64, bool) {
	m, ok := mapArg(k, use, id, name)
	if !ok {
		return nil, 0, false
	}
	q, ok := m.(maps.Keyless)
	if !ok {
		k.FailMap(0, "a map without keys")
		return nil, 0, false
	}
	return q, uint64(m.Info().ValueSize), true
}

func mapPush(k *vm.Call) uint64 {
	q, size, ok := keylessArg(k, forPush, 87, "bpf_map_push_elem")
	if !ok {
		return 0
	}
	value, ok := k.Bytes(k.Args[1], size)
	if !ok {
		return 0
	}
	return q.Push(value, k.Args[2]).Neg()
}

func mapPop(k *vm.Call) uint64 {
	q, size, ok := keylessArg(k, forPop, 88, "bpf_map_pop_elem")
	if !ok {
		return 0
	}
	value, ok := k.Buffer(k.Args[1], size)
	if !ok {
		return 0
	}
	return q.Pop(value).Neg()
}

// mapPeek writes to value, except for a Bloom filter.
func mapPeek(k *vm.Call) uint64 {
	q, size, ok := keylessArg(k, forPush, 89, "bpf_map_peek_elem")
	if !ok {
		return 0
	}
	view := k.Buffer
	if mem.Load32(k.Args[0]+mem.MapType) == uint32(ebpf.BloomFilter) {
		view = k.Bytes
	}
	value, ok := view(k.Args[1], size)
	if !ok {
		return 0
	}
	return q.Peek(value).Neg()
}
