package carom_test

import (
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// refused expects an error that says all of parts.
func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not say %q", err, p)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q has more than one line", err)
	}
}

func TestOptions(t *testing.T) {
	spec := single("r0 = 2; exit").spec(t)
	for _, cpus := range []int{-1, 257} {
		_, err := carom.NewCollection(spec, &carom.Options{CPUs: cpus})
		refused(t, err, "virtual CPUs", "1 to 256")
		if !errors.Is(err, carom.Errno(22)) {
			t.Errorf("%v is not EINVAL", err)
		}
	}
	if c := newCollection(t, spec, nil); c.CPUs() != runtime.NumCPU() {
		t.Errorf("%d virtual CPUs, want %d", c.CPUs(), runtime.NumCPU())
	}
	if c := newCollection(t, spec, &carom.Options{CPUs: 256, Engine: carom.Interpreter}); c.CPUs() != 256 {
		t.Errorf("%d virtual CPUs, want 256", c.CPUs())
	}
	_, err := carom.NewCollection(nil, nil)
	refused(t, err, "no collection spec")
	_, err = carom.NewCollection(&ebpf.CollectionSpec{}, nil)
	refused(t, err, "neither programs nor maps")
	big := single("r0 = 2; exit").spec(t)
	big.ByteOrder = binary.BigEndian
	_, err = carom.NewCollection(big, nil)
	refused(t, err, "big-endian", "bpfel")
}

// TestSpecUnchanged loads a spec twice, with and without fields that a loader might fill in.
func TestSpecUnchanged(t *testing.T) {
	spec := loadSpec(t, "examples/readline/readline.o")
	before := spec.Copy()
	newCollection(t, spec, nil)
	for name, m := range spec.Maps {
		b := before.Maps[name]
		if m.MaxEntries != b.MaxEntries || m.ValueSize != b.ValueSize || len(m.Contents) != len(b.Contents) {
			t.Errorf("map %s changed", name)
		}
	}
	for name, p := range spec.Programs {
		b := before.Programs[name]
		for i := range p.Instructions {
			x, y := p.Instructions[i], b.Instructions[i]
			if x.OpCode != y.OpCode || x.Constant != y.Constant || x.Offset != y.Offset || x.Reference() != y.Reference() {
				t.Fatalf("program %s: instruction %d changed", name, i)
			}
		}
	}
	newCollection(t, spec, nil)
}

func TestStackPattern(t *testing.T) {
	pattern := byte(0xa5)
	coll := single("r0 = *(u32 *)(r10 -8); exit").load(t, &carom.Options{StackPattern: &pattern})
	v, _, err := coll.Programs["p"].Test(make([]byte, 64))
	if v != 0xa5a5a5a5 || err != nil {
		t.Errorf("%#x, %v; want the pattern", v, err)
	}
}

const (
	counterText = `
		*(u32 *)(r10 -4) = 0
		r2 = r10
		r2 += -4
		r1 = map[counter] ll
		call bpf_map_lookup_elem
		if r0 == 0 goto out
		r1 = *(u64 *)(r0 +0)
		r1 += 1
		*(u64 *)(r0 +0) = r1
	out:
		r0 = 2
		exit`
	hopText = "r2 = map[slots] ll; r3 = 0; call bpf_tail_call; r0 = 99; exit"
)

// pair has an entry that jumps to a target, which counts.
func pair() source {
	return source{
		progs: map[string]string{"entry": hopText, "target": counterText, "other": "r0 = 7; exit"},
		maps:  map[string]*ebpf.MapSpec{"slots": progArray(2, "target"), "counter": array(8, 1), "unused": array(8, 1)},
	}
}

