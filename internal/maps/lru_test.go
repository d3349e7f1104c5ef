package maps

import (
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// TestLRUEvicts: a full map makes room by itself; what a program looked up stays, what user
// space looked up does not (htab_lru_map_lookup_elem_sys).
func TestLRUEvicts(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.LRUHash, ebpf.LRUCPUHash} {
		m := hashMap(t, hashHost(t, 1), hashSpec(typ, 4, 8, 4))
		for i := range uint32(4) {
			m.Update(0, u32(i), u64(uint64(i)), 0)
		}
		m.Lookup(0, u32(0))
		m.SysLookup(u32(1), make([]byte, 8), 0)
		m.Update(0, u32(2), u64(9), 0) // an update is a use
		m.Update(0, u32(4), u64(4), 0)
		m.Update(0, u32(5), u64(5), 0)
		for k, want := range []bool{true, false, true, false, true, true} {
			if got := m.SysLookup(u32(uint32(k)), make([]byte, 8), 0) == linux.OK; got != want {
				t.Errorf("%s: key %d there: %v, want %v", typ, k, got, want)
			}
		}
		if e := m.Update(0, u32(7), u64(0), linux.UpdateExist); e != linux.ENOENT || len(contents(m)) != 4 {
			t.Errorf("%s: %v, %d elements", typ, e, len(contents(m)))
		}
		if e := m.Update(0, u32(5), u64(0), linux.UpdateNoExist); e != linux.EEXIST {
			t.Errorf("%s: %v, want EEXIST", typ, e)
		}
	}
}

func TestLRUNeverFull(t *testing.T) {
	h := hashHost(t, 1)
	for _, n := range []uint32{1, 2, 300} {
		m := hashMap(t, h, hashSpec(ebpf.LRUHash, 4, 8, n))
		h.Epochs.Enter(h.Readers[0])
		for i := range uint32(5000) {
			if e := m.Update(0, u32(i), u64(uint64(i)), 0); e != linux.OK {
				t.Fatalf("%d entries: update %d: %v", n, i, e)
			}
			if m.Lookup(0, u32(i)) == 0 {
				t.Fatalf("%d entries: key %d is not there", n, i)
			}
		}
		h.Epochs.Leave(h.Readers[0])
		if got := len(contents(m)); got != int(n) {
			t.Errorf("%d elements, want %d", got, n)
		}
		for k := range contents(m) {
			m.SysDelete([]byte(k))
		}
		if got := len(contents(m)); got != 0 {
			t.Errorf("%d elements after deleting all", got)
		}
	}
}
