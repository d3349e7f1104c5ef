package corpus_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/kernel"
)

// chain is poke.o with target_1 in slot 0, so that entry returns 1 while the slot is filled.
func chain(t *testing.T, e carom.Engine) (*carom.Map, func() uint32) {
	t.Helper()
	if e.Name() == kernel.Name {
		if err := kernel.Available(); err != nil {
			t.Skip(err)
		}
	}
	spec, err := ebpf.LoadCollectionSpec(testdata + "/poke.o")
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = coll.Close() })
	m := coll.Maps["jmp_table"]
	if err := m.Put(uint32(0), coll.Programs["target_1"]); err != nil {
		t.Fatal(err)
	}
	return m, func() uint32 {
		ret, _, err := coll.Programs["entry"].Test(make([]byte, 54))
		if err != nil {
			t.Fatal(err)
		}
		return ret
	}
}

// stays runs often enough for a slot to be emptied in the background.
func stays(t *testing.T, run func() uint32, want uint32) {
	t.Helper()
	for range 2000 {
		if got := run(); got != want {
			t.Errorf("entry returns %d, want %d", got, want)
			return
		}
	}
}

// becomes waits for a value; Linux empties an array in the background.
func becomes(t *testing.T, run func() uint32, want uint32) {
	t.Helper()
	var got uint32
	for range 1000 {
		if got = run(); got == want {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("entry returns %d, want %d", got, want)
}

// The last reference of user space to a PROG_ARRAY takes its slots along, although the program
// that uses it is still there (kernel/bpf/syscall.c, bpf_map_put_uref).
func TestSlotsGoWithTheLastReference(t *testing.T) {
	for _, e := range caromtest.Engines() {
		t.Run(e.Name(), func(t *testing.T) {
			m, run := chain(t, e)
			dup, err := m.Clone()
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			stays(t, run, 1)
			if err := dup.Close(); err != nil {
				t.Fatal(err)
			}
			becomes(t, run, 0)
		})
	}
}

func TestPinKeepsSlots(t *testing.T) {
	for _, e := range caromtest.Engines() {
		t.Run(e.Name(), func(t *testing.T) {
			m, run := chain(t, e)
			path, unpin := pinPath(t, e)
			if err := errors.Join(m.Pin(path), m.Close()); err != nil {
				t.Fatal(err)
			}
			stays(t, run, 1)
			unpin()
			becomes(t, run, 0)
		})
	}
}

// pinPath is where an engine pins, and what removes the pin again.
func pinPath(t *testing.T, e carom.Engine) (string, func()) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "jmp_table")
	if e.Name() != kernel.Name {
		return path, func() {
			m, err := carom.LoadPinnedMap(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(m.Unpin(), m.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := unix.Mount("bpffs", dir, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return path, func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
