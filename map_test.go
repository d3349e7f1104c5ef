package carom_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// mapsOf loads a collection that consists of maps.
func mapsOf(t *testing.T, maps map[string]*ebpf.MapSpec, cpus int) map[string]*carom.Map {
	t.Helper()
	return source{maps: maps}.load(t, &carom.Options{CPUs: cpus}).Maps
}

func mapSpec(typ ebpf.MapType, key, value, n uint32) *ebpf.MapSpec {
	m := &ebpf.MapSpec{Type: typ, KeySize: key, ValueSize: value, MaxEntries: n}
	if typ == ebpf.LPMTrie {
		m.Flags = 1 // BPF_F_NO_PREALLOC
	}
	return m
}

// lpmKey is struct bpf_lpm_trie_key with four bytes of data.
type lpmKey struct {
	Bits uint32
	Addr [4]byte
}

func TestMapPutLookupDelete(t *testing.T) {
	for _, c := range []struct {
		typ  ebpf.MapType
		key  any
		size uint32
		// What Linux returns when a present key is deleted, and for one that is not there.
		deleted, missing error
		absent           any
	}{
		{ebpf.Array, uint32(1), 4, carom.Errno(22), ebpf.ErrKeyNotExist, uint32(4)},
		{ebpf.Hash, uint32(1), 4, nil, ebpf.ErrKeyNotExist, uint32(9)},
		{ebpf.LRUHash, uint32(1), 4, nil, ebpf.ErrKeyNotExist, uint32(9)},
		{ebpf.LPMTrie, lpmKey{8, [4]byte{10}}, 8, nil, ebpf.ErrKeyNotExist, lpmKey{8, [4]byte{11}}},
	} {
		t.Run(c.typ.String(), func(t *testing.T) {
			m := mapsOf(t, map[string]*ebpf.MapSpec{"m": mapSpec(c.typ, c.size, 8, 4)}, 1)["m"]
			if m.Type() != c.typ || m.KeySize() != c.size || m.ValueSize() != 8 || m.MaxEntries() != 4 || m.Copies() != 1 || m.FD() != -1 || m.Name() != "m" || m.ID() == 0 {
				t.Errorf("%s %d %d %d %d %d %q", m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries(), m.Copies(), m.FD(), m.Name())
			}
			check(t, m.Put(c.key, uint64(7)))
			var v uint64
			check(t, m.Lookup(c.key, &v))
			if v != 7 {
				t.Errorf("value %d, want 7", v)
			}
			err := m.Lookup(c.absent, &v)
			if !errors.Is(err, c.missing) {
				t.Errorf("absent key: %v, want %v", err, c.missing)
			}
			me := new(carom.MapError)
			if !errors.As(err, &me) || me.Map != "m" || me.Op != "lookup" {
				t.Errorf("%v is no MapError of a look-up in m", err)
			}
			if b, err := m.LookupBytes(c.absent); b != nil || err != nil {
				t.Errorf("LookupBytes: %v, %v; want nothing", b, err)
			}
			if b, err := m.LookupBytes(c.key); !slices.Equal(b, []byte{7, 0, 0, 0, 0, 0, 0, 0}) || err != nil {
				t.Errorf("LookupBytes: %v, %v", b, err)
			}
			if err := m.Delete(c.key); !errors.Is(err, c.deleted) {
				t.Errorf("delete: %v, want %v", err, c.deleted)
			}
			if c.deleted == nil {
				if err := m.Delete(c.key); !errors.Is(err, ebpf.ErrKeyNotExist) {
					t.Errorf("delete again: %v, want ErrKeyNotExist", err)
				}
			}
		})
	}
}

// TestMapFlags: BPF_NOEXIST and BPF_EXIST, and a full map.
func TestMapFlags(t *testing.T) {
	m := mapsOf(t, map[string]*ebpf.MapSpec{"m": mapSpec(ebpf.Hash, 4, 4, 1)}, 1)["m"]
	if err := m.Update(uint32(1), uint32(1), ebpf.UpdateExist); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("EXIST: %v", err)
	}
	check(t, m.Update(uint32(1), uint32(1), ebpf.UpdateNoExist))
	err := m.Update(uint32(1), uint32(2), ebpf.UpdateNoExist)
	if !errors.Is(err, ebpf.ErrKeyExist) || !errors.Is(err, carom.Errno(17)) {
		t.Errorf("NOEXIST: %v", err)
	}
	if err := m.Put(uint32(2), uint32(2)); !errors.Is(err, carom.Errno(7)) {
		t.Errorf("full: %v, want E2BIG", err)
	}
	var v uint32
	check(t, m.LookupAndDelete(uint32(1), &v))
	if v != 1 {
		t.Errorf("value %d, want 1", v)
	}
	if err := m.LookupAndDelete(uint32(1), &v); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("gone: %v", err)
	}
	a := mapsOf(t, map[string]*ebpf.MapSpec{"a": array(4, 1)}, 1)["a"]
	if err := a.LookupAndDelete(uint32(0), &v); !errors.Is(err, carom.ErrUnsupported) {
		t.Errorf("array: %v, want ErrUnsupported", err)
	}
}

