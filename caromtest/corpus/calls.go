package corpus

import (
	"strings"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
)

// wideLoads covers the sources of 64-bit immediates.
func wideLoads() []ct.Case {
	b := newBatch("lddw/numbers")
	for _, v := range b.in {
		b.line("r1 = 0x%x ll", v)
		b.result("r1", v)
	}
	return []ct.Case{b.finish(), mapLoads(), functionLoads()}
}

func mapLoads() ct.Case {
	b := newBatch("lddw/maps and values")
	b.line("*(u32 *)(r10 -4) = 0")
	b.line("r1 = map[in] ll")
	b.line("r2 = r10")
	b.line("r2 += -4")
	b.line("call bpf_map_lookup_elem")
	b.line("if r0 != 0 goto +2")
	b.line("r0 = 1")
	b.line("exit")
	b.line("r1 = *(u64 *)(r0 +%d)", 24*8)
	b.result("r1", b.in[24])
	b.line("r1 = map[in][0]+%d ll", 24*8)
	b.line("r2 = *(u64 *)(r1 +8)")
	b.result("r2", b.in[25])
	b.line("r2 = *(u64 *)(r1 -8)")
	b.result("r2", b.in[23])
	// The lookup gives the address that the immediate gives.
	b.line("r1 = map[in][0]+0 ll")
	b.line("r0 -= r1")
	b.result("r0", 0)
	return b.finish()
}

func functionLoads() ct.Case {
	b := newBatch("lddw/functions")
	b.line("*(u64 *)(r10 -8) = 0")
	b.line("r1 = 10")
	b.line("r2 = func[add_up] ll")
	b.line("r3 = r10")
	b.line("r3 += -8")
	b.line("r4 = 0")
	b.line("call bpf_loop")
	b.result("r0", 10)
	b.line("r1 = *(u64 *)(r10 -8)")
	b.result("r1", 45)
	return b.finish(`func add_up (u64 i, void *sum) int
		r3 = *(u64 *)(r2 +0)
		r3 += r1
		*(u64 *)(r2 +0) = r3
		r0 = 0
		exit`)
}

// calls covers calls of helpers and subprograms.
func calls() []ct.Case {
	return []ct.Case{arguments(), nested(), kept(), helperByRegister()}
}

func arguments() ct.Case {
	b := newBatch("call/five arguments")
	var want uint64
	for i := range 5 {
		b.operand(sprint("r%d", i+1), 20+i)
		want = want*3 + b.in[20+i]
	}
	b.line("call mix")
	b.result("r0", want)
	return b.finish(`func mix (u64 a, u64 b, u64 c, u64 d, u64 e) u64
		r0 = r1
		r0 *= 3
		r0 += r2
		r0 *= 3
		r0 += r3
		r0 *= 3
		r0 += r4
		r0 *= 3
		r0 += r5
		exit`)
}

// nested has the eight frames that Linux allows, each with a word of its own on the stack.
func nested() ct.Case {
	const frames = 8
	b := newBatch("call/eight frames")
	b.line("r1 = 1")
	b.line("call level_1")
	b.result("r0", 12345678)
	var functions []string
	for level := 1; level < frames; level++ {
		f := []string{
			sprint("func level_%d (u64 a) u64", level),
			"*(u64 *)(r10 -8) = r1",
			"r1 *= 10",
			sprint("r1 += %d", level+1),
		}
		if level+1 < frames {
			f = append(f, sprint("call level_%d", level+1))
		} else {
			f = append(f, "r0 = r1")
		}
		// The frame must hold what went in: the leading digits of the result.
		f = append(f, "r2 = *(u64 *)(r10 -8)", "r3 = r0")
		for range frames - level {
			f = append(f, "r3 /= 10")
		}
		f = append(f, "if r2 == r3 goto +1", "r0 = 0", "exit")
		functions = append(functions, strings.Join(f, "\n"))
	}
	return b.finish(functions...)
}

// kept checks that r6 to r9 come back from a subprogram and from a helper, and that r10 is that
// of the frame.
func kept() ct.Case {
	b := newBatch("call/saved registers")
	b.operand("r8", 24)
	b.operand("r9", 25)
	b.line("*(u64 *)(r10 -8) = r9")
	b.line("r1 = 0")
	b.line("call clobber")
	b.result("r8", b.in[24])
	b.result("r9", b.in[25])
	b.line("call bpf_get_prandom_u32")
	b.result("r8", b.in[24])
	b.result("r9", b.in[25])
	b.line("r1 = *(u64 *)(r10 -8)")
	b.result("r1", b.in[25])
	return b.finish(`func clobber (u64 a) u64
		r6 = 6
		r7 = 7
		r8 = 8
		r9 = 9
		*(u64 *)(r10 -8) = 10
		r0 = 0
		exit`)
}

