package carom_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// jit loads a collection on the JIT and skips the test where that makes no machine code.
func jit(t *testing.T, s source, opts carom.Options) *carom.Collection {
	t.Helper()
	opts.Engine = carom.JIT
	coll, err := carom.NewCollection(s.spec(t), &opts)
	if errors.Is(err, carom.ErrUnsupported) {
		t.Skip(err)
	}
	check(t, err)
	t.Cleanup(func() { coll.Close() })
	for name, p := range coll.Programs {
		if p.Verified() && !p.Jited() {
			t.Fatalf("%s is verified and has no machine code", name)
		}
	}
	return coll
}

const toSlot0 = "r2 = map[slots] ll; r3 = 0; call bpf_tail_call; r0 = 1; exit"

// TestJITShortContext: a target that reads further than the context reaches is an error wherever in
// the chain it is.
func TestJITShortContext(t *testing.T) {
	coll := jit(t, source{
		typ:   ebpf.RawTracepoint,
		progs: map[string]string{"entry": toSlot0, "far": "r0 = *(u64 *)(r1 +16); exit"},
		maps:  map[string]*ebpf.MapSpec{"slots": progArray(1, "far")},
	}, carom.Options{})
	for _, name := range []string{"entry", "far"} {
		res := new(carom.Result)
		in := &carom.Input{Context: make([]byte, 24)}
		in.Context[16] = 9
		check(t, coll.Programs[name].RunInput(context.Background(), in, res))
		if res.Return != 9 {
			t.Errorf("%s: %d, want 9", name, res.Return)
		}
		in.Context = in.Context[:16]
		var re *carom.RuntimeError
		if err := coll.Programs[name].RunInput(context.Background(), in, res); !errors.As(err, &re) || re.Program != "far" || re.Insn != 0 {
			t.Errorf("%s with 16 bytes: %v; want an error of far, instruction 0", name, err)
		}
	}
}

// TestJITMixedChain: what an interpreted target returns goes where a compiled one's would, and the
// budget of tail calls is one.
func TestJITMixedChain(t *testing.T) {
	s := source{
		typ: ebpf.SchedCLS,
		progs: map[string]string{
			"entry": `
				r6 = 5
				call down
				r0 += r6
				exit
			func down (struct __sk_buff *ctx) int
				r6 = 77
				` + toSlot0,
			"again": toSlot0,
		},
		maps: map[string]*ebpf.MapSpec{"slots": progArray(1)},
	}
	coll := jit(t, s, carom.Options{})
	other := source{typ: ebpf.SchedCLS, progs: map[string]string{"target": "r6 = 3; r0 = 100; exit", "loop": toSlot0}, maps: s.maps}
	opts := &carom.Options{Engine: carom.Interpreter, MapReplacements: map[string]*carom.Map{"slots": coll.Maps["slots"]}}
	mixed := other.load(t, opts)
	for _, tt := range []struct {
		slot   *carom.Program
		want   uint64
		hops   int
		misses int
	}{
		{mixed.Programs["target"], 105, 1, 0},
		{mixed.Programs["loop"], 6, 33, 1},
		{coll.Programs["again"], 6, 33, 1},
		{coll.Programs["entry"], 1 + 34*5, 33, 1},
	} {
		check(t, coll.Maps["slots"].Put(uint32(0), tt.slot))
		for _, count := range []carom.Counting{carom.CountOff, carom.CountOn} {
			check(t, coll.SetCounting(count))
			res := new(carom.Result)
			check(t, coll.Programs["entry"].RunInput(context.Background(), &carom.Input{Data: make([]byte, 64)}, res))
			if res.Return != tt.want || res.TailCalls != tt.hops || res.Misses != tt.misses {
				t.Errorf("slot %s: %d with %d hops, %d misses; want %d with %d, %d", tt.slot.Name(),
					res.Return, res.TailCalls, res.Misses, tt.want, tt.hops, tt.misses)
			}
		}
	}
}

// TestJITEnds: a budget, a context, a helper and bpf_throw end a run wherever native code is.
func TestJITEnds(t *testing.T) {
	const forever = `
		r6 = 8000000
	loop:
		may_goto out
		r6 += 1
		goto loop
	out:
		r0 = 3
		exit`
	call := "call 65537; r0 = 7; exit"
	coll := jit(t, source{progs: map[string]string{
		"forever": forever, "helper": call,
		"nested": "call down; r0 = 8; exit; func down () int; " + call,
	}}, carom.Options{Helpers: []carom.Helper{{
		Proto: carom.Proto{ID: helperID, Name: "probe"}, UnwindOnZero: true, Func: func(*carom.Call) uint64 { return 0 },
	}}})
	in, res := &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
	for _, name := range []string{"helper", "nested"} {
		check(t, coll.Programs[name].RunInput(context.Background(), in, res))
		if res.Return != 0 || res.UnwoundBy != "probe" {
			t.Errorf("%s: %d, unwound by %q; want 0, probe", name, res.Return, res.UnwoundBy)
		}
	}
	check(t, coll.Programs["forever"].RunInput(context.Background(), in, res))
	if res.Return != 3 {
		t.Errorf("forever: %d, want 3 after 2^23 rounds", res.Return)
	}
	in.Budget = 1 << 20
	var re *carom.RuntimeError
	err := coll.Programs["forever"].RunInput(context.Background(), in, res)
	if !errors.As(err, &re) || re.Code != carom.CodeBudget || re.Program != "forever" {
		t.Errorf("with a budget: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
	defer cancel()
	<-ctx.Done()
	in.Budget = 0
	err = coll.Programs["forever"].RunInput(ctx, in, res)
	if !errors.As(err, &re) || re.Code != carom.CodeCanceled || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a context: %v", err)
	}
}

// TestJITAllocations: a run does not allocate, whatever native code leaves for.
func TestJITAllocations(t *testing.T) {
	coll := jit(t, busy(), carom.Options{CPUs: 1, CountEdges: carom.CountOn})
	cpu, err := coll.CPU(context.Background(), 0)
	check(t, err)
	defer cpu.Release()
	in, res := &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
	for name, p := range coll.Programs {
		check(t, coll.Maps["slots"].Put(uint32(0), p))
		if n := testing.AllocsPerRun(50, func() { check(t, cpu.Run(context.Background(), p, in, res)) }); n != 0 {
			t.Errorf("%s: %v allocations per run", name, n)
		}
	}
}
