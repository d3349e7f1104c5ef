package corpus

// Row is a test of Linux and what covers it here.
type Row struct {
	Name  string
	Cases []string // of the corpus, as group/case
	Tests []string // tests elsewhere, as package.Test
	// Left says why it is not covered, or which part is not.
	Left string
}

// Rows is a list of tests of one origin.
type Rows struct {
	Source string
	Rows   []Row
}

// Reasons for leaving rows out.
const (
	tracing    = "user space has no tracing of programs (fentry, fexit)"
	extension  = "user space has no freplace programs"
	unpriv     = "the reference is a privileged loader"
	noSleeping = "Linux 6.18 lets no sleepable program use a PROG_ARRAY; loading two that share one needs 7.0"
	noStructs  = "user space has no struct_ops"
	noLSM      = "user space has no LSM programs"
)

// Selftests lists the tests of Linux that have to do with tail calls (tools/testing/selftests/bpf,
// lib/test_bpf.c), further rules that were measured, and what covers them.
func Selftests() []Rows {
	return []Rows{
		{"prog_tests/tailcalls.c", tailcallsRows()},
		{"progs/*.c and other prog_tests", otherRows()},
		{"lib/test_bpf.c", suiteRows()},
		{"further rules", furtherRows()},
	}
}

func in(group string, names ...string) []string {
	for i, n := range names {
		names[i] = group + "/" + n
	}
	return names
}

func tailcallsRows() []Row {
	calls := func(row, name string) Row { return Row{Name: row, Cases: in("tail calls", name)} }
	left := func(name, why string) Row { return Row{Name: name, Left: why} }
	return []Row{
		calls("tailcall_1", "tailcall_1"), calls("tailcall_2", "tailcall_2"), calls("tailcall_3", "tailcall_3"),
		calls("tailcall_4", "tailcall_4"), calls("tailcall_5", "tailcall_5"), calls("tailcall_6", "tailcall_6"),
		calls("tailcall_bpf2bpf_1", "bpf2bpf_1"), calls("tailcall_bpf2bpf_2", "bpf2bpf_2"), calls("tailcall_bpf2bpf_3", "bpf2bpf_3"),
		calls("tailcall_bpf2bpf_4", "bpf2bpf_4"), calls("tailcall_bpf2bpf_5", "bpf2bpf_5"), calls("tailcall_bpf2bpf_6", "bpf2bpf_6"),
		left("tailcall_bpf2bpf_fentry", tracing), left("tailcall_bpf2bpf_fexit", tracing), left("tailcall_bpf2bpf_fentry_fexit", tracing),
		left("tailcall_bpf2bpf_fentry_entry", tracing),
		{Name: "tailcall_poke", Cases: in("tail calls", "poke"), Tests: []string{"caromtest/corpus.TestTailCallPoke"}},
		calls("tailcall_bpf2bpf_hierarchy_1", "hierarchy_1"),
		left("tailcall_bpf2bpf_hierarchy_fentry", tracing), left("tailcall_bpf2bpf_hierarchy_fexit", tracing),
		left("tailcall_bpf2bpf_hierarchy_fentry_fexit", tracing), left("tailcall_bpf2bpf_hierarchy_fentry_entry", tracing),
		calls("tailcall_bpf2bpf_hierarchy_2", "hierarchy_2"), calls("tailcall_bpf2bpf_hierarchy_3", "hierarchy_3"),
		left("tailcall_freplace", extension), left("tailcall_bpf2bpf_freplace", extension),
		left("tailcall_bpf2bpf_hierarchy_freplace_1", extension), left("tailcall_bpf2bpf_hierarchy_freplace_2", extension),
		{Name: "tailcall_failure", Cases: in("refusals", "held_lock", "held_rcu", "held_preempt", "ref_leak")},
		left("tailcall_sleepable", noSleeping),
		calls("tailcall_cgrp_storage", "cgrp_storage"), calls("tailcall_cgrp_storage_diff_storage", "cgrp_diff_storage"),
		{Name: "tailcall_cgrp_storage_no_storage", Cases: in("tail calls", "cgrp_no_storage", "cgrp_no_storage first", "cgrp_none has none")},
		calls("tailcall_cgrp_storage_no_storage_leaf", "cgrp_no_storage_leaf"),
		calls("tailcall_cgrp_storage_no_storage_bridge", "cgrp_no_storage_bridge"),
		{Name: "tailcall_callback", Cases: in("rules", "tailcall_callback/unrelated", "tailcall_callback/direct", "tailcall_callback/through a subprogram"),
			Left: "on the kernel only the callback that reaches no tail call: Linux 6.18 has no check for the others"},
		left("tailcall_bpf2bpf_fexit_links", tracing),
	}
}