func helperByRegister() ct.Case {
	b := newBatch("call/through a register")
	b.line("r2 = 8") // bpf_get_smp_processor_id
	b.line("callx r2")
	b.result("r0", 0)
	return unverified(b.finish(), callByNumber)
}

// packetLoads covers LD_ABS and LD_IND of socket buffers: big-endian loads that end the program
// with 0 when they leave the packet.
func packetLoads() []ct.Case {
	var cases []ct.Case
	for _, kind := range []struct {
		name  string
		prog  ebpf.ProgramType
		start int // of what the program sees in the packet
	}{
		{"socket filter", ebpf.SocketFilter, 14},
		{"tc", ebpf.SchedCLS, 0},
	} {
		cases = append(cases, insidePacket(kind.name, kind.prog, kind.start))
		cases = append(cases, outsidePacket(kind.name, kind.prog, kind.start)...)
	}
	return cases
}

// Bases of offsets below 0 (include/uapi/linux/filter.h).
const (
	skfNetOff = -0x100000
	skfLLOff  = -0x200000
)

// countedPacket has a different number in each byte; its ethertype is IPv4's.
func countedPacket() []byte {
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(0x81 + i)
	}
	b[12], b[13] = 0x08, 0x00
	b[14] = 0x45
	return b
}

func bigEndian(b []byte, at int, size uint) uint64 {
	var v uint64
	for i := range int(size) {
		v = v<<8 | uint64(b[at+i])
	}
	return v
}

func insidePacket(name string, prog ebpf.ProgramType, start int) ct.Case {
	packet := countedPacket()
	b := newBatch("packet/" + name + " inside")
	b.line("r8 = r6") // operands; LD_ABS needs the context in r6
	b.line("r6 = r9")
	for _, size := range []uint{1, 2, 4} {
		last := len(packet) - start - int(size)
		for _, off := range []int{0, 1, 3, 20, last - 1, last} {
			b.line("r0 = *(u%d *)skb[%d]", size*8, off)
			b.result("r0", bigEndian(packet, start+off, size))
			b.line("r1 = *(u64 *)(r8 +%d)", 3*8) // 3
			b.line("r0 = *(u%d *)skb[r1 + %d]", size*8, off-3)
			b.result("r0", bigEndian(packet, start+off, size))
		}
		for _, off := range []int{0, 9, 13} {
			b.line("r0 = *(u%d *)skb[%d]", size*8, skfLLOff+off)
			b.result("r0", bigEndian(packet, off, size))
			b.line("r0 = *(u%d *)skb[%d]", size*8, skfNetOff+off)
			b.result("r0", bigEndian(packet, 14+off, size))
		}
	}
	c := b.finish()
	c.Type, c.Data = prog, packet
	return c
}

// outsidePacket has a program for each load, because it ends there.
func outsidePacket(name string, prog ebpf.ProgramType, start int) []ct.Case {
	packet := countedPacket()
	end := len(packet) - start
	var cases []ct.Case
	for _, size := range []uint{1, 2, 4} {
		for _, load := range []string{
			sprint("skb[%d]", end-int(size)+1), sprint("skb[%d]", end+1), sprint("skb[%d]", 0x7fffffff),
			"skb[-1]", sprint("skb[%d]", skfLLOff+len(packet)-int(size)+1),
			sprint("skb[r1 + %d]", end-3-int(size)+1), "skb[r2 + 0]",
		} {
			b := newBatch(sprint("packet/%s outside %s u%d", name, load, size*8))
			b.operand("r1", 3)
			b.operand("r2", 25)
			b.line("r6 = r9")
			b.line("r3 = 5")
			b.result("r3", 5)
			b.line("r0 = *(u%d *)%s", size*8, load)
			b.line("r3 = 6")
			b.line("*(u64 *)(r7 +0) = r3")
			b.last = 7
			c := b.finish()
			c.Type, c.Data = prog, packet
			cases = append(cases, c)
		}
	}
	return cases
}
