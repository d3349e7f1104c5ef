package userspace

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// TestRegistersByName reads registers at their offsets in struct pt_regs and user_pt_regs.
func TestRegistersByName(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name string
		off  string
	}{
		{"r15", "0"}, {"bp", "32"}, {"fp", "32"}, {"rbx", "40"}, {"ax", "80"}, {"rax", "80"}, {"rc", "80"}, {"cx", "88"},
		{"di", "112"}, {"rdi", "112"}, {"parm1", "112"}, {"parm2", "104"}, {"parm3", "96"}, {"parm4", "88"}, {"parm5", "72"},
		{"parm6", "64"}, {"orig_ax", "120"}, {"ip", "128"}, {"rip", "128"}, {"flags", "144"}, {"sp", "152"}, {"rsp", "152"}, {"ss", "160"},
		{"x0", "0"}, {"x7", "56"}, {"x30", "240"}, {"lr", "240"}, {"pc", "128"}, {"pstate", "264"}, {"parm7", "48"},
	} {
		p := b.program(t, kind{Type: ebpf.Kprobe}, "r0 = *(u64 *)(r1 + "+c.off+")\nexit")
		var res engine.Result
		in := &engine.Input{Registers: []engine.Register{{Name: c.name, Value: 0x1122334455667788}}}
		if err := b.run(t, p, in, &res); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if res.Return != 0x1122334455667788 {
			t.Errorf("%s: the program found %#x", c.name, res.Return)
		}
	}
	p := b.program(t, kind{Type: ebpf.Kprobe}, "r0 = *(u64 *)(r1 + 256)\nexit")
	var res engine.Result
	in := &engine.Input{Registers: []engine.Register{{Name: "x0"}, {Name: "pc", Value: 9}}}
	if err := b.run(t, p, in, &res); err != nil || res.Return != 9 {
		t.Errorf("arm64 pc: %d, %v", res.Return, err)
	}
}

// TestProbedMemory follows a register to memory and a pointer in it to more.
func TestProbedMemory(t *testing.T) {
	b := newBench(t)
	p := b.program(t, kind{Type: ebpf.Kprobe}, `r6 = *(u64 *)(r1 + 112)
r1 = r10
r1 += -8
r2 = 8
r3 = r6
r3 += 4
call bpf_probe_read_user
r3 = *(u64 *)(r10 - 8)
r1 = r10
r1 += -16
r2 = 8
call bpf_probe_read_user
r0 = *(u64 *)(r10 - 16)
exit`)
	in := &engine.Input{
		Registers: []engine.Register{{Name: "di", Ref: "struct", Value: 4}},
		Memory: []engine.Memory{
			{Name: "struct", Data: make([]byte, 16), Pointers: []engine.Pointer{{Offset: 8, Ref: "line"}}},
			{Name: "line", Data: []byte("ls -la\n\x00")},
		},
	}
	var res engine.Result
	if err := b.run(t, p, in, &res); err != nil {
		t.Fatal(err)
	}
	if res.Return != 0x000a616c2d20736c {
		t.Errorf("the program read %#x", res.Return)
	}
}

// TestInputErrors checks that an error names what is wrong.
func TestInputErrors(t *testing.T) {
	b := newBench(t)
	probe, packet := kind{Type: ebpf.Kprobe}, kind{Type: ebpf.SchedCLS}
	for _, c := range []struct {
		kind  kind
		in    engine.Input
		errno linux.Errno
		says  string
	}{
		{packet, engine.Input{Data: make([]byte, 13)}, linux.EINVAL, "13 bytes is shorter than an Ethernet header"},
		{packet, engine.Input{Data: make([]byte, 9000)}, linux.EINVAL, "9000 bytes is longer than the 3712"},
		{packet, engine.Input{Data: ipv4(60), Context: words(192, linux.SKBHash, 1)}, linux.EINVAL, "byte 68 of struct __sk_buff must be 0"},
		{packet, engine.Input{Data: ipv4(60), Registers: []engine.Register{{Name: "di"}}}, linux.EINVAL, "take a packet"},
		{kind{Type: ebpf.XDP}, engine.Input{Data: make([]byte, 80000)}, linux.ENOMEM, "80000 bytes is longer than the 73152"},
		{kind{Type: ebpf.XDP}, engine.Input{Data: ipv4(60), Context: words(28, 4, 60, 24, 1)}, linux.E2BIG, "byte 24 of the context lies past struct xdp_md"},
		{probe, engine.Input{Data: ipv4(60)}, linux.EINVAL, "take no packet"},
		{probe, engine.Input{Registers: []engine.Register{{Name: "zz"}}}, linux.EINVAL, `no register "zz"`},
		{probe, engine.Input{Registers: []engine.Register{{Name: "di"}, {Name: "x0"}}}, linux.EINVAL, `amd64 has no register "x0"`},
		{probe, engine.Input{Registers: []engine.Register{{Name: "di", Ref: "nowhere"}}}, linux.EINVAL, `refers to memory "nowhere"`},
		{probe, engine.Input{Memory: []engine.Memory{{Name: "a"}, {Name: "a"}}}, linux.EINVAL, `have the name "a"`},
		{probe, engine.Input{Memory: []engine.Memory{{Name: "a", Data: make([]byte, 8), Pointers: []engine.Pointer{{Offset: 1, Ref: "a"}}}}},
			linux.EINVAL, "offset 1 does not fit"},
		{kind{Type: ebpf.TracePoint}, engine.Input{Registers: []engine.Register{{Name: "di"}}}, linux.EINVAL, "context bytes, not registers"},
		{kind{Type: ebpf.RawTracepoint}, engine.Input{Registers: []engine.Register{{Name: "arg12"}}}, linux.EINVAL, `no register "arg12"`},
		{kind{Type: ebpf.SkSKB}, engine.Input{Data: ipv4(60)}, linux.ENOTSUPP, "cannot be run on their own"},
	} {
		p := b.program(t, c.kind, pass)
		var res engine.Result
		err := b.run(t, p, &c.in, &res)
		var bad *InputError
		if !errors.As(err, &bad) || bad.Errno != c.errno || !strings.Contains(bad.Error(), c.says) || !errors.Is(err, c.errno) {
			t.Errorf("%s: %v; want %s and %q", c.kind, err, c.errno.Name(), c.says)
		}
	}
}

