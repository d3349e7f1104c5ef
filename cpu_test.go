package carom_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/trace"
)

// helperID is a number that Linux does not use.
const helperID = 0x10001

// probe is a helper without arguments.
func probe(f func(*carom.Call) uint64) carom.Helper {
	return carom.Helper{Proto: carom.Proto{ID: helperID, Name: "probe"}, Func: f}
}

func TestLowestFreeCPU(t *testing.T) {
	coll := single("call bpf_get_smp_processor_id; exit").load(t, &carom.Options{CPUs: 3})
	p := coll.Programs["p"]
	on := func() uint32 {
		t.Helper()
		var res carom.Result
		check(t, p.RunInput(context.Background(), &carom.Input{Data: make([]byte, 64)}, &res))
		if int(res.Return) != res.CPU {
			t.Errorf("the program sees CPU %d, the result says %d", res.Return, res.CPU)
		}
		return uint32(res.Return)
	}
	pin := func(n int) *carom.CPU {
		t.Helper()
		c, err := coll.CPU(context.Background(), n)
		check(t, err)
		if c.Number() != n {
			t.Errorf("CPU %d, want %d", c.Number(), n)
		}
		return c
	}
	if n := on(); n != 0 {
		t.Errorf("ran on %d, want 0", n)
	}
	c0, c1 := pin(0), pin(1)
	if n := on(); n != 2 {
		t.Errorf("ran on %d, want 2", n)
	}
	c0.Release()
	if n := on(); n != 0 {
		t.Errorf("ran on %d, want 0", n)
	}
	c1.Release()
	c1.Release() // again: nothing happens
	pin(1).Release()
	for _, n := range []int{-1, 3} {
		_, err := coll.CPU(context.Background(), n)
		refused(t, err, "virtual CPU", "has 3")
	}
}

func TestWaitForCPU(t *testing.T) {
	coll := single("r0 = 2; exit").load(t, &carom.Options{CPUs: 1})
	p := coll.Programs["p"]
	cpu, err := coll.CPU(context.Background(), 0)
	check(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.RunInput(ctx, &carom.Input{Data: make([]byte, 64)}, new(carom.Result)); !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v, want context.Canceled", err)
	}
	if _, err := coll.CPU(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("CPU: %v, want context.Canceled", err)
	}
	done := make(chan error)
	go func() {
		done <- p.RunInput(context.Background(), &carom.Input{Data: make([]byte, 64)}, new(carom.Result))
	}()
	select {
	case err := <-done:
		t.Errorf("ran on a CPU that is taken: %v", err)
	case <-time.After(time.Millisecond):
	}
	// What concerns the collection does not wait for a reserved CPU.
	check(t, coll.SetCounting(carom.CountOn))
	check(t, coll.SetSink(trace.SinkFunc(func(*trace.Event) {})))
	if _, err := coll.Edges(); err != nil {
		t.Error(err)
	}
	cpu.Release()
	check(t, <-done)
	// Who waits when the collection is closed gets an error.
	cpu, err = coll.CPU(context.Background(), 0)
	check(t, err)
	go func() {
		done <- p.RunInput(context.Background(), &carom.Input{Data: make([]byte, 64)}, new(carom.Result))
	}()
	check(t, coll.Close())
	if err := <-done; err == nil {
		t.Error("a run on a closed collection")
	}
	cpu.Release()
}