func TestMapSizes(t *testing.T) {
	m := mapsOf(t, map[string]*ebpf.MapSpec{"m": mapSpec(ebpf.Hash, 4, 8, 4)}, 1)["m"]
	refused(t, m.Put(uint64(1), uint64(1)), "map m", "update", "key", "8 bytes", "needs 4")
	refused(t, m.Put(uint32(1), uint32(1)), "value", "4 bytes", "needs 8")
	refused(t, m.Put(uint32(1), []uint64{1, 2}), "value", "16 bytes")
	check(t, m.Put([]byte{1, 0, 0, 0}, []byte{2, 0, 0, 0, 0, 0, 0, 1}))
	var v struct{ A, B uint32 }
	check(t, m.Lookup(1, &v))
	if v.A != 2 || v.B != 1<<24 {
		t.Errorf("%+v", v)
	}
	var small uint32
	refused(t, m.Lookup(1, &small), "lookup", "4 bytes", "gives 8")
	refused(t, m.Put(uint32(1), func() {}), "cannot be stored")
}

func TestPerCPUMaps(t *testing.T) {
	maps := mapsOf(t, map[string]*ebpf.MapSpec{
		"array": mapSpec(ebpf.PerCPUArray, 4, 4, 2), "hash": mapSpec(ebpf.PerCPUHash, 4, 4, 2),
	}, 3)
	for name, m := range maps {
		t.Run(name, func(t *testing.T) {
			if m.Copies() != 3 || m.ValueSize() != 4 {
				t.Errorf("%d copies of %d bytes, want 3 of 4", m.Copies(), m.ValueSize())
			}
			check(t, m.Put(uint32(1), []uint32{5, 6, 7}))
			var v []uint32
			check(t, m.Lookup(uint32(1), &v))
			if !slices.Equal(v, []uint32{5, 6, 7}) {
				t.Errorf("%v", v)
			}
			// bpf(2)'s layout: each copy takes 8 bytes.
			b, err := m.LookupBytes(uint32(1))
			check(t, err)
			if want := []byte{5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0}; !slices.Equal(b, want) {
				t.Errorf("%v, want %v", b, want)
			}
			check(t, m.Put(uint32(0), b))
			check(t, m.Lookup(uint32(0), &v))
			if !slices.Equal(v, []uint32{5, 6, 7}) {
				t.Errorf("%v", v)
			}
			refused(t, m.Put(uint32(1), []uint32{1, 2, 3, 4}), "4 values for 3 virtual CPUs")
			refused(t, m.Put(uint32(1), uint32(1)), "slice with 3 values")
			var one uint32
			refused(t, m.Lookup(uint32(1), &one), "pointer to a slice")
		})
	}
}

func TestIterate(t *testing.T) {
	maps := mapsOf(t, map[string]*ebpf.MapSpec{
		"array": array(4, 3), "hash": mapSpec(ebpf.Hash, 4, 4, 10), "percpu": mapSpec(ebpf.PerCPUArray, 4, 4, 2),
	}, 2)
	walk := func(m *carom.Map) map[uint32]uint32 {
		got := map[uint32]uint32{}
		var k, v uint32
		it := m.Iterate()
		for it.Next(&k, &v) {
			got[k] = v
		}
		check(t, it.Err())
		if it.Next(&k, &v) {
			t.Error("a walk goes on after its end")
		}
		return got
	}
	if got := walk(maps["array"]); len(got) != 3 {
		t.Errorf("array: %v", got)
	}
	if got := walk(maps["hash"]); len(got) != 0 {
		t.Errorf("empty hash: %v", got)
	}
	for i := range uint32(10) {
		check(t, maps["hash"].Put(i, i*i))
	}
	got := walk(maps["hash"])
	for i := range uint32(10) {
		if got[i] != i*i {
			t.Errorf("hash[%d] = %d, want %d", i, got[i], i*i)
		}
	}
	if len(got) != 10 {
		t.Errorf("hash: %v", got)
	}
	var k uint32
	var v []uint32
	n := 0
	for it := maps["percpu"].Iterate(); it.Next(&k, &v); n++ {
		if len(v) != 2 {
			t.Errorf("%v, want two values", v)
		}
	}
	if n != 2 {
		t.Errorf("%d elements, want 2", n)
	}
	// NextKey goes through all keys.
	var next uint32
	check(t, maps["array"].NextKey(nil, &next))
	check(t, maps["array"].NextKey(next, &next))
	check(t, maps["array"].NextKey(next, &next))
	if err := maps["array"].NextKey(next, &next); next != 2 || !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("after key %d: %v", next, err)
	}
}