func TestLoadAndAssign(t *testing.T) {
	type progs struct {
		Entry *carom.Program `ebpf:"entry"`
	}
	type maps struct {
		Counter *carom.Map `ebpf:"counter"`
	}
	var objs struct {
		progs
		Nested  struct{ maps }
		Ignored int
		Pointer *struct{ X *carom.Map }
	}
	// Embedded structs of unexported types have exported fields.
	check(t, carom.LoadAndAssign(pair().spec(t), &objs, nil))
	if v, _, err := objs.Entry.Test(make([]byte, 64)); v != 2 || err != nil {
		t.Errorf("%d, %v; want 2 from the target, which no field asks for", v, err)
	}
	var n uint64
	check(t, objs.Nested.Counter.Lookup(uint32(0), &n))
	if n != 1 {
		t.Errorf("counter %d, want 1", n)
	}
	// The last handle keeps the slots.
	check(t, objs.Nested.Counter.Close())
	if v, _, err := objs.Entry.Test(make([]byte, 64)); v != 2 || err != nil {
		t.Errorf("%d, %v; want 2 while one handle is open", v, err)
	}
	check(t, objs.Nested.Counter.Close()) // again: nothing happens
	if v, _, err := objs.Entry.Test(make([]byte, 64)); v != 2 || err != nil {
		t.Errorf("%d, %v; want 2 after a second Close of another handle", v, err)
	}
	check(t, objs.Entry.Close())
	if _, _, err := objs.Entry.Test(make([]byte, 64)); err == nil {
		t.Error("a closed program runs")
	}
}

func TestLoadAndAssignErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		to   any
		say  []string
	}{
		{"nil", nil, []string{"pointer to a struct"}},
		{"no pointer", struct{}{}, []string{"pointer to a struct"}},
		{"nil pointer", (*struct{})(nil), []string{"pointer to a struct"}},
		{"no fields", &struct{}{}, []string{"ebpf tag"}},
		{"unknown program", &struct {
			P *carom.Program `ebpf:"gone"`
		}{}, []string{"program gone", "not in the collection"}},
		{"unknown map", &struct {
			M *carom.Map `ebpf:"gone"`
		}{}, []string{"map gone", "not in the collection"}},
		{"unknown variable", &struct {
			V *carom.Variable `ebpf:"gone"`
		}{}, []string{"variable gone", "not in the collection"}},
		{"kind", &struct {
			M *carom.Map `ebpf:"entry"`
		}{}, []string{"map entry", "not in the collection"}},
		{"type", &struct {
			P *ebpf.Program `ebpf:"entry"`
		}{}, []string{"field P", "*ebpf.Program", "*carom.Program"}},
		{"unexported", &struct {
			p *carom.Program `ebpf:"entry"`
		}{}, []string{"field p", "export"}},
		{"twice", &struct {
			P, Q *carom.Program `ebpf:"entry"`
		}{}, []string{"P", "Q", "entry"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, carom.LoadAndAssign(pair().spec(t), c.to, nil), c.say...)
		})
	}
	refused(t, carom.LoadAndAssign(nil, &struct {
		P *carom.Program `ebpf:"p"`
	}{}, nil), "no collection spec")
	err := carom.LoadAndAssign(pair().spec(t), &struct {
		P *carom.Program `ebpf:"gone"`
	}{}, nil)
	le := new(carom.LoadError)
	if !errors.As(err, &le) || le.Kind != "program" || le.Name != "gone" {
		t.Errorf("%v is no LoadError for program gone", err)
	}
}

func TestMapReplacements(t *testing.T) {
	first := pair().load(t, &carom.Options{CPUs: 2})
	shared := first.Maps["counter"]
	second := pair().load(t, &carom.Options{CPUs: 2, MapReplacements: map[string]*carom.Map{"counter": shared}})
	for _, c := range []*carom.Collection{first, second, second} {
		if v, _, err := c.Programs["entry"].Test(make([]byte, 64)); v != 2 || err != nil {
			t.Fatalf("%d, %v", v, err)
		}
	}
	// The replacement outlives either collection.
	check(t, first.Close())
	var n uint64
	check(t, second.Maps["counter"].Lookup(uint32(0), &n))
	if n != 3 {
		t.Errorf("counter %d, want 3 from both collections", n)
	}

	_, err := carom.NewCollection(pair().spec(t), &carom.Options{CPUs: 3, MapReplacements: map[string]*carom.Map{"counter": second.Maps["counter"]}})
	refused(t, err, "map counter", "virtual CPUs", "2", "3")
	if !errors.Is(err, ebpf.ErrMapIncompatible) {
		t.Errorf("%v is not ErrMapIncompatible", err)
	}
	bigger := pair()
	bigger.maps["counter"] = array(8, 2)
	_, err = carom.NewCollection(bigger.spec(t), &carom.Options{CPUs: 2, MapReplacements: map[string]*carom.Map{"counter": second.Maps["counter"]}})
	refused(t, err, "map counter", "max_entries is 1", "needs 2")
	_, err = carom.NewCollection(pair().spec(t), &carom.Options{CPUs: 2, MapReplacements: map[string]*carom.Map{"gone": second.Maps["counter"]}})
	refused(t, err, "map gone", "MapReplacements")
}

