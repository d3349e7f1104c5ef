package maps

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// halves is a value whose halves must match; the upper bits of each name the key.
func halves(key uint32, v uint64) []byte {
	w := uint64(key)<<32 | v&0xffffffff
	return append(u64(w), u64(^w)...)
}

// TestHashStress: virtual CPUs and user space change a map at once. A value is always whole
// and of its key, also through a pointer that is kept for the rest of a run, and a key that is
// only ever replaced is always there.
func TestHashStress(t *testing.T) {
	ops := 30000
	if testing.Short() {
		ops = 5000
	}
	for _, s := range []Spec{hashSpec(ebpf.Hash, 4, 16, 8), hashSpec(ebpf.Hash, 24, 16, 8),
		hashSpec(ebpf.LRUHash, 8, 16, 4), hashSpec(ebpf.LPMTrie, 8, 16, 8)} {
		t.Run(s.Type.String(), func(t *testing.T) {
			const cpus = 3
			h := hashHost(t, cpus)
			m := hashMap(t, h, s)
			st := &stress{T: t, m: m, h: h, keys: 8}
			if s.Type != ebpf.LRUHash {
				st.stable = true
				m.SysUpdate(st.key(0), halves(0, 0), 0)
			}
			var wg sync.WaitGroup
			for cpu := range cpus {
				wg.Go(func() { st.cpu(cpu, ops) })
			}
			wg.Go(func() { st.user(ops) })
			wg.Wait()
			n := len(contents(m))
			for k := range contents(m) {
				if e := m.SysDelete([]byte(k)); e != linux.OK {
					t.Error(e)
				}
			}
			if n > int(s.MaxEntries) || len(contents(m)) != 0 {
				t.Errorf("%d elements, then %d", n, len(contents(m)))
			}
			// The count is right after all that: the map takes exactly max_entries.
			for i := range s.MaxEntries {
				if e := m.SysUpdate(st.key(i), halves(i, 0), 0); e != linux.OK {
					t.Errorf("insert %d of %d: %v", i, s.MaxEntries, e)
				}
			}
		})
	}
}

type stress struct {
	*testing.T
	m      Map
	h      *Host
	keys   uint32
	stable bool // key 0 is never deleted
}

func (s *stress) key(k uint32) []byte {
	key := make([]byte, s.m.Info().KeySize)
	if s.m.Info().Type == ebpf.LPMTrie {
		copy(key, v4(32, 10, 0, byte(k<<5), 1))
		return key
	}
	binary.LittleEndian.PutUint32(key, k)
	return key
}

func (s *stress) check(k uint32, p uint64) (w uint64) {
	w = mem.AtomicLoad64(p)
	if x := mem.AtomicLoad64(p + 8); x != ^w || uint32(w>>32) != k {
		s.Errorf("key %d has %#x %#x", k, w, x)
	}
	return w
}

func (s *stress) cpu(cpu, ops int) {
	rnd := rand.New(rand.NewPCG(uint64(cpu), 7))
	for i := 0; i < ops && !s.Failed(); {
		s.h.Epochs.Enter(s.h.Readers[cpu])
		var kept, word uint64
		var keptKey uint32
		for range 1 + rnd.IntN(20) {
			i++
			k := rnd.Uint32N(s.keys)
			key := s.key(k)
			switch op := rnd.IntN(10); {
			case op < 3:
				if e := s.m.Update(cpu, key, halves(k, uint64(i)), 0); e != linux.OK {
					s.Errorf("update: %v", e)
				}
			case op == 3 && !(s.stable && k == 0):
				s.m.Delete(cpu, key)
			case op == 4 && cpu == 0:
				if it, ok := s.m.(Iterator); ok {
					it.ForEach(cpu, func(key []byte, p uint64) bool {
						s.check(binary.LittleEndian.Uint32(key), p)
						return true
					})
				}
			default:
				if p := s.m.Lookup(cpu, key); p != 0 {
					w := s.check(k, p)
					if kept == 0 {
						kept, keptKey, word = p, k, w
					}
				} else if s.stable && k == 0 {
					s.Error("a replaced key was not there")
				}
			}
		}
		if kept != 0 && s.check(keptKey, kept) != word {
			s.Errorf("an old pointer changed its value")
		}
		s.h.Epochs.Leave(s.h.Readers[cpu])
	}
}

func (s *stress) user(ops int) {
	rnd := rand.New(rand.NewPCG(99, 7))
	value, next := make([]byte, 16), make([]byte, s.m.Info().KeySize)
	for i := 0; i < ops && !s.Failed(); i++ {
		k := rnd.Uint32N(s.keys)
		key := s.key(k)
		switch op := rnd.IntN(6); {
		case op == 0:
			s.m.SysUpdate(key, halves(k, uint64(i)), 0)
		case op == 1 && !(s.stable && k == 0):
			s.m.SysDelete(key)
		case op == 2:
			s.m.NextKey(key, next)
		default:
			if s.m.SysLookup(key, value, 0) == linux.OK {
				a, b := binary.LittleEndian.Uint64(value), binary.LittleEndian.Uint64(value[8:])
				if a != ^b || uint32(a>>32) != k {
					s.Errorf("user space reads %#x %#x under key %d", a, b, k)
				}
			} else if s.stable && k == 0 {
				s.Error("user space does not find a replaced key")
			}
		}
	}
}
