package corpus

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/internal/linux"
)

// TestRun returns the cases of what BPF_PROG_TEST_RUN takes and gives (net/bpf/test_run.c). Which
// network devices there are is left out: user space has none.
func TestRun() []ct.Case {
	cases := packetSizes()
	cases = append(cases, skbContexts(), xdpContexts())
	cases = append(cases, otherTypes()...)
	return append(cases, xdpTooLong(), syscallContexts(), shortSyscallContexts(), notRun())
}

// sized is a packet of n bytes whose ethertype is IPv4's.
func sized(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + 1)
	}
	if n >= 14 {
		b[12], b[13] = 0x08, 0x00
	}
	if n > 14 {
		b[14] = 0x45
	}
	return b
}

// packetSizes runs programs that return the length they see.
func packetSizes() []ct.Case {
	const skbLen = "r0 = *(u32 *)(r1 +0)\nexit"
	const xdpLen = "r0 = *(u32 *)(r1 +4)\nr1 = *(u32 *)(r1 +0)\nr0 -= r1\nexit"
	const lowBit = "r0 = *(u32 *)(r1 +0)\nr0 &= 1\nexit" // Linux allows 0 and 1 only
	type size struct {
		n     int
		ret   uint32
		errno ct.Errno
	}
	short := []size{{0, 0, ct.EINVAL}, {1, 0, ct.EINVAL}, {13, 0, ct.EINVAL}}
	var cases []ct.Case
	for _, kind := range []struct {
		name  string
		t     ebpf.ProgramType
		a     ebpf.AttachType
		text  string
		sizes []size
	}{
		{"tc", ebpf.SchedCLS, 0, skbLen, []size{
			{14, 0, ct.EINVAL}, {15, 0, ct.EINVAL}, {33, 0, ct.EINVAL}, {34, 34, 0}, {64, 64, 0}, {1514, 1514, 0},
			{3712, 3712, 0}, {3713, 0, ct.EINVAL}, {65535, 0, ct.EINVAL},
		}},
		{"action", ebpf.SchedACT, 0, skbLen, []size{{34, 34, 0}, {64, 64, 0}}},
		{"socket filter", ebpf.SocketFilter, 0, skbLen, []size{
			{14, 0, ct.EINVAL}, {33, 0, ct.EINVAL}, {34, 20, 0}, {64, 50, 0}, {1514, 1500, 0},
		}},
		{"cgroup skb", ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, lowBit, []size{
			{14, 0, ct.EINVAL}, {34, 0, 0}, {64, 0, 0}, {65, 1, 0},
		}},
		// What does not fit into one page goes to fragments, which these programs do not see.
		{"cgroup skb egress", ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress, lowBit, []size{
			{14, 0, ct.EINVAL}, {33, 0, ct.EINVAL}, {34, 0, 0}, {3712, 0, 0}, {3713, 0, ct.EINVAL},
		}},
		{"lwt in", ebpf.LWTIn, 0, skbLen, []size{{14, 0, ct.EINVAL}, {33, 0, ct.EINVAL}, {34, 20, 0}, {3712, 3698, 0}, {3713, 0, ct.EINVAL}}},
		{"lwt out", ebpf.LWTOut, 0, skbLen, []size{{33, 0, ct.EINVAL}, {34, 20, 0}}},
		{"lwt xmit", ebpf.LWTXmit, 0, skbLen, []size{{14, 0, ct.EINVAL}, {33, 0, ct.EINVAL}, {34, 20, 0}, {3713, 0, ct.EINVAL}}},
		{"xdp", ebpf.XDP, 0, xdpLen, []size{
			{14, 14, 0}, {15, 15, 0}, {64, 64, 0}, {1514, 1514, 0}, {3520, 3520, 0}, {3521, 3520, 0}, {7000, 3520, 0},
		}},
	} {
		c := ct.Case{Name: "packet sizes/" + kind.name, Type: kind.t, Attach: kind.a, Asm: map[string]string{"entry": kind.text}, Prog: "entry"}
		for _, s := range append(short, kind.sizes...) {
			w := &ct.Want{Return: s.ret, Errno: s.errno}
			if s.errno == 0 {
				w.Data = sized(s.n)
				if kind.t != ebpf.SchedCLS && kind.t != ebpf.SchedACT && kind.t != ebpf.XDP {
					clear(w.Data[:14]) // the link header was taken off and comes back empty
				}
			}
			c.Steps = append(c.Steps, ct.Step{Name: sprint("%d bytes", s.n), Data: sized(s.n), Want: w})
		}
		cases = append(cases, c)
	}
	return cases
}

// field is a 32-bit word in a context.
type field struct {
	offset int
	value  uint32
}

func contextOf(size int, fields ...field) []byte {
	b := make([]byte, size)
	for _, f := range fields {
		binary.LittleEndian.PutUint32(b[f.offset:], f.value)
	}
	return b
}

