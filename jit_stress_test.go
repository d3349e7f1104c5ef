package carom_test

import (
	"bytes"
	"context"
	"flag"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

var jitStress = flag.Duration("jit.stress", 2*time.Second, "how long TestJITBesideTheRuntime runs")

// busy is a collection whose programs loop, call each other, call Go and are called back by it.
// Each program returns its own number, or what the chain behind it returns.
func busy() source {
	hop := "r1 = r6\nr2 = map[slots] ll\nr3 = 0\ncall bpf_tail_call\n"
	return source{
		typ: ebpf.SchedCLS,
		progs: map[string]string{
			"loop": `
				r6 = r1
				r1 = 2000
				r2 = 0
			again:
				r2 += 3
				r2 ^= r1
				r1 -= 1
				if r1 != 0 goto again
				` + hop + `
				r0 = 7
				exit`,
			"helpers": `
				r6 = r1
				r7 = 50
			again:
				call bpf_ktime_get_ns
				call bpf_get_prandom_u32
				r7 -= 1
				if r7 != 0 goto again
				` + hop + `
				r0 = 7
				exit`,
			"callbacks": `
				r6 = r1
				*(u64 *)(r10 -8) = 0
				r1 = 100
				r2 = func[each] ll
				r3 = r10
				r3 += -8
				r4 = 0
				call bpf_loop
				if r0 != 100 goto bad
				r1 = *(u64 *)(r10 -8)
				if r1 != 4950 goto bad
				` + hop + `
				r0 = 7
				exit
			bad:
				r0 = 1
				exit
			func each (u64 i, void *p) int
				r8 = *(u64 *)(r2 +0)
				r8 += r1
				*(u64 *)(r2 +0) = r8
				r6 = 5
				r7 = 6
				r0 = 0
				exit`,
			"nested": `
				r6 = r1
				r7 = 3
				r8 = 4
				r9 = 5
				call down
				if r7 != 3 goto bad
				if r8 != 4 goto bad
				if r9 != 5 goto bad
				exit
			bad:
				r0 = 1
				exit
			func down (struct __sk_buff *ctx) int
				r6 = r1
				r7 = 8
				r8 = 9
				r9 = 10
				` + hop + `
				r0 = 7
				exit`,
		},
		maps: map[string]*ebpf.MapSpec{"slots": progArray(1)},
	}
}

// TestJITBesideTheRuntime runs machine code while the garbage collector, the profiler, preemption
// and allocation do what they can, and slots are swapped all the time.
func TestJITBesideTheRuntime(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	const cpus = 2
	names := []string{"loop", "helpers", "callbacks", "nested"}
	opts := &carom.Options{Engine: carom.JIT, CPUs: cpus, CountEdges: carom.CountOn}
	coll := busy().load(t, opts)
	interp := *opts
	interp.MapReplacements = map[string]*carom.Map{"slots": coll.Maps["slots"]}
	interp.Engine = carom.Interpreter
	interpreted := busy().load(t, &interp) // chains are mixed
	for _, name := range names {
		if !coll.Programs[name].Jited() {
			t.Skipf("%s has no machine code here", name)
		}
	}
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err == nil {
		defer pprof.StopCPUProfile()
	}
	var (
		stop       atomic.Bool
		runs, hops atomic.Int64
		work       sync.WaitGroup
	)
	for n := range cpus {
		work.Go(func() {
			cpu, err := coll.CPU(context.Background(), n)
			if err != nil {
				t.Error(err)
				return
			}
			defer cpu.Release()
			in, res := &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
			for i := 0; !stop.Load(); i++ {
				if err := deep(20*(i%8), func() error { return cpu.Run(context.Background(), coll.Programs[names[i%len(names)]], in, res) }); err != nil {
					t.Error(err)
					return
				}
				if res.Return != 7 {
					t.Errorf("%s returns %d, want 7", names[i%len(names)], res.Return)
					return
				}
				runs.Add(1)
				hops.Add(int64(res.TailCalls))
			}
		})
	}
	work.Go(func() { // slots
		for i := 0; !stop.Load(); i++ {
			p := coll.Programs[names[i%len(names)]]
			if i%3 == 0 {
				p = interpreted.Programs[names[i/3%len(names)]]
			}
			if err := coll.Maps["slots"].Put(uint32(0), p); err != nil {
				t.Error(err)
				return
			}
			if i%64 == 0 {
				runtime.Gosched()
			}
		}
	})
	work.Go(func() { // allocation
		var keep [64][]byte
		for i := 0; !stop.Load(); i++ {
			keep[i%len(keep)] = make([]byte, 1<<(i%14))
		}
		runtime.KeepAlive(keep)
	})
	longest := time.Duration(0)
	for end := time.Now().Add(*jitStress); time.Now().Before(end); {
		start := time.Now()
		runtime.GC()
		longest = max(longest, time.Since(start))
	}
	stop.Store(true)
	work.Wait()
	t.Logf("%d runs, %d hops; the longest collection took %v", runs.Load(), hops.Load(), longest)
	if hops.Load() == 0 {
		t.Error("nothing hopped")
	}
}

// deep calls f with so many frames below it, so that the stack of the goroutine grows and moves.
func deep(n int, f func() error) error {
	var room [256]byte
	if n == 0 {
		return f()
	}
	err := deep(n-1, f)
	runtime.KeepAlive(room)
	return err
}
