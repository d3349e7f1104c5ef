package unwind_test

import (
	"context"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/packet"
)

// host drives the chain: host_try notes the stage that a program asks for, and drive runs it.
type host struct {
	stages map[uint64]string
	want   string
	ran    [][]string // per packet
}

func (h *host) helper() carom.Helper {
	return carom.Helper{
		Proto:        carom.Proto{ID: 0x10001, Name: "host_try", Args: [5]carom.ArgType{carom.ArgCtx, carom.ArgAnything}},
		UnwindOnZero: true,
		Func: func(c *carom.Call) uint64 {
			next, ok := h.stages[c.Args[1]]
			if !ok {
				return 1 // refused: the program goes on
			}
			h.want = next
			return 0
		},
	}
}

// drive runs stage after stage on one packet until a program ends by itself.
func (h *host) drive(coll *carom.Collection, pkt []byte) (uint64, error) {
	var res carom.Result
	var ran []string
	for stage := "receive"; ; stage = h.want {
		ran = append(ran, stage)
		if err := coll.Programs[stage].RunInput(context.Background(), &carom.Input{Data: pkt}, &res); err != nil {
			return 0, err
		}
		if res.UnwoundBy == "" {
			h.ran = append(h.ran, ran)
			return res.Return, nil
		}
	}
}

func run(t *testing.T, stages map[uint64]string) (h *host, verdicts []uint32, vars map[string]uint64) {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpec("unwind.o")
	if err != nil {
		t.Fatal(err)
	}
	h = &host{stages: stages}
	coll, err := carom.NewCollection(spec, &carom.Options{Helpers: []carom.Helper{h.helper()}})
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
	for p := (packet.Packet{}); ; {
		if err := r.Next(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		v, err := h.drive(coll, p.Data)
		if err != nil {
			t.Fatal(err)
		}
		verdicts = append(verdicts, uint32(v))
	}
	vars = map[string]uint64{}
	for _, name := range []string{"classified", "small_packets", "large_packets", "refused"} {
		var n uint64
		if err := coll.Variables[name].Get(&n); err != nil {
			t.Fatal(err)
		}
		vars[name] = n
	}
	return h, verdicts, vars
}

func TestHostAcceptsAll(t *testing.T) {
	h, verdicts, vars := run(t, map[uint64]string{1: "classify", 2: "small", 3: "large"})
	want := [][]string{{"receive", "classify", "small"}, {"receive", "classify", "large"}, {"receive", "classify", "small"}}
	if !slices.EqualFunc(h.ran, want, slices.Equal) {
		t.Errorf("stages %q, want %q", h.ran, want)
	}
	if !slices.Equal(verdicts, []uint32{0, 0, 0}) {
		t.Errorf("verdicts %v, want TC_ACT_OK three times", verdicts)
	}
	checkVars(t, vars, map[string]uint64{"classified": 3, "small_packets": 2, "large_packets": 1, "refused": 0})
}

func TestHostRefusesStage3(t *testing.T) {
	h, verdicts, vars := run(t, map[uint64]string{1: "classify", 2: "small"})
	want := [][]string{{"receive", "classify", "small"}, {"receive", "classify"}, {"receive", "classify", "small"}}
	if !slices.EqualFunc(h.ran, want, slices.Equal) {
		t.Errorf("stages %q, want %q", h.ran, want)
	}
	if !slices.Equal(verdicts, []uint32{0, 2, 0}) {
		t.Errorf("verdicts %v, want TC_ACT_SHOT (2) for the second packet", verdicts)
	}
	checkVars(t, vars, map[string]uint64{"classified": 3, "small_packets": 2, "large_packets": 0, "refused": 1})
}

func checkVars(t *testing.T, got, want map[string]uint64) {
	t.Helper()
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s is %d, want %d", name, got[name], n)
		}
	}
}
