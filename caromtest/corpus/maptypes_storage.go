package corpus

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	ct "github.com/carom-bpf/carom/caromtest"
)

// localStorage is a map with a value of 8 bytes for each object.
func localStorage(t ebpf.MapType) *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Type: t, KeySize: 4, ValueSize: 8, Flags: 1, // BPF_F_NO_PREALLOC
		Key:   &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed},
		Value: &btf.Int{Name: "unsigned long", Size: 8},
	}
}

// taskStorage makes, changes and deletes the value of the current task.
func taskStorage() ct.Case {
	text, n := `
		call bpf_get_current_task_btf
		r6 = r0
		r1 = 77
		*(u64 *)(r10 -8) = r1
		`, 0
	var want []uint64
	get := func(initial string, flags int, there, value uint64) {
		text += fmt.Sprintf(`
			r1 = map[tasks] ll
			r2 = r6
			%s
			r4 = %d
			call bpf_task_storage_get
			r7 = r0
			r8 = 0
			r9 = 0
			if r7 == 0 goto +5
			r8 = 1
			r9 = *(u64 *)(r7 +0)
			r1 = r9
			r1 += 1
			*(u64 *)(r7 +0) = r1
			`, initial, flags) + store("r8", n) + store("r9", n+1)
		n += 2
		want = append(want, there, value)
	}
	remove := func(errno uint64) {
		text += "r1 = map[tasks] ll\nr2 = r6\ncall bpf_task_storage_delete\nr8 = r0\n" + store("r8", n)
		n++
		want = append(want, errno)
	}
	const zeros, given = "r3 = 0", "r3 = r10\nr3 += -8"
	remove(errno(ct.ENOENT))
	get(zeros, 0, 0, 0)
	get(zeros, 2, 0, 0)
	get(zeros, 3, 0, 0)
	get(zeros, 1, 1, 0)
	get(given, 1, 1, 1)
	get(zeros, 0, 1, 2)
	remove(0)
	remove(errno(ct.ENOENT))
	get(given, 0, 0, 0)
	get(given, 1, 1, 77)
	get(zeros, 1, 1, 78)
	return with(probed("task storage", text+done, n, hit(ct.Probe{}, want)), "tasks", localStorage(ebpf.TaskStorage))
}
