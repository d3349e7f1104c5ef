package corpus

import (
	"strings"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/internal/linux"
)

// Output returns the cases of what programs send to user space: samples of perf event arrays,
// records of ring buffers, and printed lines.
func Output() []ct.Case {
	var cases []ct.Case
	for _, k := range packetTypes() {
		cases = append(cases, samples(k), sent(k), reserved(k))
	}
	cases = append(cases, rawSamples(), samplesOnCPU(1), noReader(), fullRing())
	return append(cases, printedArguments()...)
}

// packetType is a type of program that runs on a packet.
type packetType struct {
	name   string
	t      ebpf.ProgramType
	a      ebpf.AttachType
	pulled int // bytes of the link header, which the program does not see
}

func packetTypes() []packetType {
	return []packetType{
		{"tc", ebpf.SchedCLS, 0, 0}, {"action", ebpf.SchedACT, 0, 0}, {"socket filter", ebpf.SocketFilter, 0, 14},
		{"cgroup skb", ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, 14}, {"lwt in", ebpf.LWTIn, 0, 14},
		{"lwt xmit", ebpf.LWTXmit, 0, 14}, {"xdp", ebpf.XDP, 0, 0},
	}
}

// Flags of bpf_perf_event_output (include/uapi/linux/bpf.h).
const (
	currentCPU  = 0xffffffff // BPF_F_CURRENT_CPU
	packetShift = 32         // of the number of packet bytes, BPF_F_CTXLEN_MASK
)

// padded is a sample as readers get it: its length is 4 past a multiple of 8.
func padded(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return append(b, make([]byte, (len(b)+4+7)/8*8-4-len(b))...)
}

// counted fills n bytes below the frame pointer, which r8 points to then, with 1, 2, 3...
func (b *batch) counted(n int) []byte {
	size := (n + 7) &^ 7
	bytes := make([]byte, size)
	for i := range bytes {
		bytes[i] = byte(i + 1)
	}
	for i := 0; i < size; i += 8 {
		b.line("r1 = 0x%x ll\n*(u64 *)(r10 %d) = r1", littleEndian(bytes[i:]), i-size)
	}
	b.line("r8 = r10\nr8 += %d", -size)
	return bytes[:n]
}

// sample emits a call of bpf_perf_event_output with size bytes at r8.
func (b *batch) sample(flags uint64, size int, want uint64) {
	b.line("r1 = r9\nr2 = map[perf] ll\nr3 = 0x%x ll\nr4 = r8\nr5 = %d", flags, size)
	b.line("call bpf_perf_event_output")
	b.result("r0", want)
}

func perfArray() *ebpf.MapSpec {
	return &ebpf.MapSpec{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}
}

// sending adds what the first step sends.
func sending(c ct.Case, m string, records [][]byte) ct.Case {
	c.Steps[0].Want.Records = map[string][][]byte{m: records}
	return c
}

// samples of all sizes, with packet bytes behind them and with flags that Linux refuses.
func samples(k packetType) ct.Case {
	b := newBatch("perf event/" + k.name)
	packet := countedPacket()
	seen := packet[k.pulled:]
	data := b.counted(24)
	var want [][]byte
	for _, s := range []struct {
		flags  uint64
		size   int
		errno  ct.Errno
		packet int
	}{
		{flags: currentCPU, size: 24}, {flags: currentCPU, size: 12}, {flags: currentCPU, size: 5}, {flags: currentCPU, size: 1},
		{flags: 0, size: 8}, // index 0, which is this CPU's
		{flags: 2, size: 8, errno: ct.E2BIG}, {flags: 0xfffffffe, size: 8, errno: ct.E2BIG},
		{flags: currentCPU, size: 8, packet: 1}, {flags: currentCPU, size: 7, packet: 20}, {flags: 0, size: 8, packet: len(seen)},
		{flags: currentCPU, size: 8, packet: len(seen) + 1, errno: linux.EFAULT}, {flags: currentCPU, size: 8, packet: 0xfffff, errno: linux.EFAULT},
		{flags: currentCPU | 1<<52, size: 8, errno: ct.EINVAL}, {flags: currentCPU | 1<<63, size: 8, errno: ct.EINVAL},
		{flags: currentCPU, size: 24},
	} {
		b.sample(s.flags|uint64(s.packet)<<packetShift, s.size, errno(s.errno))
		if s.errno == 0 {
			want = append(want, padded(data[:s.size], seen[:s.packet]))
		}
	}
	c := sending(with(b.finish(), "perf", perfArray()), "perf", want)
	c.Type, c.Attach, c.Data = k.t, k.a, packet
	return c
}

