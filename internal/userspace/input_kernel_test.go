package userspace

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

const pass = "r0 = 1\nexit"

// TestPacketLengths compares which packets are taken, and their error numbers.
func TestPacketLengths(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	lengths := []int{1, 13, 14, 15, 33, 34, 53, 54, 60, 3519, 3520, 3521, 3711, 3712, 3713, 4096, 65536, 73152, 73153, 80000, 300000}
	for _, k := range append(skbKinds(), kind{Type: ebpf.XDP}, kind{Type: ebpf.XDP, Flags: 1 << 5}) {
		for _, n := range lengths {
			packet := make([]byte, n)
			b.ran(t, k, pass, &engine.Input{Data: packet})
			for _, proto := range [][2]byte{{8, 0}, {0x86, 0xdd}, {8, 6}} {
				if n >= 14 {
					packet[12], packet[13] = proto[0], proto[1]
					b.ran(t, k, pass, &engine.Input{Data: packet})
				}
			}
		}
		b.ran(t, k, pass, &engine.Input{Data: ipv4(60), Repeat: 3})
	}
}

// TestProtocolAndPacketType compares what eth_type_trans finds out.
func TestProtocolAndPacketType(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	text := "r0 = *(u32 *)(r1 + 16)\nr0 <<= 8\nr1 = *(u32 *)(r1 + 4)\nr0 |= r1\nexit"
	for _, proto := range [][2]byte{{0, 0}, {0, 46}, {5, 0xff}, {6, 0}, {8, 6}, {0x81, 0}} {
		for _, first := range []byte{0, 0xff} {
			for _, dst := range []string{"\x00\x00\x00\x00\x00\x00", "\xff\xff\xff\xff\xff\xff", "\x01\x00\x5e\x00\x00\x01", "\x02\x00\x00\x00\x00\x01"} {
				for _, n := range []int{14, 15, 16, 60} {
					packet := append([]byte(dst+"\x02\x00\x00\x00\x00\x02"), proto[0], proto[1])
					for len(packet) < n {
						packet = append(packet, first)
					}
					b.ran(t, kind{Type: ebpf.SchedCLS}, text, &engine.Input{Data: packet})
				}
			}
		}
	}
}

// TestSKBContextInput compares which contexts are taken.
func TestSKBContextInput(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	k := kind{Type: ebpf.SchedCLS}
	for off := range linux.SKBSize {
		in := &engine.Input{Data: ipv4(60), Context: make([]byte, linux.SKBSize), ContextOut: true}
		in.Context[off] = 1
		if off > linux.SKBIfindex && off < linux.SKBIfindex+4 {
			continue // no such device here; carom takes any ifindex
		}
		b.ran(t, k, pass, in)
		in.Context[off] = 0xff
		if off != linux.SKBIfindex {
			b.ran(t, k, pass, in)
		}
	}
	for _, k := range []kind{{Type: ebpf.SchedCLS}, {Type: ebpf.SocketFilter}} {
		for _, v := range []uint32{1, 45, 46, 59, 60, 61, 65535, 65536, 65537, 0xffffffff} {
			b.ran(t, k, pass, &engine.Input{Data: ipv4(60), Context: words(linux.SKBSize, linux.SKBWireLen, v), ContextOut: true})
			b.ran(t, k, pass, &engine.Input{Data: ipv4(60), Context: words(linux.SKBSize, linux.SKBGSOSegs, v), ContextOut: true})
			b.ran(t, k, pass, &engine.Input{Data: ipv4(60), Context: words(linux.SKBSize, linux.SKBGSOSize, v), ContextOut: true})
		}
		b.ran(t, k, pass, &engine.Input{Data: ipv4(60), ContextOut: true})
		for _, n := range []int{4, 12, 48, 191, 193, 4096, 4097} {
			in := &engine.Input{Data: ipv4(60), Context: make([]byte, n)}
			b.ran(t, k, pass, in)
			in.Context[n-1] = 1
			b.ran(t, k, pass, in)
		}
	}
}

// TestXDPContextInput compares which contexts are taken.
func TestXDPContextInput(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	k := kind{Type: ebpf.XDP}
	run := func(size int, fields ...uint32) {
		b.ran(t, k, "r0 = *(u32 *)(r1 + 12)\nexit", &engine.Input{Data: ipv4(size), Context: words(linux.XDPMDSize, fields...), ContextOut: true})
	}
	for _, data := range []uint32{0, 1, 2, 3, 4, 8, 32, 36, 46, 47, 48, 60, 212, 216, 220, 252, 256, 0xffffffff} {
		for _, end := range []uint32{0, 4, 8, 13, 14, 36, 60, 61, 300, 0xffffffff} {
			run(60, 0, data, 4, end)
			run(300, 0, data, 4, end)
		}
	}
	run(60, 4, 60, 8, 4)
	for _, v := range [][3]uint32{{0, 0, 1}, {0, 1, 0}, {1, 0, 0}, {1, 1, 0}} {
		run(60, 4, 60, 12, v[0], 16, v[1], 20, v[2])
	}
	for _, n := range []int{3000, 3520, 3524, 3600, 3736, 3737, 4000, 73152, 73153, 73200} {
		run(n, 0, 0, 4, uint32(n))
		run(n, 0, 216, 4, uint32(n))
		run(n, 0, 216, 4, 1000)
	}
	for _, n := range []int{4, 8, 23, 25, 4096, 4097} {
		in := &engine.Input{Data: ipv4(60), Context: words(max(n, 8), 4, 60)[:n]}
		b.ran(t, k, pass, in)
		in.Context[n-1] |= 1
		b.ran(t, k, pass, in)
	}
	for _, attach := range []ebpf.AttachType{ebpf.AttachXDPDevMap, ebpf.AttachXDPCPUMap} {
		b.ran(t, kind{Type: ebpf.XDP, Attach: attach}, "r0 = 2\nexit", &engine.Input{Data: ipv4(60)})
	}
}

// TestRawContextInput compares raw tracepoint and syscall programs.
func TestRawContextInput(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	raw := kind{Type: ebpf.RawTracepoint}
	for _, n := range []int{8, 16, 96, 97, 104} {
		b.ran(t, raw, "r0 = *(u64 *)(r1 + 0)\nexit", &engine.Input{Context: words(n, 0, 0x1234)})
	}
	in := &engine.Input{Context: words(16, 0, 0x1234)}
	in.ContextOut = true
	b.ran(t, raw, pass, in)
	b.ran(t, raw, pass, &engine.Input{Context: words(16), Repeat: 2})
	b.ran(t, raw, pass, &engine.Input{Context: words(16), Data: ipv4(60)})
	call := kind{Type: ebpf.Syscall, Flags: 1 << 4} // BPF_F_SLEEPABLE
	for _, n := range []int{8, 16, 65535, 65536} {
		b.ran(t, call, "r0 = *(u32 *)(r1 + 0)\nexit", &engine.Input{Context: words(n, 0, 0x1234)})
	}
	b.ran(t, call, pass, &engine.Input{Context: words(16), Repeat: 2})
	b.ran(t, call, pass, &engine.Input{Context: words(16), Data: ipv4(60)})
	p := b.program(t, call, "*(u32 *)(r1 + 4) = 7\nr0 = 3\nexit")
	var res engine.Result
	if err := b.run(t, p, &engine.Input{Context: words(8, 0, 5), ContextOut: true}, &res); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x %d", res.Context, res.Return); got != "0500000007000000 3" {
		t.Errorf("context and return after the run: %s", got)
	}
}