func TestMapOfMaps(t *testing.T) {
	inner := array(8, 1)
	coll := source{
		progs: map[string]string{"p": `
			*(u32 *)(r10 -4) = 1
			r2 = r10
			r2 += -4
			r1 = map[outer] ll
			call bpf_map_lookup_elem
			if r0 == 0 goto out
			*(u32 *)(r10 -4) = 0
			r1 = r0
			r2 = r10
			r2 += -4
			call bpf_map_lookup_elem
			if r0 == 0 goto out
			r0 = *(u64 *)(r0 +0)
		out:
			exit`},
		maps: map[string]*ebpf.MapSpec{
			"outer": {Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerMap: inner},
			"a":     array(8, 1), "b": array(8, 1), "other": array(4, 1),
		},
	}.load(t, nil)
	run := func(want uint32) {
		t.Helper()
		if v, _, err := coll.Programs["p"].Test(make([]byte, 64)); v != want || err != nil {
			t.Errorf("%d, %v; want %d", v, err, want)
		}
	}
	check(t, coll.Maps["a"].Put(uint32(0), uint64(11)))
	check(t, coll.Maps["b"].Put(uint32(0), uint64(22)))
	run(0)
	check(t, coll.Maps["outer"].Put(uint32(1), coll.Maps["a"]))
	run(11)
	check(t, coll.Maps["outer"].Put(uint32(1), coll.Maps["b"]))
	run(22)
	var id uint32
	check(t, coll.Maps["outer"].Lookup(uint32(1), &id))
	if id != uint32(coll.Maps["b"].ID()) {
		t.Errorf("id %d, want that of b", id)
	}
	if err := coll.Maps["outer"].Put(uint32(1), coll.Maps["other"]); !errors.Is(err, carom.Errno(22)) {
		t.Errorf("value size 4 in place of 8: %v, want EINVAL", err)
	}
	refused(t, coll.Maps["a"].Put(uint32(0), coll.Maps["b"]), "map a", "holds no maps")
	// The outer map keeps the inner one.
	check(t, coll.Maps["b"].Close())
	run(22)
	check(t, coll.Maps["outer"].Delete(uint32(1)))
	run(0)
}

func TestFreeze(t *testing.T) {
	coll := pair().load(t, nil)
	for _, name := range []string{"counter", "slots"} {
		m := coll.Maps[name]
		check(t, m.Freeze())
		if err := m.Freeze(); err == nil {
			t.Errorf("%s: frozen twice", name)
		}
	}
	if err := coll.Maps["counter"].Put(uint32(0), uint64(1)); !errors.Is(err, carom.Errno(1)) {
		t.Errorf("put: %v, want EPERM", err)
	}
	if err := coll.Maps["slots"].Put(uint32(0), coll.Programs["other"]); !errors.Is(err, carom.Errno(1)) {
		t.Errorf("put: %v, want EPERM", err)
	}
	if err := coll.Maps["slots"].Delete(uint32(0)); !errors.Is(err, carom.Errno(1)) {
		t.Errorf("delete: %v, want EPERM", err)
	}
	// Programs still run and write.
	if v, _, err := coll.Programs["entry"].Test(make([]byte, 64)); v != 2 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	var n uint64
	check(t, coll.Maps["counter"].Lookup(uint32(0), &n))
	if n != 1 {
		t.Errorf("counter %d, want 1", n)
	}
}