func skbContexts() ct.Case {
	c := ct.Case{
		Name: "context/skb", Prog: "entry", Data: sized(64),
		Asm: map[string]string{"entry": "r0 = *(u32 *)(r1 +8)\nexit"}, // mark
	}
	add := func(name string, in []byte, mark uint32, errno ct.Errno) {
		c.Steps = append(c.Steps, ct.Step{
			Name: name, Context: in, ContextOut: true, Want: &ct.Want{Return: mark, Errno: errno},
		})
	}
	add("none", nil, 0, 0)
	for _, f := range []struct {
		name   string
		offset int
		value  uint32
		errno  ct.Errno
	}{
		{"len", 0, 1, ct.EINVAL}, {"pkt_type", 4, 1, ct.EINVAL}, {"mark", 8, 5, 0}, {"queue_mapping", 12, 1, ct.EINVAL},
		{"protocol", 16, 8, ct.EINVAL}, {"vlan_present", 20, 1, ct.EINVAL}, {"vlan_tci", 24, 1, ct.EINVAL},
		{"vlan_proto", 28, 1, ct.EINVAL}, {"priority", 32, 7, 0}, {"ingress_ifindex", 36, 1, 0}, {"ifindex", 40, 1, 0},
		{"tc_index", 44, 1, ct.EINVAL}, {"cb[0]", 48, 1, 0}, {"cb[4]", 64, 0xffffffff, 0}, {"hash", 68, 1, ct.EINVAL},
		{"tc_classid", 72, 1, ct.EINVAL}, {"data", 76, 1, ct.EINVAL}, {"data_end", 80, 1, ct.EINVAL},
		{"napi_id", 84, 1, ct.EINVAL}, {"family", 88, 1, ct.EINVAL}, {"data_meta", 140, 1, ct.EINVAL},
		{"tstamp", 152, 9, 0}, {"wire_len", 160, 64, 0}, {"wire_len short", 160, 63, ct.EINVAL},
		{"gso_segs", 164, 3, 0}, {"gso_size", 176, 100, 0}, {"tstamp_type", 180, 1, ct.EINVAL}, {"hwtstamp", 184, 4, 0},
	} {
		mark := uint32(0)
		if f.offset == 8 {
			mark = f.value
		}
		add(f.name, contextOf(linux.SKBSize, field{f.offset, f.value}), mark, f.errno)
	}
	add("short", contextOf(12, field{8, 6}), 6, 0)
	add("long and zero", contextOf(linux.SKBSize+8, field{8, 6}), 6, 0)
	add("long and not zero", contextOf(linux.SKBSize+8, field{linux.SKBSize, 1}), 0, ct.E2BIG)
	return c
}

func xdpContexts() ct.Case {
	c := ct.Case{
		Name: "context/xdp", Type: ebpf.XDP, Prog: "entry", Data: sized(64),
		// Length of the metadata and of the packet: meta*1000 + length.
		Asm: map[string]string{"entry": `
			r2 = *(u32 *)(r1 +0)
			r3 = *(u32 *)(r1 +4)
			r4 = *(u32 *)(r1 +8)
			r3 -= r2
			r2 -= r4
			r0 = r2
			r0 *= 1000
			r0 += r3
			exit`},
	}
	add := func(name string, in []byte, ret uint32, errno ct.Errno) {
		c.Steps = append(c.Steps, ct.Step{
			Name: name, Context: in, ContextOut: true, Want: &ct.Want{Return: ret, Errno: errno},
		})
	}
	md := func(data, end, meta, ifindex, queue, egress uint32) []byte {
		return contextOf(linux.XDPMDSize, field{0, data}, field{4, end}, field{8, meta}, field{12, ifindex},
			field{16, queue}, field{20, egress})
	}
	// Asking for the context makes one of zeros, whose data_end says that nothing is linear.
	add("none", nil, 0, 0)
	add("whole packet", md(0, 64, 0, 0, 0, 0), 64, 0)
	add("the last byte is in a fragment", md(0, 63, 0, 0, 0, 0), 63, 0)
	add("all in fragments", md(0, 0, 0, 0, 0, 0), 0, 0)
	add("end past the packet", md(0, 65, 0, 0, 0, 0), 0, ct.EINVAL)
	add("metadata of 4", md(4, 64, 0, 0, 0, 0), 4060, 0)
	add("metadata of 16", md(16, 64, 0, 0, 0, 0), 16048, 0)
	add("metadata of 3", md(3, 64, 0, 0, 0, 0), 0, ct.EINVAL)
	add("metadata that does not start at 0", md(8, 64, 4, 0, 0, 0), 0, ct.EINVAL)
	add("data past the end", md(68, 64, 0, 0, 0, 0), 0, ct.EINVAL)
	add("egress_ifindex", md(0, 64, 0, 0, 0, 1), 0, ct.EINVAL)
	add("queue without device", md(0, 64, 0, 0, 1, 0), 0, ct.EINVAL)
	add("loopback", md(0, 64, 0, 1, 0, 0), 64, 0)
	add("no such queue", md(0, 64, 0, 1, 7, 0), 0, ct.EINVAL)
	add("short", contextOf(12, field{4, 64}), 64, 0)
	add("long and not zero", contextOf(28, field{4, 64}, field{24, 1}), 0, ct.E2BIG)
	return c
}

