package kernel_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// bpffsDir mounts a bpffs for the test. At its end nothing may be in it.
func bpffsDir(t *testing.T) string {
	t.Helper()
	needKernel(t)
	dir := t.TempDir()
	if err := unix.Mount("bpffs", dir, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	t.Cleanup(func() {
		if left := filesIn(t, dir); len(left) > 0 {
			t.Errorf("left on bpffs: %v", left)
		}
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// filesIn lists what is in a bpffs, without the files that it comes with.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "maps.debug" && e.Name() != "progs.debug" {
			names = append(names, e.Name())
		}
	}
	return names
}

// chainSpec is a program that returns 1, or 7 through slot 0 of a table.
func chainSpec(t *testing.T) *ebpf.CollectionSpec {
	t.Helper()
	return &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"table": {Name: "table", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
			".data": {Name: ".data", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		},
		Programs: map[string]*ebpf.ProgramSpec{
			"entry": program(t, ebpf.SchedCLS, "r2 = map[table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit"),
			"leaf":  program(t, ebpf.SchedCLS, "r0 = 7\nexit"),
		},
	}
}

func result(t *testing.T, p interface {
	Test([]byte) (uint32, []byte, error)
}) uint32 {
	t.Helper()
	ret, _, err := p.Test(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	return ret
}

// A chain that is pinned as a whole outlives its handles with its slots; a pinned program alone
// loses them.
func TestPinKeepsSlots(t *testing.T) {
	dir := filepath.Join(bpffsDir(t), "new", "chain")
	coll := load(t, chainSpec(t), carom.Options{})
	if err := coll.Maps["table"].Put(uint32(0), coll.Programs["leaf"]); err != nil {
		t.Fatal(err)
	}
	if err := coll.Pin(dir); err != nil {
		t.Fatal(err)
	}
	if got, want := filesIn(t, dir), []string{"_data", "entry", "leaf", "table"}; !reflect.DeepEqual(got, want) {
		t.Errorf("pinned %v, want %v", got, want)
	}
	if !coll.Maps["table"].IsPinned() || !coll.Programs["entry"].IsPinned() {
		t.Error("the handles do not know of their pins")
	}
	if err := coll.Pin(dir + "2"); !errors.Is(err, os.ErrExist) {
		t.Errorf("pinned twice: %v", err)
	}
	if found, err := kernel.Unheld(coll); err != nil || len(found) != 0 {
		t.Errorf("unheld %v (%v)", found, err)
	}
	if err := coll.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := ebpf.LoadPinnedProgram(filepath.Join(dir, "entry"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 50 { // an array without users is emptied later, by a worker
		if ret := result(t, p); ret != 7 {
			t.Fatalf("the chain returns %d after Close, want 7", ret)
		}
		time.Sleep(time.Millisecond)
	}
	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	// Without the pin of the table, entry goes on and falls through.
	for end := time.Now().Add(10 * time.Second); result(t, p) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the array keeps its slots without a pin")
		}
	}
}

func TestUnpin(t *testing.T) {
	root := bpffsDir(t)
	coll := load(t, chainSpec(t), carom.Options{})
	if err := coll.Unpin(); err != nil {
		t.Errorf("unpin without pins: %v", err)
	}
	if err := coll.Maps["table"].Pin(filepath.Join(root, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := coll.Pin(filepath.Join(root, "a", "b")); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(root, "a", "b", "leaf")); err != nil { // by somebody else
			t.Error(err)
		}
		if err := coll.Unpin(); err != nil {
			t.Fatal(err)
		}
		if got := filesIn(t, root); !reflect.DeepEqual(got, []string{"elsewhere"}) {
			t.Errorf("after Unpin there are %v, want the pin that was there before", got)
		}
	}
	if coll.Programs["entry"].IsPinned() || !coll.Maps["table"].IsPinned() {
		t.Error("the handles do not know of their pins")
	}
	if err := coll.Maps["table"].Unpin(); err != nil {
		t.Error(err)
	}
}

// All or nothing: whatever goes wrong, no file and no directory is left.
func TestPinErrors(t *testing.T) {
	root := bpffsDir(t)
	coll := load(t, chainSpec(t), carom.Options{})
	taken := filepath.Join(root, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := coll.Programs["leaf"].Pin(filepath.Join(taken, "leaf")); err != nil {
		t.Fatal(err)
	}
	closed := load(t, chainSpec(t), carom.Options{})
	if err := closed.Programs["leaf"].Close(); err != nil {
		t.Fatal(err)
	}
	twice := chainSpec(t)
	twice.Programs["_data"] = twice.Programs["leaf"].Copy()
	user, err := carom.NewCollection(chainSpec(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	for _, c := range []struct {
		name string
		coll *carom.Collection
		dir  string
		is   error
		want carom.PinError // without Err
	}{
		{"not bpffs", coll, t.TempDir(), carom.Errno(22), carom.PinError{}},
		{"not bpffs, new", coll, filepath.Join(t.TempDir(), "x", "y"), carom.Errno(22), carom.PinError{}},
		{"no directory", coll, "", nil, carom.PinError{}},
		{"name exists", coll, taken, os.ErrExist, carom.PinError{Kind: "program", Name: "leaf", Path: filepath.Join(taken, "leaf")}},
		{"two of one name", load(t, twice, carom.Options{}), filepath.Join(root, "x"), os.ErrExist,
			carom.PinError{Kind: "program", Name: "_data", Path: filepath.Join(root, "x", "_data")}},
		{"user space", user, filepath.Join(root, "x"), carom.ErrUnsupported, carom.PinError{}},
		{"half done", closed, filepath.Join(root, "x", "y"), nil,
			carom.PinError{Kind: "program", Name: "leaf", Path: filepath.Join(root, "x", "y", "leaf")}},
		{"a dot", coll, filepath.Join(root, "x", "a.b"), carom.Errno(1), carom.PinError{}},
	} {
		err := c.coll.Pin(c.dir)
		var pin *carom.PinError
		if !errors.As(err, &pin) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %v", c.name, err)
			continue
		}
		if c.want.Path == "" {
			c.want.Path = c.dir
		}
		if pin.Kind != c.want.Kind || pin.Name != c.want.Name || pin.Path != c.want.Path {
			t.Errorf("%s: got %+v, want %+v", c.name, pin, c.want)
		}
		if got := filesIn(t, root); !reflect.DeepEqual(got, []string{"taken"}) {
			t.Errorf("%s: half done: %v", c.name, got)
		}
	}
	if err := user.Programs["leaf"].Pin(filepath.Join(root, "x")); !errors.Is(err, carom.ErrUnsupported) {
		t.Errorf("a program of user space: %v", err)
	}
	if err := errors.Join(coll.Programs["leaf"].Unpin(), os.Remove(taken)); err != nil {
		t.Error(err)
	}
}

// What is pinned without the array that it needs is named.
func TestUnheld(t *testing.T) {
	root := bpffsDir(t)
	coll := load(t, chainSpec(t), carom.Options{})
	table := coll.Maps["table"]
	if err := table.Put(uint32(0), coll.Programs["leaf"]); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want ...kernel.UnheldArray) {
		t.Helper()
		if got, err := kernel.Unheld(coll); err != nil || !slices.EqualFunc(got, want, func(a, b kernel.UnheldArray) bool {
			return reflect.DeepEqual(a, b)
		}) {
			t.Errorf("%s: %v (%v), want %v", what, got, err, want)
		}
	}
	entry := kernel.UnheldArray{Map: "table", ID: table.ID(), Programs: []string{"entry"}}
	check("nothing is pinned")
	if err := coll.Programs["leaf"].Pin(filepath.Join(root, "leaf")); err != nil {
		t.Fatal(err)
	}
	check("leaf uses no array")
	if err := coll.Programs["entry"].Pin(filepath.Join(root, "entry")); err != nil {
		t.Fatal(err)
	}
	check("entry is pinned", entry)
	if err := table.Pin(filepath.Join(root, "table")); err != nil {
		t.Fatal(err)
	}
	check("the table is pinned too")
	if err := errors.Join(table.Unpin(), coll.Programs["entry"].Unpin()); err != nil {
		t.Fatal(err)
	}
	inNamespace(t, func() {
		a, err := kernel.AttachTC(coll.Programs["entry"], "lo", kernel.Ingress)
		if err != nil {
			t.Error(err)
			return
		}
		check("attached until this process ends")
		if err := a.Pin(filepath.Join(root, "link")); err != nil {
			t.Error(err)
		}
		check("the attachment is pinned", entry)
		var pin *carom.PinError
		if err := a.Pin(filepath.Join(t.TempDir(), "x")); !errors.As(err, &pin) || !errors.Is(err, carom.Errno(22)) {
			t.Errorf("a pin outside of bpffs: %v", err)
		}
		if err := errors.Join(a.Unpin(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := coll.Programs["leaf"].Unpin(); err != nil {
		t.Error(err)
	}
}
