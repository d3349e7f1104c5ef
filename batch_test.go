package carom_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/linux"
)

// rewrite changes the packet, its length and the context, counts in a per-CPU array and returns a
// byte of the packet.
const rewrite = `
	r6 = r1
	r2 = -4
	call bpf_xdp_adjust_head
	r2 = *(u32 *)(r6 +0)
	r3 = *(u32 *)(r6 +4)
	r7 = 1
	r4 = r2
	r4 += 20
	if r4 > r3 goto out
	r7 = *(u8 *)(r2 +18)
	*(u32 *)(r2 +0) = 67305985
	*(u32 *)(r10 -4) = 0
	r2 = r10
	r2 += -4
	r1 = map[numbers] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	r1 = *(u64 *)(r0 +0)
	r1 += 1
	*(u64 *)(r0 +0) = r1
	r7 += r1
out:
	r0 = r7
	exit`

func batchEngines() []carom.Engine {
	engines := []carom.Engine{carom.Interpreter}
	if coll, err := carom.NewCollection(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"a": array(8, 1)}},
		&carom.Options{Engine: carom.JIT, CPUs: 1}); err == nil {
		_ = coll.Close()
		engines = append(engines, carom.JIT)
	}
	return engines
}

// A batch gives what single runs in the same order give.
func TestBatchEqualsSingleRuns(t *testing.T) {
	s := single(rewrite)
	s.maps = map[string]*ebpf.MapSpec{"numbers": {Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}}
	var in []carom.Input
	for i := range 50 {
		data := bytes.Repeat([]byte{byte(i)}, 14+i)
		meta := 0
		if i%7 == 0 { // with metadata before the packet
			data, meta = append([]byte{9, 8, 7, 6}, data...), 4
		}
		in = append(in, carom.Input{Data: data})
		if i%2 == 0 || meta > 0 {
			md := make([]byte, 24)
			md[0], md[4] = byte(meta), byte(len(data))
			in[i].Context, in[i].ContextOut = md, true
		}
	}
	for _, e := range batchEngines() {
		t.Run(e.Name(), func(t *testing.T) {
			ctx := context.Background()
			one, many := s.load(t, &carom.Options{Engine: e}), s.load(t, &carom.Options{Engine: e})
			c1, err := one.CPU(ctx, 0)
			check(t, err)
			defer c1.Release()
			c2, err := many.CPU(ctx, 0)
			check(t, err)
			defer c2.Release()
			want, got := make([]carom.Result, len(in)), make([]carom.Result, len(in))
			for i := range in {
				check(t, c1.Run(ctx, one.Programs["p"], &in[i], &want[i]))
			}
			n, err := c2.RunBatch(ctx, many.Programs["p"], in, got)
			check(t, err)
			if n != len(in) {
				t.Fatalf("%d runs, want %d", n, len(in))
			}
			for i := range in {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("input %d: %+v, alone %+v", i, got[i], want[i])
				}
			}
			// Its byte 14 is 48, and 47 packets were long enough to be counted.
			last := got[48]
			if last.Return != 48+47 || len(last.Data) != 14+48+4 || !bytes.HasPrefix(last.Data, []byte{1, 2, 3, 4}) || len(last.Context) != 24 {
				t.Errorf("the last packet gives %d and % x", last.Return, last.Data)
			}
		})
	}
}

func TestBatchStopsAtError(t *testing.T) {
	for _, e := range batchEngines() {
		coll := single("r0 = *(u32 *)(r1 +4); r2 = *(u32 *)(r1 +0); r0 -= r2; exit").load(t, &carom.Options{Engine: e, Verify: carom.VerifySkip})
		cpu, err := coll.CPU(context.Background(), 0)
		check(t, err)
		defer cpu.Release()
		in := []carom.Input{{Data: make([]byte, 20)}, {Data: make([]byte, 13)}, {Data: make([]byte, 30), DiscardData: true}}
		res := make([]carom.Result, 3)
		n, err := cpu.RunBatch(context.Background(), coll.Programs["p"], in, res)
		if n != 1 || !errors.Is(err, linux.EINVAL) {
			t.Errorf("%s: %d runs, %v; want 1 and an error for 13 bytes", e.Name(), n, err)
		}
		n, err = cpu.RunBatch(context.Background(), coll.Programs["p"], in[2:], res[2:])
		if n != 1 || err != nil || res[0].Return != 20 || res[2].Return != 30 || len(res[2].Data) != 0 {
			t.Errorf("%s: %d runs, %v, %+v", e.Name(), n, err, res)
		}
		if n, err := cpu.RunBatch(context.Background(), coll.Programs["p"], in, res[:2]); n != 0 || err == nil {
			t.Errorf("%s: too few results: %d, %v", e.Name(), n, err)
		}
	}
}

func TestBatchDoesNotAllocate(t *testing.T) {
	for _, e := range batchEngines() {
		coll := single(parseHeaders).load(t, &carom.Options{Engine: e, CountEdges: carom.CountOn})
		cpu, err := coll.CPU(context.Background(), 0)
		check(t, err)
		defer cpu.Release()
		in, res := make([]carom.Input, 16), make([]carom.Result, 16)
		for i := range in {
			in[i].Data = packet54()
		}
		run := func() {
			if _, err := cpu.RunBatch(context.Background(), coll.Programs["p"], in, res); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("%s: %v allocations", e.Name(), n)
		}
	}
}

// A batch is many packets through one program; the results belong to the caller.
func ExampleCPU_RunBatch() {
	spec, err := ebpf.LoadCollectionSpec("examples/xdp-dispatch/xdp_dispatch.o")
	if err != nil {
		fmt.Println(err)
		return
	}
	coll, err := carom.NewCollection(spec, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer coll.Close()
	ctx := context.Background()
	cpu, err := coll.CPU(ctx, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cpu.Release()

	in, res := make([]carom.Input, 3), make([]carom.Result, 3)
	for i := range in {
		in[i] = carom.Input{Data: make([]byte, 60), DiscardData: true} // verdicts are enough
	}
	n, err := cpu.RunBatch(ctx, coll.Programs["xdp_dispatch"], in, res)
	fmt.Println(n, err, res[0].Return, res[1].Return, res[2].Return)
	// Output: 3 <nil> 2 2 2
}
