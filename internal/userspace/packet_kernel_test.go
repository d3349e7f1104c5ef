package userspace

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// call is a program for a type with a struct __sk_buff: it fills 64 bytes of stack with a
// pattern, calls a helper and hands R0 and parts of the context and of the stack out in cb.
func call(setup, helper, after string) string {
	text := "r6 = r1\nr0 = 0\n"
	for i := 8; i <= 64; i += 8 {
		text += fmt.Sprintf("r2 = %#x ll\n*(u64 *)(r10 - %d) = r2\n", 0x1112131415161718*uint64(i), i)
	}
	return text + "r1 = r6\n" + setup + "\ncall " + helper + "\n" +
		fmt.Sprintf("*(u64 *)(r6 + %d) = r0\n", linux.SKBCB) + after + "\nr0 = 0\nexit"
}

// stackToCB copies the 8 bytes at r10-64 to cb[2] and cb[3].
const stackToCB = "r1 = *(u64 *)(r10 - 64)\n*(u64 *)(r6 + 56) = r1"

// sizesToCB copies length, protocol and packet type to cb[2] to cb[4].
const sizesToCB = `r1 = *(u32 *)(r6 + 0)
*(u32 *)(r6 + 56) = r1
r1 = *(u32 *)(r6 + 16)
*(u32 *)(r6 + 60) = r1
r1 = *(u32 *)(r6 + 4)
*(u32 *)(r6 + 64) = r1`

func skbInput(data []byte) *engine.Input { return &engine.Input{Data: data, ContextOut: true} }

func TestSKBLoadAndStore(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	const packet = 80
	offsets := []int64{0, 1, 14, 65, 66, 72, 73, 79, 80, 81, 0xffff, 0x10000, 0x7fffffff, 0x80000000, -1, 0x100000000}
	for _, k := range []kind{{Type: ebpf.SchedCLS}, {Type: ebpf.SocketFilter}, {Type: ebpf.CGroupSKB, Attach: ebpf.AttachCGroupInetEgress}} {
		for _, off := range offsets {
			for _, n := range []int{1, 8, 40} {
				args := fmt.Sprintf("r2 = %d ll\nr3 = r10\nr3 += -64\nr4 = %d\nr5 = 0", uint64(off), n)
				b.ran(t, k, call(args, "bpf_skb_load_bytes", stackToCB), skbInput(ipv4(packet)))
				if k.Type == ebpf.SchedCLS {
					b.ran(t, k, call(args, "bpf_skb_store_bytes", sizesToCB), skbInput(ipv4(packet)))
				}
				for _, start := range []int{0, 1, 2} {
					args := fmt.Sprintf("r2 = %d ll\nr3 = r10\nr3 += -64\nr4 = %d\nr5 = %d", uint64(off), n, start)
					b.ran(t, k, call(args, "bpf_skb_load_bytes_relative", stackToCB), skbInput(ipv4(packet)))
				}
			}
		}
	}
	for _, flags := range []int64{0, 1, 2, 3, 4, 0x100000000} {
		args := fmt.Sprintf("r2 = 20\nr3 = r10\nr3 += -64\nr4 = 8\nr5 = %d ll", uint64(flags))
		b.ran(t, kind{Type: ebpf.SchedCLS}, call(args, "bpf_skb_store_bytes", sizesToCB), skbInput(ipv4(packet)))
		b.ran(t, kind{Type: ebpf.LWTXmit}, call(args, "bpf_skb_store_bytes", sizesToCB), skbInput(ipv4(packet)))
	}
}

func TestSKBSizes(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	sizes := []int64{0, 1, 13, 14, 15, 53, 54, 59, 60, 61, 64, 128, 200, 300, 3712, 16003, 16004, 16005, 16064, 16065, 70000, 0x7fffffff,
		0x80000000, -1, 0x100000000}
	for _, k := range []kind{{Type: ebpf.SchedCLS}, {Type: ebpf.LWTXmit}} {
		for _, n := range sizes {
			for _, flags := range []int{0, 1} {
				args := fmt.Sprintf("r2 = %d ll\nr3 = %d", uint64(n), flags)
				for _, h := range []string{"bpf_skb_change_tail", "bpf_skb_change_head", "bpf_skb_pull_data"} {
					b.ran(t, k, call(args, h, sizesToCB), skbInput(ipv4(60)))
				}
			}
		}
	}
	// The headers stay where they were, whatever is pushed before them.
	for _, k := range []kind{{Type: ebpf.SchedCLS}} {
		for _, n := range []int{4, 300} {
			for start := range 2 {
				after := fmt.Sprintf("r1 = r6\nr2 = 0\nr3 = r10\nr3 += -64\nr4 = 8\nr5 = %d\ncall bpf_skb_load_bytes_relative\n%s", start, stackToCB)
				b.ran(t, k, call(fmt.Sprintf("r2 = %d\nr3 = 0", n), "bpf_skb_change_head", after), skbInput(ipv4(60)))
			}
		}
	}
}