func TestClosedMap(t *testing.T) {
	m := mapsOf(t, map[string]*ebpf.MapSpec{"m": array(4, 1)}, 1)["m"]
	clone, err := m.Clone()
	check(t, err)
	check(t, m.Close())
	var v uint32
	for name, err := range map[string]error{
		"lookup": m.Lookup(uint32(0), &v), "put": m.Put(uint32(0), v), "delete": m.Delete(uint32(0)),
		"next key": m.NextKey(nil, &v), "freeze": m.Freeze(), "pin": m.Pin("x"),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v, want os.ErrClosed", name, err)
		}
	}
	if _, err := m.Clone(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("clone: %v", err)
	}
	check(t, m.Close())
	check(t, clone.Put(uint32(0), uint32(5)))
	check(t, clone.Close())
	if err := (*carom.Map)(nil).Close(); err != nil {
		t.Error(err)
	}
}

// TestReaders opens readers on maps that have none.
func TestReaders(t *testing.T) {
	maps := mapsOf(t, map[string]*ebpf.MapSpec{
		"a": array(4, 1), "ring": {Type: ebpf.RingBuf, MaxEntries: 4096},
		"events": {Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
	}, 1)
	_, err := carom.NewPerfReader(maps["a"], 4096)
	refused(t, err, "map a", "perf")
	_, err = carom.NewRingbufReader(maps["a"])
	refused(t, err, "map a", "ring buffer")
	r, err := carom.NewRingbufReader(maps["ring"])
	check(t, err)
	check(t, r.Close())
	if _, err := r.Read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

// TestRingbuf sends records through a ring.
func TestRingbuf(t *testing.T) {
	coll := source{
		progs: map[string]string{"p": `
			r6 = 0x64636261
			*(u32 *)(r10 -4) = r6
			r2 = r10
			r2 += -4
			r3 = 4
			r4 = 0
			r1 = map[ring] ll
			call bpf_ringbuf_output
			exit`},
		maps: map[string]*ebpf.MapSpec{"ring": {Type: ebpf.RingBuf, MaxEntries: 4096}},
	}.load(t, nil)
	r, err := carom.NewRingbufReader(coll.Maps["ring"])
	check(t, err)
	defer r.Close()
	for range 3 {
		if v, _, err := coll.Programs["p"].Test(make([]byte, 64)); v != 0 || err != nil {
			t.Fatalf("%d, %v", int32(v), err)
		}
	}
	for range 3 {
		rec, err := r.Read()
		check(t, err)
		if string(rec.RawSample) != "abcd" {
			t.Errorf("record %q", rec.RawSample)
		}
	}
}

// TestMapCreateErrors name map and field.
func TestMapCreateErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		spec *ebpf.MapSpec
		say  string
	}{
		{"no entries", mapSpec(ebpf.Hash, 4, 4, 0), "max_entries"},
		{"u8 index", mapSpec(ebpf.Array, 1, 4, 1), "key_size is 1"},
		{"program array", mapSpec(ebpf.ProgramArray, 1, 4, 1), "key_size is 1"},
		{"type", &ebpf.MapSpec{Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}, "not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := carom.NewCollection(source{maps: map[string]*ebpf.MapSpec{"m": c.spec}}.spec(t), nil)
			refused(t, err, "map m", c.say)
			ce := new(carom.MapCreateError)
			if !errors.As(err, &ce) || ce.Errno != 22 || !errors.Is(err, carom.Errno(22)) {
				t.Errorf("%v is no MapCreateError with EINVAL", err)
			}
		})
	}
}

// TestOldPointers holds the address of a value while a helper updates it: HASH and LRU_HASH
// replace the element, ARRAY writes in place. Linux 6.18 does the same.
func TestOldPointers(t *testing.T) {
	text := `
		*(u32 *)(r10 -4) = 0
		r2 = r10
		r2 += -4
		r1 = map[m] ll
		call bpf_map_lookup_elem
		if r0 == 0 goto out
		r6 = r0
		*(u64 *)(r10 -16) = 2
		r1 = map[m] ll
		r2 = r10
		r2 += -4
		r3 = r10
		r3 += -16
		r4 = 0
		call bpf_map_update_elem
		r0 = *(u64 *)(r6 +0)
	out:
		exit`
	for typ, want := range map[ebpf.MapType]uint64{ebpf.Array: 2, ebpf.Hash: 1, ebpf.LRUHash: 1} {
		coll := source{progs: map[string]string{"p": text}, maps: map[string]*ebpf.MapSpec{"m": mapSpec(typ, 4, 8, 4)}}.load(t, nil)
		check(t, coll.Maps["m"].Put(uint32(0), uint64(1)))
		var res carom.Result
		check(t, coll.Programs["p"].RunInput(context.Background(), &carom.Input{Data: make([]byte, 64)}, &res))
		if res.Return != want {
			t.Errorf("%s: the old pointer reads %d, want %d", typ, res.Return, want)
		}
	}
}
