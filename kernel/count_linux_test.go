package kernel_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/packet"
	"github.com/carom-bpf/carom/trace"
)

// counted runs an entry program on packets in user space and, with counters, in the kernel, and
// returns the edges of both.
func counted(t *testing.T, spec *ebpf.CollectionSpec, slots map[string]map[uint32]string, entry string, packets [][]byte) (user, inKernel []carom.Edge) {
	t.Helper()
	needKernel(t)
	run := func(opts *carom.Options) ([]carom.Edge, []uint64) {
		coll, err := carom.NewCollection(spec, opts)
		if err != nil {
			t.Fatalf("%s engine: %+v", opts.Engine.Name(), err)
		}
		defer coll.Close()
		for m, all := range slots {
			for i, p := range all {
				if err := coll.Maps[m].Put(i, coll.Programs[p]); err != nil {
					t.Fatal(err)
				}
			}
		}
		cpu, err := coll.CPU(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer cpu.Release()
		var results []uint64
		for _, data := range packets {
			var res carom.Result
			if err := cpu.Run(t.Context(), coll.Programs[entry], &carom.Input{Data: data, Repeat: 2}, &res); err != nil {
				t.Fatal(err)
			}
			results = append(results, uint64(uint32(res.Return)))
		}
		edges, err := coll.Edges()
		if err != nil {
			t.Fatal(err)
		}
		for name := range coll.Maps {
			if strings.Contains(name, "carom") {
				t.Errorf("map %s is not one of the object", name)
			}
		}
		return edges, results
	}
	user, a := run(&carom.Options{Engine: carom.Interpreter, CPUs: 1, CountEdges: carom.CountOn})
	inKernel, b := run(&carom.Options{
		Engine: kernel.Engine(kernel.Options{CountEdges: carom.CountOn}), CountEdges: carom.CountOn,
	})
	if !reflect.DeepEqual(a, b) {
		t.Errorf("results %v in user space, %v of the instrumented copy", a, b)
	}
	return user, inKernel
}

func capture(t *testing.T, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	var p packet.Packet
	for r.Next(&p) == nil {
		all = append(all, append([]byte(nil), p.Data...))
	}
	return all
}

// The examples have the edges in the kernel that they have in user space.
func TestCountEdgesOfExamples(t *testing.T) {
	for _, tt := range []struct {
		dir, object, entry string
		slots              map[string]map[uint32]string
	}{
		{"xdp-dispatch", "xdp_dispatch.o", "xdp_dispatch", map[string]map[uint32]string{"prog_array": {0: "port8080_prog"}}},
		{"tail-context", "tail_context.o", "first_prog", nil},
		{"static-call", "static_call.o", "start", nil},
	} {
		dir := "../examples/" + tt.dir + "/"
		spec, err := ebpf.LoadCollectionSpec(dir + tt.object)
		if err != nil {
			t.Fatal(err)
		}
		user, inKernel := counted(t, spec, tt.slots, tt.entry, capture(t, dir+"traffic.pcap"))
		if len(user) < 2 || !reflect.DeepEqual(user, inKernel) {
			t.Errorf("%s: edges in user space\n%+v\nin the kernel\n%+v", tt.dir, user, inKernel)
		}
	}
}

// A run of 34 programs: 33 hops, then the limit. Before that, an index past the end, with high bits
// that do not count, and an empty slot. Offsets of jumps cross the calls in both directions.
func TestCountEdges(t *testing.T) {
	spec := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 3},
			"other": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 9},
		},
		Programs: map[string]*ebpf.ProgramSpec{
			"entry": program(t, ebpf.SchedCLS, `
				r6 = r1
				r7 = 0
				r8 = *(u32 *)(r1 +0)
				*(u64 *)(r10 -8) = r8
			again:
				r1 = r6
				r2 = map[table] ll
				r3 = 0x500000007 ll
				call bpf_tail_call
				r7 += 1
				if r7 < 3 goto again
				if r7 > 100 goto out
				r1 = r6
				r2 = map[other] ll
				r3 = r7
				call bpf_tail_call
				r1 = r6
				r2 = map[table] ll
				r3 = 0x100000001 ll
				call bpf_tail_call
			out:
				r0 = 1
				exit`),
			"self": program(t, ebpf.SchedCLS, `
				r6 = r1
				r2 = map[table] ll
				r3 = 1
				call bpf_tail_call
				r0 = 77
				exit`),
		},
	}
	for name, p := range spec.Programs {
		p.Name = name
	}
	user, inKernel := counted(t, spec, map[string]map[uint32]string{"table": {1: "self"}}, "entry", [][]byte{make([]byte, 64)})
	if !reflect.DeepEqual(user, inKernel) {
		t.Errorf("edges in user space\n%+v\nin the kernel\n%+v", user, inKernel)
	}
	got := map[string]uint64{}
	for _, e := range inKernel {
		got[e.From+" "+e.Map+" "+e.Reason.String()+" "+e.To] += e.Count
	}
	want := map[string]uint64{ // two repetitions
		"entry table " + trace.OutOfRange.String() + " ": 6,
		"entry other " + trace.Empty.String() + " ":      2,
		"entry table " + trace.Taken.String() + " self":  2,
		"self table " + trace.Taken.String() + " self":   64,
		"self table " + trace.Limit.String() + " ":       2,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("edges %v, want %v", got, want)
	}
}