// TestPacketRunsDoNotAllocate covers preparing, running and collecting.
func TestPacketRunsDoNotAllocate(t *testing.T) {
	b := newBench(t)
	for _, k := range append(skbKinds(), kind{Type: ebpf.XDP}) {
		for _, in := range []*engine.Input{
			{Data: ipv4(60)},
			{Data: ipv4(60), Context: fullSKB(), ContextOut: true},
		} {
			if k.Type == ebpf.XDP && in.Context != nil {
				in.Context = words(24, 4, 60)
			}
			p := b.program(t, k, pass)
			var res engine.Result
			var err error
			n := testing.AllocsPerRun(10, func() { err = b.run(t, p, in, &res) })
			if err != nil {
				t.Fatalf("%s: %v", k, err)
			}
			if n != 0 {
				t.Errorf("%s: %v allocations in a run", k, n)
			}
		}
	}
}

func BenchmarkInterpPacketSetup(bm *testing.B) {
	for _, k := range []kind{{Type: ebpf.XDP}, {Type: ebpf.SchedCLS}} {
		bm.Run(k.Type.String(), func(bm *testing.B) {
			b := newBench(bm)
			p := b.program(bm, k, pass)
			in := &engine.Input{Data: ipv4(64)}
			var res engine.Result
			var out vm.Result
			bm.ReportAllocs()
			for bm.Loop() {
				if err := b.cpu.Begin(context.Background()); err != nil {
					bm.Fatal(err)
				}
				r1, err := prepare(b.cpu, p, in)
				if err != nil {
					bm.Fatal(err)
				}
				if err := b.cpu.Run(p, r1, 0, vm.Limits{}, &out); err != nil {
					bm.Fatal(err)
				}
				collect(b.cpu, p, in, &res)
				b.cpu.End()
			}
		})
	}
}

// TestPacketStaysInItsBuffer moves the packet about for a long time, also in ways that Linux would
// not let a type use: memory outside the buffer must not be touched.
func TestPacketStaysInItsBuffer(t *testing.T) {
	b := newBench(t)
	for _, body := range []string{
		// Bytes go from the front and come back at the end.
		"r1 = r6\nr2 = 8000\nr3 = 0\ncall bpf_skb_change_tail\nr1 = r6\nr2 = -4000\nr3 = 1\nr4 = 0\ncall bpf_skb_adjust_room\n",
		"r1 = r6\nr2 = 4000\nr3 = 0\ncall bpf_skb_change_head\nr1 = r6\nr2 = 4014\nr3 = 0\ncall bpf_skb_change_tail\n",
		"r1 = r6\nr2 = 4000\nr3 = 1\nr4 = 0\ncall bpf_skb_adjust_room\nr1 = r6\nr2 = -4000\nr3 = 1\nr4 = 0\ncall bpf_skb_adjust_room\n",
	} {
		for _, k := range []kind{{Type: ebpf.SchedCLS}, {Type: ebpf.LWTXmit}} {
			p := b.program(t, k, "r6 = r1\nr7 = 0\nagain:\n"+body+"r7 += 1\nif r7 < 200 goto again\n"+
				"r1 = r6\nr2 = 0\nr3 = r10\nr3 += -8\nr4 = 8\nr5 = 0\ncall bpf_skb_load_bytes_relative\nr0 = 0\nexit")
			var res engine.Result
			if err := b.run(t, p, &engine.Input{Data: ipv4(60)}, &res); err != nil {
				t.Errorf("%s: %v\n%s", k, err, body)
			}
		}
	}
}
