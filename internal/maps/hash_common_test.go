package maps

import (
	"encoding/binary"
	"testing"

	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// hashHost is a machine with cpus virtual CPUs.
func hashHost(tb testing.TB, cpus int) *Host {
	tb.Helper()
	space, err := mem.NewSpaceOf(4 << 30) // little, for emulators that pay for reserved pages
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(space.Close)
	descs, err := mem.NewTable(space, mem.KindMapDesc)
	if err != nil {
		tb.Fatal(err)
	}
	h := &Host{Space: space, Epochs: mem.NewEpochs(), Descs: descs, CPUs: cpus}
	for range cpus {
		h.Readers = append(h.Readers, h.Epochs.NewReader())
	}
	return h
}

func hashMap(tb testing.TB, h *Host, s Spec) Map {
	tb.Helper()
	if s.Name == "" {
		s.Name = "m"
	}
	m, err := New(h, &s, 1)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.Close)
	return m
}

func hashSpec(t ebpf.MapType, key, value, entries uint32) Spec {
	s := Spec{Type: t, KeySize: key, ValueSize: value, MaxEntries: entries}
	if t == ebpf.LPMTrie {
		s.Flags = 1
	}
	return s
}

func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// v4 is the key of an IPv4 prefix in a trie.
func v4(bits uint32, a, b, c, d byte) []byte { return append(u32(bits), a, b, c, d) }