func otherRows() []Row {
	return []Row{
		{Name: "verifier_runtime_jit", Cases: in("programs", "verifier_runtime_jit"), Left: "the unprivileged results: " + unpriv},
		{Name: "verifier_map_ptr_mixing", Cases: in("programs", "verifier_map_ptr_mixing"), Left: "the unprivileged results: " + unpriv},
		{Name: "verifier_tailcall", Cases: append(in("rules", "240 bytes of callers' stack"),
			append(in("refusals", "stack_256", "tail call through an array"), in("verdicts", "stack/callers with 240 bytes", "stack/callers with 256 bytes")...)...)},
		{Name: "verifier_tailcall_jit", Left: "it compares machine code of Linux's JIT"},
		{Name: "verifier_prevent_map_lookup", Cases: in("refusals", "lookup in a program array")},
		{Name: "verifier_unpriv", Left: unpriv},
		{Name: "verifier_ref_tracking", Cases: append(in("programs", "verifier_ref_tracking"), in("refusals", "ref_leak")...)},
		{Name: "verifier_sock", Cases: append(in("programs", "verifier_sock"), in("refusals", "packet_sub")...)},
		{Name: "verifier_subprog_precision", Cases: in("refusals", "result_unknown")},
		{Name: "verifier_live_stack", Cases: in("verdicts", "packets/a write behind the tail call of a function")},
		{Name: "LD_ABS and LD_IND in subprograms", Left: "newer than Linux 6.18"},
		{Name: "struct_ops_refcounted_fail__tail_call, struct_ops_multi_args", Left: noStructs},
		{Name: "pro_epilogue/tailcall", Left: noStructs},
		{Name: "exceptions", Cases: in("programs", "exceptions")},
		{Name: "test_lsm/lsm_tailcall", Left: noLSM},
		{Name: "prog_array_init", Cases: in("programs", "prog_array_init")},
		{Name: "xdp_metadata", Left: "user space has no network devices to bind programs to"},
		{Name: "flow_dissector", Cases: in("programs", "flow_dissector/IPv4", "flow_dissector/IPv6", "flow_dissector/VLAN", "flow_dissector/MPLS"),
			Left: "the program type; its dispatch through six slots runs as a tc program"},
		{Name: "map_ptr_kern", Left: "user space maps have no fields of the kernel's structures"},
		{Name: "test_unpriv_bpf_disabled", Left: unpriv},
	}
}

func suiteRows() []Row {
	return []Row{{
		Name:  "tail call leaf, tail call 2 to 4, tail call load/store, max count reached, count preserved, NULL target, index out of range",
		Cases: in("programs", "test_bpf"),
		Left:  "the scalar in R1, which no verified program can have; the number travels in skb->cb",
	}}
}

func furtherRows() []Row {
	rule := func(name string, cases ...string) Row { return Row{Name: name, Cases: in("rules", cases...)} }
	return []Row{
		rule("the index is 32 bits", "the index is 32 bits"), rule("failed attempts are free", "failures are free"),
		rule("34 executions in XDP", "34 executions in XDP"),
		rule("one budget for all maps, a new one for each run", "one budget for all maps"),
		rule("a subprogram's tail call returns to its caller", "a subprogram's tail call returns to its caller"),
		rule("all callers wait, with their frames", "all callers wait", "frames stay whole", "registers"),
		{Name: "a slot that is replaced is never empty", Tests: []string{"caromtest/corpus.TestTailCallPoke"}},
		{Name: "the last reference of user space takes the slots along, a pin keeps them",
			Tests: []string{"caromtest/corpus.TestSlotsGoWithTheLastReference", "caromtest/corpus.TestPinKeepsSlots"}},
		{Name: "the first program owns the array for good", Cases: in("owners", "inserted first/tc_prog", "loaded first/entry_tc", "a refused program owns nothing")},
		{Name: "attach types around one array", Cases: in("owners", "inserted first/tcx_ingress_prog", "inserted first/cgroup_connect4_prog", "inserted first/xdp_cpumap_prog")},
		rule("1024 direct jumps in a program", "1024 calls with a constant index", "1025 calls with a constant index"),
		rule("a key with dirty bytes", "a key with dirty bytes"), rule("a constant result that the compiler folds", "a folded constant result"),
		{Name: "bpftool's run counts show the entry program only", Left: "user space keeps no such counts; tail calls are counted for each site"},
		{Name: "programs that refer to each other's arrays are freed", Left: "no engine shows it to the other; user space has tests of its own"},
	}
}

// Difference is where engines in user space differ from Linux 6.18 on purpose.
type Difference struct {
	What, Linux, Carom, Why string
}

// Differences lists what is different on purpose. The other differences are bugs.
func Differences() []Difference {
	return []Difference{
		{"a callback that reaches a tail call",
			"direct: EFAULT and a kernel warning; through a subprogram: loads, and may crash",
			"both are refused with EINVAL, `cannot tail call within callback`",
			"newer kernels refuse both with this text"},
		{"programs that a verifier refuses",
			"do not load", "do not load either, unless verification is skipped: then the interpreter runs them, and ends the run where they go wrong",
			"fuzzers and tests of such programs need a machine that trusts nothing"},
		{"programs that carom's verifier cannot judge (extensions; kernel types where no BTF of a kernel is given)",
			"are verified", "load unverified, and the interpreter checks every access", "what they may do depends on what is not there"},
		{"a number that an atomic operation fetched from the stack and that decides a branch",
			"6.18.44 may prune the other branch, and so accept a program that goes wrong there",
			"both branches are verified", "native code relies on the verdict; newer kernels do the same"},
		{"shifts by immediates past the width, division by an immediate 0, helper calls through a register",
			"the verifier rejects them", "run as RFC 9669 says", "RFC 9669 defines them"},
		{"the last reference to a PROG_ARRAY is closed",
			"slots are emptied in the background", "slots are empty when Close returns", "nothing is gained by waiting"},
		{"a second update of a key in one run, seen through a pointer from before the first",
			"may show, since preallocated elements are reused at once", "the pointer keeps its value to the end of the run",
			"programs cannot rely on either"},
		{"who owns a PROG_ARRAY: jited",
			"compared, but all programs are jited where the JIT is on", "all programs count as jited",
			"chains may mix engines of user space"},
		{"instructions of a run",
			"no limit at run time", "a budget (4,294,967,296 unless set), then an error", "without a verifier a run may not end"},
		{"redirect targets and sockets",
			"devices, queues and sockets of the machine", "redirects are recorded and socket lookups find nothing",
			"a run must not depend on the machine"},
	}
}
