package maps

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// accessRows are the flags that arrays, hash tables and tries take.
func accessRows() []created {
	var rows []created
	for _, c := range []struct {
		typ      ebpf.MapType
		base, ok uint32
	}{
		{ebpf.Array, 0, 0x159c}, {ebpf.PerCPUArray, 0, 0x198}, {ebpf.Hash, 0, 0x1dd}, {ebpf.PerCPUHash, 0, 0x1d9},
		{ebpf.LRUHash, 0, 0x1de}, {ebpf.LRUCPUHash, 0, 0x1da}, {ebpf.LPMTrie, 1, 0x19d},
	} {
		s := Spec{Type: c.typ, KeySize: 4, ValueSize: 8, MaxEntries: 4, Flags: c.base}
		if c.typ == ebpf.LPMTrie {
			s.KeySize = 8
		}
		flags := flagRows(s, false, c.ok)
		if c.typ == ebpf.LRUHash || c.typ == ebpf.LRUCPUHash {
			flags[0].want = linux.ENOTSUPP // BPF_F_NO_PREALLOC
		}
		rows = append(rows, flags...)
		for _, both := range []uint32{0x18, 0x180} {
			r := created{spec: s, want: linux.EINVAL}
			r.spec.Flags |= both
			rows = append(rows, r)
		}
	}
	for size, want := range map[uint32]linux.Errno{1 << 31: linux.E2BIG, 32769: linux.E2BIG, 32768: linux.OK, 32761: linux.OK} {
		rows = append(rows, created{spec: Spec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: size, MaxEntries: 1}, want: want})
	}
	return append(rows, created{spec: Spec{Type: ebpf.Array, KeySize: 4, ValueSize: 1 << 31, MaxEntries: 1}, want: linux.E2BIG})
}

// accessScripts say what bpf(2) may do with maps that are read-only or write-only for user space or
// programs, mappable, or frozen.
func accessScripts() []script {
	var out []script
	for _, t := range []ebpf.MapType{ebpf.Array, ebpf.Hash} {
		deleted, missing, taken := linux.OK, linux.ENOENT, linux.OK
		if t == ebpf.Array {
			deleted, missing, taken = linux.EINVAL, linux.OK, linux.ENOTSUPP
		}
		add := func(name string, flags uint32, ops ...sysOp) {
			out = append(out, script{name: t.String() + " " + name, spec: Spec{Type: t, KeySize: 4, ValueSize: 8, MaxEntries: 2, Flags: flags}, ops: ops})
		}
		k := refKey(0)
		add("read-only", linux.MapReadOnly,
			sysOp{op: "update", key: k, value: word(1), want: linux.EPERM},
			sysOp{op: "lookup", key: k, want: missing},
			sysOp{op: "delete", key: k, want: linux.EPERM},
			sysOp{op: "pop", key: k, want: linux.EPERM},
			sysOp{op: "freeze", want: linux.EPERM})
		add("write-only", linux.MapWriteOnly,
			sysOp{op: "update", key: k, value: word(1)},
			sysOp{op: "lookup", key: k, want: linux.EPERM},
			sysOp{op: "next", want: linux.EPERM},
			sysOp{op: "pop", key: k, want: linux.EPERM},
			sysOp{op: "delete", key: k, want: deleted},
			sysOp{op: "freeze"},
			sysOp{op: "update", key: k, value: word(1), want: linux.EPERM})
		for name, flags := range map[string]uint32{"for programs read-only": linux.MapReadOnlyProg, "for programs write-only": linux.MapWriteOnlyProg, "plain": 0} {
			add(name, flags,
				sysOp{op: "update", key: k, value: word(1)},
				sysOp{op: "lookup", key: k, out: word(1)},
				sysOp{op: "next", out: k},
				sysOp{op: "pop", key: k, want: taken},
				sysOp{op: "update", key: k, value: word(2)},
				sysOp{op: "freeze"},
				sysOp{op: "freeze", want: linux.EPERM},
				sysOp{op: "update", key: k, value: word(1), want: linux.EPERM},
				sysOp{op: "pop", key: k, want: linux.EPERM},
				sysOp{op: "delete", key: k, want: linux.EPERM},
				sysOp{op: "lookup", key: k, out: word(2)})
		}
	}
	return append(out,
		script{name: "Array mappable", spec: Spec{Type: ebpf.Array, KeySize: 4, ValueSize: 12, MaxEntries: 2, Flags: linux.MapMmapable}, ops: []sysOp{
			{op: "update", key: refKey(1), value: append(word(1), 2, 0, 0, 0)},
			{op: "lookup", key: refKey(1), out: append(word(1), 2, 0, 0, 0)},
			{op: "freeze"},
			{op: "update", key: refKey(1), value: make([]byte, 12), want: linux.EPERM},
		}})
}
