package carom_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

const fallsThrough = 99 // what the entry of pair returns when its slot is empty

func runPair(t *testing.T, p *carom.Program, want uint32) {
	t.Helper()
	if v, _, err := p.Test(make([]byte, 64)); v != want || err != nil {
		t.Errorf("%d, %v; want %d", v, err, want)
	}
}

func collect() {
	for range 3 {
		runtime.GC()
	}
}

// TestGarbageCollection drops every handle but one without closing it. Slots must stay: they end
// at Close and unpin only.
func TestGarbageCollection(t *testing.T) {
	p := func() *carom.Program {
		coll, err := carom.NewCollection(pair().spec(t), nil)
		check(t, err)
		return coll.Programs["entry"]
	}()
	collect()
	runPair(t, p, 2)

	m, run := func() (*carom.Map, func() (uint64, error)) {
		coll, err := carom.NewCollection(pair().spec(t), &carom.Options{CPUs: 1})
		check(t, err)
		cpu, err := coll.CPU(context.Background(), 0)
		check(t, err)
		entry := coll.Programs["entry"]
		return coll.Maps["slots"], func() (uint64, error) {
			var res carom.Result
			err := cpu.Run(context.Background(), entry, &carom.Input{Data: make([]byte, 64)}, &res)
			return res.Return, err
		}
	}()
	collect()
	if v, err := run(); v != 2 || err != nil {
		t.Errorf("%d, %v; want 2", v, err)
	}
	var id uint32
	check(t, m.Lookup(uint32(0), &id))

	// A program that was put into another collection's slot outlives all its handles.
	user := pair().load(t, nil)
	func() {
		donor, err := carom.NewCollection(single("r0 = 55; exit").spec(t), nil)
		check(t, err)
		check(t, user.Maps["slots"].Put(uint32(0), donor.Programs["p"]))
	}()
	collect()
	runPair(t, user.Programs["entry"], 55)
}

// TestSlotKeepsProgram: a slot keeps a program, and what that uses, when its collection is closed.
func TestSlotKeepsProgram(t *testing.T) {
	user := pair().load(t, nil)
	donor := pair().load(t, nil)
	counter, err := donor.Maps["counter"].Clone()
	check(t, err)
	defer counter.Close()
	target := donor.Programs["target"]
	id := uint32(target.ID())
	check(t, user.Maps["slots"].Put(uint32(0), target))
	check(t, donor.Close())
	for range 3 {
		runPair(t, user.Programs["entry"], 2)
	}
	var n uint64
	check(t, counter.Lookup(uint32(0), &n))
	if n != 3 {
		t.Errorf("counter %d, want 3", n)
	}
	var got uint32
	check(t, user.Maps["slots"].Lookup(uint32(0), &got))
	if got != id {
		t.Errorf("id %d, want %d", got, id)
	}
	err = user.Maps["slots"].Put(uint32(1), donor.Programs["other"])
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed program: %v, want os.ErrClosed", err)
	}
}

// TestLastReferenceClears: the slots of a PROG_ARRAY are emptied when the last handle is closed
// or the last pin is gone, although programs still use the map.
func TestLastReferenceClears(t *testing.T) {
	t.Run("handles", func(t *testing.T) {
		coll := pair().load(t, nil)
		clone, err := coll.Maps["slots"].Clone()
		check(t, err)
		check(t, coll.Maps["slots"].Close())
		runPair(t, coll.Programs["entry"], 2)
		check(t, clone.Close())
		runPair(t, coll.Programs["entry"], fallsThrough)
	})
	t.Run("pin", func(t *testing.T) {
		coll := pair().load(t, nil)
		m := coll.Maps["slots"]
		check(t, m.Pin(t.Name()))
		if !m.IsPinned() {
			t.Error("not pinned")
		}
		if err := coll.Maps["counter"].Pin(t.Name()); !errors.Is(err, carom.Errno(17)) {
			t.Errorf("the name is taken: %v, want EEXIST", err)
		}
		check(t, m.Close())
		runPair(t, coll.Programs["entry"], 2)

		again, err := carom.LoadPinnedMap(t.Name())
		check(t, err)
		if again.Type() != ebpf.ProgramArray || again.ID() != m.ID() {
			t.Errorf("%s %d, want the map that was pinned", again.Type(), again.ID())
		}
		check(t, again.Unpin())
		runPair(t, coll.Programs["entry"], 2)
		check(t, again.Close())
		runPair(t, coll.Programs["entry"], fallsThrough)
		if _, err := carom.LoadPinnedMap(t.Name()); !errors.Is(err, carom.Errno(2)) {
			t.Errorf("after unpin: %v, want ENOENT", err)
		}
	})
	t.Run("pin of a closed collection", func(t *testing.T) {
		coll := pair().load(t, nil)
		check(t, coll.Maps["slots"].Pin(t.Name()))
		check(t, coll.Close())
		m, err := carom.LoadPinnedMap(t.Name())
		check(t, err)
		defer m.Close()
		defer m.Unpin()
		second := source{progs: pair().progs, maps: pair().maps}
		second.maps["slots"] = progArray(2)
		user := second.load(t, &carom.Options{MapReplacements: map[string]*carom.Map{"slots": m}})
		runPair(t, user.Programs["entry"], 2)
	})
	t.Run("reuse", func(t *testing.T) {
		coll := pair().load(t, nil)
		check(t, coll.Maps["slots"].Delete(uint32(0)))
		if err := coll.Maps["slots"].Delete(uint32(0)); !errors.Is(err, ebpf.ErrKeyNotExist) {
			t.Errorf("delete again: %v", err)
		}
		runPair(t, coll.Programs["entry"], fallsThrough)
		check(t, coll.Maps["slots"].Put(uint32(0), coll.Programs["other"]))
		runPair(t, coll.Programs["entry"], 7)
	})
}

