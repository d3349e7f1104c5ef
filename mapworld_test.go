package carom_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/world"
)

// TestMapsOfTheWorld: cgroups, stacks and the current task are those of the run's world.
func TestMapsOfTheWorld(t *testing.T) {
	coll := source{
		typ: ebpf.Kprobe,
		maps: map[string]*ebpf.MapSpec{
			"groups": mapSpec(ebpf.CGroupArray, 4, 4, 4),
			"stacks": mapSpec(ebpf.StackTrace, 4, 32, 4),
			"tasks": {
				Type: ebpf.TaskStorage, KeySize: 4, ValueSize: 8, Flags: 1, // BPF_F_NO_PREALLOC
				Key: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, Value: &btf.Int{Name: "unsigned long", Size: 8},
			},
		},
		progs: map[string]string{
			"groups": `
				r7 = 0
				r1 = map[groups] ll
				r2 = 0
				call bpf_current_task_under_cgroup
				r7 += r0
				r1 = map[groups] ll
				r2 = 1
				call bpf_current_task_under_cgroup
				r0 <<= 1
				r7 += r0
				r1 = map[groups] ll
				r2 = 2
				call bpf_current_task_under_cgroup
				r0 <<= 2
				r7 += r0
				r0 = r7
				exit`,
			"stack": "r2 = map[stacks] ll; r3 = 1; call bpf_get_stackid; exit",
			"user":  "r2 = map[stacks] ll; r3 = 256; call bpf_get_stackid; exit",
			"task": `
				call bpf_get_current_task_btf
				r1 = map[tasks] ll
				r2 = r0
				r3 = 0
				r4 = 1
				call bpf_task_storage_get
				if r0 == 0 goto none
				r1 = *(u64 *)(r0 +0)
				r1 += 5
				*(u64 *)(r0 +0) = r1
				none:
				r0 = 0
				exit`,
		},
	}.load(t, &carom.Options{CPUs: 1})
	for i, id := range []uint32{70, 90, 110} {
		check(t, coll.Maps["groups"].Put(uint32(i), id))
	}
	w := &world.World{
		CgroupID: 70, CgroupParents: []uint64{80, 90}, Task: world.Task{PID: 1234, TGID: 1200},
		KernelStack: []uint64{0xffffffff81000001, 0xffffffff81000002, 0xffffffff81000003}, UserStack: []uint64{0x401000},
	}
	run := func(prog string) uint32 {
		t.Helper()
		var res carom.Result
		check(t, coll.Programs[prog].RunInput(context.Background(), &carom.Input{World: w}, &res))
		return uint32(res.Return)
	}
	if got := run("groups"); got != 1|2 {
		t.Errorf("under cgroups %b, want 11", got)
	}
	var stack [4]uint64
	check(t, coll.Maps["stacks"].Lookup(run("stack"), &stack))
	if want := [4]uint64{0xffffffff81000002, 0xffffffff81000003}; stack != want {
		t.Errorf("stack %x, want %x", stack, want)
	}
	if id := run("user"); id < 4 {
		check(t, coll.Maps["stacks"].Lookup(id, &stack))
		if stack != [4]uint64{0x401000} {
			t.Errorf("user stack %x", stack)
		}
	} else if int32(id) != -17 { // EEXIST: the other stack has the id
		t.Errorf("user stack: %d", int32(id))
	}
	run("task")
	run("task")
	var n uint64
	check(t, coll.Maps["tasks"].Lookup(uint32(1234), &n))
	if n != 10 {
		t.Errorf("value of the task is %d, want 10", n)
	}
	if err := coll.Maps["tasks"].Lookup(uint32(1200), &n); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("value of another task: %v", err)
	}
}

func TestMapsWithoutKeys(t *testing.T) {
	maps := mapsOf(t, map[string]*ebpf.MapSpec{
		"q": mapSpec(ebpf.Queue, 0, 4, 2), "s": mapSpec(ebpf.Stack, 0, 4, 2), "b": mapSpec(ebpf.BloomFilter, 0, 4, 100),
	}, 1)
	for name, want := range map[string][]uint32{"q": {1, 2}, "s": {2, 1}} {
		m := maps[name]
		check(t, m.Put(nil, uint32(1)))
		check(t, m.Put(nil, uint32(2)))
		var peeked, a, b uint32
		check(t, m.Lookup(nil, &peeked))
		check(t, m.LookupAndDelete(nil, &a))
		check(t, m.LookupAndDelete(nil, &b))
		if got := []uint32{a, b}; peeked != want[0] || !slices.Equal(got, want) {
			t.Errorf("%s: %d and %v, want %v", name, peeked, got, want)
		}
		if err := m.LookupAndDelete(nil, &a); !errors.Is(err, ebpf.ErrKeyNotExist) {
			t.Errorf("%s is empty: %v", name, err)
		}
	}
	there, absent := uint32(5), uint32(6)
	check(t, maps["b"].Put(nil, there))
	check(t, maps["b"].Lookup(nil, &there))
	if err := maps["b"].Lookup(nil, &absent); !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Errorf("a value that was never put: %v", err)
	}
}
