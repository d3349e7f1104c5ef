package corpus

import (
	"fmt"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
)

// Rules returns a case for each rule of tail calls that the kernel's own tests do not spell out.
func Rules(testdata string) []ct.Case {
	o := objects(testdata)
	constprop := o.one("a folded constant result", "constprop",
		prog("folded", 65), prog("honest", 65), prog("folded", 65, fill("target")...), prog("honest", 71))
	cases := append(callbacks(), directJumps()...)
	return append(cases,
		truncation(o), failuresAreFree(o), xdpLimit(o), budget(o),
		o.one("a subprogram's tail call returns to its caller", "return_to_caller",
			prog("back", 105), prog("back_global", 105), prog("nested", 115),
			prog("back", 107, fill("target")...), prog("back_global", 107), prog("nested", 117)),
		o.one("all callers wait", "viasub", taken(want(34), 33, 1)),
		o.one("frames stay whole", "deep_frames", vars(want(595), map[string]any{"depth": uint32(34)})),
		o.one("registers", "registers", prog("saved", 43215), prog("missed", 54321), prog("wide", 9)),
		o.one("240 bytes of callers' stack", "stack_240", want(105), want(107, fill("target")...)),
		constprop,
		o.one("a key with dirty bytes", "partial_key",
			prog("dirty_key", 1000, ct.Put("numbers", uint32(1), uint32(11))), prog("clean_key", 11)),
		o.one("maps section", "legacy_maps", want(3), want(7, ct.PutProg("jmp_table", 1, "target"))),
	)
}

// taken adds counts of tail calls to a step.
func taken(s ct.Step, hops, misses int) ct.Step {
	s.Want.TailCalls, s.Want.Misses = new(hops), new(misses)
	return s
}

func truncation(o objects) ct.Case {
	var steps []ct.Step
	for _, r := range []struct {
		index uint64
		ret   uint32
	}{{0, 77}, {1, 2}, {1 << 32, 77}, {1<<32 + 1, 2}, {2, 2}, {0xdeadbeef << 32, 77}} {
		steps = append(steps, set(want(r.ret), map[string]any{"wanted": r.index}))
	}
	return o.one("the index is 32 bits", "truncation", append(steps, prog("entry_constant", 77))...)
}

func failuresAreFree(o objects) ct.Case {
	var steps []ct.Step
	for _, index := range []uint32{0, 2, 3, 4, 1000, 0xffffffff} {
		s := taken(set(want(42), map[string]any{"wanted": index}), 1, 40)
		s.Name = fmt.Sprintf("index %d", index)
		steps = append(steps, s)
	}
	return o.one("failures are free", "failed_free", append(steps, prog("entry_direct", 42))...)
}

func xdpLimit(o objects) ct.Case {
	reset := map[string]any{"count": uint64(0), "falls": uint64(0)}
	again := set(vars(want(2), map[string]any{"count": uint64(693), "falls": uint64(21)}), reset)
	again.Repeat = 21
	return o.one("34 executions in XDP", "xdp_limit",
		vars(want(2), map[string]any{"count": uint64(33), "falls": uint64(1)}),
		set(vars(prog("self", 3), map[string]any{"count": uint64(34), "falls": uint64(1)}), reset),
		again)
}

func budget(o objects) ct.Case {
	more := vars(prog("ping", 2), map[string]any{"count": uint64(374)})
	more.Repeat = 10
	return o.one("one budget for all maps", "pingpong",
		vars(prog("ping", 2), map[string]any{"count": uint64(34)}), more)
}

// Owners returns the cases of who may share a PROG_ARRAY.
func Owners(testdata string) []ct.Case {
	o := objects(testdata)
	members := []string{
		"tc_prog", "tcx_ingress_prog", "tcx_egress_prog", "tc_action_prog", "socket_filter_prog", "xdp_prog",
		"xdp_frags_prog", "xdp_cpumap_prog", "xdp_devmap_prog", "kprobe_prog", "kprobe_multi_prog",
		"uprobe_multi_prog", "tracepoint_prog", "raw_tracepoint_prog", "perf_event_prog",
		"cgroup_skb_ingress_prog", "cgroup_skb_egress_prog", "cgroup_connect4_prog", "cgroup_connect6_prog",
	}
	var cases []ct.Case
	for _, first := range members {
		ops := []ct.Op{ct.PutProg("jmp_table", 0, first)}
		for _, p := range members {
			op := ct.PutProg("jmp_table", 1, p)
			if p != first {
				op = op.Fails(ct.EINVAL)
			}
			ops = append(ops, op)
		}
		// The owner stays when the map is empty again.
		other := members[0]
		if other == first {
			other = members[1]
		}
		ops = append(ops, empty(0), empty(1), ct.PutProg("jmp_table", 0, other).Fails(ct.EINVAL))
		cases = append(cases, ct.Case{Name: "inserted first/" + first, Object: o.path("owner"), Steps: []ct.Step{{Do: ops}}})
	}
	entries := []string{
		"entry_tc", "entry_tcx_ingress", "entry_xdp", "entry_xdp_frags", "entry_socket", "entry_kprobe",
		"entry_cgroup_skb_ingress", "entry_cgroup_skb_egress",
	}
	for _, first := range []string{"entry_tc", "entry_xdp", "entry_cgroup_skb_ingress"} {
		c := ct.Case{Name: "loaded first/" + first, Object: o.path("owner_entry"), Load: []string{first}}
		for _, p := range entries {
			load := &ct.Load{Programs: []string{p}}
			if p != first {
				load.Refused = &ct.Refusal{Errno: ct.EINVAL}
			}
			c.Steps = append(c.Steps, ct.Step{Name: "load " + p, Load: load})
		}
		cases = append(cases, c)
	}
	return append(cases, failedLoad(), operations())
}

