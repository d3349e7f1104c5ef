package corpus

import (
	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/internal/linux"
)

// XDP actions and flags of bpf_redirect_map (include/uapi/linux/bpf.h).
const (
	xdpAborted     = 0
	xdpDrop        = 1
	xdpPass        = 2
	xdpTX          = 3
	xdpRedirect    = 4
	broadcast      = 8
	excludeIngress = 16
)

// Targets returns the cases of bpf_redirect_map and of the maps that it takes. The only device
// that they need is loopback.
func Targets() []ct.Case {
	return []ct.Case{
		redirects("devmap", ebpf.DevMap), redirects("devmap_hash", ebpf.DevMapHash), redirects("cpumap", ebpf.CPUMap),
		devices(), hashedDevices(), processors(), sockets(), readDevices(), readSockets(),
	}
}

// pair is a value of two words: a device or a queue, and a program.
func pair(first, second uint32) []byte { return words([]uint64{uint64(second)<<32 | uint64(first)}) }

// redirect emits a redirection and checks its result.
func (b *batch) redirect(m string, key uint64, flags, want uint64) {
	b.line("r1 = map[%s] ll\nr2 = 0x%x ll\nr3 = 0x%x ll", m, key, flags)
	b.line("call bpf_redirect_map")
	b.result("r0", want)
}

func redirects(name string, t ebpf.MapType) ct.Case {
	b := newBatch("map/redirect/" + name)
	for _, flags := range []uint64{xdpAborted, xdpDrop, xdpPass, xdpTX} {
		b.redirect("m", 0, flags, xdpRedirect)
		b.redirect("m", 1, flags, flags)  // empty
		b.redirect("m", 2, flags, flags)  // past the end, or no such key
		b.redirect("m", 99, flags, flags) // as well
		b.redirect("m", 1<<32, flags, xdpRedirect)
		b.redirect("m", 1<<32|1, flags, flags)
	}
	toMany := uint64(xdpAborted)
	if t != ebpf.CPUMap {
		toMany = xdpRedirect
	}
	for _, key := range []uint64{0, 1, 99} {
		b.redirect("m", key, broadcast, toMany)
		b.redirect("m", key, broadcast|excludeIngress|xdpPass, toMany)
	}
	b.redirect("m", 0, excludeIngress, toMany)
	b.redirect("m", 1, excludeIngress|xdpDrop, map[bool]uint64{true: xdpDrop, false: xdpAborted}[t != ebpf.CPUMap])
	for _, flags := range []uint64{4, 5, 32, 1 << 31, 1 << 32, 1 << 63} {
		b.redirect("m", 0, flags, xdpAborted)
		b.redirect("m", 1, flags, xdpAborted)
	}
	c := b.finish()
	c.Type = ebpf.XDP
	c.Steps[0].Do = []ct.Op{ct.Put("m", uint32(0), uint32(1))}
	return with(c, "m", &ebpf.MapSpec{Type: t, KeySize: 4, ValueSize: 4, MaxEntries: 2})
}

// userSpace is a case of operations on a map; its program does nothing.
func userSpace(name string, m *ebpf.MapSpec, ops ...ct.Op) ct.Case {
	return ct.Case{
		Name: "map/user space/" + name, Prog: "entry", Data: make([]byte, 64), Type: ebpf.XDP,
		Asm: map[string]string{"entry": "r0 = 2\nexit"}, Maps: map[string]*ebpf.MapSpec{"m": m},
		Steps: []ct.Step{want(2, ops...)},
	}
}

func devices() ct.Case {
	put := func(key, dev, prog uint32) ct.Op { return ct.Put("m", key, pair(dev, prog)) }
	const none = 0xffffffff
	return userSpace("devmap", &ebpf.MapSpec{Type: ebpf.DevMap, KeySize: 4, ValueSize: 8, MaxEntries: 2},
		ct.Lookup("m", uint32(0), nil).Fails(ct.ENOENT), ct.Lookup("m", uint32(5), nil).Fails(ct.ENOENT),
		put(0, 1, 0).Flags(exist), put(0, 1, 0).Flags(noExist).Fails(ct.EEXIST),
		put(1, 1, 0).Flags(noExist).Fails(ct.EEXIST),
		put(0, 1, 0).Flags(3).Fails(ct.EINVAL), put(2, 1, 0).Fails(ct.E2BIG), put(2, 1, 0).Flags(noExist).Fails(ct.E2BIG),
		put(1, 1, none), ct.Lookup("m", uint32(1), pair(1, 0)), ct.Lookup("m", uint32(1), nil).Flags(1).Fails(ct.EINVAL),
		put(1, 1, 999).Fails(ct.EINVAL), put(1, 0, 7).Fails(ct.EINVAL),
		put(0, 0, 0), ct.Lookup("m", uint32(0), nil).Fails(ct.ENOENT),
		ct.Delete("m", uint32(1)), ct.Delete("m", uint32(1)), ct.Delete("m", uint32(2)).Fails(ct.EINVAL),
	)
}

