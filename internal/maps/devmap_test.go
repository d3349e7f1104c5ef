package maps

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// targetSpecs are maps for redirects and cgroup storage, with the creation flags that Linux 6.18
// accepts (measured).
func targetSpecs() []struct {
	spec Spec
	ok   uint32
} {
	return []struct {
		spec Spec
		ok   uint32
	}{
		{Spec{Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 0x1c},
		{Spec{Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 0x1c},
		{Spec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 0x4},
		{Spec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 0x1c},
		{Spec{Type: ebpf.CGroupStorage, KeySize: 16, ValueSize: 8}, 0x19c},
		{Spec{Type: ebpf.PerCPUCGroupStorage, KeySize: 16, ValueSize: 8}, 0x19c},
	}
}

// targetSizes are changes of these maps and what creation gives, measured on Linux 6.18.
func targetSizes() []struct {
	t                   ebpf.MapType
	key, value, entries uint32
	want                linux.Errno
} {
	type row = struct {
		t                   ebpf.MapType
		key, value, entries uint32
		want                linux.Errno
	}
	var rows []row
	for _, t := range []ebpf.MapType{ebpf.DevMap, ebpf.DevMapHash, ebpf.CPUMap, ebpf.XSKMap} {
		wide := linux.OK
		if t == ebpf.XSKMap {
			wide = linux.EINVAL
		}
		rows = append(rows, row{t, 4, 4, 1, linux.OK}, row{t, 4, 8, 1, wide}, row{t, 4, 12, 1, linux.EINVAL}, row{t, 4, 5, 1, linux.EINVAL},
			row{t, 4, 0, 1, linux.EINVAL}, row{t, 8, 4, 1, linux.EINVAL}, row{t, 1, 4, 1, linux.EINVAL}, row{t, 4, 4, 0, linux.EINVAL})
	}
	rows = append(rows, row{ebpf.DevMapHash, 4, 4, 1<<31 + 1, linux.EINVAL}, row{ebpf.CPUMap, 4, 4, 8192, linux.E2BIG})
	for _, t := range []ebpf.MapType{ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage} {
		rows = append(rows, row{t, 16, 8, 0, linux.OK}, row{t, 8, 8, 0, linux.OK}, row{t, 12, 8, 0, linux.EINVAL}, row{t, 4, 8, 0, linux.EINVAL},
			row{t, 16, 0, 0, linux.EINVAL}, row{t, 16, 5, 0, linux.OK}, row{t, 16, 8, 1, linux.EINVAL})
	}
	return append(rows, row{ebpf.CGroupStorage, 16, 65407, 0, linux.OK}, row{ebpf.CGroupStorage, 16, 65408, 0, linux.E2BIG},
		row{ebpf.PerCPUCGroupStorage, 16, 32768, 0, linux.OK}, row{ebpf.PerCPUCGroupStorage, 16, 32769, 0, linux.E2BIG})
}

func TestTargetCreation(t *testing.T) {
	h := refHost(t, 2)
	for _, c := range targetSpecs() {
		for bit := range 13 {
			s := c.spec
			s.Flags = 1 << bit
			want := linux.EINVAL
			if c.ok&s.Flags != 0 {
				want = linux.OK
			}
			m, err := New(h, &s, 1)
			refCheck(t, s.Type.String()+" flag "+hex(s.Flags), refErrno(t, err), want)
			if err == nil {
				m.Close()
			}
		}
		s := c.spec
		s.Flags = linux.MapReadOnly | linux.MapWriteOnly
		_, err := New(h, &s, 1)
		refCheck(t, s.Type.String()+" read-only and write-only", refErrno(t, err), linux.EINVAL)
	}
	for _, c := range targetSizes() {
		m, err := New(h, &Spec{Name: "m", Type: c.t, KeySize: c.key, ValueSize: c.value, MaxEntries: c.entries}, 1)
		if refErrno(t, err) != c.want {
			t.Errorf("%v with key %d, value %d, %d entries: %v, want %v", c.t, c.key, c.value, c.entries, err, c.want)
		}
		if err == nil {
			m.Close()
		}
	}
}

// walk lists the keys of a map in the order of NextKey.
func walk(m Map) []uint32 {
	var keys []uint32
	var key []byte
	for {
		next := make([]byte, 4)
		if m.NextKey(key, next) != linux.OK || len(keys) > 100 {
			return keys
		}
		keys = append(keys, binary.LittleEndian.Uint32(next))
		key = next
	}
}

// devMapOrder has the keys of a DEVMAP_HASH of 5 entries in the order of a walk, after they were
// stored and after 9 was stored again (measured).
func devMapOrder() (put, first, again []uint32) {
	return []uint32{9, 1, 17, 4, 12}, []uint32{17, 1, 9, 12, 4}, []uint32{9, 17, 1, 12, 4}
}

func TestDevMapHashOrder(t *testing.T) {
	m := refMake[Map](t, refHost(t, 1), Spec{Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 4, MaxEntries: 5}, 1)
	put, first, again := devMapOrder()
	for _, k := range put {
		refCheck(t, "put", m.SysUpdate(refKey(k), refKey(1), 0), linux.OK)
	}
	if got := walk(m); !slices.Equal(got, first) {
		t.Errorf("keys %v, want %v", got, first)
	}
	refCheck(t, "put again", m.SysUpdate(refKey(9), refKey(1), 0), linux.OK)
	if got := walk(m); !slices.Equal(got, again) {
		t.Errorf("keys %v after storing 9 again, want %v", got, again)
	}
	refCheck(t, "delete", m.SysDelete(refKey(17)), linux.OK)
	next := make([]byte, 4)
	refCheck(t, "next of a key that is gone", m.NextKey(refKey(17), next), linux.OK)
	if got := binary.LittleEndian.Uint32(next); got != 9 {
		t.Errorf("the walk restarts with %d, want 9", got)
	}
}

// xskOp is an update of a XSKMAP of 2 entries and its result, measured with two AF_XDP sockets.
type xskOp struct {
	key, socket uint32
	flags       uint64
	want        linux.Errno
}

func xskOps() []xskOp {
	return []xskOp{
		{0, 16, linux.UpdateExist, linux.ENOENT}, {0, 16, linux.UpdateNoExist, linux.OK}, {0, 16, linux.UpdateNoExist, linux.OK},
		{0, 16, 0, linux.OK}, {0, 17, linux.UpdateNoExist, linux.EEXIST}, {0, 17, linux.UpdateExist, linux.OK},
		{2, 16, 0, linux.E2BIG}, {1, 16, 3, linux.EINVAL}, {1, 16, 4, linux.EINVAL},
	}
}

func TestXSKMap(t *testing.T) {
	m := refMake[Map](t, refHost(t, 1), Spec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 1)
	for i, op := range xskOps() {
		if got := m.SysUpdate(refKey(op.key), refKey(op.socket), op.flags); got != op.want {
			t.Errorf("update %d: %v, want %v", i, got, op.want)
		}
	}
	if addr := m.Lookup(0, refKey(0)); addr == 0 || mem.Load32(addr) != 17 {
		t.Errorf("a program sees no 17 at %#x", addr)
	}
	refCheck(t, "lookup", m.SysLookup(refKey(0), make([]byte, 4), 0), linux.EOPNOTSUPP)
}

// A program may read an entry, not write it, and nothing beside it; an old pointer keeps the old
// entry while a run is under way.
func TestTargetMemory(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.DevMap, ebpf.DevMapHash} {
		h := refHost(t, 1)
		m := refMake[Map](t, h, Spec{Type: typ, KeySize: 4, ValueSize: 4, MaxEntries: 2}, 1)
		refCheck(t, "put", m.SysUpdate(refKey(1), refKey(5), 0), linux.OK)
		h.Epochs.Enter(h.Readers[0])
		old := m.Lookup(0, refKey(1))
		r := h.Space.Find(old)
		if r == nil || r.Layout.Perm != mem.PermRead || r.Layout.ValueSize != 4 {
			t.Fatalf("%v: an entry lies in %+v", typ, r)
		}
		for dev := range uint32(200) {
			refCheck(t, "put", m.SysUpdate(refKey(1), refKey(dev+6), 0), linux.OK)
		}
		if v := mem.Load32(old); v != 5 {
			t.Errorf("%v: the old entry reads %d, want 5", typ, v)
		}
		if v := mem.Load32(m.Lookup(0, refKey(1))); v != 205 {
			t.Errorf("%v: the entry is %d, want 205", typ, v)
		}
		h.Epochs.Leave(h.Readers[0])
	}
}

func TestCPUMapKnowsItsCPUs(t *testing.T) {
	m := refMake[Map](t, refHost(t, 2), Spec{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 4}, 1)
	refCheck(t, "CPU 1", m.SysUpdate(refKey(1), refKey(64), 0), linux.OK)
	refCheck(t, "CPU 2", m.SysUpdate(refKey(2), refKey(64), 0), linux.ENODEV)
	refCheck(t, "no queue on CPU 2", m.SysUpdate(refKey(2), refKey(0), 0), linux.ENODEV)
	refCheck(t, "long queue on CPU 3", m.SysUpdate(refKey(3), refKey(16385), 0), linux.EOVERFLOW)
	if got := walk(m); !slices.Equal(got, []uint32{0, 1, 2, 3}) {
		t.Errorf("keys %v, want all four", got)
	}
}
