package verifier

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// shapes is a structure with everything that a walk can meet: numbers, an array, a bit field, a
// pointer, a pointer with a tag, a union, a structure and an array of any length.
func shapes() *btf.Struct {
	byteType := &btf.Int{Name: "u8", Size: 1}
	word := &btf.Int{Name: "u32", Size: 4}
	long := &btf.Int{Name: "u64", Size: 8}
	index := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	leaf := &btf.Struct{Name: "leaf", Size: 8, Members: []btf.Member{{Name: "a", Type: word}, {Name: "b", Type: word, Offset: 32}}}
	choice := &btf.Union{Name: "choice", Size: 8, Members: []btf.Member{
		{Name: "to", Type: &btf.Pointer{Target: leaf}}, {Name: "n", Type: long},
	}}
	return &btf.Struct{Name: "shapes", Size: 64, Members: []btf.Member{
		{Name: "bytes", Type: &btf.Array{Index: index, Type: byteType, Nelems: 8}},
		{Name: "flag", Type: word, Offset: 64, BitfieldSize: 1},
		{Name: "ptr", Type: &btf.Pointer{Target: leaf}, Offset: 128},
		{Name: "rcu", Type: &btf.Pointer{Target: &btf.TypeTag{Value: "rcu", Type: leaf}}, Offset: 192},
		{Name: "opaque", Type: &btf.Pointer{Target: &btf.Void{}}, Offset: 256},
		{Name: "u", Type: choice, Offset: 320},
		{Name: "leaves", Type: &btf.Array{Index: index, Type: leaf, Nelems: 2}, Offset: 384},
		{Name: "rest", Type: &btf.Array{Index: index, Type: leaf}, Offset: 512},
	}}
}

// The texts are those of btf_struct_walk (kernel/bpf/btf.c).
func TestStructAccess(t *testing.T) {
	o := &object{Type: shapes(), Name: "shapes", Kernel: true}
	for _, c := range []struct {
		off, size int
		what      found
		flags     RegType
		text      string
	}{
		{off: 0, size: 8},
		{off: 3, size: 4},
		{off: 4, size: 8, text: "access beyond the end of member bytes (mend:8) in struct shapes with off 4 size 8"},
		{off: 8, size: 4},
		{off: 8, size: 1},
		{off: 12, size: 4, text: "struct shapes doesn't have field at offset 12"},
		{off: 16, size: 8, what: foundPtr},
		{off: 16, size: 4, text: "cannot access ptr member ptr with moff 16 in struct shapes with off 16 size 4"},
		{off: 20, size: 4, text: "cannot access ptr member ptr with moff 16 in struct shapes with off 20 size 4"},
		{off: 24, size: 8, what: foundPtr, flags: MemRCU},
		{off: 32, size: 8, what: foundOther},
		{off: 40, size: 8, what: foundPtr, flags: PtrUntrusted},
		{off: 48, size: 4},
		{off: 60, size: 4},
		{off: 48, size: 8, text: "access beyond the end of member a (mend:4) in struct leaf with off 0 size 8"},
		{off: 64, size: 4},
		{off: 76, size: 4},
		{off: 66, size: 8, text: "access beyond struct leaf at off 2 size 8"},
	} {
		v := &verifier{prog: &Program{}}
		w, what, err := v.structAccess(1, o, PtrToBTFID, c.off, c.size)
		switch {
		case err != nil:
			if err.Message != c.text {
				t.Errorf("%d bytes at %d: %q, want %q", c.size, c.off, err.Message, c.text)
			}
		case c.text != "":
			t.Errorf("%d bytes at %d are taken, want %q", c.size, c.off, c.text)
		case what != c.what || w.flags != c.flags:
			t.Errorf("%d bytes at %d: %d with flags %#x, want %d with %#x", c.size, c.off, what, w.flags, c.what, c.flags)
		}
	}
}

func TestHolds(t *testing.T) {
	inner := &btf.Struct{Name: "inner", Size: 8, Members: []btf.Member{{Name: "n", Type: &btf.Int{Name: "u64", Size: 8}}}}
	middle := &btf.Struct{Name: "middle", Size: 8, Members: []btf.Member{{Name: "in", Type: inner}}}
	outer := &btf.Struct{Name: "outer", Size: 16, Members: []btf.Member{
		{Name: "first", Type: middle}, {Name: "second", Type: inner, Offset: 64},
	}}
	o, want := &object{Type: outer, Name: "outer"}, &object{Type: inner, Name: "inner"}
	for _, c := range []struct {
		off    int
		strict bool
		want   bool
	}{{0, false, true}, {8, false, true}, {0, true, false}, {4, false, false}} {
		if got := o.holds(c.off, want, c.strict); got != c.want {
			t.Errorf("at %d, strict %v: %v", c.off, c.strict, got)
		}
	}
}

func TestFieldsOfValues(t *testing.T) {
	number := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: number}}}
	task := &btf.Struct{Name: "task_struct", Size: 4, Members: []btf.Member{{Name: "x", Type: number}}}
	kptr := &btf.Pointer{Target: &btf.TypeTag{Value: "kptr", Type: task}}
	value := &btf.Struct{Name: "value", Size: 32, Members: []btf.Member{
		{Name: "lock", Type: lock},
		{Name: "tasks", Type: &btf.Array{Index: number, Type: kptr, Nelems: 2}, Offset: 64},
		{Name: "plain", Type: &btf.Pointer{Target: task}, Offset: 192},
	}}
	want := []Field{
		{Name: "bpf_spin_lock", Off: 0, Size: 4},
		{Name: "kptr", Off: 8, Size: 8, Kind: FieldKptr, Target: task},
		{Name: "kptr", Off: 16, Size: 8, Kind: FieldKptr, Target: task},
	}
	got := Fields(value)
	if len(got) != len(want) {
		t.Fatalf("got %d fields, want %d", len(got), len(want))
	}
	for i := range want {
		g := got[i]
		if g.Name != want[i].Name || g.Off != want[i].Off || g.Size != want[i].Size || g.Kind != want[i].Kind || g.Target != want[i].Target {
			t.Errorf("field %d is %+v, want %+v", i, g, want[i])
		}
	}
}

func TestWithoutKernelTypes(t *testing.T) {
	c := callCase{name: "tracepoint", typ: ebpf.Tracing, attach: ebpf.AttachTraceRawTp, text: "r0 = *(u64 *)(r1 + 0)\nr0 = 0\nexit"}
	p := c.program(t)
	p.AttachTo = "sched_process_exit"
	_, err := Verify(p, nil)
	const want = "ENOTSUPP: carom's verifier does not know contexts that BTF describes without the types (BTF) of a kernel"
	if got := verdictOf(err); got != want {
		t.Errorf("got %s", got)
	}
}
