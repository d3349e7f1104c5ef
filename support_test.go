package carom_test

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// source is a collection written as text: programs in the kernel's syntax, by name.
type source struct {
	typ   ebpf.ProgramType // XDP unless given
	progs map[string]string
	maps  map[string]*ebpf.MapSpec
}

// spec assembles the collection.
func (s source) spec(tb testing.TB) *ebpf.CollectionSpec {
	tb.Helper()
	spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{}}
	for name, m := range s.maps {
		c := *m
		c.Name = name
		spec.Maps[name] = &c
	}
	typ := s.typ
	if typ == ebpf.UnspecifiedProgram {
		typ = ebpf.XDP
	}
	for name, text := range s.progs {
		insns, err := asm.Parse(strings.ReplaceAll(text, ";", "\n"))
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		spec.Programs[name] = &ebpf.ProgramSpec{Name: name, Type: typ, Instructions: insns, License: "GPL"}
	}
	return spec
}

// load is spec and NewCollection.
func (s source) load(tb testing.TB, opts *carom.Options) *carom.Collection {
	tb.Helper()
	return newCollection(tb, s.spec(tb), opts)
}

func newCollection(tb testing.TB, spec *ebpf.CollectionSpec, opts *carom.Options) *carom.Collection {
	tb.Helper()
	coll, err := carom.NewCollection(spec, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { coll.Close() })
	return coll
}

func loadObject(tb testing.TB, path string, opts *carom.Options) *carom.Collection {
	tb.Helper()
	return newCollection(tb, loadSpec(tb, path), opts)
}

func loadSpec(tb testing.TB, path string) *ebpf.CollectionSpec {
	tb.Helper()
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		tb.Fatal(err)
	}
	return spec
}

// packet54 is the packet of caromtest/testdata/README.md.
func packet54() []byte {
	p := make([]byte, 54)
	p[12], p[14], p[17], p[22], p[23], p[46] = 0x08, 0x45, 40, 64, 6, 0x50
	return p
}

func progArray(n uint32, slots ...string) *ebpf.MapSpec {
	m := &ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: n}
	for i, s := range slots {
		if s != "" {
			m.Contents = append(m.Contents, ebpf.MapKV{Key: uint32(i), Value: s})
		}
	}
	return m
}

func array(valueSize, n uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: valueSize, MaxEntries: n}
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
