package maps

import (
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

type fakeMapRef struct {
	Map
	refs atomic.Int64
}

func (f *fakeMapRef) Ref()   { f.refs.Add(1) }
func (f *fakeMapRef) Unref() { f.refs.Add(-1) }

func innerMap(tb testing.TB, h *Host, s Spec, id uint32) *fakeMapRef {
	return &fakeMapRef{Map: refMake[Map](tb, h, s, id)}
}

func innerSpec() Spec {
	return Spec{Name: "in", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}
}

func mapOfMaps(tb testing.TB, h *Host, t ebpf.MapType, entries uint32, inner Spec) MapOfMaps {
	return refMake[MapOfMaps](tb, h, Spec{Type: t, KeySize: 4, ValueSize: 4, MaxEntries: entries, Inner: &inner}, 1)
}

func TestMapOfMapsTemplate(t *testing.T) {
	h := refHost(t, 1)
	for typ, want := range map[ebpf.MapType]linux.Errno{
		ebpf.Array: linux.OK, ebpf.Hash: linux.OK, ebpf.LRUHash: linux.OK, ebpf.RingBuf: linux.OK,
		ebpf.PerfEventArray: linux.OK, ebpf.ProgramArray: linux.ENOTSUPP,
		ebpf.ArrayOfMaps: linux.EINVAL, ebpf.HashOfMaps: linux.EINVAL,
	} {
		for _, outer := range []ebpf.MapType{ebpf.ArrayOfMaps, ebpf.HashOfMaps} {
			m, err := New(h, &Spec{Type: outer, KeySize: 4, ValueSize: 4, MaxEntries: 1, Inner: &Spec{Type: typ}}, 1)
			refCheck(t, outer.String()+" of "+typ.String(), refErrno(t, err), want)
			if err == nil {
				m.Close()
			}
		}
	}
	_, err := New(h, &Spec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1}, 1)
	refCheck(t, "no template", refErrno(t, err), linux.EBADF)
}

// TestMapOfMapsCompatible follows map_meta_equal; the values are those of Linux 6.18.
func TestMapOfMapsCompatible(t *testing.T) {
	hash := Spec{Name: "in", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 2}
	growing := innerSpec()
	growing.Flags = linux.MapInnerMap
	cases := []struct {
		name     string
		template Spec
		change   func(*Spec)
		field    string // that the error names, "" when the map fits
	}{
		{"same", innerSpec(), func(*Spec) {}, ""},
		{"name", innerSpec(), func(s *Spec) { s.Name = "other" }, ""},
		{"type", innerSpec(), func(s *Spec) { s.Type = ebpf.PerCPUArray }, "type is PerCPUArray, the inner map definition has Array"},
		{"value", innerSpec(), func(s *Spec) { s.ValueSize = 16 }, "value_size is 16, the inner map definition has 8"},
		{"entries", innerSpec(), func(s *Spec) { s.MaxEntries = 3 }, "max_entries is 3, the inner map definition has 2"},
		{"entries with BPF_F_INNER_MAP", growing, func(s *Spec) { s.MaxEntries = 3 }, ""},
		{"BPF_F_INNER_MAP missing", growing, func(s *Spec) { s.Flags = 0 }, "map_flags is 0, the inner map definition has 4096"},
		{"flags", innerSpec(), func(s *Spec) { s.Flags = linux.MapReadOnlyProg }, "map_flags is 128"},
		{"flags of the descriptor", innerSpec(), func(s *Spec) { s.Flags = linux.MapReadOnly }, ""},
		{"key", hash, func(s *Spec) { s.KeySize = 8 }, "key_size is 8, the inner map definition has 4"},
		{"entries of a hash", hash, func(s *Spec) { s.MaxEntries = 9 }, ""},
	}
	h := refHost(t, 1)
	for _, c := range cases {
		for _, outer := range []ebpf.MapType{ebpf.ArrayOfMaps, ebpf.HashOfMaps} {
			t.Run(c.name+" "+outer.String(), func(t *testing.T) {
				m := mapOfMaps(t, h, outer, 2, c.template)
				s := c.template
				c.change(&s)
				inner := innerMap(t, h, s, 9)
				err := m.Put(refKey(1), inner, 0)
				want := linux.OK
				if c.field != "" {
					want = linux.EINVAL
				}
				refCheck(t, "put", refErrno(t, err), want)
				if err != nil && !strings.Contains(err.Error(), c.field) {
					t.Errorf("%q does not say %q", err, c.field)
				}
				if err != nil && inner.refs.Load() != 0 {
					t.Error("a refused map was kept")
				}
			})
		}
	}
}