// failedLoad: a program that was refused does not own the arrays it refers to.
func failedLoad() ct.Case {
	c := ct.Case{
		Name: "a refused program owns nothing", Type: ebpf.XDP, Load: []string{"other"},
		Asm: map[string]string{
			"other": "r0 = 2\nexit",
			"bad":   "r2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\ncall 9999\nr0 = 0\nexit",
		},
		Maps:    map[string]*ebpf.MapSpec{"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		Prepare: func(spec *ebpf.CollectionSpec) error { spec.Programs["bad"].Type = ebpf.SchedCLS; return nil },
	}
	c.Steps = []ct.Step{
		{Load: &ct.Load{Programs: []string{"bad"}, Refused: &ct.Refusal{Errno: ct.EINVAL}}},
		{Do: []ct.Op{ct.PutProg("jmp_table", 0, "other")}},
	}
	return c
}

// operations: what can be put, found and deleted in a PROG_ARRAY from user space.
func operations() ct.Case {
	c := ct.Case{
		Name: "operations of user space", Prog: "entry", Data: tcp(),
		Asm: map[string]string{
			"entry":  "r2 = map[jmp_table] ll\nr3 = 1\ncall bpf_tail_call\nr0 = 5\nexit",
			"target": "r0 = 6\nexit",
		},
		Maps: map[string]*ebpf.MapSpec{"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}},
	}
	const m = "jmp_table"
	c.Steps = []ct.Step{
		want(5, ct.PutProg(m, 0, "target").Flags(ebpf.UpdateNoExist).Fails(ct.EINVAL),
			ct.PutProg(m, 0, "target").Flags(ebpf.UpdateExist).Fails(ct.EINVAL),
			ct.PutProg(m, 2, "target").Fails(ct.E2BIG), ct.Put(m, uint32(0), uint32(0xffff)).Fails(ct.EBADF),
			ct.Lookup(m, uint32(1), nil).Fails(ct.ENOENT), ct.Lookup(m, uint32(2), nil).Fails(ct.ENOENT),
			ct.Delete(m, uint32(1)).Fails(ct.ENOENT), ct.Delete(m, uint32(2)).Fails(ct.E2BIG)),
		want(6, ct.PutProg(m, 1, "target"), ct.Lookup(m, uint32(1), nil)),
		want(5, ct.PutProg(m, 1, "entry")), // itself, to the limit
		want(5, ct.Delete(m, uint32(1))),
	}
	return c
}

// Refusals returns the cases of what must not load.
func Refusals(testdata string) []ct.Case {
	o := objects(testdata)
	verified := func(object string, errno ct.Errno, text string) ct.Case {
		return ct.Case{Name: object, Object: o.path(object), Refused: &ct.Refusal{Errno: errno, Text: text}}
	}
	loading := func(c ct.Case, program string) ct.Case {
		c.Load = []string{program}
		return c
	}
	everywhere := func(object string, errno ct.Errno) ct.Case {
		return ct.Case{Name: object, Object: o.path(object), Refused: &ct.Refusal{Errno: errno}}
	}
	// misused passes a map to a helper that does not take its type.
	misused := func(name string, t ebpf.MapType, call, text string) ct.Case {
		return ct.Case{
			Name: name, Refused: &ct.Refusal{Errno: ct.EINVAL, Text: text},
			Asm:  map[string]string{"entry": call + "\nr0 = 0\nexit"},
			Maps: map[string]*ebpf.MapSpec{"m": {Type: t, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		}
	}
	// The log of a program with the wrong owner has statistics only, so no text is asked for.
	return []ct.Case{
		verified("held_lock", ct.EINVAL, "function calls are not allowed while holding a lock"),
		verified("held_rcu", ct.EINVAL, "tail_call cannot be used inside bpf_rcu_read_lock-ed region"),
		verified("held_preempt", ct.EINVAL, "tail_call cannot be used inside bpf_preempt_disable-ed region"),
		verified("ref_leak", ct.EINVAL, "tail_call would lead to reference leak"),
		verified("stack_256", ct.EACCES,
			"tail_calls are not allowed when call stack of previous frames is 256 bytes. Too large"),
		loading(verified("line_buffers", ct.EACCES, "combined stack size of 2 calls is 704. Too large"), "wide"),
		verified("packet_sub", ct.EACCES, "R6 invalid mem access 'scalar'"),
		verified("result_unknown", ct.EINVAL,
			"math between map_value pointer and register with unbounded min value is not allowed"),
		verified("u8_key", ct.EINVAL, "invalid read from stack R2 off=-1 size=4"),
		misused("tail call through an array", ebpf.Array, "r2 = map[m] ll\nr3 = 0\ncall bpf_tail_call",
			"expected prog array map for tail call"),
		misused("lookup in a program array", ebpf.ProgramArray,
			"*(u32 *)(r10 -4) = 0\nr1 = map[m] ll\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem",
			"cannot pass map_type 3 into func bpf_map_lookup_elem#1"),
		everywhere("unknown_helper", ct.EINVAL),
		everywhere("u8_prog_array", ct.EINVAL),
		everywhere("values_no_size", ct.EINVAL),
		everywhere("values_too_many", ct.E2BIG),
		everywhere("values_other_type", ct.EINVAL),
	}
}
