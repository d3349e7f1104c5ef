package kernel_test

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/kernel"
)

// onOneCPU keeps the thread on a CPU, and so the runs of attached programs that it causes.
func onOneCPU(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for i := 0; one.Count() == 0; i++ {
		if before.IsSet(i) {
			one.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.SchedSetaffinity(0, &before); err == nil {
			runtime.UnlockOSThread()
		}
	})
}

func counts(t *testing.T, coll *carom.Collection) map[string]uint64 {
	t.Helper()
	edges, err := coll.Edges()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, e := range edges {
		got[fmt.Sprintf("%s %s[%d] %s %s", e.From, e.Map, e.Index, e.Reason, e.To)] += e.Count
	}
	return got
}

func wantCounts(t *testing.T, coll *carom.Collection, want map[string]uint64) {
	t.Helper()
	if got := counts(t, coll); !reflect.DeepEqual(got, want) {
		t.Errorf("edges %v, want %v", got, want)
	}
}

func loadCounted(t *testing.T, spec *ebpf.CollectionSpec) *carom.Collection {
	t.Helper()
	needKernel(t)
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{CountEdges: carom.CountOn})})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { _ = coll.Close() })
	return coll
}

// putForeign has somebody else, who knows the array by its id, put a program without counters into
// a slot.
func putForeign(t *testing.T, m *carom.Map, index uint32, p *ebpf.Program) ebpf.ProgramID {
	t.Helper()
	a, err := kernel.OpenArray(m.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	if err := a.SetID(index, id); err != nil {
		t.Fatal(err)
	}
	return id
}

func foreignProgram(t *testing.T, text string, maps map[string]*ebpf.Map) *ebpf.Program {
	t.Helper()
	insns, err := asm.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range maps {
		for i := range insns {
			if insns[i].Reference() == name {
				if err := insns[i].AssociateMap(m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "stranger", Type: ebpf.SchedCLS, License: "GPL", Instructions: insns})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// A program without counters is the target of every call that led to it, and the entry, which runs
// next on the CPU with a context at the same address, of none.
func TestCountForeign(t *testing.T) {
	onOneCPU(t)
	coll := loadCounted(t, chainSpec(t))
	table, entry := coll.Maps["table"], coll.Programs["entry"]
	id := putForeign(t, table, 0, foreignProgram(t, "r0 = 5\nexit", nil))
	stranger := fmt.Sprintf("entry table[0] taken stranger (id %d, not instrumented)", id)
	for n := range uint64(5) {
		if ret := result(t, entry); ret != 5 {
			t.Fatalf("returned %d", ret)
		}
		wantCounts(t, coll, map[string]uint64{stranger: n + 1})
	}
	if err := table.Put(uint32(0), coll.Programs["leaf"]); err != nil {
		t.Fatal(err)
	}
	var shown ebpf.ProgramID
	if err := table.Lookup(uint32(0), &shown); err != nil || shown != coll.Programs["leaf"].ID() {
		t.Errorf("slot 0 shows %d (%v), want the id of leaf, %d", shown, err, coll.Programs["leaf"].ID())
	}
	for range 3 {
		result(t, entry)
	}
	if err := table.Delete(uint32(0)); err != nil {
		t.Fatal(err)
	}
	result(t, entry)
	wantCounts(t, coll, map[string]uint64{
		"entry table[0] taken a program that is not instrumented": 5,
		"entry table[0] taken leaf":                               3,
		"entry table[0] empty slot ":                              1,
	})
	// The entry in its own slot: 34 entries, the last call is not taken.
	if err := table.Put(uint32(0), entry); err != nil {
		t.Fatal(err)
	}
	result(t, entry)
	wantCounts(t, coll, map[string]uint64{
		"entry table[0] taken a program that is not instrumented": 5,
		"entry table[0] taken leaf":                               3,
		"entry table[0] taken entry":                              33,
		"entry table[0] empty slot ":                              1,
		"entry table[0] limit of 33 reached ":                     1,
	})
}

// From a subprogram, a program without counters returns into the run, whose next call finds it.
func TestCountForeignInSubprogram(t *testing.T) {
	onOneCPU(t)
	spec, err := ebpf.LoadCollectionSpec("../caromtest/testdata/bpf2bpf1.o")
	if err != nil {
		t.Fatal(err)
	}
	array := ""
	for name, m := range spec.Maps {
		if m.Type == ebpf.ProgramArray {
			array = name
		}
	}
	coll := loadCounted(t, spec)
	id := putForeign(t, coll.Maps[array], 0, foreignProgram(t, "r0 = 5\nexit", nil))
	want := map[string]uint64{}
	for name := range func() map[string]uint64 { result(t, coll.Programs["entry"]); return counts(t, coll) }() {
		want[name] = 1
	}
	to := fmt.Sprintf("stranger (id %d, not instrumented)", id)
	found := false
	for name := range want {
		found = found || strings.HasSuffix(name, to)
		if strings.Contains(name, "taken entry") {
			t.Errorf("the entry is no target: %s", name)
		}
	}
	if !found {
		t.Errorf("no hop to the program without counters: %v", want)
	}
	for name := range want {
		want[name] = 4
	}
	for range 3 {
		result(t, coll.Programs["entry"])
	}
	wantCounts(t, coll, want)
}

// What is said not to be exact: a program without counters that goes on into the collection is
// passed over.
func TestCountForeignPassedOver(t *testing.T) {
	onOneCPU(t)
	coll := loadCounted(t, chainSpec(t))
	table, err := ebpf.NewMapFromID(coll.Maps["table"].ID())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	text := "r2 = map[table] ll\nr3 = 1\ncall bpf_tail_call\nr0 = 5\nexit"
	putForeign(t, coll.Maps["table"], 0, foreignProgram(t, text, map[string]*ebpf.Map{"table": table}))
	if err := coll.Maps["table"].Put(uint32(1), coll.Programs["leaf"]); err != nil {
		t.Fatal(err)
	}
	if ret := result(t, coll.Programs["entry"]); ret != 7 {
		t.Fatalf("returned %d", ret)
	}
	wantCounts(t, coll, map[string]uint64{"entry table[0] taken leaf": 1})
}

// Runs that interrupt others do not mix with them: each of the 34 programs of a chain prints, and
// each line starts a chain of its own at the tracepoint of bpf_trace_printk.
func TestCountNestedRuns(t *testing.T) {
	onOneCPU(t)
	only := fmt.Sprintf("r6 = r1\ncall bpf_get_current_pid_tgid\nif w0 != %d goto out\n", unix.Gettid())
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"outer": {Name: "outer", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
			"inner": {Name: "inner", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 3},
		},
		Programs: map[string]*ebpf.ProgramSpec{
			"chain": program(t, ebpf.SchedCLS, `
				r6 = r1
				*(u64 *)(r10 -8) = 0x6f72
				r1 = r10
				r1 += -8
				r2 = 3
				call bpf_trace_printk
				r1 = r6
				r2 = map[outer] ll
				r3 = 0
				call bpf_tail_call
				r0 = 9
				exit`),
			"probe": program(t, ebpf.RawTracepoint, only+`
				r1 = r6
				r2 = map[inner] ll
				r3 = 1
				call bpf_tail_call
				r1 = r6
				r2 = map[inner] ll
				r3 = 0
				call bpf_tail_call
			out:
				r0 = 0
				exit`),
			"second": program(t, ebpf.RawTracepoint, `
				r2 = map[inner] ll
				r3 = 2
				call bpf_tail_call
				r0 = 0
				exit`),
		},
	}
	coll := loadCounted(t, spec)
	if err := coll.Maps["outer"].Put(uint32(0), coll.Programs["chain"]); err != nil {
		t.Fatal(err)
	}
	if err := coll.Maps["inner"].Put(uint32(0), coll.Programs["second"]); err != nil {
		t.Fatal(err)
	}
	a, err := kernel.AttachRawTracepoint(coll.Programs["probe"], "bpf_trace_printk")
	if err != nil {
		t.Skip(err)
	}
	defer a.Close()
	if ret := result(t, coll.Programs["chain"]); ret != 9 {
		t.Errorf("returned %d", ret)
	}
	wantCounts(t, coll, map[string]uint64{
		"chain outer[0] taken chain":          33,
		"chain outer[0] limit of 33 reached ": 1,
		"probe inner[1] empty slot ":          34,
		"probe inner[0] taken second":         34,
		"second inner[2] empty slot ":         34,
	})
}
