package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"
	"testing"
)

// Lines of trace_pipe as Linux 6.18 prints them, with the flags of a BPF_PROG_TEST_RUN.
func TestPipe(t *testing.T) {
	for _, c := range []struct {
		e    Event
		want string
	}{
		{Event{Comm: "printf.test", PID: 26886, Time: 2588_817_400_000, Text: []byte("a,b.c")},
			"     printf.test-26886   [000] b..11  2588.817400: bpf_trace_printk: a,b.c\n"},
		{Event{Comm: "printf.test", PID: 30361, CPU: 1, Time: 2793_108_647_499, Text: []byte("abcdxyz|7")},
			"     printf.test-30361   [001] b..11  2793.108647: bpf_trace_printk: abcdxyz|7\n"},
		{Event{Time: 999_999_500},
			"          <idle>-0       [000] b..11     1.000000: bpf_trace_printk: \n"},
		{Event{PID: 12345678, CPU: 1000, Time: 1_700_000_000_000_001_000, Text: []byte("x")},
			"           <...>-12345678 [1000] b..11 1700000000.000001: bpf_trace_printk: x\n"},
	} {
		var out bytes.Buffer
		c.e.Kind = Printk
		NewPipe(&out).Event(&c.e)
		if out.String() != c.want {
			t.Errorf("got  %q\nwant %q", out.String(), c.want)
		}
	}
}

func TestHops(t *testing.T) {
	var out bytes.Buffer
	h := NewHops(&out)
	h.Event(&Event{Kind: Printk, Text: []byte("not here")})
	h.Event(&Event{Kind: Hop, From: "a", Insn: 3, File: "./dir/x.c", Line: 7, Map: "m", Index: 1, To: "b", Taken: 1})
	h.Event(&Event{Kind: Miss, From: "b", Insn: 5, Map: "m", Index: 9, Reason: OutOfRange, Taken: 1})
	want := "a[3] x.c:7 -> m[1] -> b (1)\nb[5] -> m[9]: not taken, index out of range (1)\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	j := NewJSON(&out)
	j.Event(&Event{Kind: Printk, From: "a", Text: []byte("say \"hi\"\n\x01"), Time: 5})
	j.Event(&Event{Kind: Hop, From: "a", Map: "m", Index: 1, To: "b", Taken: 1})
	j.Event(&Event{Kind: Miss, From: "b", Map: "m", Reason: Limit, Taken: 33})
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	want := []map[string]any{
		{"kind": "printk", "from": "a", "text": "say \"hi\"\n\x01", "time": 5.0},
		{"kind": "hop", "map": "m", "index": 1.0, "to": "b", "taken": 1.0},
		{"kind": "miss", "map": "m", "reason": "limit of 33 reached", "taken": 33.0},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		for k, v := range want[i] {
			if got[k] != v {
				t.Errorf("line %d: %s = %v, want %v", i, k, got[k], v)
			}
		}
	}
	if bytes.Contains(lines[0], []byte("reason")) || bytes.Contains(lines[1], []byte("text")) {
		t.Error("a field of another kind is there")
	}
}

func TestTee(t *testing.T) {
	var a, b bytes.Buffer
	Tee(NewPipe(&a), NewJSON(&b)).Event(&Event{Kind: Printk})
	if a.Len() == 0 || b.Len() == 0 {
		t.Error("a sink got nothing")
	}
}

type broken struct{ n int }

func (b *broken) Write([]byte) (int, error) { b.n++; return 0, errors.New("disk full") }

func TestWriteError(t *testing.T) {
	w := &broken{}
	p := NewPipe(w)
	p.Event(&Event{Kind: Printk})
	p.Event(&Event{Kind: Printk})
	if p.Err() == nil || w.n != 1 {
		t.Errorf("err %v after %d writes, want the error of the only one", p.Err(), w.n)
	}
}

// Virtual CPUs report concurrently; lines stay whole.
func TestConcurrent(t *testing.T) {
	var out bytes.Buffer
	p := NewPipe(&out)
	var wg sync.WaitGroup
	for cpu := range 4 {
		wg.Go(func() {
			for range 100 {
				p.Event(&Event{Kind: Printk, CPU: cpu, Text: []byte("text")})
			}
		})
	}
	wg.Wait()
	for _, l := range bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n")) {
		if !bytes.HasSuffix(l, []byte(": bpf_trace_printk: text")) {
			t.Fatalf("torn line %q", l)
		}
	}
}