func TestSKBFields(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	k := kind{Type: ebpf.SchedCLS}
	for _, v := range []int64{0, 1, 2, 3, 4, 7, -1, 0x100000001} {
		b.ran(t, k, call(fmt.Sprintf("r2 = %d ll", uint64(v)), "bpf_skb_change_type", sizesToCB), skbInput(ipv4(60)))
		b.ran(t, k, call(fmt.Sprintf("r2 = %d ll", uint64(v)), "bpf_csum_update", sizesToCB), skbInput(ipv4(60)))
		b.ran(t, k, call(fmt.Sprintf("r2 = %d ll", uint64(v)), "bpf_set_hash",
			"r1 = *(u32 *)(r6 + 68)\n*(u32 *)(r6 + 56) = r1\nr1 = r6\ncall bpf_get_hash_recalc\n*(u32 *)(r6 + 60) = 0\nif r0 != 0 goto +1\n*(u32 *)(r6 + 60) = 9"),
			skbInput(ipv4(60)))
	}
	b.ran(t, k, call("r2 = 7", "bpf_set_hash", "r1 = r6\ncall bpf_set_hash_invalid\nr1 = *(u32 *)(r6 + 68)\n*(u32 *)(r6 + 56) = r1"), skbInput(ipv4(60)))
	// Sequences of query, increase, decrease and reset.
	for _, seq := range [][]int{{0}, {1, 0}, {1, 1, 0}, {1, 1, 1, 1, 1, 0}, {1, 2, 0}, {1, 1, 2, 0}, {1, 1, 3, 0}, {2, 0}, {3, 0}, {4}, {-1}} {
		body := ""
		for _, level := range seq[1:] {
			body += fmt.Sprintf("r1 = r6\nr2 = %d\ncall bpf_csum_level\n*(u64 *)(r6 + 56) = r0\n", level)
		}
		b.ran(t, k, call(fmt.Sprintf("r2 = %d", seq[0]), "bpf_csum_level", body), skbInput(ipv4(60)))
	}
	b.ran(t, k, call("", "bpf_get_socket_uid", sizesToCB), skbInput(ipv4(60)))
}

// tagged is a packet with VLAN tags.
func tagged(inner int, tags ...byte) []byte {
	p := ipv4(60)
	var out []byte
	out = append(out, p[:12]...)
	for i, tag := range tags {
		proto := []byte{0x81, 0}
		if i == 0 && len(tags) > 1 {
			proto = []byte{0x88, 0xa8}
		}
		out = append(out, proto[0], proto[1], 0x20, tag)
	}
	return append(out, p[12:inner]...)
}

func TestVlan(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	k := kind{Type: ebpf.SchedCLS}
	out := `r1 = *(u32 *)(r6 + 20)
*(u32 *)(r6 + 56) = r1
r1 = *(u32 *)(r6 + 24)
*(u32 *)(r6 + 60) = r1
r1 = *(u32 *)(r6 + 28)
r2 = *(u32 *)(r6 + 16)
r1 <<= 16
r1 |= r2
*(u32 *)(r6 + 64) = r1`
	push := func(proto, tci int) string {
		return fmt.Sprintf("r1 = r6\nr2 = %d\nr3 = %d\ncall bpf_skb_vlan_push\n", proto, tci)
	}
	const pop = "r1 = r6\ncall bpf_skb_vlan_pop\n"
	relative := "r1 = r6\nr2 = 0\nr3 = r10\nr3 += -64\nr4 = 8\nr5 = 1\ncall bpf_skb_load_bytes_relative\nr1 = *(u64 *)(r10 - 64)\n*(u64 *)(r6 + 56) = r1"
	packets := [][]byte{ipv4(60), tagged(60, 5), tagged(60, 5, 6), tagged(60, 5, 6, 7), tagged(14, 5)[:16], tagged(14, 5)[:18]}
	sequences := []string{
		push(0x81, 5), push(0xa888, 0x1fff), push(0x8, 5), push(0x81, 0x3005) + push(0xa888, 6), push(0x81, 1) + push(0x81, 2) + push(0x81, 3),
		pop, pop + pop, pop + pop + pop, push(0x81, 5) + pop, push(0x81, 5) + push(0x81, 6) + pop, push(0x81, 5) + push(0x81, 6) + pop + pop,
	}
	for _, p := range packets {
		for _, s := range sequences {
			for _, after := range []string{out, relative} {
				b.ran(t, k, call("r2 = 0", "bpf_skb_pull_data", s+"*(u64 *)(r6 + 48) = r0\n"+after), skbInput(p))
			}
		}
	}
}

