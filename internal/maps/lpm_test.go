package maps

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

func TestLPMLongestPrefix(t *testing.T) {
	m := hashMap(t, hashHost(t, 1), hashSpec(ebpf.LPMTrie, 8, 8, 8))
	for i, key := range [][]byte{
		v4(0, 0, 0, 0, 0), v4(16, 192, 168, 0, 0), v4(24, 192, 168, 0, 0), v4(24, 192, 168, 128, 0),
		v4(24, 192, 168, 1, 0), v4(32, 10, 0, 0, 1),
	} {
		if e := m.Update(0, key, u64(uint64(i)), 0); e != linux.OK {
			t.Fatal(e)
		}
	}
	find := func(key []byte) int64 {
		p := m.Lookup(0, key)
		if p == 0 {
			return -1
		}
		return int64(mem.Load64(p))
	}
	for _, c := range []struct {
		key  []byte
		want int64
	}{
		{v4(32, 8, 8, 8, 8), 0}, {v4(32, 192, 168, 7, 1), 1}, {v4(32, 192, 168, 0, 1), 2},
		{v4(32, 192, 168, 128, 9), 3}, {v4(32, 192, 168, 1, 255), 4}, {v4(32, 10, 0, 0, 1), 5},
		{v4(31, 10, 0, 0, 1), 0}, {v4(16, 192, 168, 0, 1), 1}, {v4(15, 192, 168, 0, 1), 0},
		{v4(33, 10, 0, 0, 1), -1},
	} {
		if got := find(c.key); got != c.want {
			t.Errorf("%x finds %d, want %d", c.key, got, c.want)
		}
	}
	if e := m.Delete(0, v4(0, 0, 0, 0, 0)); e != linux.OK {
		t.Fatal(e)
	}
	if got := find(v4(32, 8, 8, 8, 8)); got != -1 {
		t.Errorf("without /0: %d", got)
	}
	if e := m.Delete(0, v4(23, 192, 168, 0, 0)); e != linux.ENOENT { // the path forks there
		t.Errorf("delete of a fork: %v", e)
	}
}

// TestLPMOrder is the example of trie_get_next_key's comment.
func TestLPMOrder(t *testing.T) {
	m := hashMap(t, hashHost(t, 1), hashSpec(ebpf.LPMTrie, 8, 8, 8))
	for _, key := range [][]byte{v4(16, 192, 168, 0, 0), v4(24, 192, 168, 0, 0), v4(24, 192, 168, 128, 0), v4(24, 192, 168, 1, 0)} {
		m.SysUpdate(key, u64(0), 0)
	}
	key := make([]byte, 8)
	errno := m.NextKey(nil, key)
	for _, want := range [][]byte{v4(24, 192, 168, 0, 0), v4(24, 192, 168, 1, 0), v4(24, 192, 168, 128, 0), v4(16, 192, 168, 0, 0)} {
		if errno != linux.OK || !bytes.Equal(key, want) {
			t.Errorf("%x, %v; want %x", key, errno, want)
		}
		errno = m.NextKey(bytes.Clone(key), key)
	}
	if errno != linux.ENOENT {
		t.Errorf("after the last: %v", errno)
	}
}

// TestLPMModel compares with a list of prefixes that is searched in full.
func TestLPMModel(t *testing.T) {
	for _, size := range []uint32{1, 2, 3, 4, 7, 8, 12, 16, 256} {
		rnd := rand.New(rand.NewPCG(uint64(size), 2))
		h := hashHost(t, 1)
		m := hashMap(t, h, hashSpec(ebpf.LPMTrie, 4+size, 8, 40))
		type entry struct {
			bits  int
			text  string
			value uint64
		}
		model := map[string]entry{}
		for i := range uint64(2000) {
			data := make([]byte, size)
			for j := range data {
				data[j] = byte(rnd.IntN(2)*0x80 + rnd.IntN(2))
			}
			text := ""
			for _, b := range data {
				text += fmt.Sprintf("%08b", b)
			}
			n := rnd.IntN(len(text) + 1)
			key := append(u32(uint32(n)), data...)
			switch rnd.IntN(3) {
			case 0:
				_, there := model[text[:n]]
				if got := m.Delete(0, key) == linux.OK; got != there {
					t.Fatalf("size %d: delete of %s: %v, want %v", size, text[:n], got, there)
				}
				delete(model, text[:n])
			case 1:
				want := linux.OK
				if _, there := model[text[:n]]; !there && len(model) == 40 {
					want = linux.ENOSPC
				} else {
					model[text[:n]] = entry{n, text[:n], i}
				}
				if got := m.Update(0, key, u64(i), 0); got != want {
					t.Fatalf("size %d: update: %v, want %v", size, got, want)
				}
			default:
				best := entry{bits: -1}
				for _, e := range model {
					if e.bits <= n && e.bits > best.bits && text[:e.bits] == e.text {
						best = e
					}
				}
				p := m.Lookup(0, key)
				if (p != 0) != (best.bits >= 0) || p != 0 && mem.Load64(p) != best.value {
					t.Fatalf("size %d: lookup of %s", size, text[:n])
				}
			}
		}
		if got := len(contents(m)); got != len(model) {
			t.Errorf("size %d: %d keys, want %d", size, got, len(model))
		}
	}
}
