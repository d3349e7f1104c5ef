package corpus

import "github.com/carom-bpf/carom/caromtest"

// Group is cases about one thing.
type Group struct {
	Name  string // of the subtest
	Files string // of this package
	About string
	// Cases makes the cases. testdata is the folder of the objects, as a path that the reader of the
	// objects understands.
	Cases func(testdata string) []caromtest.Case
}

// Groups are all cases. caromtest runs the cases of a group in their order.
func Groups() []Group {
	return []Group{
		{"tail calls", "tailcalls.go", "the rows of prog_tests/tailcalls.c", TailCalls},
		{"programs", "programs.go", "rows of other selftests and of lib/test_bpf.c; state along a chain", Programs},
		{"rules", "rules.go, callbacks.go", "rules of tail calls that the selftests do not spell out; callbacks", Rules},
		{"owners", "rules.go", "who may share a PROG_ARRAY; operations on it", Owners},
		{"refusals", "rules.go", "objects that must not load", Refusals},
		{"verdicts", "verdicts.go", "what verifiers say of programs with tail calls; nothing runs", plain(Verdicts)},
		{"instruction set", "isa.go, alu.go, memory.go, atomics.go, calls.go", "RFC 9669, opcode by opcode", plain(InstructionSet)},
		{"test run", "testrun.go", "what BPF_PROG_TEST_RUN takes and refuses: packets, contexts, repetitions", plain(TestRun)},
		{"output", "output.go", "perf event samples, ring buffer records and printed lines of packet programs", plain(Output)},
		{"maps", "maps.go", "what programs see of maps", plain(Maps)},
		{"map types", "maptypes.go", "map types with helpers of their own", plain(MapTypes)},
		{"targets", "targets.go", "bpf_redirect_map and its maps", plain(Targets)},
		{"storage", "targets.go", "cgroup storage", plain(Storage)},
		{"sockets", "targets.go", "socket lookups", plain(Sockets)},
		{"contexts", "contexts.go", "each field of each context in each size, read and written", plain(Contexts)},
		{"faults", "faults.go", "programs that go wrong: refused by a verifier, ended with an error without one", plain(Faults)},
		{"found", "found.go", "small forms of what random programs found", plain(Found)},
		{"probes", "probes.go, probes_chains.go, probes_tracepoints.go, maptypes_stack.go, maptypes_storage.go", "uprobes, uretprobes and tracepoints in a task with given registers and memory", Probes},
	}
}

// plain are cases without objects.
func plain(f func() []caromtest.Case) func(string) []caromtest.Case {
	return func(string) []caromtest.Case { return f() }
}