func hashedDevices() ct.Case {
	put := func(key, dev, prog uint32) ct.Op { return ct.Put("m", key, pair(dev, prog)) }
	return userSpace("devmap_hash", &ebpf.MapSpec{Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 8, MaxEntries: 2},
		put(0, 1, 0).Flags(exist), put(0, 1, 0).Flags(noExist).Fails(ct.EEXIST), put(0, 1, 0).Flags(4).Fails(ct.EINVAL),
		put(77, 0, 0).Fails(ct.EINVAL), put(77, 1, 999).Fails(ct.EINVAL), put(77, 1, 0).Flags(noExist),
		put(1, 1, 0).Fails(ct.E2BIG), put(1, 1, 0).Flags(exist).Fails(ct.E2BIG), put(77, 1, 0),
		ct.Lookup("m", uint32(77), pair(1, 0)), ct.Lookup("m", uint32(1), nil).Fails(ct.ENOENT),
		ct.Delete("m", uint32(77)), ct.Delete("m", uint32(77)).Fails(ct.ENOENT), put(1, 1, 0),
	)
}

func processors() ct.Case {
	put := func(key, queue, prog uint32) ct.Op { return ct.Put("m", key, pair(queue, prog)) }
	return userSpace("cpumap", &ebpf.MapSpec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		put(0, 64, 0).Flags(exist), put(0, 64, 0).Flags(noExist).Fails(ct.EEXIST), put(0, 64, 0).Flags(3).Fails(ct.EINVAL),
		put(0, 16384, 0), put(0, 16385, 0).Fails(linux.EOVERFLOW), put(0, 64, 999).Fails(linux.ENOMEM),
		put(1, 64, 0).Fails(ct.E2BIG), ct.Lookup("m", uint32(0), pair(16384, 0)),
		put(0, 0, 0), ct.Lookup("m", uint32(0), nil).Fails(ct.ENOENT),
		ct.Delete("m", uint32(0)), ct.Delete("m", uint32(1)).Fails(ct.EINVAL),
	)
}

// sockets leaves out what needs an AF_XDP socket.
func sockets() ct.Case {
	return userSpace("xskmap", &ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		ct.Lookup("m", uint32(0), nil).Fails(linux.EOPNOTSUPP), ct.Lookup("m", uint32(5), nil).Fails(linux.EOPNOTSUPP),
		ct.Put("m", uint32(0), uint32(1)).Flags(3).Fails(ct.EINVAL), ct.Put("m", uint32(2), uint32(1)).Fails(ct.E2BIG),
		ct.Delete("m", uint32(0)), ct.Delete("m", uint32(2)).Fails(ct.EINVAL),
	)
}

// readDevices looks entries up in a program.
func readDevices() ct.Case {
	b := newBatch("map/lookup/devmap")
	for _, m := range []string{"array", "hash"} {
		b.find(m, 1, true, 1)
		b.find(m, 0, false, 0)
		b.find(m, 7, false, 0)
	}
	c := b.finish()
	c.Type = ebpf.XDP
	c.Steps[0].Do = []ct.Op{ct.Put("array", uint32(1), pair(1, 0)), ct.Put("hash", uint32(1), pair(1, 0xffffffff))}
	c = with(c, "array", table(ebpf.DevMap, 2))
	return with(c, "hash", table(ebpf.DevMapHash, 2))
}

// readSockets looks for a socket where there is none.
func readSockets() ct.Case {
	b := newBatch("map/lookup/xskmap")
	b.redirect("m", 0, xdpPass, xdpPass)
	b.redirect("m", 0, broadcast, xdpAborted)
	b.line("*(u32 *)(r10 -4) = 0")
	b.line("r1 = map[m] ll\nr2 = r10\nr2 += -4")
	b.line("call bpf_map_lookup_elem")
	b.line("r1 = 7\nif r0 == 0 goto +1\nr1 = *(u32 *)(r0 +0)")
	b.result("r1", 7)
	c := b.finish()
	c.Type = ebpf.XDP
	return with(c, "m", &ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 2})
}