// TestRunInsideRun calls back into carom from a helper.
func TestRunInsideRun(t *testing.T) {
	var coll *carom.Collection
	var cpu *carom.CPU
	var own, other error
	var inner carom.Result
	coll = source{progs: map[string]string{
		"p":    "call 65537; r0 = 2; exit",
		"leaf": "call bpf_get_smp_processor_id; r0 += 40; exit",
	}}.load(t, &carom.Options{CPUs: 2, Helpers: []carom.Helper{probe(func(*carom.Call) uint64 {
		in := &carom.Input{Data: make([]byte, 64)}
		own = cpu.Run(context.Background(), coll.Programs["leaf"], in, new(carom.Result))
		other = coll.Programs["leaf"].RunInput(context.Background(), in, &inner)
		return 0
	})}})
	cpu, err := coll.CPU(context.Background(), 0)
	check(t, err)
	defer cpu.Release()
	var res carom.Result
	check(t, cpu.Run(context.Background(), coll.Programs["p"], &carom.Input{Data: make([]byte, 64)}, &res))
	re := new(carom.RuntimeError)
	if !errors.As(own, &re) || re.Code != carom.CodeBusy {
		t.Errorf("on its own CPU: %v, want CodeBusy", own)
	}
	if other != nil || inner.Return != 41 {
		t.Errorf("on another CPU: %d, %v; want 41", inner.Return, other)
	}
	if res.Return != 2 {
		t.Errorf("the outer run returns %d, want 2", res.Return)
	}
}

func TestForeignCPU(t *testing.T) {
	a, b := single("r0 = 1; exit").load(t, nil), single("r0 = 2; exit").load(t, nil)
	cpu, err := a.CPU(context.Background(), 0)
	check(t, err)
	defer cpu.Release()
	err = cpu.Run(context.Background(), b.Programs["p"], &carom.Input{Data: make([]byte, 64)}, new(carom.Result))
	refused(t, err, "program p", "not of the collection")
}

// TestHelpers sees what a helper gets and can reach.
func TestHelpers(t *testing.T) {
	var args [5]uint64
	var text string
	coll := single(`
		r1 = 0x6968
		*(u16 *)(r10 -8) = r1
		r1 = r10
		r1 += -8
		r2 = 2
		r3 = 3
		r4 = 4
		r5 = 5
		call 65537
		exit`).load(t, &carom.Options{Helpers: []carom.Helper{probe(func(c *carom.Call) uint64 {
		args = c.Args
		if b, ok := c.Bytes(c.Args[0], c.Args[1]); ok {
			text = string(b)
		}
		return 77
	})}})
	if v, _, err := coll.Programs["p"].Test(make([]byte, 64)); v != 77 || err != nil {
		t.Errorf("%d, %v; want 77", v, err)
	}
	if text != "hi" || !slices.Equal(args[1:], []uint64{2, 3, 4, 5}) {
		t.Errorf("%q, %v", text, args)
	}
}

// TestHelperChecksMemory ends the run when a helper reads what the program may not.
func TestHelperChecksMemory(t *testing.T) {
	coll := single("r1 = 0; call 65537; exit").load(t, &carom.Options{Helpers: []carom.Helper{probe(func(c *carom.Call) uint64 {
		if _, ok := c.Bytes(c.Args[0], 8); ok {
			t.Error("NULL is readable")
		}
		return 0
	})}})
	if re := runtimeError(t, coll, nil); re.Code != carom.CodeAccess || re.Insn != 1 {
		t.Errorf("%v", re)
	}
}

// TestUnwind ends a run two subprograms deep when the helper returns 0, and goes on otherwise.
func TestUnwind(t *testing.T) {
	h := probe(func(c *carom.Call) uint64 { return c.Args[0] })
	h.UnwindOnZero = true
	coll := source{progs: map[string]string{
		"accepted": "r1 = 0; call f; r0 = 5; exit\nfunc f\ncall g; r0 = 6; exit\nfunc g\ncall 65537; r0 = 7; exit",
		"refused":  "r1 = 8; call f; r0 += 1; exit\nfunc f\ncall g; r0 += 1; exit\nfunc g\ncall 65537; exit",
	}}.load(t, &carom.Options{Helpers: []carom.Helper{h}})
	for name, want := range map[string]struct {
		value uint64
		by    string
	}{"accepted": {0, "probe"}, "refused": {10, ""}} {
		var res carom.Result
		check(t, coll.Programs[name].RunInput(context.Background(), &carom.Input{Data: make([]byte, 64)}, &res))
		if res.Return != want.value || res.UnwoundBy != want.by {
			t.Errorf("%s: %d by %q, want %d by %q", name, res.Return, res.UnwoundBy, want.value, want.by)
		}
	}
}

