package maps

import (
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// Runs at the same time have values of their own, each zero at first.
func TestCgroupStorageOfRuns(t *testing.T) {
	h := refHost(t, 2)
	s := refMake[*CgroupStorage](t, h, Spec{Type: ebpf.CGroupStorage, KeySize: 16, ValueSize: 12}, 1)
	type run struct{ n int }
	a, b := &run{1}, &run{2}
	if s.Of(a) != 0 {
		t.Error("a run has a value before it begins")
	}
	for range 3 {
		for _, r := range []*run{a, b} {
			if err := s.Begin(r); err != nil {
				t.Fatal(err)
			}
		}
		x, y := s.Of(a), s.Of(b)
		if x == 0 || y == 0 || x == y {
			t.Fatalf("values at %#x and %#x", x, y)
		}
		if mem.Load64(x) != 0 || mem.Load32(x+8) != 0 || mem.Load64(y) != 0 {
			t.Error("a fresh value is not zero")
		}
		mem.Store64(x, 1)
		mem.Store32(x+8, 3)
		mem.Store64(y, 2)
		s.End(a)
		s.End(b)
	}
	if s.Of(a) != 0 {
		t.Error("a run has a value after its end")
	}
	if n := len(s.free); n != 2 {
		t.Errorf("%d values were made for two runs at a time", n)
	}
}

func TestCgroupStorageForUserSpace(t *testing.T) {
	h := refHost(t, 2)
	for _, typ := range []ebpf.MapType{ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage} {
		m := refMake[Map](t, h, Spec{Type: typ, KeySize: 16, ValueSize: 8}, 1)
		key, value := make([]byte, 16), make([]byte, m.Info().SysValueSize())
		refCheck(t, "lookup", m.SysLookup(key, value, 0), linux.ENOENT)
		refCheck(t, "lookup with a flag", m.SysLookup(key, value, 4), linux.EINVAL)
		for flags, want := range map[uint64]linux.Errno{
			0: linux.ENOENT, linux.UpdateExist: linux.ENOENT, linux.UpdateNoExist: linux.EINVAL, 3: linux.EINVAL, linux.UpdateLock: linux.EINVAL, 8: linux.EINVAL,
		} {
			refCheck(t, "update", m.SysUpdate(key, value, flags), want)
		}
		refCheck(t, "delete", m.SysDelete(key), linux.EINVAL)
		refCheck(t, "first key", m.NextKey(nil, key), linux.ENOENT)
		refCheck(t, "next key", m.NextKey(key, key), linux.ENOENT)
	}
}
