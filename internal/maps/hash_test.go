package maps

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// TestHashOldPointer: after an update the old pointer reads the old value where the type
// replaces elements, the new one where it writes in place (TestHashProgramOnLinux).
func TestHashOldPointer(t *testing.T) {
	for _, c := range []struct {
		typ  ebpf.MapType
		want uint64
	}{{ebpf.Hash, 11}, {ebpf.LRUHash, 11}, {ebpf.PerCPUHash, 22}, {ebpf.LRUCPUHash, 22}, {ebpf.LPMTrie, 11}} {
		h := hashHost(t, 2)
		m := hashMap(t, h, hashSpec(c.typ, 8, 8, 16))
		h.Epochs.Enter(h.Readers[0])
		m.Update(0, u64(0), u64(11), 0)
		p := m.Lookup(0, u64(0))
		m.Update(0, u64(0), u64(22), 0)
		if got := mem.Load64(p); got != c.want {
			t.Errorf("%s: old pointer reads %d, want %d", c.typ, got, c.want)
		}
		if q := m.Lookup(0, u64(0)); mem.Load64(q) != 22 {
			t.Errorf("%s: new pointer reads %d", c.typ, mem.Load64(q))
		}
		// Whatever else happens in this run, the old element is not used for another.
		for i := range uint64(1000) {
			m.Update(0, u64(0), u64(i), 0)
			m.Update(1, u64(0), u64(i), 0)
			m.SysUpdate(u64(0), make([]byte, m.Info().SysValueSize()), 0)
		}
		m.Delete(0, u64(0))
		if got := mem.Load64(p); c.want == 11 && got != 11 {
			t.Errorf("%s: old pointer reads %d after more updates", c.typ, got)
		}
		h.Epochs.Leave(h.Readers[0])
	}
}

func TestPerCPUHashProgram(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.PerCPUHash, ebpf.LRUCPUHash} {
		m := hashMap(t, hashHost(t, 3), hashSpec(typ, 4, 4, 4))
		all := make([]byte, 24)
		for i := range all {
			all[i] = 0xee
		}
		m.SysUpdate(u32(1), all, 0)
		m.SysDelete(u32(1))
		m.Update(1, u32(1), u32(7), 0)
		for cpu, want := range []uint32{0, 7, 0} {
			if got := mem.Load32(m.Lookup(cpu, u32(1))); got != want {
				t.Errorf("%s: CPU %d has %#x, want %#x", typ, cpu, got, want)
			}
		}
		m.Update(2, u32(1), u32(8), linux.UpdateExist)
		got := make([]byte, 24)
		m.SysLookup(u32(1), got, 0)
		if want := []byte{0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0}; !bytes.Equal(got, want) {
			t.Errorf("%s: user space reads % x", typ, got)
		}
	}
}

// TestHashWindow: a program may touch one value, not its neighbours, key or header.
func TestHashWindow(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.LPMTrie} {
		for _, flags := range []uint32{0, linux.MapReadOnlyProg, linux.MapWriteOnlyProg} {
			h := hashHost(t, 2)
			s := hashSpec(typ, 12, 13, 4)
			s.Flags |= flags
			m := hashMap(t, h, s)
			for i := range byte(3) {
				key := append(u32(32), i<<6, 0, 0, 0, 0, 0, 0, 0)
				m.Update(1, key, make([]byte, 13), 0)
				p := m.Lookup(1, key)
				r := h.Space.Find(p)
				if r == nil || r.Kind != mem.KindMapValue || r.Owner != m {
					t.Fatalf("%s: value in region %+v", typ, r)
				}
				for perm, refused := range map[mem.Perm]uint32{mem.PermRead: linux.MapWriteOnlyProg, mem.PermWrite: linux.MapReadOnlyProg} {
					lo, n := r.Window(p+12, perm)
					if flags == refused {
						if n != 0 {
							t.Errorf("%s: %v allowed with flags %#x", typ, perm, flags)
						}
					} else if lo != p || n != 13 {
						t.Errorf("%s: window %#x+%d, want %#x+13", typ, lo, n, p)
					}
				}
				for _, a := range []uint64{p - 1, p + 13} {
					if q := h.Space.Find(a); q != nil {
						if lo, n := q.Window(a, q.Perm); n != 0 && (a == p+13 || lo+n > p) {
							t.Errorf("%s: %d bytes from the value are accessible", typ, int64(a-p))
						}
					}
				}
			}
		}
	}
}