// TestLoadPacket compares LD_ABS and LD_IND, with offsets from the packet, network header and
// link header. Linux lets only these types use them.
func TestLoadPacket(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	const net, link = -0x100000, -0x200000
	offsets := []int{0, 1, 2, 12, 13, 14, 30, 44, 45, 46, 56, 57, 58, 59, 60, 61, 0x7fffffff, -1, -4096, net - 1, net, net + 1,
		net + 20, net + 42, net + 43, net + 46, link, link + 12, link + 56, link + 57, link - 1, link + 0xfffff}
	for _, k := range []kind{{Type: ebpf.SocketFilter}, {Type: ebpf.SchedCLS}, {Type: ebpf.SchedACT}} {
		for _, off := range offsets {
			for _, size := range []int{8, 16, 32} {
				for _, text := range []string{
					fmt.Sprintf("r6 = r1\nr0 = *(u%d *)skb[%d]\nexit", size, off),
					fmt.Sprintf("r6 = r1\nr7 = %d\nr0 = *(u%d *)skb[r7 + 2]\nexit", off, size),
				} {
					b.ran(t, k, text, &engine.Input{Data: ipv4(60)})
				}
			}
		}
	}
	after := "r0 = *(u32 *)skb[%d]\n*(u32 *)(r6 + 64) = r0"
	for _, off := range []int{0, 14, 18, net, link, link + 12} {
		b.ran(t, kind{Type: ebpf.SchedCLS}, call("r2 = 4\nr3 = 0", "bpf_skb_change_head", fmt.Sprintf(after, off)), skbInput(ipv4(60)))
	}
}

func TestRoom(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	k := kind{Type: ebpf.SchedCLS}
	flags := []uint64{0, 1, 2, 4, 6, 8, 2 | 8, 2 | 16, 4 | 16, 2 | 8 | 16, 32, 2 | 64, 2 | 64 | 14<<56, 2 | 64 | 13<<56, 2 | 40<<56, 14 << 56,
		128, 256, 384, 128 | 32, 512, 1 << 40}
	arp := ipv4(60)
	arp[13] = 6
	for _, packet := range [][]byte{ipv4(60), ipv6(100), arp} {
		for _, f := range flags {
			for _, diff := range []int64{0, 4, 20, 28, 50, 4095, 4096, -4, -20, -26, -27, -46, -47, -60, -4096, -0x80000000} {
				for _, mode := range []int{0, 1, 2} {
					args := fmt.Sprintf("r2 = %d ll\nr3 = %d\nr4 = %d ll", uint64(diff), mode, f)
					b.ran(t, k, call(args, "bpf_skb_adjust_room", sizesToCB), skbInput(packet))
				}
			}
		}
		for _, proto := range []int{8, 0xdd86, 0x81, 0x10008} {
			for _, f := range []int{0, 1} {
				b.ran(t, k, call(fmt.Sprintf("r2 = %d\nr3 = %d", proto, f), "bpf_skb_change_proto", sizesToCB), skbInput(packet))
			}
		}
	}
	// A second outer header, and sizes once there is one.
	again := "r1 = r6\nr2 = 20\nr3 = 1\nr4 = 2\ncall bpf_skb_adjust_room\n*(u64 *)(r6 + 56) = r0"
	tail := "r1 = r6\nr2 = 70\nr3 = 0\ncall bpf_skb_change_tail\n*(u64 *)(r6 + 56) = r0"
	level := "r1 = r6\nr2 = 0\ncall bpf_csum_level\n*(u64 *)(r6 + 56) = r0"
	for _, after := range []string{again, tail, level} {
		b.ran(t, k, call("r2 = 20\nr3 = 1\nr4 = 2", "bpf_skb_adjust_room", after), skbInput(ipv4(60)))
	}
	for _, f := range []int{0, 32} {
		up := fmt.Sprintf("r1 = r6\nr2 = 20\nr3 = 1\nr4 = %d\ncall bpf_skb_adjust_room\n", f)
		b.ran(t, k, call("r2 = 1", "bpf_csum_level", up+level), skbInput(ipv4(60)))
	}
	gso := &engine.Input{Data: ipv4(60), Context: words(linux.SKBSize, linux.SKBGSOSize, 10, linux.SKBGSOSegs, 3), ContextOut: true}
	for _, h := range []string{"bpf_skb_change_tail", "bpf_skb_change_head", "bpf_skb_adjust_room", "bpf_clone_redirect"} {
		b.ran(t, k, call("r2 = 70\nr3 = 0\nr4 = 0", h, sizesToCB+"\nr1 = *(u32 *)(r6 + 164)\n*(u32 *)(r6 + 60) = r1\nr1 = *(u32 *)(r6 + 176)\n*(u32 *)(r6 + 64) = r1"), gso)
	}
}
