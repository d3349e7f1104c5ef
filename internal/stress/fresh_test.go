package stress

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// generation returns the number in a map of its own; its halves must match.
const generation = `
	*(u32 *)(r10 -4) = 0
	r2 = r10
	r2 += -4
	r1 = map[number] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto bad
	r1 = *(u64 *)(r0 +0)
	r0 = r1
	r0 >>= 32
	w1 = w1
	if r0 == r1 goto out
bad:
	r0 = 0
out:
	exit`

func spec(t testing.TB, text, m string, ms *ebpf.MapSpec) *ebpf.CollectionSpec {
	t.Helper()
	insns, err := asm.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	ms.Name = m
	return &ebpf.CollectionSpec{
		Maps:     map[string]*ebpf.MapSpec{m: ms},
		Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.XDP, Instructions: insns, License: "GPL"}},
	}
}

// TestFreshPrograms replaces a program by one that was just loaded, and closes everything of it
// but the slot. The replaced program, its map and their memory go as soon as no run can be in
// them; the next generation is likely to get the same memory.
func TestFreshPrograms(t *testing.T) {
	opts := &carom.Options{CPUs: *readers}
	entry := spec(t, entry, "slots", &ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	var targets []*ebpf.CollectionSpec
	for _, typ := range []ebpf.MapType{ebpf.Array, ebpf.Hash, ebpf.LRUHash} {
		targets = append(targets, spec(t, generation, "number", &ebpf.MapSpec{Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 1}))
	}
	coll, err := carom.NewCollection(entry, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	put := func(n uint64) error {
		fresh, err := carom.NewCollection(targets[n%uint64(len(targets))], opts)
		if err != nil {
			return err
		}
		defer fresh.Close()
		if err := fresh.Maps["number"].Put(uint32(0), n<<32|n); err != nil {
			return err
		}
		return coll.Maps["slots"].Put(uint32(0), fresh.Programs["p"])
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}

	var before, after, runs atomic.Uint64
	var stop atomic.Bool
	var wg sync.WaitGroup
	before.Store(1)
	after.Store(1)
	read := func() error {
		in, res := &carom.Input{Data: make([]byte, 64)}, &carom.Result{}
		for !stop.Load() {
			lowest := after.Load()
			if err := coll.Programs["p"].RunInput(context.Background(), in, res); err != nil {
				return err
			}
			runs.Add(1)
			if highest := before.Load(); res.Return < lowest || res.Return > highest || res.Misses != 0 {
				return fmt.Errorf("generation %d with %d misses, want one of %d to %d", res.Return, res.Misses, lowest, highest)
			}
		}
		return nil
	}
	for range *readers {
		wg.Go(func() {
			if err := read(); err != nil {
				t.Error(err)
				stop.Store(true)
			}
		})
	}
	for end := time.Now().Add(*duration / 2); time.Now().Before(end) && !stop.Load(); {
		n := before.Add(1)
		if err := put(n); err != nil {
			t.Error(err)
			break
		}
		after.Store(n)
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d generations, %d runs", after.Load(), runs.Load())
}
