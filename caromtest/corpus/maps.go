package corpus

import (
	"strings"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
)

// Flags of map updates (include/uapi/linux/bpf.h).
const (
	anyValue = 0 // BPF_ANY
	noExist  = 1 // BPF_NOEXIST
	exist    = 2 // BPF_EXIST
)

// Maps returns the cases of what programs see of maps.
func Maps() []ct.Case {
	var cases []ct.Case
	for _, m := range []struct {
		name string
		t    ebpf.MapType
		kept bool // an old pointer keeps the old value
	}{
		{"hash", ebpf.Hash, true}, {"lru_hash", ebpf.LRUHash, true},
		{"array", ebpf.Array, false}, {"percpu_array", ebpf.PerCPUArray, false}, {"percpu_hash", ebpf.PerCPUHash, false},
	} {
		cases = append(cases, oldPointer(m.name, m.t, m.kept))
	}
	return append(cases, hashErrors("hash", ebpf.Hash), hashErrors("percpu_hash", ebpf.PerCPUHash), arrayErrors("array", ebpf.Array),
		arrayErrors("percpu_array", ebpf.PerCPUArray), prefixes(), mapsInArray(), eachElement(), printing())
}

// put emits an update of map m, whose result is in r0.
func (b *batch) put(m string, key uint32, value uint64, flags int) {
	b.line("*(u32 *)(r10 -4) = %d", int32(key))
	b.line("r3 = 0x%x ll", value)
	b.line("*(u64 *)(r10 -16) = r3")
	b.line("r1 = map[%s] ll", m)
	b.line("r2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\nr4 = %d", flags)
	b.line("call bpf_map_update_elem")
}

// take emits a deletion, whose result is in r0.
func (b *batch) take(m string, key uint32) {
	b.line("*(u32 *)(r10 -4) = %d", int32(key))
	b.line("r1 = map[%s] ll\nr2 = r10\nr2 += -4", m)
	b.line("call bpf_map_delete_elem")
}

// find emits a lookup and stores 1 and the value, or 0 and 0.
func (b *batch) find(m string, key uint32, there bool, value uint64) {
	b.line("*(u32 *)(r10 -4) = %d", int32(key))
	b.line("r1 = map[%s] ll\nr2 = r10\nr2 += -4", m)
	b.line("call bpf_map_lookup_elem")
	b.line("r1 = 0\nr2 = 0\nif r0 == 0 goto +2\nr1 = 1\nr2 = *(u64 *)(r0 +0)")
	found := uint64(0)
	if there {
		found = 1
	}
	b.result("r1", found)
	b.result("r2", value)
}

// errno is what a helper returns.
func errno(e ct.Errno) uint64 { return e.Neg() }

func table(t ebpf.MapType, entries uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{Type: t, KeySize: 4, ValueSize: 8, MaxEntries: entries}
}

// with adds a map to a case.
func with(c ct.Case, name string, m *ebpf.MapSpec) ct.Case {
	c.Maps[name] = m
	return c
}

// oldPointer looks a key up, updates it, and reads through the pointer.
func oldPointer(name string, t ebpf.MapType, kept bool) ct.Case {
	b := newBatch("map/pointer and update/" + name)
	b.put("m", 1, 11, anyValue)
	b.line("*(u32 *)(r10 -4) = 1")
	b.line("r1 = map[m] ll\nr2 = r10\nr2 += -4")
	b.line("call bpf_map_lookup_elem")
	b.line("if r0 != 0 goto +2\nr0 = 1\nexit")
	b.line("r8 = r0")
	b.put("m", 1, 22, anyValue)
	b.result("r0", 0)
	b.line("r1 = *(u64 *)(r8 +0)")
	if kept {
		b.result("r1", 11)
	} else {
		b.result("r1", 22)
	}
	b.find("m", 1, true, 22)
	return with(b.finish(), "m", table(t, 4))
}