// TestNoAllocations runs with a Result that has room.
func TestNoAllocations(t *testing.T) {
	for name, s := range map[string]source{
		"chain": chain(constantIndex), "variable chain": chain(variableIndex), "xdp": single(parseHeaders),
	} {
		t.Run(name, func(t *testing.T) {
			for _, opts := range []*carom.Options{{}, {CountEdges: carom.CountOn}} {
				coll := s.load(t, opts)
				ctx, in, res := context.Background(), &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
				p := coll.Programs["p"]
				run := func() {
					if err := p.RunInput(ctx, in, res); err != nil {
						t.Fatal(err)
					}
				}
				run()
				if n := testing.AllocsPerRun(100, run); n != 0 {
					t.Errorf("%v allocations per run, want 0", n)
				}
			}
		})
	}
}

// TestConcurrent runs chains from many goroutines on few virtual CPUs while slots are swapped,
// counters are read and the sink is changed.
func TestConcurrent(t *testing.T) {
	const workers, runs = 16, 200
	coll := source{
		progs: map[string]string{
			"entry": hopText,
			"a":     "r2 = map[slots] ll; r3 = 1; call bpf_tail_call; r0 = 99; exit",
			"b":     "r0 = 0; r2 = map[slots] ll; r3 = 1; call bpf_tail_call; r0 = 99; exit",
			"c":     counterText, "d": counterText,
		},
		maps: map[string]*ebpf.MapSpec{
			"slots": progArray(2, "a", "c"), "counter": mapSpec(ebpf.PerCPUArray, 4, 8, 1),
		},
	}.load(t, &carom.Options{CPUs: 3, CountEdges: carom.CountOn})

	var stop atomic.Bool
	var background, foreground sync.WaitGroup
	background.Go(func() {
		for i := 0; !stop.Load(); i++ {
			for slot, names := range [][]string{{"a", "b"}, {"c", "d"}} {
				if err := coll.Maps["slots"].Put(uint32(slot), coll.Programs[names[i%2]]); err != nil {
					t.Error(err)
				}
			}
		}
	})
	background.Go(func() {
		for !stop.Load() {
			if _, err := coll.Edges(); err != nil {
				t.Error(err)
			}
			if err := coll.SetSink(trace.SinkFunc(func(e *trace.Event) {
				if e.Kind == trace.Miss {
					t.Errorf("missed: %s", e.Reason)
				}
			})); err != nil {
				t.Error(err)
			}
			if err := coll.SetSink(nil); err != nil {
				t.Error(err)
			}
		}
	})
	for range workers {
		foreground.Go(func() {
			in, res := &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
			for range runs {
				if err := coll.Programs["entry"].RunInput(context.Background(), in, res); err != nil || res.Return != 2 || res.TailCalls != 2 {
					t.Errorf("%d after %d hops, %v; want 2 after 2", res.Return, res.TailCalls, err)
					return
				}
			}
		})
	}
	foreground.Wait()
	stop.Store(true)
	background.Wait()

	// No run was lost: each virtual CPU counted its own.
	var perCPU []uint64
	check(t, coll.Maps["counter"].Lookup(uint32(0), &perCPU))
	sum := uint64(0)
	for _, n := range perCPU {
		sum += n
	}
	if sum != workers*runs {
		t.Errorf("%v: %d runs counted, want %d", perCPU, sum, workers*runs)
	}
	edges, err := coll.Edges()
	check(t, err)
	hops := uint64(0)
	for _, e := range edges {
		if e.Reason != trace.Taken {
			t.Errorf("%s -> %s[%d]: %s %d times", e.From, e.Map, e.Index, e.Reason, e.Count)
		}
		hops += e.Count
	}
	if hops != 2*workers*runs {
		t.Errorf("%d hops counted, want %d", hops, 2*workers*runs)
	}
}
