package corpus

import (
	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
)

// MapTypes returns the cases of map types that have helpers of their own.
func MapTypes() []ct.Case {
	return []ct.Case{
		keyless("queue", ebpf.Queue), keyless("stack", ebpf.Stack), bloomFilter(), userQueue(), emptyCgroups(),
	}
}

// keyless pushes, peeks and pops. Peeking and popping store the errno and the value.
func keyless(name string, t ebpf.MapType) ct.Case {
	b := newBatch("map types/" + name)
	push := func(value uint64, flags int, want uint64) {
		b.line("r3 = 0x%x ll\n*(u64 *)(r10 -8) = r3", value)
		b.line("r1 = map[m] ll\nr2 = r10\nr2 += -8\nr3 = %d", flags)
		b.line("call bpf_map_push_elem")
		b.result("r0", want)
	}
	get := func(call string, value, want uint64) {
		b.line("*(u64 *)(r10 -8) = 99")
		b.line("r1 = map[m] ll\nr2 = r10\nr2 += -8")
		b.line("call %s", call)
		b.result("r0", want)
		b.line("r1 = *(u64 *)(r10 -8)")
		b.result("r1", value)
	}
	const peek, pop = "bpf_map_peek_elem", "bpf_map_pop_elem"
	next, then := uint64(1), uint64(2) // of 1, 2 and 3 in a map of three
	if t == ebpf.Stack {
		next, then = 3, 2
	}
	get(peek, 0, errno(ct.ENOENT))
	get(pop, 0, errno(ct.ENOENT))
	push(1, anyValue, 0)
	push(2, noExist, errno(ct.EINVAL))
	push(2, anyValue, 0)
	push(3, exist, 0)
	push(4, anyValue, errno(ct.E2BIG))
	push(4, 3, errno(ct.EINVAL))
	push(4, 4, errno(ct.EINVAL))
	get(peek, next, 0)
	get(pop, next, 0)
	get(peek, then, 0)
	push(5, anyValue, 0)
	push(6, exist, 0) // drops the oldest
	rest := []uint64{3, 5, 6}
	if t == ebpf.Stack {
		rest = []uint64{6, 5, 2}
	}
	for _, v := range rest {
		get(pop, v, 0)
	}
	get(pop, 0, errno(ct.ENOENT))
	return with(b.finish(), "m", &ebpf.MapSpec{Type: t, ValueSize: 8, MaxEntries: 3})
}

// bloomFilter asks for values that were pushed, and for others: with a seed of 0, Linux's hash
// functions say which of them pass.
func bloomFilter() ct.Case {
	b := newBatch("map types/bloom filter")
	call := func(name string, value uint64, flags int, want uint64) {
		b.line("r3 = 0x%x ll\n*(u64 *)(r10 -8) = r3", value)
		b.line("r1 = map[m] ll\nr2 = r10\nr2 += -8\nr3 = %d", flags)
		b.line("call %s", name)
		b.result("r0", want)
	}
	const push, peek = "bpf_map_push_elem", "bpf_map_peek_elem"
	call(peek, 1, 0, errno(ct.ENOENT))
	for v := range uint64(16) {
		call(push, v*7, 0, 0)
	}
	call(push, 1, noExist, errno(ct.EINVAL))
	call(push, 1, exist, errno(ct.EINVAL))
	call(peek, 14, 0, 0)
	call(peek, 105, 0, 0)
	for _, v := range []uint64{1, 3, 5} {
		call(peek, v, 0, 0) // taken for one of them
	}
	for _, v := range []uint64{2, 4, 6, 8, 9} {
		call(peek, v, 0, errno(ct.ENOENT))
	}
	return with(b.finish(), "m", &ebpf.MapSpec{Type: ebpf.BloomFilter, ValueSize: 8, MaxEntries: 8, MapExtra: 2, Flags: 1 << 6}) // BPF_F_ZERO_SEED
}

// userQueue exchanges values with user space.
func userQueue() ct.Case {
	c := ct.Case{
		Name: "map types/queue and user space", Prog: "entry", Data: make([]byte, 64),
		Maps: map[string]*ebpf.MapSpec{"q": {Type: ebpf.Queue, ValueSize: 4, MaxEntries: 2}},
		Asm: map[string]string{"entry": `
			r1 = map[q] ll
			r2 = r10
			r2 += -4
			call bpf_map_pop_elem
			if r0 != 0 goto none
			r6 = *(u32 *)(r10 -4)
			r6 += 1
			*(u32 *)(r10 -4) = r6
			r1 = map[q] ll
			r2 = r10
			r2 += -4
			r3 = 0
			call bpf_map_push_elem
			r0 = r6
			exit
			none:
			r0 = 77
			exit`},
	}
	c.Steps = []ct.Step{
		want(77, ct.Lookup("q", nil, uint32(0)).Fails(ct.ENOENT)),
		want(11, ct.Put("q", nil, uint32(10))),
		want(12),
		want(13, ct.Lookup("q", nil, uint32(12)), ct.Put("q", nil, uint32(20)), ct.Put("q", nil, uint32(30)).Fails(ct.E2BIG)),
		want(21, ct.Delete("q", nil).Fails(ct.EINVAL), ct.Put("q", nil, uint32(30)).Flags(ebpf.UpdateNoExist).Fails(ct.EINVAL)),
		want(14, ct.Lookup("q", nil, uint32(13))),
		want(31, ct.Put("q", nil, uint32(30)).Flags(ebpf.UpdateExist), ct.Put("q", nil, uint32(30)).Flags(ebpf.UpdateExist)),
	}
	return c
}

// again is EAGAIN.
const again ct.Errno = 11

// emptyCgroups asks for cgroups that are not there.
func emptyCgroups() ct.Case {
	b := newBatch("map types/cgroup array without cgroups")
	for _, q := range []struct {
		index uint32
		want  uint64
	}{{0, errno(again)}, {1, errno(again)}, {2, errno(ct.E2BIG)}, {1 << 31, errno(ct.E2BIG)}} {
		b.line("r1 = r9\nr2 = map[m] ll\nr3 = %d\ncall bpf_skb_under_cgroup", int32(q.index))
		b.result("r0", q.want)
		b.line("r1 = map[m] ll\nr2 = %d\ncall bpf_current_task_under_cgroup", int32(q.index))
		b.result("r0", q.want)
	}
	c := with(b.finish(), "m", &ebpf.MapSpec{Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 2})
	c.Steps[0].Do = []ct.Op{
		ct.Put("m", uint32(0), uint32(0xffffffff)).Fails(ct.EBADF), ct.Put("m", uint32(2), uint32(1)).Fails(ct.E2BIG),
		ct.Delete("m", uint32(0)).Fails(ct.ENOENT), ct.Delete("m", uint32(2)).Fails(ct.E2BIG),
	}
	return c
}