func hashErrors(name string, t ebpf.MapType) ct.Case {
	b := newBatch("map/errors/" + name)
	put := func(key uint32, value uint64, flags int, want uint64) {
		b.put("m", key, value, flags)
		b.result("r0", want)
	}
	b.find("m", 1, false, 0)
	put(1, 10, exist, errno(ct.ENOENT))
	put(1, 10, noExist, 0)
	put(1, 11, noExist, errno(ct.EEXIST))
	put(1, 12, exist, 0)
	b.find("m", 1, true, 12)
	put(1, 13, 3, errno(ct.EINVAL))
	put(1, 13, 8, errno(ct.EINVAL))
	put(2, 20, anyValue, 0)
	put(3, 30, anyValue, errno(ct.E2BIG))
	put(2, 21, anyValue, 0)
	b.take("m", 3)
	b.result("r0", errno(ct.ENOENT))
	b.take("m", 1)
	b.result("r0", 0)
	b.find("m", 1, false, 0)
	put(3, 30, anyValue, 0)
	b.find("m", 3, true, 30)
	b.find("m", 2, true, 21)
	return with(b.finish(), "m", table(t, 2))
}

func arrayErrors(name string, t ebpf.MapType) ct.Case {
	b := newBatch("map/errors/" + name)
	put := func(key uint32, value uint64, flags int, want uint64) {
		b.put("m", key, value, flags)
		b.result("r0", want)
	}
	b.find("m", 0, true, 0)
	put(0, 10, noExist, errno(ct.EEXIST))
	put(1, 11, exist, 0)
	put(2, 12, anyValue, errno(ct.E2BIG))
	put(0, 12, 8, errno(ct.EINVAL))
	b.find("m", 1, true, 11)
	b.find("m", 2, false, 0)
	b.find("m", 0xffffffff, false, 0)
	b.take("m", 0)
	b.result("r0", errno(ct.EINVAL))
	return with(b.finish(), "m", table(t, 2))
}

// prefixes finds the longest prefix of IPv4 addresses.
func prefixes() ct.Case {
	b := newBatch("map/longest prefix")
	lookup := func(length uint32, address [4]byte, there bool, value uint64) {
		b.line("*(u32 *)(r10 -8) = %d", length)
		for i, v := range address {
			b.line("*(u8 *)(r10 %d) = %d", i-4, v)
		}
		b.line("r1 = map[m] ll\nr2 = r10\nr2 += -8")
		b.line("call bpf_map_lookup_elem")
		b.line("r1 = 0\nr2 = 0\nif r0 == 0 goto +2\nr1 = 1\nr2 = *(u64 *)(r0 +0)")
		found := uint64(0)
		if there {
			found = 1
		}
		b.result("r1", found)
		b.result("r2", value)
	}
	lookup(32, [4]byte{10, 1, 2, 3}, true, 24)
	lookup(32, [4]byte{10, 1, 3, 3}, true, 16)
	lookup(32, [4]byte{10, 2, 3, 3}, true, 8)
	lookup(16, [4]byte{10, 1, 2, 3}, true, 16)
	lookup(15, [4]byte{10, 1, 2, 3}, true, 8)
	lookup(32, [4]byte{10, 1, 2, 128}, true, 32)
	lookup(32, [4]byte{11, 1, 2, 3}, false, 0)
	lookup(33, [4]byte{10, 1, 2, 3}, false, 0)
	c := with(b.finish(), "m", &ebpf.MapSpec{
		Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 8, Flags: 1, // BPF_F_NO_PREALLOC
	})
	key := func(length byte, address ...byte) []byte { return append([]byte{length, 0, 0, 0}, address...) }
	c.Steps[0].Do = []ct.Op{
		ct.Put("m", key(8, 10, 0, 0, 0), uint64(8)), ct.Put("m", key(16, 10, 1, 0, 0), uint64(16)),
		ct.Put("m", key(24, 10, 1, 2, 0), uint64(24)), ct.Put("m", key(32, 10, 1, 2, 128), uint64(32)),
		ct.Put("m", key(33, 10, 1, 2, 128), uint64(32)).Fails(ct.EINVAL),
		ct.Delete("m", key(25, 10, 1, 2, 128)).Fails(ct.ENOENT),
		ct.Lookup("m", key(31, 10, 1, 2, 128), uint64(24)),
	}
	return c
}

