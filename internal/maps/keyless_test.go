package maps

import (
	"slices"
	"sync"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// scripts are the operations that this package and the kernel must answer alike.
func scripts() []script {
	return slices.Concat(keylessScripts(), stackTraceScripts(), objectScripts(), accessScripts())
}

func createRows() []created {
	return slices.Concat(keylessRows(), stackTraceRows(), objectRows(), accessRows())
}

func TestScripts(t *testing.T) {
	for _, s := range scripts() {
		t.Run(s.name, func(t *testing.T) { runScriptOn(t, &s) })
	}
}

func TestCreation(t *testing.T) { checkCreated(t, createRows()) }

func keylessRows() []created {
	var rows []created
	row := func(t ebpf.MapType, key, value, entries, flags uint32, extra uint64, want linux.Errno) {
		rows = append(rows, created{spec: Spec{Type: t, KeySize: key, ValueSize: value, MaxEntries: entries, Flags: flags, Extra: extra}, want: want})
	}
	for _, t := range []ebpf.MapType{ebpf.Queue, ebpf.Stack, ebpf.BloomFilter} {
		ok := uint32(0x19c)
		if t == ebpf.BloomFilter {
			ok |= linux.MapZeroSeed
		}
		rows = append(rows, flagRows(Spec{Type: t, ValueSize: 8, MaxEntries: 4}, false, ok)...)
		row(t, 0, 8, 1, 0, 0, linux.OK)
		row(t, 4, 8, 1, 0, 0, linux.EINVAL)
		row(t, 0, 0, 1, 0, 0, linux.EINVAL)
		row(t, 0, 8, 0, 0, 0, linux.EINVAL)
		row(t, 0, 5, 3, 0, 0, linux.OK)
		row(t, 0, 4<<20, 1, 0, 0, linux.OK)
		row(t, 0, 4<<20+1, 1, 0, 0, linux.E2BIG)
		row(t, 0, 8, 1, 0x18, 0, linux.EINVAL)
		row(t, 0, 8, 1, 0x180, 0, linux.EINVAL)
	}
	for extra, want := range map[uint64]linux.Errno{1: linux.OK, 15: linux.OK, 16: linux.EINVAL, 1 << 40: linux.EINVAL} {
		row(ebpf.BloomFilter, 0, 8, 4, 0, extra, want)
	}
	row(ebpf.Queue, 0, 8, 4, 0, 1, linux.EINVAL)
	row(ebpf.Array, 4, 8, 4, 0, 1, linux.EINVAL)
	return rows
}

func keylessScripts() []script {
	var out []script
	for _, t := range []ebpf.MapType{ebpf.Queue, ebpf.Stack} {
		// What comes next once 1 and 2 were pushed.
		next, last, kept := word(1), word(2), word(2)
		if t == ebpf.Stack {
			next, last, kept = word(2), word(1), word(3)
		}
		after := word(3)
		if t == ebpf.Stack {
			after = word(2)
		}
		out = append(out, script{name: t.String(), spec: Spec{Type: t, ValueSize: 8, MaxEntries: 2}, ops: []sysOp{
			{op: "lookup", want: linux.ENOENT},
			{op: "pop", want: linux.ENOENT},
			{op: "update", value: word(1)},
			{op: "update", value: word(2)},
			{op: "update", value: word(3), want: linux.E2BIG},
			{op: "update", value: word(3), flags: 1, want: linux.EINVAL},
			{op: "update", value: word(3), flags: 3, want: linux.EINVAL},
			{op: "update", value: word(3), flags: 4, want: linux.EINVAL},
			{op: "update", value: word(3), flags: 8, want: linux.EINVAL},
			{op: "lookup", out: next},
			{op: "lookup", flags: 1, want: linux.EINVAL},
			{op: "lookup", flags: 4, want: linux.EINVAL},
			{op: "pop", flags: 4, want: linux.EINVAL},
			{op: "pop", flags: 1, want: linux.EINVAL},
			{op: "pop", out: next},
			{op: "pop", out: last},
			{op: "pop", want: linux.ENOENT},
			{op: "update", value: word(1)},
			{op: "update", value: word(2)},
			{op: "update", value: word(3), flags: 2}, // drops the oldest
			{op: "pop", out: kept},
			{op: "lookup", out: after},
			{op: "delete", want: linux.EINVAL},
			{op: "next", want: linux.EINVAL},
			{op: "freeze"},
			{op: "freeze", want: linux.EPERM},
			{op: "update", value: word(3), want: linux.EPERM},
			{op: "delete", want: linux.EPERM},
			{op: "pop", want: linux.EPERM},
			{op: "lookup", out: after},
		}}, script{name: t.String() + " read-only", spec: Spec{Type: t, ValueSize: 8, MaxEntries: 2, Flags: linux.MapReadOnly}, ops: []sysOp{
			{op: "update", value: word(1), want: linux.EPERM},
			{op: "lookup", want: linux.ENOENT},
			{op: "pop", want: linux.EPERM},
			{op: "next", want: linux.EINVAL},
			{op: "freeze", want: linux.EPERM},
		}}, script{name: t.String() + " write-only", spec: Spec{Type: t, ValueSize: 8, MaxEntries: 2, Flags: linux.MapWriteOnly}, ops: []sysOp{
			{op: "update", value: word(1)},
			{op: "lookup", want: linux.EPERM},
			{op: "pop", want: linux.EPERM},
			{op: "next", want: linux.EPERM},
		}})
	}
	return append(out, script{name: "BloomFilter", spec: Spec{Type: ebpf.BloomFilter, ValueSize: 8, MaxEntries: 100}, ops: []sysOp{
		{op: "lookup", value: word(1), want: linux.ENOENT},
		{op: "update", value: word(1)},
		{op: "update", value: word(1)},
		{op: "lookup", value: word(1)},
		{op: "lookup", value: word(1), flags: 4, want: linux.EINVAL},
		{op: "update", value: word(2), flags: 1, want: linux.EINVAL},
		{op: "update", value: word(2), flags: 2, want: linux.EINVAL},
		{op: "update", value: word(2), flags: 4, want: linux.EINVAL},
		{op: "delete", want: linux.EOPNOTSUPP},
		{op: "next", want: linux.EOPNOTSUPP},
		{op: "pop", value: word(1), want: linux.ENOTSUPP},
		{op: "freeze"},
		{op: "update", value: word(2), want: linux.EPERM},
		{op: "lookup", value: word(1)},
	}})
}

// Values of several writers and readers are neither lost nor doubled.
func TestQueueConcurrent(t *testing.T) {
	q := refMake[Map](t, refHost(t, 4), Spec{Type: ebpf.Queue, ValueSize: 8, MaxEntries: 1 << 12}, 1).(Keyless)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				_ = q.Push(word(uint64(w*1000+i)), 0)
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	var v [8]byte
	for q.Pop(v[:]) == linux.OK {
		seen[string(v[:])] = true
	}
	if len(seen) != 4000 {
		t.Errorf("%d different values, want 4000", len(seen))
	}
}
