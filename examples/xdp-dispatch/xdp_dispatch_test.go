package xdpdispatch_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/packet"
	"github.com/carom-bpf/carom/trace"
)

const (
	xdpDrop = 1
	xdpPass = 2
)

// dispatch loads the example, fills slots and sends the sample packets through it.
func dispatch(t *testing.T, slots map[uint32]string) (verdicts []uint32, lines []string, edges []carom.Edge) {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpec("xdp_dispatch.o")
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{
		CPUs: 2, CountEdges: carom.CountOn,
		Sink: trace.SinkFunc(func(e *trace.Event) {
			if e.Kind == trace.Printk {
				lines = append(lines, string(e.Text))
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	for i, prog := range slots {
		if err := coll.Maps["prog_array"].Put(i, coll.Programs[prog]); err != nil {
			t.Fatal(err)
		}
	}
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
			break
		} else if err != nil {
			t.Fatal(err)
		}
		v, out, err := coll.Programs["xdp_dispatch"].Test(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(out, p.Data) {
			t.Errorf("packet %d changed", len(verdicts)+1)
		}
		verdicts = append(verdicts, v)
	}
	if edges, err = coll.Edges(); err != nil {
		t.Fatal(err)
	}
	return verdicts, lines, edges
}

// TestSlotsFilled expects the table of README.md, which Linux confirmed.
func TestSlotsFilled(t *testing.T) {
	verdicts, lines, edges := dispatch(t, map[uint32]string{0: "port8080_prog", 1: "port22_prog"})
	if want := []uint32{2, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2}; !slices.Equal(verdicts, want) {
		t.Errorf("verdicts %v, want %v", verdicts, want)
	}
	if want := []string{
		"port 8080: pass 60 bytes", "port 22: drop 60 bytes", "port 8080: pass 72 bytes",
		"port 22: drop 71 bytes", "port 8080: pass 60 bytes",
	}; !slices.Equal(lines, want) {
		t.Errorf("trace %q, want %q", lines, want)
	}
	checkEdges(t, edges, []string{
		"prog_array[0] taken port8080_prog 3", "prog_array[1] taken port22_prog 2",
	})
}

// TestSlotsEmpty runs the same packets as the object comes: every packet passes.
func TestSlotsEmpty(t *testing.T) {
	verdicts, lines, edges := dispatch(t, nil)
	if len(verdicts) != 12 || slices.ContainsFunc(verdicts, func(v uint32) bool { return v != xdpPass }) {
		t.Errorf("verdicts %v, want 12 times %d", verdicts, xdpPass)
	}
	if len(lines) != 0 {
		t.Errorf("trace %q, want nothing", lines)
	}
	checkEdges(t, edges, []string{"prog_array[0] empty slot  3", "prog_array[1] empty slot  2"})
}

// TestOneSlot has a service for one port only.
func TestOneSlot(t *testing.T) {
	verdicts, lines, edges := dispatch(t, map[uint32]string{1: "port22_prog"})
	drops := 0
	for _, v := range verdicts {
		if v == xdpDrop {
			drops++
		}
	}
	if drops != 2 || len(lines) != 2 {
		t.Errorf("%d drops and %d lines, want 2 and 2", drops, len(lines))
	}
	checkEdges(t, edges, []string{"prog_array[0] empty slot  3", "prog_array[1] taken port22_prog 2"})
}

func checkEdges(t *testing.T, edges []carom.Edge, want []string) {
	t.Helper()
	var got []string
	for _, e := range edges {
		got = append(got, fmt.Sprintf("%s[%d] %s %s %d", e.Map, e.Index, e.Reason, e.To, e.Count))
		if e.From != "xdp_dispatch" || e.Line == 0 || e.Source != "bpf_tail_call(ctx, &prog_array, slot);" {
			t.Errorf("edge comes from %s at %s:%d %q", e.From, e.File, e.Line, e.Source)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("edges %q, want %q", got, want)
	}
}
