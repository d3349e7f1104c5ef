package carom_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

func smallSpec(m *ebpf.MapSpec) *ebpf.CollectionSpec {
	return &ebpf.CollectionSpec{
		ByteOrder: binary.LittleEndian,
		Maps:      map[string]*ebpf.MapSpec{"m": m},
		Programs: map[string]*ebpf.ProgramSpec{"p": {Name: "p", Type: ebpf.XDP, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}}},
	}
}

func smallHash(entries uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "m", Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: entries, Flags: 1} // BPF_F_NO_PREALLOC
}

// TestOddOptions: what is missing is an error with a name, never a panic.
func TestOddOptions(t *testing.T) {
	wantLoad := func(what string, err error, kind, name string) {
		t.Helper()
		var e *carom.LoadError
		if !errors.As(err, &e) || e.Kind != kind || e.Name != name {
			t.Errorf("%s: %v, want a LoadError of %s %s", what, err, kind, name)
		}
	}
	_, err := carom.NewCollection(smallSpec(smallHash(1)), &carom.Options{MapReplacements: map[string]*carom.Map{"m": nil}})
	wantLoad("nil replacement", err, "map", "m")

	untyped := smallSpec(smallHash(1))
	untyped.Programs["p"].Type = ebpf.UnspecifiedProgram
	var objs struct {
		P *carom.Program `ebpf:"p"`
	}
	wantLoad("program without a type", carom.LoadAndAssign(untyped, &objs, nil), "program", "p")

	outside := smallSpec(&ebpf.MapSpec{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	for _, v := range []*ebpf.VariableSpec{
		{Name: "v", SectionName: "m", Offset: 4, Value: []byte{1}},
		{Name: "v", SectionName: "m", Offset: 1<<32 - 1, Value: make([]byte, 2)},
		{Name: "v", SectionName: "m", Offset: 100, Type: &btf.Var{Name: "v", Type: &btf.Int{Size: 4}}},
	} {
		outside.Variables = map[string]*ebpf.VariableSpec{"v": v}
		c, err := carom.NewCollection(outside, nil)
		if err == nil {
			var b []byte
			if c.Variables["v"] != nil {
				err = c.Variables["v"].Get(&b)
			}
			c.Close()
		}
		if err == nil {
			t.Errorf("a variable at offset %d of a section of 4 bytes", v.Offset)
		}
	}
}

func TestOddValues(t *testing.T) {
	c, err := carom.NewCollection(smallSpec(smallHash(8)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := c.Maps["m"]
	for _, tt := range []struct {
		name       string
		key, value any
		want       string
	}{
		{"nil key", nil, uint32(1), "nil"},
		{"nil value", uint32(1), nil, "nil"},
		{"nil pointer", (*uint32)(nil), uint32(1), "nil *uint32"},
		{"function", uint32(1), func() {}, "func()"},
		{"struct with a slice", uint32(1), struct{ b []byte }{}, "cannot be stored"},
		{"too short", uint16(1), uint32(1), "uint16 has 2 bytes, the map needs 4"},
		{"int that does not fit", 1 << 32, 1, "does not fit"},
		{"nil program", uint32(1), (*carom.Program)(nil), "program is nil"},
		{"nil map", uint32(1), (*carom.Map)(nil), "map is nil"},
	} {
		if err := m.Put(tt.key, tt.value); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	if err := m.Put(1, -1); err != nil {
		t.Errorf("ints: %v", err)
	}
	var v uint32
	if err := m.Lookup(uint32(1), &v); err != nil || v != 1<<32-1 {
		t.Errorf("int -1 is stored as %#x, %v", v, err)
	}
	if err := m.Lookup(uint32(1), nil); err == nil {
		t.Error("a lookup into nil")
	}
	if err := m.Lookup(uint32(1), (*uint32)(nil)); err == nil {
		t.Error("a lookup into a nil pointer")
	}
}

// TestIterateLargeMap: the bound of a walk is not that of 32 bits.
func TestIterateLargeMap(t *testing.T) {
	c, err := carom.NewCollection(smallSpec(&ebpf.MapSpec{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 1, MaxEntries: 1 << 31}), nil)
	if err != nil {
		t.Skipf("no room for the map: %v", err)
	}
	defer c.Close()
	var k uint32
	var v uint8
	it, n := c.Maps["m"].Iterate(), 0
	for n < 10 && it.Next(&k, &v) {
		n++
	}
	if n != 10 || it.Err() != nil {
		t.Errorf("%d elements, then %v", n, it.Err())
	}
}
