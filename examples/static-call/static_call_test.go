package staticcall_test

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/packet"
	"github.com/carom-bpf/carom/trace"
)

// TestLimit expects the numbers of README.md, which Linux gives too: 33 tail calls are taken, and
// the 34th attempt, like that on the empty slot, falls through.
func TestLimit(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("static_call.o")
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{CountEdges: carom.CountOn})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	f, err := os.Open("traffic.pcap")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.Open(f)
	if err != nil {
		t.Fatal(err)
	}

	var res carom.Result
	n := uint64(0)
	for p := (packet.Packet{}); ; {
		if err := r.Next(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n++
		in := carom.Input{Data: p.Data, ContextOut: true}
		if err := coll.Programs["start"].RunInput(context.Background(), &in, &res); err != nil {
			t.Fatal(err)
		}
		if res.Return != 0 || res.TailCalls != 33 || res.Misses != 2 {
			t.Errorf("packet %d: %d, %d taken, %d missed; want TC_ACT_OK, 33, 2", n, res.Return, res.TailCalls, res.Misses)
		}
		// struct __sk_buff: mark is at offset 8.
		if mark := uint64(res.Context[8]); mark != n {
			t.Errorf("packet %d has mark %d, want %d", n, mark, n)
		}
		for name, each := range map[string]uint64{"optional_missed": 1, "counted": 31, "stopped": 1} {
			var v uint64
			if err := coll.Variables[name].Get(&v); err != nil {
				t.Fatal(err)
			}
			if v != n*each {
				t.Errorf("after packet %d %s is %d, want %d", n, name, v, n*each)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d packets, want 2", n)
	}
	checkEdges(t, coll)
}

func checkEdges(t *testing.T, coll *carom.Collection) {
	t.Helper()
	edges, err := coll.Edges()
	if err != nil {
		t.Fatal(err)
	}
	type edge struct {
		from, to string
		index    uint32
		reason   trace.Reason
	}
	got := map[edge]uint64{}
	for _, e := range edges {
		got[edge{e.From, e.To, e.Index, e.Reason}] = e.Count
	}
	want := map[edge]uint64{
		{"start", "", 6, trace.Empty}:            2,
		{"start", "classify", 1, trace.Taken}:    2,
		{"classify", "set_mark", 4, trace.Taken}: 2,
		{"set_mark", "count_up", 9, trace.Taken}: 2,
		{"count_up", "count_up", 9, trace.Taken}: 60,
		{"count_up", "", 9, trace.Limit}:         2,
	}
	for e, n := range want {
		if got[e] != n {
			t.Errorf("%+v counted %d times, want %d", e, got[e], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("edges %v, want %v", got, want)
	}
}