// Sockets returns the cases of socket lookups where nobody listens.
func Sockets() []ct.Case {
	var cases []ct.Case
	for _, k := range []struct {
		name string
		t    ebpf.ProgramType
	}{{"tc", ebpf.SchedCLS}, {"xdp", ebpf.XDP}} {
		b := newBatch("sockets/" + k.name)
		for i := range 5 {
			b.line("*(u64 *)(r10 %d) = 0", -8*(i+1))
		}
		for _, find := range []string{"bpf_sk_lookup_tcp", "bpf_sk_lookup_udp", "bpf_skc_lookup_tcp"} {
			// Sizes of an IPv4 and an IPv6 tuple and two others; the network namespace is the current
			// one, then none; one flag is bad.
			for _, c := range [][3]int{{12, -1, 0}, {36, -1, 0}, {8, -1, 0}, {13, -1, 0}, {12, 0x7fffffff, 0}, {12, -1, 1}} {
				b.line("r1 = r9\nr2 = r10\nr2 += -40\nr3 = %d\nr4 = %d\nr5 = %d", c[0], c[1], c[2])
				b.line("call %s", find)
				b.line("r8 = 0\nif r0 == 0 goto +3\nr1 = r0\ncall bpf_sk_release\nr8 = 1")
				b.result("r8", 0)
			}
		}
		c := b.finish()
		c.Type, c.Data = k.t, tcp()
		cases = append(cases, c)
	}
	return cases
}

// Storage returns the cases of cgroup storage: a run has a zeroed value of its own, which stays
// for all repetitions.
func Storage() []ct.Case {
	const entry = `
		r1 = map[shared] ll
		r2 = 0
		call bpf_get_local_storage
		r6 = *(u64 *)(r0 +0)
		r6 += 1
		*(u64 *)(r0 +0) = r6
		r1 = map[percpu] ll
		r2 = 0
		call bpf_get_local_storage
		r7 = *(u64 *)(r0 +8)
		r7 += 2
		*(u64 *)(r0 +8) = r7
		r8 = map[out][0]+0 ll
		*(u64 *)(r8 +0) = r6
		*(u64 *)(r8 +8) = r7
		r0 = 1
		exit`
	shared := &ebpf.MapSpec{Type: ebpf.CGroupStorage, KeySize: 16, ValueSize: 8}
	percpu := &ebpf.MapSpec{Type: ebpf.PerCPUCGroupStorage, KeySize: 8, ValueSize: 16}
	out := oneValue(make([]byte, 16))
	ran := func(repeat int, a, b uint64) ct.Step {
		s := want(1)
		s.Repeat = repeat
		s.Want.Entries = []ct.Entry{{Map: "out", Key: uint32(0), Value: words([]uint64{a, b})}}
		return s
	}
	counts := ct.Case{
		Name: "cgroup storage/runs", Type: ebpf.CGroupSKB, Attach: ebpf.AttachCGroupInetEgress, Prog: "entry", Data: tcp(),
		Asm:   map[string]string{"entry": entry},
		Maps:  map[string]*ebpf.MapSpec{"shared": shared, "percpu": percpu, "out": out},
		Steps: []ct.Step{ran(0, 1, 2), ran(0, 1, 2), ran(5, 5, 10), ran(1, 1, 2)},
	}
	key := make([]byte, 16)
	users := ct.Case{
		Name: "cgroup storage/user space", Type: ebpf.CGroupSKB, Attach: ebpf.AttachCGroupInetEgress, Prog: "entry", Data: tcp(),
		Asm: map[string]string{"entry": "r0 = 1\nexit"}, Maps: map[string]*ebpf.MapSpec{"m": shared},
		Steps: []ct.Step{want(1,
			ct.Lookup("m", key, nil).Fails(ct.ENOENT), ct.Put("m", key, uint64(1)).Fails(ct.ENOENT),
			ct.Put("m", key, uint64(1)).Flags(exist).Fails(ct.ENOENT), ct.Put("m", key, uint64(1)).Flags(noExist).Fails(ct.EINVAL),
			ct.Delete("m", key).Fails(ct.EINVAL))},
	}
	two := counts
	two.Name, two.Steps, two.Refused = "cgroup storage/two of a type", nil, &ct.Refusal{Errno: ct.EBUSY, Text: "only one cgroup storage of each type is allowed"}
	two.Asm = map[string]string{"entry": `
		r1 = map[shared] ll
		r2 = 0
		call bpf_get_local_storage
		r1 = map[percpu] ll
		r2 = 0
		call bpf_get_local_storage
		r0 = 1
		exit`}
	two.Maps = map[string]*ebpf.MapSpec{"shared": shared, "percpu": shared}
	return []ct.Case{counts, users, two}
}
