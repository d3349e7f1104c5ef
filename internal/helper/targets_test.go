package helper

import (
	"fmt"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

// refusedTargets are calls that Linux's verifier rejects in the same words.
func refusedTargets() []scenario {
	const storage = ebpf.CGroupSKB // the type that has bpf_get_local_storage
	all := []maps.Spec{
		{Name: "dev", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Name: "hashed", Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Name: "cpu", Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Name: "xsk", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Name: "shared", Type: ebpf.CGroupStorage, KeySize: 16, ValueSize: 8},
		{Name: "percpu", Type: ebpf.PerCPUCGroupStorage, KeySize: 16, ValueSize: 8},
	}
	call := func(m, name string) string {
		return program(fmt.Sprintf("*(u64 *)(r10 -8) = 0\n*(u64 *)(r10 -16) = 0\nr1 = map[%s] ll\nr2 = r10\nr2 += -16\nr3 = r2\nr4 = 0\ncall %s", m, name))
	}
	var rows []scenario
	for _, r := range []struct {
		m    string
		t    int
		name string
		id   int
	}{
		{"cpu", 16, "bpf_map_update_elem", 2},
		{"xsk", 17, "bpf_map_update_elem", 2}, {"shared", 19, "bpf_map_update_elem", 2}, {"percpu", 21, "bpf_map_update_elem", 2},
		{"xsk", 17, "bpf_map_delete_elem", 3},
		{"cpu", 16, "bpf_map_lookup_elem", 1}, {"shared", 19, "bpf_map_lookup_elem", 1}, {"percpu", 21, "bpf_map_lookup_elem", 1},
		{"out", 2, "bpf_redirect_map", 51}, {"shared", 19, "bpf_redirect_map", 51}, {"dev", 14, "bpf_get_local_storage", 81},
	} {
		typ, text := ebpf.XDP, call(r.m, r.name)
		if r.id == 81 {
			typ, text = storage, strings.Replace(text, "r2 += -16", "r2 = 0\nr3 = r10", 1)
		}
		rows = append(rows, scenario{
			name: r.name + " of " + r.m, maps: all, typ: typ, text: text,
			local: fmt.Sprintf("cannot pass map_type %d into func %s#%d", r.t, r.name, r.id),
		})
	}
	return append(rows, scenario{
		name: "flags of local storage", maps: all, typ: storage, local: "get_local_storage() doesn't support non-zero flags",
		text: program("r1 = map[shared] ll\nr2 = 1\ncall bpf_get_local_storage"),
	})
}

// refusedOtherwise are calls that Linux's verifier rejects in other words. It takes a DEVMAP for
// a map that programs may not write before it looks at the type.
func refusedOtherwise() []scenario {
	dev := []maps.Spec{{Name: "dev", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 1}}
	return []scenario{
		{name: "delete of a DEVMAP", maps: dev, local: "cannot pass map_type 14 into func bpf_map_delete_elem#3",
			text: program("*(u32 *)(r10 -4) = 0\nr1 = map[dev] ll\nr2 = r10\nr2 += -4\ncall bpf_map_delete_elem")},
		{name: "release of no socket", local: "R1 = 0x0 is not a socket that the program holds",
			text: program("r1 = 0\ncall bpf_sk_release")},
		{name: "tuple beyond the stack", local: "read of 12 bytes",
			text: program("r2 = r10\nr2 += -8\nr3 = 12\nr4 = -1\nr5 = 0\ncall bpf_sk_lookup_tcp")},
	}
}

func TestRefusedTargetsEndTheRun(t *testing.T) {
	for _, s := range append(refusedTargets(), refusedOtherwise()...) {
		t.Run(s.name, func(t *testing.T) {
			b := newBench(t, &s)
			var res vm.Result
			if err := b.run(b.link(s.text), &res); err == nil || !strings.Contains(err.Error(), s.local) {
				t.Errorf("error %v, want one with %q", err, s.local)
			}
		})
	}
}

// TestRedirectMapIsRecorded: the last redirection counts, and one that fails takes the one before
// it back, as bpf_redirect_info keeps no target then.
func TestRedirectMapIsRecorded(t *testing.T) {
	to := func(key int, flags int) string {
		return fmt.Sprintf("r1 = map[dev] ll\nr2 = %d\nr3 = %d\ncall bpf_redirect_map\n", key, flags)
	}
	for _, c := range []struct {
		name, text string
		ret        uint64
		want       vm.Redirect
	}{
		{"there", to(1, 2), 4, vm.Redirect{Set: true, Map: "dev", Key: 1, Flags: 2}},
		{"not there", to(0, 2), 2, vm.Redirect{}},
		{"there, then not", to(1, 0) + to(0, 1), 1, vm.Redirect{}},
		{"not there, then there", to(0, 0) + to(1, 1), 4, vm.Redirect{Set: true, Map: "dev", Key: 1, Flags: 1}},
		{"to all", to(0, 24), 4, vm.Redirect{Set: true, Map: "dev", Flags: 24}},
		{"bad flags", to(1, 0) + to(1, 32), 0, vm.Redirect{Set: true, Map: "dev", Key: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, &scenario{typ: ebpf.XDP, maps: []maps.Spec{{Name: "dev", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 2}}})
			if e := b.maps["dev"].SysUpdate([]byte{1, 0, 0, 0}, []byte{1, 0, 0, 0}, 0); e != linux.OK {
				t.Fatal(e)
			}
			var res vm.Result
			if err := b.run(b.link(c.text+"exit"), &res); err != nil {
				t.Fatal(err)
			}
			if res.R0 != c.ret || b.cpu.Redirect != c.want {
				t.Errorf("returned %d and recorded %+v, want %d and %+v", res.R0, b.cpu.Redirect, c.ret, c.want)
			}
		})
	}
}

