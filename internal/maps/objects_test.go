package maps

import (
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func localStorageTypes() []ebpf.MapType {
	return []ebpf.MapType{ebpf.SkStorage, ebpf.TaskStorage, ebpf.InodeStorage, ebpf.CgroupStorage}
}

func objectRows() []created {
	rows := flagRows(Spec{Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}, false, 0x1c)
	row := func(t ebpf.MapType, btf bool, key, value, entries, flags uint32, want linux.Errno) {
		rows = append(rows, created{spec: Spec{Type: t, KeySize: key, ValueSize: value, MaxEntries: entries, Flags: flags}, btf: btf, want: want})
	}
	row(ebpf.CGroupArray, false, 4, 8, 1, 0, linux.EINVAL)
	row(ebpf.CGroupArray, false, 8, 4, 1, 0, linux.EINVAL)
	row(ebpf.CGroupArray, false, 4, 4, 0, 0, linux.EINVAL)
	row(ebpf.CGroupArray, false, 4, 4, 1, 0x18, linux.EINVAL)
	for _, t := range localStorageTypes() {
		rows = append(rows, flagRows(Spec{Type: t, KeySize: 4, ValueSize: 8, Flags: 1}, true, 1|linux.MapClone)...)
		row(t, true, 4, 8, 0, 0, linux.EINVAL)
		row(t, false, 4, 8, 0, 1, linux.EINVAL)
		row(t, true, 4, 8, 1, 1, linux.EINVAL)
		row(t, true, 8, 8, 0, 1, linux.EINVAL)
		row(t, true, 4, 5, 0, 1, linux.OK)
		row(t, true, 4, 65407, 0, 1, linux.OK)
		row(t, true, 4, 65408, 0, 1, linux.E2BIG)
	}
	return rows
}

func objectScripts() []script {
	out := []script{{name: "CGroupArray", spec: Spec{Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}, ops: []sysOp{
		{op: "lookup", key: refKey(0), want: linux.ENOTSUPP},
		{op: "lookup", key: refKey(0), flags: 1, want: linux.EINVAL},
		{op: "update", key: refKey(0), value: refKey(^uint32(0)), want: linux.EBADF},
		{op: "update", key: refKey(2), value: refKey(^uint32(0)), want: linux.E2BIG},
		{op: "update", key: refKey(2), value: refKey(^uint32(0)), flags: 2, want: linux.EINVAL},
		{op: "delete", key: refKey(0), want: linux.ENOENT},
		{op: "delete", key: refKey(2), want: linux.E2BIG},
		{op: "next", out: refKey(0)},
		{op: "next", key: refKey(0), out: refKey(1)},
		{op: "next", key: refKey(1), want: linux.ENOENT},
		{op: "pop", key: refKey(0), want: linux.ENOTSUPP},
	}}}
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u64 := &btf.Int{Name: "u64", Size: 8}
	for _, t := range localStorageTypes() {
		none := refKey(^uint32(0))
		out = append(out, script{name: t.String(), key: i32, value: u64, spec: Spec{Type: t, KeySize: 4, ValueSize: 8, Flags: linux.MapNoPrealloc}, ops: []sysOp{
			{op: "lookup", key: none, want: linux.EBADF},
			{op: "lookup", key: none, flags: 1, want: linux.EINVAL},
			{op: "lookup", key: none, flags: 4, want: linux.EINVAL},
			{op: "update", key: none, value: word(1), want: linux.EBADF},
			{op: "update", key: none, value: word(1), flags: 4, want: linux.EINVAL},
			{op: "update", key: none, value: word(1), flags: 9, want: linux.EBADF},
			{op: "delete", key: none, want: linux.EBADF},
			{op: "next", want: linux.ENOTSUPP},
			{op: "next", key: none, want: linux.ENOTSUPP},
			{op: "pop", key: none, want: linux.ENOTSUPP},
		}})
	}
	return out
}

// storageOps are operations on the value of one object that exists; the key is put in.
func storageOps() []sysOp {
	return []sysOp{
		{op: "lookup", want: linux.ENOENT},
		{op: "delete", want: linux.ENOENT},
		{op: "update", value: word(1), flags: 2, want: linux.ENOENT},
		{op: "update", value: word(1), flags: 3, want: linux.EINVAL},
		{op: "update", value: word(1), flags: 1},
		{op: "update", value: word(2), flags: 1, want: linux.EEXIST},
		{op: "lookup", out: word(1)},
		{op: "update", value: word(3), flags: 2},
		{op: "lookup", out: word(3)},
		{op: "update", value: word(4)},
		{op: "lookup", out: word(4)},
		{op: "next", want: linux.ENOTSUPP},
		{op: "delete"},
		{op: "delete", want: linux.ENOENT},
		{op: "update", value: word(5)},
		{op: "freeze"},
		{op: "update", value: word(6), want: linux.EPERM},
		{op: "delete", want: linux.EPERM},
		{op: "lookup", out: word(5)},
	}
}

func storageScript(t ebpf.MapType, key uint32) *script {
	s := &script{
		name: t.String() + " of an object", key: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, value: &btf.Int{Name: "u64", Size: 8},
		spec: Spec{Type: t, KeySize: 4, ValueSize: 8, Flags: linux.MapNoPrealloc}, ops: storageOps(),
	}
	for i := range s.ops {
		s.ops[i].key = refKey(key)
	}
	return s
}

func TestLocalStorageOperations(t *testing.T) {
	for _, typ := range localStorageTypes() {
		runScriptOn(t, storageScript(typ, 7))
	}
}

func TestLocalStorageOfPrograms(t *testing.T) {
	s := refMake[*LocalStorage](t, refHost(t, 1), Spec{Type: ebpf.TaskStorage, KeySize: 4, ValueSize: 8, Flags: linux.MapNoPrealloc, HasTypes: true}, 1)
	if s.Of(5) != 0 {
		t.Error("there is a value from the start")
	}
	a := s.Create(0, 5, word(9)[:4])
	if a == 0 || s.Create(0, 5, nil) != a || s.Of(5) != a || s.Of(6) != 0 {
		t.Error("an object has more than one value, or a wrong one")
	}
	var v [8]byte
	refCheck(t, "lookup", s.SysLookup(refKey(5), v[:], 0), linux.OK)
	if v[0] != 9 {
		t.Errorf("value %x", v)
	}
	refCheck(t, "remove", s.Remove(0, 5), linux.OK)
	refCheck(t, "remove again", s.Remove(0, 5), linux.ENOENT)
}
