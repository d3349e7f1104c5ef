package userspace

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
)

func TestCsumReplace(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	k := kind{Type: ebpf.SchedCLS}
	packet := ipv4(60)
	packet[40], packet[41] = 0, 0
	packet[42], packet[43] = 0xff, 0xff
	for _, h := range []string{"bpf_l3_csum_replace", "bpf_l4_csum_replace"} {
		for _, off := range []int64{0, 24, 25, 40, 42, 57, 58, 59, 60, 0xfffe, 0x10000, -1} {
			for _, v := range [][2]uint64{{0, 0}, {0x1234, 0xabcd}, {0xffff, 0}, {0, 0xffff}, {0x12345678, 0x9abcdef0},
				{0xffffffff, 0xffffffff}, {0x1122334455667788, 0x99aabbccddeeff00}} {
				for _, flags := range []int{0, 2, 4} {
					args := fmt.Sprintf("r2 = %d ll\nr3 = %d ll\nr4 = %d ll\nr5 = %d", uint64(off), v[0], v[1], flags)
					b.ran(t, k, call(args, h, sizesToCB), skbInput(packet))
				}
			}
		}
		for _, flags := range []uint64{1, 3, 5, 8, 0x10, 0x12, 0x14, 0x22, 0x24, 0x34, 0x64, 0x62, 0x80, 0x94, 0x100, 1 << 32} {
			for _, off := range []int{40, 42, 24} {
				for _, v := range [][2]int{{0, 0}, {0x1234, 0xabcd}, {0, 0xffff}} {
					args := fmt.Sprintf("r2 = %d\nr3 = %d\nr4 = %d\nr5 = %d ll", off, v[0], v[1], flags)
					b.ran(t, k, call(args, h, sizesToCB), skbInput(packet))
				}
			}
		}
	}
}

func TestCsumDiff(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	for _, k := range []kind{{Type: ebpf.SchedCLS}} {
		for _, n := range [][2]int{{0, 0}, {0, 4}, {4, 0}, {4, 4}, {8, 32}, {32, 8}, {0, 64}, {3, 0}, {0, 5}, {6, 6}, {1, 4}} {
			for _, seed := range []uint64{0, 1, 0xffff, 0x10000, 0xffffffff, 0x12345678, 0x123456789a} {
				args := fmt.Sprintf("r1 = r10\nr1 += -64\nr2 = %d\nr3 = r10\nr3 += -%d\nr4 = %d\nr5 = %d ll", n[0], max(n[1], 8), n[1], seed)
				b.ran(t, k, call(args, "bpf_csum_diff", ""), skbInput(ipv4(60)))
			}
		}
		b.ran(t, k, call("r1 = 0\nr2 = 0\nr3 = 0\nr4 = 0\nr5 = 0x12345678", "bpf_csum_diff", ""), skbInput(ipv4(60)))
		// The same bytes on both sides, and zeroes.
		b.ran(t, k, call("r1 = r10\nr1 += -8\nr2 = 8\nr3 = r1\nr4 = 8\nr5 = 0", "bpf_csum_diff", ""), skbInput(ipv4(60)))
		b.ran(t, k, call("*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = r1\nr4 = 8\nr5 = 0", "bpf_csum_diff", ""), skbInput(ipv4(60)))
		b.ran(t, k, call("*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\nr4 = 0\nr5 = 0", "bpf_csum_diff", ""), skbInput(ipv4(60)))
	}
}
