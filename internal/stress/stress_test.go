// Package stress runs programs that check what they read while user space changes it. The race
// detector does not see the memory that programs work on, so the values prove themselves: they
// consist of parts that must match, and the programs of a slot have a generation number.
//
//	go test ./internal/stress -stress.time=60s
//	go test ./internal/stress -run Broken -stress.broken
package stress

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carom-bpf/carom"
)

var (
	duration = flag.Duration("stress.time", time.Second, "how long the stress test runs")
	readers  = flag.Int("stress.readers", 2, "virtual CPUs that run reading programs")
)

// updater changes maps and slots. Values are made so that readers can check them.
type updater interface {
	array(key, n uint32) error
	hash(m string, key, n uint32) error
	slot(slot, generation int) error
}

// puts is how user space updates: one Put each.
type puts struct{ coll *carom.Collection }

func (u puts) array(key, n uint32) error {
	return u.coll.Maps["array"].Put(key, uint64(n)<<32|uint64(n))
}

func (u puts) hash(m string, key, n uint32) error {
	v := uint64(n) * 0x9e3779b97f4a7c15
	return u.coll.Maps[m].Put(key, [4]uint64{v, v, v, v})
}

func (u puts) slot(slot, generation int) error {
	return u.coll.Maps["slots"].Put(uint32(slot), u.coll.Programs[stageName(slot, generation)])
}

// counts is what the readers found, by what they read.
type counts struct {
	runs, torn, empty, stale atomic.Uint64
}

type harness struct {
	coll    *carom.Collection
	up      updater
	by      map[string]*counts // read_array, read_hash, read_lru, entry
	swaps   atomic.Uint64      // replacements of programs
	updates atomic.Uint64      // of values
	// before and after count the replacements of each slot, before and after they are made.
	before, after [slots]atomic.Uint64

	stop atomic.Bool
	errs chan error
	wg   sync.WaitGroup
}

var readingPrograms = []string{"read_array", "read_hash", "read_lru", "entry"}

// turns is the order of a reader; a chain is short, so that it comes more often.
var turns = slices.Concat(readingPrograms, slices.Repeat([]string{"entry"}, 12))

// stress runs readers and one updater for d, or until enough says that it has seen what it waits
// for. The maps are full and the slots taken when readers start.
func stress(t *testing.T, d time.Duration, broken func(*carom.Collection) updater, enough func(*harness) bool) *harness {
	t.Helper()
	coll := load(t, *readers+1)
	good := puts{coll}
	h := &harness{coll: coll, up: good, by: map[string]*counts{}, errs: make(chan error, *readers+1)}
	for _, name := range readingPrograms {
		h.by[name] = &counts{}
	}
	for i := range uint32(keys) {
		h.must(t, good.array(i, 0), good.hash("hash", i, 0), good.hash("lru", i, 0))
	}
	for s := range slots {
		h.must(t, good.slot(s, 0))
	}
	if broken != nil {
		h.up = broken(coll)
	}
	for n := range *readers {
		h.wg.Go(func() { h.fail(h.read(n)) })
	}
	h.wg.Go(func() { h.fail(h.update()) })
	for end := time.Now().Add(d); time.Now().Before(end) && !h.stop.Load(); {
		time.Sleep(10 * time.Millisecond)
		if enough != nil && enough(h) {
			break
		}
	}
	h.stop.Store(true)
	h.wg.Wait()
	close(h.errs)
	for err := range h.errs {
		t.Error(err)
	}
	return h
}

func (h *harness) must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (h *harness) fail(err error) {
	if err != nil {
		h.errs <- err
		h.stop.Store(true)
	}
}

// read runs the reading programs in turn on one virtual CPU.
func (h *harness) read(cpuNumber int) error {
	ctx := context.Background()
	cpu, err := h.coll.CPU(ctx, cpuNumber)
	if err != nil {
		return err
	}
	defer cpu.Release()
	in, res := &carom.Input{Data: make([]byte, 64)}, &carom.Result{}
	for !h.stop.Load() {
		for _, name := range turns {
			var lowest [slots]uint64
			for s := range lowest {
				lowest[s] = h.after[s].Load()
			}
			if err := cpu.Run(ctx, h.coll.Programs[name], in, res); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			c := h.by[name]
			c.runs.Add(1)
			c.torn.Add(res.Return % emptyOne / tornOne)
			c.empty.Add(res.Return / emptyOne)
			if name == "entry" && res.Return == 0 {
				h.checkGenerations(c, &lowest, res.Data)
			}
		}
	}
	return nil
}

// checkGenerations compares the programs that a chain met with those that were in the slots
// between its start and its end.
func (h *harness) checkGenerations(c *counts, lowest *[slots]uint64, packet []byte) {
	for s := range slots {
		first, last := lowest[s], h.before[s].Load()
		if last-first >= generations {
			continue // every generation was there
		}
		seen := uint64(packet[s])
		// The distance from the oldest that it may be, in the circle of generations.
		if (seen+generations-first%generations)%generations > last-first {
			c.stale.Add(1)
		}
	}
}

// update changes everything in turn.
func (h *harness) update() error {
	for n := uint32(1); !h.stop.Load(); n++ {
		key := n % keys
		for _, err := range []error{h.up.array(key, n), h.up.hash("hash", key, n), h.up.hash("lru", key, n)} {
			if err != nil {
				return err
			}
		}
		h.updates.Add(3)
		s := int(n % slots)
		next := h.before[s].Add(1)
		if err := h.up.slot(s, int(next%generations)); err != nil {
			return err
		}
		h.after[s].Store(next)
		h.swaps.Add(1)
	}
	return nil
}

func (h *harness) report() string {
	s := fmt.Sprintf("%d slot replacements, %d value updates", h.swaps.Load(), h.updates.Load())
	for _, name := range readingPrograms {
		c := h.by[name]
		s += fmt.Sprintf("; %s: %d runs, %d torn, %d empty, %d stale", name, c.runs.Load(), c.torn.Load(), c.empty.Load(), c.stale.Load())
	}
	return s
}

// TestStress finds nothing wrong. In a minute it replaces programs more than a million times.
func TestStress(t *testing.T) {
	h := stress(t, *duration, nil, nil)
	t.Log(h.report())
	for name, c := range h.by {
		if c.torn.Load() != 0 || c.empty.Load() != 0 || c.stale.Load() != 0 {
			t.Errorf("%s: %d torn, %d empty, %d stale of %d runs", name, c.torn.Load(), c.empty.Load(), c.stale.Load(), c.runs.Load())
		}
		if c.runs.Load() == 0 {
			t.Errorf("%s did not run", name)
		}
	}
	if n := h.swaps.Load(); *duration >= time.Minute && n < 1_000_000 {
		t.Errorf("%d replacements in %s, want a million", n, *duration)
	}
}