// TestHashModel compares with a Go map under random operations.
func TestHashModel(t *testing.T) {
	for _, size := range []uint32{1, 2, 3, 4, 5, 8, 12, 16, 17, 32, 40} {
		for _, flags := range []uint32{0, linux.MapNoPrealloc} {
			rnd := rand.New(rand.NewPCG(uint64(size), 1))
			h := hashHost(t, 1)
			s := hashSpec(ebpf.Hash, size, 5, 64)
			s.Flags = flags
			m := hashMap(t, h, s)
			model := map[string]string{}
			for range 4000 {
				key := make([]byte, size)
				key[0], key[size-1] = byte(rnd.IntN(10)), byte(rnd.IntN(10))
				value := binary.LittleEndian.AppendUint32(nil, rnd.Uint32())
				value = append(value, 9)
				if rnd.IntN(50) == 0 {
					h.Epochs.Leave(h.Readers[0])
					h.Epochs.Enter(h.Readers[0])
				}
				switch rnd.IntN(4) {
				case 0:
					_, there := model[string(key)]
					if got := m.Delete(0, key) == linux.OK; got != there {
						t.Fatalf("delete: %v, want %v", got, there)
					}
					delete(model, string(key))
				case 1:
					p := m.Lookup(0, key)
					if v, ok := model[string(key)]; ok != (p != 0) || ok && v != string(mem.Bytes(p, 5)) {
						t.Fatalf("lookup of %x", key)
					}
				default:
					_, there := model[string(key)]
					want := linux.OK
					if !there && len(model) == 64 {
						want = linux.E2BIG
					} else {
						model[string(key)] = string(value)
					}
					if got := m.Update(0, key, value, 0); got != want {
						t.Fatalf("update: %v, want %v", got, want)
					}
				}
			}
			if got := contents(m); !maps.Equal(got, model) {
				t.Errorf("key size %d: contents differ", size)
			}
		}
	}
}

// contents reads a map as user space does.
func contents(m Map) map[string]string {
	got := map[string]string{}
	key := make([]byte, m.Info().KeySize)
	for errno := m.NextKey(nil, key); errno == linux.OK; errno = m.NextKey(bytes.Clone(key), key) {
		value := make([]byte, m.Info().SysValueSize())
		m.SysLookup(key, value, 0)
		got[string(key)] = string(value)
	}
	return got
}

// TestHashIteration: a deleted key starts again, so deleting while iterating visits all; the
// order depends on the definition and the operations only.
func TestHashIteration(t *testing.T) {
	var orders []string
	for range 2 {
		m := hashMap(t, hashHost(t, 1), hashSpec(ebpf.Hash, 4, 4, 100))
		for i := range uint32(100) {
			m.SysUpdate(u32(i), u32(i), 0)
		}
		order, key := "", make([]byte, 4)
		for n := 0; m.NextKey(nil, key) == linux.OK; n++ {
			if n == 100 {
				t.Fatal("more than 100 keys")
			}
			order += fmt.Sprintf("%x ", key)
			m.SysDelete(key)
			next := make([]byte, 4)
			first := make([]byte, 4)
			if a, b := m.NextKey(key, next), m.NextKey(nil, first); a != b || !bytes.Equal(next, first) {
				t.Fatal("an unknown key does not start again")
			}
		}
		orders = append(orders, order)
	}
	if len(orders[0]) != 900 || orders[0] != orders[1] {
		t.Errorf("orders differ:\n%s\n%s", orders[0], orders[1])
	}
}

// TestHashForEachDelete: the callback may delete and insert whatever it wants.
func TestHashForEachDelete(t *testing.T) {
	h := hashHost(t, 1)
	m := hashMap(t, h, hashSpec(ebpf.Hash, 4, 4, 50))
	for i := range uint32(50) {
		m.SysUpdate(u32(i), u32(i), 0)
	}
	h.Epochs.Enter(h.Readers[0])
	seen := map[uint32]int{}
	n := m.(Iterator).ForEach(0, func(key []byte, value uint64) bool {
		k := binary.LittleEndian.Uint32(key)
		if mem.Load32(value) != k {
			t.Errorf("value of %d is %d", k, mem.Load32(value))
		}
		seen[k]++
		m.Delete(0, bytes.Clone(key))
		for range 1000 { // more than the spare elements
			m.Update(0, u32(1000), u32(1000), 0)
		}
		if e := m.Delete(0, u32(1000)); e != linux.OK {
			t.Fatal(e)
		}
		return true
	})
	if n != 50 || len(seen) != 50 {
		t.Errorf("visited %d, %d keys", n, len(seen))
	}
	m.Update(0, u32(1), u32(1), 0)
	m.Update(0, u32(2), u32(2), 0)
	if n := m.(Iterator).ForEach(0, func([]byte, uint64) bool { return false }); n != 1 {
		t.Errorf("visited %d after a stop", n)
	}
	h.Epochs.Leave(h.Readers[0])
}