// TestDevMapEntriesAreReadOnly, as the verifier has it: BPF_F_RDONLY_PROG is set for the type.
func TestDevMapEntriesAreReadOnly(t *testing.T) {
	b := newBench(t, &scenario{typ: ebpf.XDP, maps: []maps.Spec{{Name: "dev", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 1}}})
	if e := b.maps["dev"].SysUpdate(make([]byte, 4), []byte{1, 0, 0, 0}, 0); e != linux.OK {
		t.Fatal(e)
	}
	find := "*(u32 *)(r10 -4) = 0\nr1 = map[dev] ll\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n"
	var res vm.Result
	if err := b.run(b.link(find+"r0 = *(u32 *)(r0 +0)\nexit"), &res); err != nil || res.R0 != 1 {
		t.Errorf("read %d, %v; want 1", res.R0, err)
	}
	for text, want := range map[string]string{
		"*(u32 *)(r0 +0) = 2":    "write of 4 bytes",
		"r0 = *(u64 *)(r0 +0)":   "read of 8 bytes",
		"r0 = *(u32 *)(r0 +4)":   "read of 4 bytes",
		"r0 = *(u64 *)(r0 -32)":  "read of 8 bytes",
		"*(u64 *)(r0 -8) = 0x99": "write of 8 bytes",
	} {
		if err := b.run(b.link(find+text+"\nr0 = 0\nexit"), &res); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

// TestLocalStorage: a program that the run did not start with has none.
func TestLocalStorage(t *testing.T) {
	s := &scenario{maps: []maps.Spec{{Name: "m", Type: ebpf.CGroupStorage, KeySize: 16, ValueSize: 8}}}
	b := newBench(t, s)
	p := b.link("r1 = map[m] ll\nr2 = 0\ncall bpf_get_local_storage\nr1 = 7\nlock *(u64 *)(r0 +0) += r1\nr0 = *(u64 *)(r0 +0)\nexit")
	var res vm.Result
	if err := b.run(p, &res); err == nil || !strings.Contains(err.Error(), "does not use this cgroup storage") {
		t.Errorf("error %v without storage", err)
	}
	store := b.maps["m"].(*maps.CgroupStorage)
	for range 2 {
		if err := store.Begin(b.cpu); err != nil {
			t.Fatal(err)
		}
		for i := range uint64(3) {
			if err := b.run(p, &res); err != nil || res.R0 != 7*(i+1) {
				t.Errorf("returned %d, %v; want %d", res.R0, err, 7*(i+1))
			}
		}
		store.End(b.cpu)
	}
	beside := b.link("r1 = map[m] ll\nr2 = 0\ncall bpf_get_local_storage\nr0 = *(u64 *)(r0 +8)\nexit")
	if err := store.Begin(b.cpu); err != nil {
		t.Fatal(err)
	}
	defer store.End(b.cpu)
	if err := b.run(beside, &res); err == nil || !strings.Contains(err.Error(), "past the end of values of map m") {
		t.Errorf("error %v, want one about the end of the value", err)
	}
}