func TestArrayOfMaps(t *testing.T) {
	h := refHost(t, 1)
	m := mapOfMaps(t, h, ebpf.ArrayOfMaps, 2, innerSpec())
	a, b := innerMap(t, h, innerSpec(), 41), innerMap(t, h, innerSpec(), 42)
	put := func(k uint32, in MapRef, flags uint64) linux.Errno { return refErrno(t, m.Put(refKey(k), in, flags)) }
	value := make([]byte, 4)
	refCheck(t, "delete empty", m.SysDelete(refKey(1)), linux.ENOENT)
	refCheck(t, "delete index", m.SysDelete(refKey(9)), linux.E2BIG)
	refCheck(t, "lookup", m.SysLookup(refKey(1), value, 0), linux.ENOENT)
	refCheck(t, "lookup index", m.SysLookup(refKey(9), value, 0), linux.ENOENT)
	refCheck(t, "NOEXIST", put(1, a, 1), linux.EINVAL)
	refCheck(t, "EXIST", put(1, a, 2), linux.EINVAL)
	refCheck(t, "index", put(9, nil, 0), linux.E2BIG)
	refCheck(t, "flags first", put(9, nil, 1), linux.EINVAL)
	refCheck(t, "no map", put(0, nil, 0), linux.EBADF)
	refCheck(t, "put", put(1, a, 0), linux.OK)
	refCheck(t, "lookup", m.SysLookup(refKey(1), value, 0), linux.OK)
	if id := binary.LittleEndian.Uint32(value); id != 41 {
		t.Errorf("lookup gives %d, want the id 41", id)
	}
	if got := m.Lookup(0, refKey(1)); got != a.Info().Desc {
		t.Errorf("a program sees %#x, want the descriptor %#x", got, a.Info().Desc)
	}
	if got := m.Lookup(0, refKey(0)) | m.Lookup(0, refKey(9)); got != 0 {
		t.Errorf("a program sees %#x in empty slots", got)
	}
	h.Epochs.Enter(h.Readers[0])
	refCheck(t, "replace", put(1, b, 0), linux.OK)
	if a.refs.Load() != 1 {
		t.Error("the replaced map lost its reference during a run")
	}
	h.Epochs.Leave(h.Readers[0])
	if a.refs.Load() != 0 || b.refs.Load() != 1 {
		t.Errorf("references %d and %d, want 0 and 1", a.refs.Load(), b.refs.Load())
	}
	refCheck(t, "program update", m.Update(0, refKey(1), value, 0), linux.EINVAL)
	refCheck(t, "program delete", m.Delete(0, refKey(1)), linux.EINVAL)
	refCheck(t, "freeze", m.Info().Freeze(), linux.OK)
	refCheck(t, "frozen", put(1, a, 0), linux.EPERM)
	refCheck(t, "frozen", m.SysDelete(refKey(1)), linux.EPERM)
	m.Close()
	if b.refs.Load() != 0 {
		t.Error("Close kept a reference")
	}
}