// TestCycle has a program in the array that it uses. Closing the collection frees both: with so
// many of them, memory would run out otherwise.
func TestCycle(t *testing.T) {
	for range 300 {
		coll, err := carom.NewCollection(chain(constantIndex).spec(t), &carom.Options{CPUs: 1})
		check(t, err)
		check(t, coll.Close())
	}
}

func TestProgArrayErrors(t *testing.T) {
	coll := pair().load(t, &carom.Options{CPUs: 2})
	m := coll.Maps["slots"]
	for name, c := range map[string]struct {
		err   error
		errno carom.Errno
	}{
		"index":   {m.Put(uint32(2), coll.Programs["other"]), 7},
		"NOEXIST": {m.Update(uint32(1), coll.Programs["other"], ebpf.UpdateNoExist), 22},
		"number":  {m.Put(uint32(0), uint32(1)), 9},
		"delete":  {m.Delete(uint32(2)), 7},
		"lookup":  {m.Lookup(uint32(2), new(uint32)), 2},
		"array":   {coll.Maps["counter"].Put(uint32(0), coll.Programs["other"]), 22},
	} {
		if !errors.Is(c.err, c.errno) {
			t.Errorf("%s: %v, want %v", name, c.err, c.errno)
		}
	}
	refused(t, m.Put(uint32(0), (*carom.Program)(nil)), "map slots", "nil")
	tc := source{typ: ebpf.SchedCLS, progs: map[string]string{"p": "r0 = 0; exit"}}.load(t, &carom.Options{CPUs: 2})
	err := m.Put(uint32(1), tc.Programs["p"])
	oe := new(carom.OwnerError)
	if !errors.As(err, &oe) || oe.Map != "slots" || oe.Slot != 1 || oe.Prog != "p" || oe.Diffs[0] != (carom.OwnerDiff{Field: "program type", Have: "SchedCLS", Want: "XDP"}) {
		t.Errorf("%v, want an OwnerError about the program type", err)
	}
	other := single("r0 = 0; exit").load(t, &carom.Options{CPUs: 3})
	refused(t, m.Put(uint32(1), other.Programs["p"]), "program p", "3 virtual CPUs", "Options.CPUs")
}

func TestClosedCollection(t *testing.T) {
	coll := pair().load(t, &carom.Options{CPUs: 1})
	p, m := coll.Programs["entry"], coll.Maps["counter"]
	cpu, err := coll.CPU(context.Background(), 0)
	check(t, err)
	// A reserved virtual CPU does not hold Close up.
	check(t, coll.Close())
	check(t, coll.Close())
	if _, _, err := p.Test(make([]byte, 64)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("run: %v, want os.ErrClosed", err)
	}
	if err := cpu.Run(context.Background(), p, &carom.Input{Data: make([]byte, 64)}, new(carom.Result)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("run on a reserved CPU: %v, want os.ErrClosed", err)
	}
	cpu.Release()
	if err := m.Put(uint32(0), uint64(1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("put: %v, want os.ErrClosed", err)
	}
	for name, err := range map[string]error{
		"CPU":         func() error { _, err := coll.CPU(context.Background(), 0); return err }(),
		"SetSink":     coll.SetSink(nil),
		"SetCounting": coll.SetCounting(carom.CountOn),
		"Edges":       func() error { _, err := coll.Edges(); return err }(),
	} {
		if !errors.Is(err, carom.ErrClosed) {
			t.Errorf("%s of a closed collection: %v, want ErrClosed", name, err)
		}
	}
	if err := (*carom.Collection)(nil).Close(); err != nil {
		t.Error(err)
	}
}
