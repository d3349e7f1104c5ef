package helper

import (
	"context"
	"testing"

	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/trace"
	"github.com/cilium/ebpf"
)

const benchLoops = 1000

// benchText repeats a body benchLoops times.
func benchText(body string) string {
	return `
		*(u32 *)(r10 -4) = 1
		*(u64 *)(r10 -16) = 0
		r6 = 1000
	again:
	` + body + `
		r6 -= 1
		if r6 != 0 goto again
		r0 = 0
		exit
	func visit(void *map, void *key, void *value, void *ctx) long
		r0 = 0
		exit`
}

func helperBodies() map[string]struct {
	body string
	typ  ebpf.MapType
} {
	lookup := `
		r1 = map[m] ll
		r2 = r10
		r2 += -4
		call bpf_map_lookup_elem`
	type row = struct {
		body string
		typ  ebpf.MapType
	}
	return map[string]row{
		"LookupArray":       {lookup, ebpf.Array},
		"LookupPerCPUArray": {lookup, ebpf.PerCPUArray},
		"LookupHash":        {lookup, ebpf.Hash},
		"UpdateArray": {`
			r1 = map[m] ll
			r2 = r10
			r2 += -4
			r3 = r10
			r3 += -16
			r4 = 0
			call bpf_map_update_elem`, ebpf.Array},
		"CPU":    {"call bpf_get_smp_processor_id", ebpf.Array},
		"Random": {"call bpf_get_prandom_u32", ebpf.Array},
		"Loop": {`
			r1 = 10
			r2 = func[visit] ll
			r3 = 0
			r4 = 0
			call bpf_loop`, ebpf.Array},
		"ForEach": {`
			r1 = map[m] ll
			r2 = func[visit] ll
			r3 = 0
			r4 = 0
			call bpf_for_each_map_elem`, ebpf.Hash},
		"TracePrintk": {`
			r1 = map[ro][0]+0 ll
			r2 = 8
			r3 = r6
			call bpf_trace_printk`, ebpf.Array},
		"ProbeRead": {`
			r1 = r10
			r1 += -16
			r2 = 8
			r3 = map[ro][0]+0 ll
			call bpf_probe_read_kernel`, ebpf.Array},
	}
}

func BenchmarkInterpHelper(b *testing.B) {
	for name, row := range helperBodies() {
		b.Run(name, func(b *testing.B) {
			s := &scenario{
				ro:   []byte("i is %d\x00"),
				maps: []maps.Spec{{Name: "m", Type: row.typ, KeySize: 4, ValueSize: 8, MaxEntries: 16}},
			}
			h := newBench(b, s)
			h.cpu.SetSink(trace.SinkFunc(func(*trace.Event) {}))
			h.maps["m"].Update(0, []byte{1, 0, 0, 0}, make([]byte, 8), 0)
			p := h.link(benchText(row.body))
			var res vm.Result
			b.ReportAllocs()
			for b.Loop() {
				if err := h.cpu.Begin(context.Background()); err != nil {
					b.Fatal(err)
				}
				h.cpu.UseContext(p, 0)
				if err := h.cpu.Run(p, 0, 0, vm.Limits{}, &res); err != nil {
					b.Fatal(err)
				}
				h.cpu.End()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchLoops, "ns/call")
		})
	}
}

// TestHelpersAllocateNothing runs each body of the benchmarks.
func TestHelpersAllocateNothing(t *testing.T) {
	for name, row := range helperBodies() {
		s := &scenario{
			ro:   []byte("i is %d\x00"),
			maps: []maps.Spec{{Name: "m", Type: row.typ, KeySize: 4, ValueSize: 8, MaxEntries: 16}},
		}
		h := newBench(t, s)
		h.maps["m"].Update(0, []byte{1, 0, 0, 0}, make([]byte, 8), 0)
		p := h.link(benchText(row.body))
		var res vm.Result
		n := testing.AllocsPerRun(5, func() {
			if err := h.run(p, &res); err != nil {
				t.Fatal(err)
			}
		})
		if n > 0 && !raceEnabled {
			t.Errorf("%s: %v allocations in %d calls", name, n, benchLoops)
		}
	}
}