func otherTypes() []ct.Case {
	tp := ct.Case{
		Name: "context/raw tracepoint", Type: ebpf.RawTracepoint, Prog: "entry",
		Asm: map[string]string{"entry": "r0 = *(u64 *)(r1 +8)\nexit"},
		Steps: []ct.Step{
			{Name: "two arguments", Context: contextOf(16, field{8, 99}), Want: &ct.Want{Return: 99}},
			{Name: "twelve arguments", Context: contextOf(96, field{8, 98}), Want: &ct.Want{Return: 98}},
			{Name: "too many", Context: contextOf(104, field{8, 98}), Want: &ct.Want{Errno: ct.EINVAL}},
			{Name: "data", Context: contextOf(16), Data: sized(14), Want: &ct.Want{Errno: ct.EINVAL}},
			{Name: "repeat", Context: contextOf(16), Repeat: 2, Want: &ct.Want{Errno: ct.EINVAL}},
		},
	}
	few := tp
	few.Name = "context/raw tracepoint with too few arguments"
	few.Steps = []ct.Step{{Context: contextOf(8), Want: &ct.Want{Errno: ct.EINVAL}}}
	few.Skip = map[string]string{interpreter: onlyVerified}
	return []ct.Case{tp, few}
}

// xdpTooLong: what does not fit into a page and 17 fragments.
func xdpTooLong() ct.Case {
	c := ct.Case{Name: "packet sizes/xdp past the limit", Type: ebpf.XDP, Prog: "entry", Asm: map[string]string{"entry": "r0 = 2\nexit"}}
	for _, s := range []struct {
		n     int
		errno ct.Errno
	}{
		{3520 + 4096, 0}, {3520 + 16*4096, 0}, {3520 + 17*4096, 0}, {3520 + 17*4096 + 1, linux.ENOMEM}, {1 << 20, linux.ENOMEM},
	} {
		w := &ct.Want{Return: 2, Errno: s.errno}
		if s.errno == 0 {
			w.Data = sized(s.n)
		}
		c.Steps = append(c.Steps, ct.Step{Name: sprint("%d bytes", s.n), Data: sized(s.n), Want: w})
	}
	return c
}

// readsAndWrites is a syscall program that needs a context of 8 bytes.
func readsAndWrites(name string, steps ...ct.Step) ct.Case {
	return ct.Case{
		Name: "context/syscall" + name, Type: ebpf.Syscall, Prog: "entry",
		Asm: map[string]string{"entry": "r2 = *(u32 *)(r1 +0)\nr2 += 1\n*(u32 *)(r1 +4) = r2\nr0 = r2\nexit"},
		Prepare: func(spec *ebpf.CollectionSpec) error {
			spec.Programs["entry"].Flags = 1 << 4 // BPF_F_SLEEPABLE
			return nil
		},
		Steps: steps,
	}
}

// syscallContexts have up to 64 KiB - 1, and come back.
func syscallContexts() ct.Case {
	ran := func(size int) ct.Step {
		return ct.Step{
			Name: sprint("%d bytes", size), Context: contextOf(size, field{0, 7}), ContextOut: true,
			Want: &ct.Want{Return: 8, Context: contextOf(size, field{0, 7}, field{4, 8})},
		}
	}
	refused := &ct.Want{Errno: ct.EINVAL}
	return readsAndWrites("", ran(8), ran(100), ran(65535),
		ct.Step{Name: "too long", Context: contextOf(65536), Want: refused},
		ct.Step{Name: "data", Context: contextOf(8), Data: sized(14), Want: refused},
		ct.Step{Name: "repeat", Context: contextOf(8), Repeat: 2, Want: refused})
}

func shortSyscallContexts() ct.Case {
	refused := &ct.Want{Errno: ct.EINVAL}
	c := readsAndWrites(" too short", ct.Step{Name: "none", Want: refused}, ct.Step{Name: "7 bytes", Context: contextOf(7), Want: refused})
	c.Skip = map[string]string{interpreter: onlyVerified}
	return c
}

// notRun are types that BPF_PROG_TEST_RUN does not take.
func notRun() ct.Case {
	c := ct.Case{Name: "types that do not run on their own", Asm: map[string]string{}, Data: sized(64)}
	types := map[string]*ebpf.ProgramSpec{
		"connect4":   {Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect},
		"sock_ops":   {Type: ebpf.SockOps},
		"cgroup_dev": {Type: ebpf.CGroupDevice},
	}
	for _, name := range []string{"connect4", "sock_ops", "cgroup_dev"} {
		c.Asm[name] = "r0 = 1\nexit"
		c.Steps = append(c.Steps, ct.Step{Name: name, Prog: name, Want: &ct.Want{Errno: linux.ENOTSUPP}})
	}
	c.Prepare = func(spec *ebpf.CollectionSpec) error {
		for name, p := range spec.Programs {
			p.Type, p.AttachType = types[name].Type, types[name].AttachType
		}
		return nil
	}
	return c
}
