package maps

import (
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

func stackTraceRows() []created {
	rows := flagRows(Spec{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 64, MaxEntries: 4}, false, 0x3c)
	for _, r := range []struct {
		key, value, entries, flags uint32
		want                       linux.Errno
	}{
		{4, 8, 1, 0, linux.OK}, {4, 0, 1, 0, linux.EINVAL}, {4, 12, 1, 0, linux.EINVAL}, {4, 4, 1, 0, linux.EINVAL},
		{8, 8, 1, 0, linux.EINVAL}, {0, 8, 1, 0, linux.EINVAL}, {4, 8, 0, 0, linux.EINVAL}, {4, 8, 5, 0x18, linux.EINVAL},
		{4, 127 * 8, 1, 0, linux.OK}, {4, 128 * 8, 1, 0, linux.EINVAL}, {4, 8, 1<<31 + 1, 0, linux.E2BIG},
		{4, 8, 1, 0x20, linux.EINVAL}, {4, 32, 1, 0x20, linux.OK}, {4, 127 * 32, 1, 0x20, linux.OK}, {4, 128 * 32, 1, 0x20, linux.EINVAL},
	} {
		rows = append(rows, created{spec: Spec{Type: ebpf.StackTrace, KeySize: r.key, ValueSize: r.value, MaxEntries: r.entries, Flags: r.flags}, want: r.want})
	}
	return rows
}

func stackTraceScripts() []script {
	return []script{{name: "StackTrace", spec: Spec{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 16, MaxEntries: 3}, ops: []sysOp{
		{op: "lookup", key: refKey(0), want: linux.ENOENT},
		{op: "lookup", key: refKey(0), flags: 1, want: linux.EINVAL},
		{op: "lookup", key: refKey(9), want: linux.ENOENT},
		{op: "update", key: refKey(0), value: make([]byte, 16), want: linux.EINVAL},
		{op: "delete", key: refKey(0), want: linux.ENOENT},
		{op: "delete", key: refKey(3), want: linux.ENOENT}, // four buckets
		{op: "delete", key: refKey(4), want: linux.E2BIG},
		{op: "next", want: linux.ENOENT},
		{op: "pop", key: refKey(0), want: linux.ENOENT},
		{op: "pop", key: refKey(0), flags: 1, want: linux.EINVAL},
		{op: "pop", key: refKey(0), flags: 4, want: linux.EINVAL},
	}}}
}

func TestStackTraceInsert(t *testing.T) {
	s := refMake[*StackTrace](t, refHost(t, 1), Spec{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 16, MaxEntries: 1}, 1)
	insert := func(flags uint64, want linux.Errno, addrs ...uint64) {
		t.Helper()
		id, errno := s.Insert(addrs, flags)
		refCheck(t, "insert", errno, want)
		if errno == linux.OK && id != 0 {
			t.Errorf("id %d, but there is one bucket", id)
		}
	}
	insert(0, linux.EFAULT)
	insert(2, linux.EFAULT, 1, 2)
	insert(0, linux.OK, 1, 2, 3) // the third does not fit
	insert(0, linux.OK, 1, 2)
	insert(1, linux.EEXIST, 1, 2)
	insert(StackReuse|1, linux.ENOMEM, 1, 2)
	var v [16]byte
	refCheck(t, "lookup", s.SysLookup(refKey(0), v[:], 0), linux.OK)
	if v != [16]byte{0: 1, 8: 2} {
		t.Errorf("stack %x", v)
	}
	refCheck(t, "delete", s.SysDelete(refKey(0)), linux.OK)
	insert(1, linux.OK, 1, 2)
	refCheck(t, "lookup", s.SysLookup(refKey(0), v[:], 0), linux.OK)
	if v != [16]byte{0: 2} {
		t.Errorf("stack %x", v)
	}
}