// What cannot be counted is refused with the program's name.
func TestCountEdgesUnsupported(t *testing.T) {
	needKernel(t)
	tables := func() map[string]*ebpf.MapSpec {
		return map[string]*ebpf.MapSpec{
			"a": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 3},
			"b": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 3},
		}
	}
	for text, want := range map[string]string{
		"*(u64 *)(r10 -504) = 1\nr2 = map[a] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit":                                  "16 bytes",
		"r3 = *(u32 *)(r1 +0)\nr2 = map[a] ll\nif r3 > 5 goto +2\nr2 = map[b] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit": "map a or b",
	} {
		spec := &ebpf.CollectionSpec{Maps: tables(), Programs: map[string]*ebpf.ProgramSpec{"deep": program(t, ebpf.SchedCLS, text)}}
		_, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{CountEdges: carom.CountOn})})
		if !errors.Is(err, carom.ErrUnsupported) || !strings.Contains(err.Error(), "deep") || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want ErrUnsupported with %q for program deep", err, want)
		}
	}
	coll, err := carom.NewCollection(passing(t, ebpf.SchedCLS), &carom.Options{Engine: kernel.Engine(kernel.Options{CountEdges: carom.CountOn})})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	if edges, err := coll.Edges(); err != nil || len(edges) != 0 {
		t.Errorf("a program without tail calls has edges %v (%v)", edges, err)
	}
}

// The programs of the kernel's own tail-call tests, from subprograms and with one budget for a tree
// of calls.
func TestCountEdgesInSubprograms(t *testing.T) {
	for _, tt := range []struct {
		object string
		slots  []string
	}{
		{"tailcall1", []string{"target_0", "target_1", "target_2"}},
		{"tailcall2", []string{"link_0", "link_1", "link_2", "link_3", "link_4"}},
		{"tailcall6", []string{"again"}},
		{"bpf2bpf1", []string{"target_0"}},
		{"bpf2bpf2", []string{"again"}},
		{"bpf2bpf3", []string{"target_0", "target_1"}},
		{"bpf2bpf4", []string{"target_0", "target_1", "target_2"}},
		{"bpf2bpf6", []string{"target_0"}},
		{"hierarchy1", []string{"entry"}},
	} {
		spec, err := ebpf.LoadCollectionSpec("../caromtest/testdata/" + tt.object + ".o")
		if err != nil {
			t.Fatal(err)
		}
		array := ""
		for name, m := range spec.Maps {
			if m.Type == ebpf.ProgramArray {
				array = name
			}
		}
		slots := map[string]map[uint32]string{array: {}}
		for i, p := range tt.slots {
			slots[array][uint32(i)] = p
		}
		user, inKernel := counted(t, spec, slots, "entry", [][]byte{make([]byte, 64)})
		if len(user) == 0 || !reflect.DeepEqual(user, inKernel) {
			t.Errorf("%s: edges in user space\n%+v\nin the kernel\n%+v", tt.object, user, inKernel)
		}
	}
}
