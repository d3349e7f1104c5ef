package helper

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

// perfCase is one bpf_perf_event_output of 9 bytes in a program with a packet of 32 bytes.
type perfCase struct {
	typ    ebpf.ProgramType
	flags  uint64
	ret    linux.Errno
	sample string // without padding; empty: none
}

func perfCases() []perfCase {
	const current = 0xffffffff
	packet := string(perfPacket())
	return []perfCase{
		{ebpf.XDP, current, 0, "123456789"},
		{ebpf.XDP, current | 5<<32, 0, "123456789" + packet[:5]},
		{ebpf.XDP, current | 32<<32, 0, "123456789" + packet},
		{ebpf.XDP, current | 33<<32, linux.EFAULT, ""},
		{ebpf.XDP, current | 1<<52, linux.EINVAL, ""},
		{ebpf.XDP, 1000 | 5<<32, linux.E2BIG, ""},
		{ebpf.SchedCLS, current | 5<<32, 0, "123456789" + packet[:5]},
		{ebpf.SchedCLS, current | 33<<32, linux.EFAULT, ""},
		{ebpf.SocketFilter, current | 5<<32, 0, "123456789" + packet[14:19]},
		{ebpf.SocketFilter, current | 19<<32, linux.EFAULT, ""},
		{ebpf.RawTracepoint, current, 0, "123456789"},
		{ebpf.RawTracepoint, current | 1<<32, linux.EINVAL, ""},
		{ebpf.RawTracepoint, 1000, linux.E2BIG, ""},
	}
}

// perfPacket is the packet of the cases: 0, 1, 2, …
func perfPacket() []byte {
	p := make([]byte, 32)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}

func (c perfCase) scenario() *scenario {
	return &scenario{
		typ: c.typ, data: perfPacket(), ro: []byte("123456789"),
		maps: []maps.Spec{{Name: "p", Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 128}},
		text: program(fmt.Sprintf(`
			r2 = map[p] ll
			r3 = %#x ll
			r4 = map[ro][0]+0 ll
			r5 = 9
			call bpf_perf_event_output`, c.flags) + store(0)),
		want: []uint64{c.ret.Neg()},
	}
}

func (c perfCase) compare(t *testing.T, who string, sample []byte) {
	t.Helper()
	if n := len(c.sample); len(sample) < n || n == 0 && sample != nil || !bytes.Equal(sample[:n], []byte(c.sample)) || len(sample) > n+7 {
		t.Errorf("%s: %s flags %#x: sample %q, want %q", who, c.typ, c.flags, sample, c.sample)
	}
}

func TestPerfOutput(t *testing.T) {
	for _, c := range perfCases() {
		s := c.scenario()
		b := newBench(t, s)
		if c.typ == ebpf.SocketFilter {
			b.data = b.data[14:]
		}
		reader, err := b.maps["p"].(*maps.PerfArray).OpenPerf(4096, maps.PerfOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var res vm.Result
		if err := b.run(b.link(s.text), &res); err != nil {
			t.Fatal(err)
		}
		s.check(t, fmt.Sprint(c), b.out())
		reader.SetDeadline(time.Unix(1, 0))
		rec, err := reader.Read()
		if err != nil {
			rec.RawSample = nil
		}
		c.compare(t, "carom", rec.RawSample)
		reader.Close()
	}
}
