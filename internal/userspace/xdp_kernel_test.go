package userspace

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
)

// xdpCall calls a helper; the program returns what after leaves in R0.
func xdpCall(setup, helper, after string) string {
	text := "r6 = r1\n"
	for i := 8; i <= 64; i += 8 {
		text += fmt.Sprintf("r2 = %#x ll\n*(u64 *)(r10 - %d) = r2\n", 0x0102030405060708*uint64(i), i)
	}
	return text + "r1 = r6\n" + setup + "\ncall " + helper + "\n" + after + "\nexit"
}

// xdpInputs are a plain packet, one with metadata, one with fragments and one that is all
// fragments.
func xdpInputs() []*engine.Input {
	large := make([]byte, 9000)
	for i := range large {
		large[i] = byte(i*13 + i>>8)
	}
	meta := ipv4(100)
	return []*engine.Input{
		{Data: ipv4(100)},
		{Data: meta, Context: words(24, 0, 8, 4, 100), ContextOut: true},
		{Data: append(make([]byte, 216), meta...), Context: words(24, 0, 216, 4, 316)},
		{Data: large},
		{Data: large, Context: words(24, 0, 4, 4, 2000), ContextOut: true},
		{Data: ipv4(100), ContextOut: true},
		{Data: ipv4(100), Context: words(24, 0, 0, 4, 50), ContextOut: true},
		{Data: large[:4096+3520]},
	}
}

func TestXDPAdjust(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	offsets := []int64{0, 1, 4, -4, 8, -8, 16, 50, -50, 85, 86, 87, 88, -200, -204, -208, -212, -216, -217, -220, -256, 1000,
		3419, 3420, 3421, 3520, 4000, -4000, -8985, -8986, -8987, -9000, 5000, -5480, -5481, 0x7fffffff, -0x80000000, 0x100000004}
	distances := `r2 = *(u32 *)(r6 + 0)
r3 = *(u32 *)(r6 + 4)
r4 = *(u32 *)(r6 + 8)
r3 -= r2
r2 -= r4
r0 <<= 20
r0 ^= r3
r2 <<= 12
r0 ^= r2`
	for _, flags := range []uint32{0, 1 << 5} { // BPF_F_XDP_HAS_FRAGS
		k := kind{Type: ebpf.XDP, Flags: flags}
		for _, in := range xdpInputs() {
			for _, off := range offsets {
				for _, h := range []string{"bpf_xdp_adjust_head", "bpf_xdp_adjust_tail", "bpf_xdp_adjust_meta"} {
					args := fmt.Sprintf("r2 = %d ll", uint64(off))
					for _, after := range []string{"", distances, "r1 = r6\ncall bpf_xdp_get_buff_len"} {
						b.ran(t, k, xdpCall(args, h, after), in)
					}
				}
			}
			for _, pair := range [][2]int{{-4, 4}, {-8, -16}, {16, -8}, {-216, 4}} {
				head := fmt.Sprintf("r2 = %d\n", pair[0])
				meta := fmt.Sprintf("r1 = r6\nr2 = %d\n", pair[1])
				b.ran(t, k, xdpCall(head, "bpf_xdp_adjust_meta", meta+"call bpf_xdp_adjust_head"), in)
				b.ran(t, k, xdpCall(head, "bpf_xdp_adjust_head", meta+"call bpf_xdp_adjust_meta"), in)
				b.ran(t, k, xdpCall(head, "bpf_xdp_adjust_tail", meta+"call bpf_xdp_adjust_tail"), in)
			}
		}
	}
}

func TestXDPLoadAndStore(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	for _, in := range xdpInputs() {
		for _, off := range []int64{0, 1, 36, 44, 60, 61, 92, 93, 98, 99, 100, 3500, 3519, 3520, 7610, 8960, 8961, 8999, 9000, 65535, 65536, -1, 1 << 32} {
			for _, n := range []int{1, 8, 40} {
				args := fmt.Sprintf("r2 = %d ll\nr3 = r10\nr3 += -64\nr4 = %d", uint64(off), n)
				// The stack after a load, and R0.
				b.ran(t, kind{Type: ebpf.XDP}, xdpCall(args, "bpf_xdp_load_bytes", "r1 = *(u32 *)(r10 - 64)\nr0 ^= r1"), in)
				b.ran(t, kind{Type: ebpf.XDP}, xdpCall(args, "bpf_xdp_store_bytes", ""), in)
			}
		}
	}
}

// TestXDPWindow compares which bytes a program reaches directly.
func TestXDPWindow(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	text := `r2 = *(u32 *)(r1 + 0)
r3 = *(u32 *)(r1 + 4)
r4 = r2
r4 += 20
r0 = 1
if r4 > r3 goto out
r0 = *(u32 *)(r2 + 16)
*(u32 *)(r2 + 4) = 0x01020304
out:
exit`
	for _, in := range xdpInputs() {
		b.ran(t, kind{Type: ebpf.XDP}, text, in)
	}
}

func TestRedirect(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	kinds := []kind{{Type: ebpf.XDP}, {Type: ebpf.SchedCLS}, {Type: ebpf.LWTXmit}}
	for _, flags := range []uint64{0, 1, 2, 3, 4, 8, 1 << 16, 1 << 32} {
		for _, k := range kinds {
			b.ran(t, k, fmt.Sprintf("r1 = 1\nr2 = %d ll\ncall bpf_redirect\nexit", flags), &engine.Input{Data: ipv4(60)})
		}
		k := kind{Type: ebpf.SchedCLS}
		b.ran(t, k, fmt.Sprintf("r1 = 1\nr2 = %d ll\ncall bpf_redirect_peer\nexit", flags), &engine.Input{Data: ipv4(60)})
		for _, n := range []int{0, 19, 20, 24} {
			b.ran(t, k, fmt.Sprintf("*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0\n*(u64 *)(r10 - 24) = 0\nr1 = 1\nr2 = r10\nr2 += -24\n"+
				"r3 = %d\nr4 = %d ll\ncall bpf_redirect_neigh\nexit", n, flags), &engine.Input{Data: ipv4(60)})
		}
	}
	p := b.program(t, kind{Type: ebpf.SchedCLS}, "r1 = 9\nr2 = 1\ncall bpf_redirect\nexit")
	var res engine.Result
	if err := b.run(t, p, &engine.Input{Data: ipv4(60)}, &res); err != nil {
		t.Fatal(err)
	}
	if want := (engine.Redirect{Set: true, Ifindex: 9, Flags: 1}); res.Redirect != want || res.Return != 7 {
		t.Errorf("redirect %+v, return %d; want %+v and 7", res.Redirect, res.Return, want)
	}
}