// mapsInArray reads an inner map, before and after it is replaced.
func mapsInArray() ct.Case {
	inner := oneValue(words([]uint64{0}))
	inner.Contents = nil
	c := ct.Case{
		Name: "map/map in array", Prog: "entry", Data: make([]byte, 64),
		Maps: map[string]*ebpf.MapSpec{
			"outer": {Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerMap: inner},
			"a":     oneValue(words([]uint64{111})),
			"b":     oneValue(words([]uint64{222})),
		},
		Asm: map[string]string{"entry": `
			*(u32 *)(r10 -4) = 1
			r1 = map[outer] ll
			r2 = r10
			r2 += -4
			call bpf_map_lookup_elem
			if r0 == 0 goto none
			*(u32 *)(r10 -4) = 0
			r1 = r0
			r2 = r10
			r2 += -4
			call bpf_map_lookup_elem
			if r0 == 0 goto none
			r1 = *(u64 *)(r0 +0)
			r2 = r1
			r2 += 1
			*(u64 *)(r0 +0) = r2
			r0 = r1
			exit
			none:
			r0 = 1
			exit`},
	}
	c.Steps = []ct.Step{
		want(1),
		want(111, ct.PutMap("outer", uint32(1), "a")),
		want(112),
		want(222, ct.PutMap("outer", uint32(1), "b")),
		want(113, ct.PutMap("outer", uint32(1), "a")),
		want(1, ct.Delete("outer", uint32(1))),
		want(1, ct.Delete("outer", uint32(1)).Fails(ct.ENOENT), ct.PutMap("outer", uint32(2), "a").Fails(ct.E2BIG)),
	}
	return c
}

// eachElement adds up the keys and values of maps with bpf_for_each_map_elem.
func eachElement() ct.Case {
	b := newBatch("map/for each element")
	for _, m := range []string{"array", "hash"} {
		for key := range uint32(3) {
			b.put(m, key, uint64(key+1)*100, anyValue)
		}
		b.line("*(u64 *)(r10 -8) = 0")
		b.line("r1 = map[%s] ll\nr2 = func[add] ll\nr3 = r10\nr3 += -8\nr4 = 0", m)
		b.line("call bpf_for_each_map_elem")
		b.result("r0", 3)
		b.line("r1 = *(u64 *)(r10 -8)")
		b.result("r1", 603)
	}
	c := b.finish(`func add (void *map, u32 *key, u64 *value, u64 *sum) int
		r5 = *(u64 *)(r4 +0)
		r6 = *(u32 *)(r2 +0)
		r5 += r6
		r6 = *(u64 *)(r3 +0)
		r5 += r6
		*(u64 *)(r4 +0) = r5
		r0 = 0
		exit`)
	return with(with(c, "array", table(ebpf.Array, 3)), "hash", table(ebpf.Hash, 8))
}

// printing has a line for each kind of conversion.
func printing() ct.Case {
	b := newBatch("printing")
	lines := []struct {
		format string
		arg    uint64
		want   string
	}{
		{"%d", 0xffffffffffffffff, "-1"}, {"%u", 0xffffffff00000005, "5"}, {"%ld", 1 << 63, "-9223372036854775808"},
		{"%lu", 0xffffffffffffffff, "18446744073709551615"}, {"%x", 0xabcdef, "abcdef"}, {"%lx", 0x123456789abc, "123456789abc"},
		{"%llx", 0xf000000000000000, "f000000000000000"}, {"a%5db", 42, "a   42b"}, {"%05d", 42, "00042"}, {"%-5d|", 42, "42   |"},
		{"%i", 7, "7"}, {"%c", 'x', "x"}, {"%%%d", 1, "%1"}, {"%X", 0xabc, "ABC"},
		{"nothing", 0, "nothing"}, {"%d\n", 9, "9\n"},
		{"%#x", 255, ""}, {"%hhd", 300, ""}, {"%w", 1, ""}, {"%lld%", 1, ""}, // refused
	}
	var printed []string
	for _, l := range lines {
		format := make([]byte, 16)
		copy(format, l.format)
		for i := range 2 {
			b.line("r1 = 0x%x ll", littleEndian(format[i*8:]))
			b.line("*(u64 *)(r10 %d) = r1", i*8-16)
		}
		b.line("r1 = r10\nr1 += -16\nr2 = %d", len(l.format)+1)
		b.line("r3 = 0x%x ll", l.arg)
		b.line("call bpf_trace_printk")
		if l.want == "" {
			b.result("r0", errno(ct.EINVAL))
			continue
		}
		printed = append(printed, strings.TrimSuffix(l.want, "\n"))
		b.result("r0", uint64(len(l.want)))
	}
	c := b.finish()
	c.Steps[0].Want.Trace = printed
	return c
}

func littleEndian(b []byte) uint64 {
	var v uint64
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}