// TestHashForEachReuse: an element that the callback deleted is visited if the walk stood before
// it (hlist_nulls_for_each_entry_safe), and is not another one by then.
func TestHashForEachReuse(t *testing.T) {
	h := hashHost(t, 1)
	m := hashMap(t, h, hashSpec(ebpf.Hash, 4, 4, 64))
	fill := func() {
		for i := range uint32(64) {
			m.Update(0, u32(i), u32(i), 0)
		}
	}
	h.Epochs.Enter(h.Readers[0])
	fill()
	for range 2 * ownSpare { // from here on the run reuses what it retired
		m.Update(0, u32(0), u32(0), 0)
	}
	visits := 0
	m.(Iterator).ForEach(0, func(key []byte, value uint64) bool {
		if k := binary.LittleEndian.Uint32(key); k >= 64 || mem.Load32(value) != k {
			t.Errorf("visited key %d with value %d", k, mem.Load32(value))
		}
		for i := range uint32(64) {
			m.Delete(0, u32(i))
		}
		for range 3 * ownSpare {
			m.Update(0, u32(1000), u32(1000), 0)
		}
		m.Delete(0, u32(1000))
		fill()
		visits++
		return visits < 16
	})
	h.Epochs.Leave(h.Readers[0])
}

// TestHashSpare: a run gets back what it unlinked long ago, which only it could still read.
// Where other runs may read it, the spare elements are used up first, and then there is no
// memory.
func TestHashSpare(t *testing.T) {
	const most = 4 * ownSpare
	for _, typ := range []ebpf.MapType{ebpf.Hash, ebpf.LRUHash, ebpf.LPMTrie} {
		h := hashHost(t, 2)
		m := hashMap(t, h, hashSpec(typ, 8, maxSpare/ownSpare/2, 4))
		value := make([]byte, m.Info().ValueSize)
		h.Epochs.Enter(h.Readers[0])
		seen := map[uint64]bool{}
		for i := range most {
			if e := m.Update(0, u64(1), value, 0); e != linux.OK {
				t.Fatalf("%s: update %d: %v", typ, i, e)
			}
			seen[m.Lookup(0, u64(1))] = true
		}
		if len(seen) < ownSpare || len(seen) > 2*ownSpare {
			t.Errorf("%s: a run used %d elements", typ, len(seen))
		}
		h.Epochs.Enter(h.Readers[1])
		var e linux.Errno
		for range most {
			if e = m.Update(0, u64(1), value, 0); e != linux.OK {
				break
			}
		}
		if e != linux.ENOMEM {
			t.Errorf("%s: %v while another run may read all old elements, want ENOMEM", typ, e)
		}
		h.Epochs.Leave(h.Readers[1])
		if e := m.Update(0, u64(1), value, 0); e != linux.OK {
			t.Errorf("%s: %v after the other run ended", typ, e)
		}
		if e := m.SysUpdate(u64(1), value, 0); e == linux.OK {
			t.Errorf("%s: user space took an element that a run may read", typ)
		}
		h.Epochs.Leave(h.Readers[0])
		if e := m.SysUpdate(u64(1), value, 0); e != linux.OK {
			t.Errorf("%s: %v after all runs ended", typ, e)
		}
	}
}

func TestHashPermissions(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.Hash, ebpf.LPMTrie} {
		key, value := append(u32(0), 0, 0, 0, 0), u64(1)
		s := hashSpec(typ, 8, 8, 4)
		m := hashMap(t, hashHost(t, 1), s)
		m.Info().Freeze()
		s.Flags |= linux.MapWriteOnly
		wo := hashMap(t, hashHost(t, 1), s)
		wo.SysUpdate(key, value, 0)
		s.Flags ^= linux.MapWriteOnly | linux.MapReadOnly
		ro := hashMap(t, hashHost(t, 1), s)
		for name, got := range map[string]linux.Errno{
			"frozen update": m.SysUpdate(key, value, 0), "frozen delete": m.SysDelete(key),
			"read-only update": ro.SysUpdate(key, value, 0), "read-only delete": ro.SysDelete(key),
			"write-only lookup": wo.SysLookup(key, value, 0), "write-only next key": wo.NextKey(nil, key),
		} {
			if got != linux.EPERM {
				t.Errorf("%s: %s: %v, want EPERM", typ, name, got)
			}
		}
		if e := m.Update(0, key, value, 0); e != linux.OK {
			t.Errorf("%s: update from a program on a frozen map: %v", typ, e)
		}
	}
}

func TestHashLookupDelete(t *testing.T) {
	m := hashMap(t, hashHost(t, 1), hashSpec(ebpf.Hash, 4, 8, 4))
	m.SysUpdate(u32(1), u64(5), 0)
	value := make([]byte, 8)
	d := m.(LookupDeleter)
	if e := d.SysLookupDelete(u32(1), value, 0); e != linux.OK || !bytes.Equal(value, u64(5)) {
		t.Errorf("%v, % x", e, value)
	}
	if e := d.SysLookupDelete(u32(1), value, 0); e != linux.ENOENT {
		t.Errorf("%v, want ENOENT", e)
	}
}
