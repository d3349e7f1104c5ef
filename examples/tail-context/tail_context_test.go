package tailcontext_test

import (
	"context"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/packet"
	"github.com/carom-bpf/carom/trace"
)

// TestEachPacket expects what the README says: every packet goes through both slots of the
// object, the third program prints what the first two stored, and the packet is allowed.
func TestEachPacket(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("tail_context.o")
	if err != nil {
		t.Fatal(err)
	}
	var hops, lines []string
	coll, err := carom.NewCollection(spec, &carom.Options{
		CPUs: 3,
		Sink: trace.SinkFunc(func(e *trace.Event) {
			switch e.Kind {
			case trace.Printk:
				lines = append(lines, e.From+": "+string(e.Text))
			case trace.Hop:
				hops = append(hops, e.From+" "+e.To)
			case trace.Miss:
				t.Errorf("missed %s[%d]: %s", e.Map, e.Index, e.Reason)
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	cpu, err := coll.CPU(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Release()

	var res carom.Result
	n := 0
	for p := range packets(t) {
		n++
		if err := cpu.Run(context.Background(), coll.Programs["first_prog"], &carom.Input{Data: p}, &res); err != nil {
			t.Fatal(err)
		}
		if res.Return != 1 || res.TailCalls != 2 || res.Misses != 0 || res.CPU != 1 {
			t.Errorf("packet %d: %d with %d hops and %d misses on CPU %d, want 1, 2, 0, 1", n, res.Return, res.TailCalls, res.Misses, res.CPU)
		}
	}
	if n != 4 {
		t.Errorf("%d packets, want 4", n)
	}
	if want := slices.Repeat([]string{"third_prog: first=11 second=22"}, 4); !slices.Equal(lines, want) {
		t.Errorf("trace %q, want %q", lines, want)
	}
	if want := slices.Repeat([]string{"first_prog second_prog", "second_prog third_prog"}, 4); !slices.Equal(hops, want) {
		t.Errorf("hops %q, want %q", hops, want)
	}

	// The state belongs to the virtual CPU that ran the chain.
	var state []struct{ First, Second uint32 }
	if err := coll.Maps["context"].Lookup(uint32(0), &state); err != nil {
		t.Fatal(err)
	}
	if len(state) != 3 || state[0].First != 0 || state[1].First != 11 || state[1].Second != 22 || state[2].Second != 0 {
		t.Errorf("per-CPU state %+v", state)
	}
}

func packets(t *testing.T) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		f, err := os.Open("traffic.pcap")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := packet.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		for p := (packet.Packet{}); ; {
			if err := r.Next(&p); err == io.EOF {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if !yield(p.Data) {
				return
			}
		}
	}
}