// TestSlotErrors are those of static slots.
func TestSlotErrors(t *testing.T) {
	few := pair()
	few.maps["slots"] = progArray(1, "target", "other")
	_, err := carom.NewCollection(few.spec(t), nil)
	refused(t, err, "map slots", "slot 1", "other", "max_entries 1", "raise max_entries")
	gone := pair()
	gone.maps["slots"] = progArray(1, "gone")
	_, err = carom.NewCollection(gone.spec(t), nil)
	refused(t, err, "map slots", "program gone")

	spec := pair().spec(t)
	spec.Programs["target"].Type = ebpf.SchedCLS
	_, err = carom.NewCollection(spec, nil)
	oe := new(carom.OwnerError)
	if !errors.As(err, &oe) || !errors.Is(err, carom.Errno(22)) {
		t.Fatalf("got %v, want an OwnerError with EINVAL", err)
	}
	if want := (carom.OwnerDiff{Field: "program type", Have: "SchedCLS", Want: "XDP"}); !slices.Contains(oe.Diffs, want) || oe.Slot != 0 || oe.Prog != "target" {
		t.Errorf("%+v, want %+v for target in slot 0", oe, want)
	}
}

func TestVariables(t *testing.T) {
	coll := loadObject(t, "caromtest/testdata/tailcall4.o", nil)
	v := coll.Variables["selector"]
	if v == nil || v.Name() != "selector" || v.Size() != 4 || v.Type() == nil {
		t.Fatalf("variable %+v", v)
	}
	for i, name := range []string{"target_0", "target_1", "target_2"} {
		check(t, coll.Maps["jmp_table"].Put(uint32(i), coll.Programs[name]))
	}
	for i := range uint32(3) {
		check(t, v.Set(i))
		var got uint32
		check(t, v.Get(&got))
		if r, _, err := coll.Programs["entry"].Test(packet54()); got != i || r != i || err != nil {
			t.Errorf("selector %d: %d, %v", got, r, err)
		}
	}
	refused(t, v.Set(uint64(1)), "variable selector", "8 bytes", "needs 4")
	var wrong uint16
	refused(t, v.Get(&wrong), "variable selector", "2 bytes")
}

// TestConstants are set in the spec; once loaded they are frozen.
func TestConstants(t *testing.T) {
	rodata := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: 1 << 7, Contents: []ebpf.MapKV{{Key: uint32(0), Value: uint64(41)}}}
	s := source{
		progs: map[string]string{"p": "r1 = map[.rodata][0]+0 ll; r0 = *(u64 *)(r1 +0); exit"},
		maps:  map[string]*ebpf.MapSpec{".rodata": rodata},
	}
	coll := s.load(t, nil)
	if r, _, err := coll.Programs["p"].Test(make([]byte, 64)); r != 41 || err != nil {
		t.Errorf("%d, %v; want 41", r, err)
	}
	err := coll.Maps[".rodata"].Put(uint32(0), uint64(42))
	if !errors.Is(err, carom.Errno(1)) {
		t.Errorf("got %v, want EPERM", err)
	}
}

// TestVariableSpec: values that are set in the spec are there from the first run on.
func TestVariableSpec(t *testing.T) {
	spec := loadSpec(t, "caromtest/testdata/tailcall4.o")
	check(t, spec.Variables["selector"].Set(uint32(2)))
	coll := newCollection(t, spec, nil)
	check(t, coll.Maps["jmp_table"].Put(uint32(2), coll.Programs["target_2"]))
	if r, _, err := coll.Programs["entry"].Test(packet54()); r != 2 || err != nil {
		t.Errorf("%d, %v; want 2", r, err)
	}
}
