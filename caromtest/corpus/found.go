package corpus

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
)

// Found returns small forms of what random programs found (internal/cmd/difftest).
func Found() []ct.Case {
	return []ct.Case{lockFlag("arr"), lockFlag("pcpu"), overlappingRead(), queueMapping()}
}

// lockFlag updates an array with BPF_F_LOCK, which needs a bpf_spin_lock in the value.
func lockFlag(name string) ct.Case {
	c := ct.Case{
		Name: "found/BPF_F_LOCK " + name, Prog: "entry", Data: tcp(), CPUs: 1,
		Maps: map[string]*ebpf.MapSpec{
			"arr":  {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2},
			"pcpu": {Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 2},
			"in":   {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		},
		Asm: map[string]string{"entry": `
			r1 = map[in][0] ll
			r4 = *(u32 *)(r1 +4)
			r1 = *(u32 *)(r1 +0)
			*(u32 *)(r10 -16) = r1
			*(u64 *)(r10 -8) = 77
			r1 = map[` + name + `] ll
			r2 = r10
			r2 += -16
			r3 = r10
			r3 += -8
			call bpf_map_update_elem
			exit`},
	}
	for _, s := range []struct {
		index, flags uint32
		errno        ct.Errno
	}{
		{0, 0, 0}, {0, 4, ct.EINVAL}, {2, 4, ct.E2BIG}, {0, 5, ct.EEXIST}, {0, 6, ct.EINVAL}, {2, 7, ct.EINVAL}, {1, 2, 0},
	} {
		step := want(uint32(-int32(s.errno)), ct.Put("in", uint32(0), []uint32{s.index, s.flags}))
		step.Name = sprint("index %d, flags %d", s.index, s.flags)
		c.Steps = append(c.Steps, step)
	}
	return c
}

// overlappingRead copies within the stack: Linux copies words in ascending order.
func overlappingRead() ct.Case {
	words := binary.LittleEndian.AppendUint64(nil, 0x1111)
	for range 3 {
		words = binary.LittleEndian.AppendUint64(words, 0x1111)
	}
	return ct.Case{
		Name: "found/probe_read_kernel of what it writes", Prog: "entry", Data: tcp(),
		Maps: map[string]*ebpf.MapSpec{"out": {Type: ebpf.Array, KeySize: 4, ValueSize: 32, MaxEntries: 1}},
		Asm: map[string]string{"entry": `
			*(u64 *)(r10 -32) = 0x1111
			*(u64 *)(r10 -24) = 0x2222
			*(u64 *)(r10 -16) = 0x3333
			*(u64 *)(r10 -8) = 0x4444
			r1 = r10
			r1 += -24
			r2 = 24
			r3 = r10
			r3 += -32
			call bpf_probe_read_kernel
			*(u32 *)(r10 -40) = 0
			r1 = map[out] ll
			r2 = r10
			r2 += -40
			r3 = r10
			r3 += -32
			r4 = 0
			call bpf_map_update_elem
			exit`},
		Steps: []ct.Step{{Want: &ct.Want{Entries: []ct.Entry{{Map: "out", Key: uint32(0), Value: words}}}}},
	}
}

// queueMapping stores what is no queue: registers are compared in 64 bits, immediates signed.
func queueMapping() ct.Case {
	c := ct.Case{Name: "found/queue_mapping", Data: tcp(), Asm: map[string]string{}}
	for _, s := range []struct {
		name, store string
		queue       uint32
	}{
		{"immediate", "*(u32 *)(r1 +12) = 5", 5},
		{"immediate 65535", "*(u32 *)(r1 +12) = 65535", 0},
		{"immediate below 0", "*(u32 *)(r1 +12) = -13", 0xfff3},
		{"register", "r2 = 65534\n*(u32 *)(r1 +12) = r2", 65534},
		{"register below 0", "r2 = -13\n*(u32 *)(r1 +12) = r2", 0},
		{"register past 32 bits", "r2 = 0x100000005 ll\n*(u32 *)(r1 +12) = r2", 0},
	} {
		name := sprint("p%d", len(c.Steps))
		c.Asm[name] = s.store + "\nr0 = *(u32 *)(r1 +12)\nexit"
		step := prog(name, s.queue)
		step.Name = s.name
		c.Steps = append(c.Steps, step)
	}
	return c
}
