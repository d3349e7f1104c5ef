package gen

import (
	"encoding/binary"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
)

// kind is what there is to know of a program type.
type kind struct {
	typ ebpf.ProgramType
	ctx string // struct of the context
	// read and write are context fields, offset and size.
	read, write [][2]int
	// data and end are the offsets of the packet's bounds in the context; 0, 0 without direct
	// access.
	data, end int
	skb       bool // has LD_ABS and helpers for socket buffers
	store     bool // may write to the packet
	context   func(*generator, int) []byte
}

// kinds have a table each; the weights are in Generate.
var kinds = [...]kind{
	{
		typ: ebpf.SchedCLS, ctx: "__sk_buff", data: linux.SKBData, end: linux.SKBDataEnd, skb: true, store: true,
		read:    append(skbRead(), [2]int{72, 4}, [2]int{152, 8}, [2]int{160, 4}, [2]int{180, 1}),
		write:   [][2]int{{8, 4}, {12, 4}, {32, 4}, {44, 4}, {48, 4}, {52, 4}, {56, 8}, {64, 4}, {72, 4}, {152, 8}},
		context: skbContext,
	},
	{
		typ: ebpf.XDP, ctx: "xdp_md", data: 0, end: 4, store: true,
		read: [][2]int{{12, 4}, {16, 4}}, context: xdpContext,
	},
	{
		typ: ebpf.SocketFilter, ctx: "__sk_buff", skb: true,
		read:    skbRead(),
		write:   [][2]int{{48, 4}, {52, 4}, {56, 8}, {64, 4}},
		context: skbContext,
	},
	{
		typ: ebpf.SchedACT, ctx: "__sk_buff", data: linux.SKBData, end: linux.SKBDataEnd, skb: true, store: true,
		read:    skbRead(),
		write:   [][2]int{{8, 4}, {32, 4}, {44, 4}, {48, 4}, {52, 4}, {64, 4}},
		context: skbContext,
	},
	{
		typ: ebpf.RawTracepoint, ctx: "bpf_raw_tracepoint_args",
		read: [][2]int{{0, 8}, {8, 8}, {16, 8}, {88, 8}}, context: rawContext,
	},
}

// skbRead are the fields that all types may read.
func skbRead() [][2]int {
	return [][2]int{
		{0, 4}, {0, 2}, {4, 4}, {8, 4}, {8, 2}, {10, 1}, {12, 4}, {16, 4}, {16, 2}, {20, 4}, {24, 4}, {28, 4}, {32, 4},
		{36, 4}, {40, 4}, {44, 4}, {48, 4}, {50, 2}, {56, 8}, {64, 4}, {84, 4}, {164, 4}, {176, 4},
	}
}

func skbContext(g *generator, size int) []byte {
	if g.chance(30) {
		return nil
	}
	b := make([]byte, linux.SKBSize)
	for _, off := range []int{linux.SKBMark, linux.SKBPriority, 48, 52, 56, 60, 64, linux.SKBTstamp} {
		if g.chance(50) {
			binary.LittleEndian.PutUint32(b[off:], g.Uint32())
		}
	}
	if g.chance(20) {
		binary.LittleEndian.PutUint32(b[linux.SKBGSOSegs:], uint32(g.IntN(5)))
		binary.LittleEndian.PutUint32(b[linux.SKBGSOSize:], uint32(g.IntN(1000)))
	}
	return b
}

// rawContext is twelve arguments of a tracepoint.
func rawContext(g *generator, size int) []byte {
	b := make([]byte, 96)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], uint64(g.value()))
	}
	return b
}

func xdpContext(g *generator, size int) []byte {
	b := make([]byte, linux.XDPMDSize)
	meta := uint32(0)
	if g.chance(30) {
		meta = uint32(4 * g.IntN(4))
	}
	binary.LittleEndian.PutUint32(b, meta)
	binary.LittleEndian.PutUint32(b[4:], uint32(size))
	return b
}
