package userspace

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// skbKinds are the types that take a struct __sk_buff and that Linux runs on a given packet.
func skbKinds() []kind {
	return []kind{
		{Type: ebpf.SocketFilter},
		{Type: ebpf.SchedCLS},
		{Type: ebpf.SchedACT},
		{Type: ebpf.CGroupSKB, Attach: ebpf.AttachCGroupInetIngress},
		{Type: ebpf.CGroupSKB, Attach: ebpf.AttachCGroupInetEgress},
		{Type: ebpf.LWTIn},
		{Type: ebpf.LWTXmit},
	}
}

// words makes a structure of n bytes with 32-bit words at offsets.
func words(n int, offValue ...uint32) []byte {
	b := make([]byte, n)
	for i := 0; i+1 < len(offValue); i += 2 {
		binary.LittleEndian.PutUint32(b[offValue[i]:], offValue[i+1])
	}
	return b
}

// fullSKB sets every field that BPF_PROG_TEST_RUN takes.
func fullSKB() []byte {
	return words(linux.SKBSize, linux.SKBMark, 0x01020304, linux.SKBPriority, 0x11121314, linux.SKBIngressIfindex, 7,
		linux.SKBIfindex, 1, linux.SKBCB, 0x21222324, linux.SKBCB+4, 0x31323334, linux.SKBCB+8, 0x41424344,
		linux.SKBCB+12, 0x51525354, linux.SKBCB+16, 0x61626364, linux.SKBTstamp, 0x71727374, linux.SKBTstamp+4, 0x05,
		linux.SKBWireLen, 1234, linux.SKBGSOSegs, 0x0908, linux.SKBGSOSize, 0x0a0b,
		linux.SKBHwtstamp, 0x18192021, linux.SKBHwtstamp+4, 3)
}

// isAddress reports whether a field holds an address, which no two runs share.
func isAddress(off int) bool {
	for _, f := range [...]int{linux.SKBData, linux.SKBDataEnd, linux.SKBDataMeta, linux.SKBSk} {
		if off == f {
			return true
		}
	}
	return false
}

// TestContextReads loads every offset with every size in every type, and compares what may be
// read and what is there.
func TestContextReads(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	for _, k := range skbKinds() {
		for _, packet := range [][]byte{ipv4(60), ipv6(80)} {
			in := &engine.Input{Data: packet, Context: fullSKB(), ContextOut: true}
			for size := 1; size <= 8; size *= 2 {
				for off := 0; off < linux.SKBSize+8; off += size {
					if packet[12] == 0x86 && (off < linux.SKBFamily || off >= linux.SKBDataMeta) {
						continue // nothing depends on the protocol
					}
					// The value comes out through cb, because the return value is limited.
					store := fmt.Sprintf("*(u64 *)(r1 + %d) = r2", linux.SKBCB)
					if isAddress(off) {
						store = "r2 = 0"
					}
					b.same(t, k, fmt.Sprintf("r2 = *(u%d *)(r1 + %d)\n%s\nr0 = 0\nexit", 8*size, off, store), in)
				}
			}
		}
	}
}

// TestContextWrites stores to every offset with every size in every type.
func TestContextWrites(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	in := &engine.Input{Data: ipv4(60), Context: fullSKB(), ContextOut: true}
	for _, k := range skbKinds() {
		for size := 1; size <= 8; size *= 2 {
			for off := 0; off < linux.SKBSize; off += size {
				// Fields that do not come out with the context are copied to cb.
				read := ""
				for _, f := range [...]int{linux.SKBQueueMapping, linux.SKBTCIndex, linux.SKBTCClassid} {
					if off == f && size == 4 {
						read = fmt.Sprintf("r3 = *(u32 *)(r1 + %d)\n*(u32 *)(r1 + %d) = r3\n", off, linux.SKBCB+4)
					}
				}
				for _, v := range []string{"0x8182838485868788 ll", "0xffff", "0xfffe"} {
					if v[0:3] == "0xf" && read == "" {
						continue
					}
					b.same(t, k, fmt.Sprintf("r2 = %s\n*(u%d *)(r1 + %d) = r2\n%sr0 = 0\nexit", v, 8*size, off, read), in)
				}
			}
		}
	}
}

// TestXDPContext reads and writes every offset of struct xdp_md.
func TestXDPContext(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	k := kind{Type: ebpf.XDP}
	in := &engine.Input{Data: ipv4(60)}
	for size := 1; size <= 8; size *= 2 {
		for off := 0; off < linux.XDPMDSize+8; off += size {
			result := "r0 = r2"
			if off < 12 {
				result = "r0 = 0"
			}
			b.same(t, k, fmt.Sprintf("r2 = *(u%d *)(r1 + %d)\n%s\nexit", 8*size, off, result), in)
			b.same(t, k, fmt.Sprintf("r2 = 5\n*(u%d *)(r1 + %d) = r2\nr0 = 0\nexit", 8*size, off), in)
		}
	}
}

// TestPacketPointers compares distances between the packet pointers.
func TestPacketPointers(t *testing.T) {
	needKernel(t)
	b := newBench(t)
	for _, k := range []kind{{Type: ebpf.SchedCLS}, {Type: ebpf.LWTXmit}, {Type: ebpf.LWTIn}} {
		b.same(t, k, "r0 = *(u32 *)(r1 + 80)\nr2 = *(u32 *)(r1 + 76)\nr0 -= r2\nexit", &engine.Input{Data: ipv4(60)})
	}
	b.same(t, kind{Type: ebpf.SchedCLS}, "r0 = *(u32 *)(r1 + 76)\nr2 = *(u32 *)(r1 + 140)\nr0 -= r2\nexit", &engine.Input{Data: ipv4(60)})
	meta := &engine.Input{Data: ipv4(60), Context: words(24, 0, 8, 4, 50), ContextOut: true}
	for _, pair := range [][2]int{{0, 8}, {4, 0}, {4, 8}} {
		b.same(t, kind{Type: ebpf.XDP}, fmt.Sprintf("r0 = *(u32 *)(r1 + %d)\nr2 = *(u32 *)(r1 + %d)\nr0 -= r2\nexit", pair[0], pair[1]), meta)
	}
	// The packet is writable in XDP, tc and lwt_xmit, and only there.
	store := `r2 = *(u32 *)(r1 + 76)
r3 = *(u32 *)(r1 + 80)
r4 = r2
r4 += 4
if r4 > r3 goto out
*(u32 *)(r2 + 0) = 0x01020304
out:
r0 = 0
exit`
	for _, k := range []kind{{Type: ebpf.SchedCLS}, {Type: ebpf.LWTXmit}} {
		b.same(t, k, store, &engine.Input{Data: ipv4(60)})
	}
}