// rawSamples: programs without packet cannot ask for its bytes.
func rawSamples() ct.Case {
	b := newBatch("perf event/raw tracepoint")
	data := b.counted(16)
	b.sample(currentCPU, 16, 0)
	b.sample(currentCPU|1<<packetShift, 16, errno(ct.EINVAL))
	b.sample(2, 16, errno(ct.E2BIG))
	b.sample(0, 3, 0)
	c := sending(with(b.finish(), "perf", perfArray()), "perf", [][]byte{padded(data), padded(data[:3])})
	c.Type, c.Data, c.Steps[0].Context = ebpf.RawTracepoint, nil, make([]byte, 16)
	return c
}

// samplesOnCPU runs on another CPU than 0: an index that is not that of the CPU is refused.
func samplesOnCPU(cpu int) ct.Case {
	b := newBatch(sprint("perf event/on CPU %d", cpu))
	data := b.counted(8)
	b.sample(currentCPU, 8, 0)
	b.sample(uint64(cpu), 8, 0)
	b.sample(0, 8, errno(linux.EOPNOTSUPP))
	b.line("call bpf_get_smp_processor_id")
	b.result("r0", uint64(cpu))
	c := sending(with(b.finish(), "perf", perfArray()), "perf", [][]byte{padded(data), padded(data)})
	c.Steps[0].CPU, c.CPUs = cpu, cpu+1
	return c
}

// noReader: nobody has opened the map.
func noReader() ct.Case {
	b := newBatch("perf event/no reader")
	b.counted(8)
	b.sample(currentCPU, 8, errno(ct.ENOENT))
	b.sample(2, 8, errno(ct.E2BIG))
	c := with(b.finish(), "perf", perfArray())
	c.Unread = []string{"perf"}
	return c
}

func ring(size uint32) *ebpf.MapSpec { return &ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: size} }

// send emits a call of bpf_ringbuf_output with size bytes at r8.
func (b *batch) send(size, flags int, want uint64) {
	b.line("r1 = map[ring] ll\nr2 = r8\nr3 = %d\nr4 = %d", size, flags)
	b.line("call bpf_ringbuf_output")
	b.result("r0", want)
}

// sent records with all flags.
func sent(k packetType) ct.Case {
	b := newBatch("ring buffer/" + k.name + " output")
	data := b.counted(24)
	var want [][]byte
	for _, s := range []struct {
		size, flags int
		errno       ct.Errno
	}{
		{size: 24}, {size: 1}, {size: 7}, {size: 8, flags: 1}, {size: 9, flags: 2}, {size: 16, flags: 3},
		{size: 8, flags: 4, errno: ct.EINVAL}, {size: 8, flags: -1, errno: ct.EINVAL}, {size: 24},
	} {
		b.send(s.size, s.flags, errno(s.errno))
		if s.errno == 0 {
			want = append(want, data[:s.size])
		}
	}
	c := sending(with(b.finish(), "ring", ring(4096)), "ring", want)
	c.Type, c.Attach, c.Data = k.t, k.a, tcp()
	return c
}

// reserve emits a reservation, which is written and then submitted or discarded by way of a helper.
func (b *batch) reserve(size, flags int, value uint64, release string, there bool) {
	b.line("r1 = map[ring] ll\nr2 = %d\nr3 = %d", size, flags)
	b.line("call bpf_ringbuf_reserve")
	found := uint64(0)
	if there {
		found = 1
	}
	b.line("r8 = 0\nif r0 == 0 goto +7\nr8 = 1\nr1 = 0x%x ll", value)
	b.line("*(u64 *)(r0 +0) = r1\nr1 = r0\nr2 = 0\ncall %s", release)
	b.result("r8", found)
}

// query emits a call of bpf_ringbuf_query.
func (b *batch) query(what int, want uint64) {
	b.line("r1 = map[ring] ll\nr2 = %d", what)
	b.line("call bpf_ringbuf_query")
	b.result("r0", want)
}

// reserved records are seen when they are submitted, and never when they are discarded. Positions
// count both, with a header of 8 bytes each.
func reserved(k packetType) ct.Case {
	const submit, discard = "bpf_ringbuf_submit", "bpf_ringbuf_discard"
	b := newBatch("ring buffer/" + k.name + " reserve")
	b.reserve(8, 0, 0x1111, submit, true)
	b.reserve(8, 0, 0x2222, discard, true)
	b.reserve(16, 0, 0x3333, submit, true)
	b.reserve(8, 1, 0x4444, submit, false) // a flag that there is not
	b.reserve(4096, 0, 0x5555, submit, false)
	b.query(0, 16+16+24) // BPF_RB_AVAIL_DATA
	b.query(1, 4096)     // BPF_RB_RING_SIZE
	b.query(2, 0)        // BPF_RB_CONS_POS
	b.query(3, 16+16+24) // BPF_RB_PROD_POS
	b.query(4, 0)
	b.reserve(8, 0, 0x6666, discard, true)
	b.reserve(8, 0, 0x7777, submit, true)
	want := [][]byte{words([]uint64{0x1111}), words([]uint64{0x3333, 0}), words([]uint64{0x7777})}
	c := sending(with(b.finish(), "ring", ring(4096)), "ring", want)
	c.Type, c.Attach, c.Data = k.t, k.a, tcp()
	return c
}