func TestHashOfMaps(t *testing.T) {
	h := refHost(t, 1)
	m := mapOfMaps(t, h, ebpf.HashOfMaps, 2, innerSpec())
	a := innerMap(t, h, innerSpec(), 41)
	put := func(k uint32, in MapRef, flags uint64) linux.Errno { return refErrno(t, m.Put(refKey(k), in, flags)) }
	value := make([]byte, 4)
	refCheck(t, "delete", m.SysDelete(refKey(1)), linux.ENOENT)
	refCheck(t, "lookup", m.SysLookup(refKey(1), value, 0), linux.ENOENT)
	refCheck(t, "EXIST", put(1, a, 2), linux.ENOENT)
	for _, f := range []uint64{3, 4, 8} {
		refCheck(t, "flags", put(1, nil, f), linux.EINVAL)
	}
	refCheck(t, "no map", put(1, nil, 0), linux.EBADF)
	refCheck(t, "NOEXIST", put(1, a, 1), linux.OK)
	refCheck(t, "NOEXIST again", put(1, a, 1), linux.EEXIST)
	refCheck(t, "second", put(2, a, 0), linux.OK)
	refCheck(t, "full", put(3, a, 0), linux.E2BIG)
	refCheck(t, "replace when full", put(1, a, 0), linux.OK)
	refCheck(t, "EXIST", put(1, a, 2), linux.OK)
	refCheck(t, "lookup", m.SysLookup(refKey(1), value, 0), linux.OK)
	if id := binary.LittleEndian.Uint32(value); id != 41 || a.refs.Load() != 2 {
		t.Errorf("id %d, %d references; want 41, 2", id, a.refs.Load())
	}
	if got := m.Lookup(0, refKey(2)); got != a.Info().Desc {
		t.Errorf("a program sees %#x, want %#x", got, a.Info().Desc)
	}
	key := refKey(2)
	if n := testing.AllocsPerRun(100, func() { m.Lookup(0, key) }); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
	refCheck(t, "delete", m.SysDelete(refKey(1)), linux.OK)
	refCheck(t, "room again", put(3, a, 0), linux.OK)
	m.Close()
	if a.refs.Load() != 0 {
		t.Errorf("Close kept %d references", a.refs.Load())
	}
}

func TestHashOfMapsIteration(t *testing.T) {
	h := refHost(t, 1)
	m := mapOfMaps(t, h, ebpf.HashOfMaps, 1000, innerSpec())
	a := innerMap(t, h, innerSpec(), 41)
	for k := range uint32(1000) {
		if err := m.Put(refKey(k), a, 0); err != nil {
			t.Fatal(err)
		}
	}
	seenKeys := map[uint32]bool{}
	key, next := []byte(nil), make([]byte, 4)
	for m.NextKey(key, next) == linux.OK {
		seenKeys[binary.LittleEndian.Uint32(next)] = true
		key = append(key[:0], next...)
		if len(seenKeys) > 1000 {
			break
		}
	}
	if len(seenKeys) != 1000 {
		t.Errorf("visited %d keys, want 1000", len(seenKeys))
	}
	refCheck(t, "unknown key restarts", m.NextKey(refKey(5000), next), linux.OK)
}

// TestMapOfMapsConcurrent looks up while another goroutine replaces: never empty.
func TestMapOfMapsConcurrent(t *testing.T) {
	h := refHost(t, 2)
	for _, outer := range []ebpf.MapType{ebpf.ArrayOfMaps, ebpf.HashOfMaps} {
		m := mapOfMaps(t, h, outer, 8, innerSpec())
		a, b := innerMap(t, h, innerSpec(), 41), innerMap(t, h, innerSpec(), 42)
		_ = m.Put(refKey(3), a, 0)
		var wg sync.WaitGroup
		var empty atomic.Int64
		var stop atomic.Bool
		wg.Go(func() {
			key := refKey(3)
			for !stop.Load() {
				if d := m.Lookup(1, key); d != a.Info().Desc && d != b.Info().Desc {
					empty.Add(1)
				}
			}
		})
		for range 10000 {
			_ = m.Put(refKey(3), b, 0)
			_ = m.Put(refKey(3), a, 0)
		}
		stop.Store(true)
		wg.Wait()
		if n := empty.Load(); n != 0 {
			t.Errorf("%s: a reader missed %d times", outer, n)
		}
	}
}
