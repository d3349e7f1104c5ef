package readline_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/world"
)

// call is one line of events.jsonl: what readline returned to whom.
type call struct {
	Strings map[string]string `json:"strings"`
	PID     uint32            `json:"pid"`
	Comm    string            `json:"comm"`
}

// input makes the state of the process at the probe; readline returns its line in rax, or NULL.
func (c *call) input() *carom.Input {
	in := &carom.Input{
		Registers: []carom.Register{{Name: "ax"}},
		World:     &world.World{Task: world.Task{PID: c.PID, TGID: c.PID, Comm: c.Comm}},
	}
	if line, ok := c.Strings["line"]; ok {
		in.Registers[0].Ref = "line"
		in.Memory = []carom.Memory{{Name: "line", Data: append([]byte(line), 0)}}
	}
	return in
}

// event is struct event of readline.c.
type event struct {
	Type, PID, Length uint32
	Line              [80]byte
}

func load(t *testing.T) (*carom.Collection, carom.PerfReader) {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpec("readline.o")
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { coll.Close() })
	r, err := carom.NewPerfReader(coll.Maps["events"], 4096)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return coll, r
}

// send runs the probe for one call and reads n events.
func send(t *testing.T, coll *carom.Collection, r carom.PerfReader, c *call, n int) (events []string) {
	t.Helper()
	var res carom.Result
	if err := coll.Programs["readline_return"].RunInput(context.Background(), c.input(), &res); err != nil {
		t.Fatal(err)
	}
	if want := n / 2; res.TailCalls != want || res.Misses != 0 {
		t.Errorf("%d tail calls and %d misses, want %d and 0", res.TailCalls, res.Misses, want)
	}
	for range n {
		rec, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		var e event
		if rec.LostSamples != 0 || len(rec.RawSample) < binary.Size(e) {
			t.Fatalf("%d lost, %d bytes; want an event of %d", rec.LostSamples, len(rec.RawSample), binary.Size(e))
		}
		if _, err := binary.Decode(rec.RawSample, binary.LittleEndian, &e); err != nil {
			t.Fatal(err)
		}
		line, _, _ := bytes.Cut(e.Line[:], []byte{0})
		if len(line) != int(e.Length) {
			t.Errorf("length %d of line %q", e.Length, line)
		}
		name := [...]string{"?", "line", "odd", "even"}[e.Type&3]
		events = append(events, fmt.Sprintf("%s %d %s", name, e.PID, line))
	}
	return events
}

// TestEvents sends each sample line. The README says which two events it gives.
func TestEvents(t *testing.T) {
	coll, r := load(t)
	f, err := os.Open("events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		var c call
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		got = append(got, send(t, coll, r, &c, 2*len(c.Strings))...)
	}
	want := []string{
		"line 4211 ll", "even 4211 ll", "line 4211 odd", "odd 4211 odd",
		"line 5077 git log --oneline", "odd 5077 git log --oneline",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestLongLine cuts a line at 79 bytes, which is odd.
func TestLongLine(t *testing.T) {
	coll, r := load(t)
	long := string(bytes.Repeat([]byte("x"), 100))
	got := send(t, coll, r, &call{Strings: map[string]string{"line": long}, PID: 1}, 2)
	if want := []string{"line 1 " + long[:79], "odd 1 " + long[:79]}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestSlots has two of the 1024 slots filled by the object.
func TestSlots(t *testing.T) {
	coll, _ := load(t)
	m := coll.Maps["handlers"]
	var got []string
	var slot, id uint32
	for it := m.Iterate(); it.Next(&slot, &id); {
		for name, p := range coll.Programs {
			if uint32(p.ID()) == id {
				got = append(got, fmt.Sprintf("%d %s", slot, name))
			}
		}
	}
	if want := []string{"135 odd_length", "146 even_length"}; m.MaxEntries() != 1024 || !slices.Equal(got, want) {
		t.Errorf("%d slots with %q, want 1024 with %q", m.MaxEntries(), got, want)
	}
}