// fullRing has room for two records of 2000 bytes.
func fullRing() ct.Case {
	b := newBatch("ring buffer/full")
	b.line("r8 = map[big][0]+0 ll")
	b.send(2000, 0, 0)
	b.send(2000, 0, 0)
	b.send(2000, 0, errno(linux.EAGAIN))
	b.send(72, 0, errno(linux.EAGAIN))
	b.query(0, 2*2008)
	b.send(64, 0, 0)
	b.query(0, 2*2008+72)
	c := with(b.finish(), "ring", ring(4096))
	c.Unread = []string{"ring"}
	return with(c, "big", oneValue(make([]byte, 2000)))
}

// format puts a string with its end below the frame pointer, and r1 and r2 say where.
func (b *batch) format(s string) {
	size := (len(s) + 8) &^ 7
	bytes := make([]byte, size)
	copy(bytes, s)
	for i := 0; i < size; i += 8 {
		b.line("r1 = 0x%x ll\n*(u64 *)(r10 %d) = r1", littleEndian(bytes[i:]), i-size)
	}
	b.line("r1 = r10\nr1 += %d\nr2 = %d", -size, len(s)+1)
}

// printedArguments are lines with several arguments, strings and addresses, printed by runs of
// each kind.
func printedArguments() []ct.Case {
	lines := []struct {
		format string
		args   [3]string // immediates, or registers: r7 points to the texts below
		want   string    // "" when refused
	}{
		{"%d %u %x", [3]string{"-1", "-1", "255"}, "-1 4294967295 ff"},
		{"%ld|%lu|%lx", [3]string{"-1", "7", "4096"}, "-1|7|1000"},
		{"%lld-%llu-%llx", [3]string{"-9", "9", "10"}, "-9-9-a"},
		{"%s is %s", [3]string{"name", "other", "0"}, "carom is a shot"},
		{"[%10s][%-10s]", [3]string{"name", "name", "0"}, "[     carom][carom     ]"},
		{"%c%c%c", [3]string{"97", "98", "99"}, "abc"},
		{"%pI4 %pi4", [3]string{"address", "address", "0"}, "192.0.2.1 192.000.002.001"},
		{"%pI6", [3]string{"six", "0", "0"}, "2001:0db8:0000:0000:0000:0000:0000:0001"},
		{"%pi6", [3]string{"six", "0", "0"}, "20010db8000000000000000000000001"},
		{"100%%", [3]string{"0", "0", "0"}, "100%"},
		{"%d %d %d %d", [3]string{"1", "2", "3"}, ""}, // three arguments at most
		{"%f", [3]string{"1", "0", "0"}, ""}, {"%n", [3]string{"1", "0", "0"}, ""}, {"%*d", [3]string{"1", "0", "0"}, ""},
		{"\x80", [3]string{"0", "0", "0"}, "\x80"}, {"\x01", [3]string{"0", "0", "0"}, ""}, {"%", [3]string{"1", "0", "0"}, ""},
	}
	texts := []byte("carom\x00\x00\x00a shot\x00\x00\xc0\x00\x02\x01\x00\x00\x00\x00\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")
	at := map[string]int{"name": 0, "other": 8, "address": 16, "six": 24}
	kinds := append(packetTypes(), packetType{name: "raw tracepoint", t: ebpf.RawTracepoint})
	var cases []ct.Case
	for _, k := range kinds {
		b := newBatch("printing/arguments/" + k.name)
		var printed []string
		for _, l := range lines {
			b.format(l.format)
			for i, a := range l.args {
				if off, ok := at[a]; ok {
					b.line("r%d = map[texts][0]+%d ll", i+3, off)
				} else {
					b.line("r%d = %s", i+3, a)
				}
			}
			b.line("call bpf_trace_printk")
			if l.want == "" {
				b.result("r0", errno(ct.EINVAL))
				continue
			}
			b.result("r0", uint64(len(l.want)))
			printed = append(printed, strings.TrimSuffix(l.want, "\n"))
		}
		c := with(b.finish(), "texts", oneValue(texts))
		c.Type, c.Attach, c.Data = k.t, k.a, tcp()
		if k.t == ebpf.RawTracepoint {
			c.Data, c.Steps[0].Context = nil, make([]byte, 16)
		}
		c.Steps[0].Want.Trace = printed
		cases = append(cases, c)
	}
	return cases
}
