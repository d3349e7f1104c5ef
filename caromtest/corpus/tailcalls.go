package corpus

import (
	"fmt"

	ct "github.com/carom-bpf/carom/caromtest"
)

// TailCalls returns the rows of the kernel's prog_tests/tailcalls.c. testdata is the folder of
// the objects.
func TailCalls(testdata string) []ct.Case {
	o := objects(testdata)
	cases := []ct.Case{row1(o)}
	cases = append(cases, loops(o)...)
	cases = append(cases, subprograms(o)...)
	cases = append(cases, hierarchies(o)...)
	cases = append(cases, storage(o)...)
	return cases
}

func row1(o objects) ct.Case {
	all := fill("target_0", "target_1", "target_2")
	return o.one("tailcall_1", "tailcall1",
		want(0, all...),
		want(1, empty(0)), want(2, empty(1)), want(3, empty(2)),
		want(0, all...),
		want(2, fill("target_2", "target_1", "target_0")...),
		want(1, empty(0)), want(0, empty(1)), want(3, empty(2)),
		want(3, empty(0).Fails(ct.ENOENT), empty(1).Fails(ct.ENOENT), empty(2).Fails(ct.ENOENT)),
	)
}

func loops(o objects) []ct.Case {
	counted := func(ret, count uint32, ops ...ct.Op) ct.Step {
		return vars(want(ret, ops...), map[string]any{"count": uint32(count)})
	}
	limit := counted(1, 33, fill("again")...)
	limit.Want.TailCalls, limit.Want.Misses = new(33), new(1)
	return []ct.Case{
		o.one("tailcall_2", "tailcall2",
			want(2, fill("link_0", "link_1", "link_2", "link_3", "link_4")...),
			want(1, empty(2)), want(3, empty(0))),
		o.one("tailcall_3", "tailcall3", limit, counted(0, 33, empty(0))),
		o.one("tailcall_4", "tailcall4", selected([]uint32{0, 1, 2})...),
		o.one("tailcall_5", "tailcall5", selected([]uint32{1111, 1234, 5678})...),
		o.one("tailcall_6", "tailcall6", limit, counted(0, 33, empty(0))),
	}
}

// selected runs entry with each value of selector, with full and with empty slots.
func selected(values []uint32) []ct.Step {
	steps := []ct.Step{{Do: fill("target_0", "target_1", "target_2")}}
	for i, v := range values {
		steps = append(steps, set(want(uint32(i)), map[string]any{"selector": v}))
	}
	steps = append(steps, ct.Step{Do: []ct.Op{empty(0), empty(1), empty(2)}})
	for _, v := range values {
		steps = append(steps, set(want(3), map[string]any{"selector": v}))
	}
	return steps
}

func subprograms(o objects) []ct.Case {
	noise := func(n int32) ct.Case {
		s := set(want(162, fill("target_0", "target_1", "target_2")...), map[string]any{"noise": n})
		c := o.one(fmt.Sprintf("bpf2bpf_%d", 4+n), "bpf2bpf4", vars(s, map[string]any{"count": int32(31)}))
		c.Ignore = []string{"scratch"} // holds a clock
		return c
	}
	return []ct.Case{
		o.one("bpf2bpf_1", "bpf2bpf1", want(1, fill("target_0", "target_1")...), want(0, empty(1)), want(108, empty(0))),
		o.one("bpf2bpf_2", "bpf2bpf2",
			vars(want(1, fill("again")...), map[string]any{"count": int32(33)}), want(0, empty(0))),
		o.one("bpf2bpf_3", "bpf2bpf3", want(162, fill("target_0", "target_1")...), want(54, empty(1)), want(108, empty(0))),
		noise(0), noise(1),
		o.one("bpf2bpf_6", "bpf2bpf6",
			vars(want(0, fill("target_0")...), map[string]any{"done": int32(1)}), want(1, empty(0))),
		o.one("poke", "poke", want(0), want(1, fill("target_1")...), want(2, fill("target_2")...), want(0, empty(0))),
	}
}

func hierarchies(o objects) []ct.Case {
	count := func(s ct.Step, n int32) ct.Step { return vars(s, map[string]any{"count": n}) }
	return []ct.Case{
		o.one("hierarchy_1", "hierarchy1", count(want(1, fill("entry")...), 34), count(want(1, empty(0)), 35)),
		o.one("hierarchy_2", "hierarchy2",
			vars(want(33), map[string]any{"count0": int32(33), "count1": int32(0)})),
		uncounted(o.one("hierarchy_3", "hierarchy3", count(want(33), 33)), twoArrays),
	}
}

// storage is about programs with the same, another and no cgroup storage around one array.
func storage(o objects) []ct.Case {
	put := func(p string) ct.Op { return ct.PutProg("prog_array", 0, p) }
	one := func(name, first string, steps ...ct.Step) ct.Case {
		return ct.Case{
			Name: name, Object: o.path("cgroup_storage"), Load: []string{first}, Steps: steps, Data: tcp(),
		}
	}
	load := func(p string) *ct.Load { return &ct.Load{Programs: []string{p}} }
	refused := func(p string) *ct.Load {
		return &ct.Load{Programs: []string{p}, Refused: &ct.Refusal{Errno: ct.EINVAL}}
	}
	return []ct.Case{
		uncounted(one("cgrp_storage", "caller_a", ct.Step{Load: load("callee_a"), Do: []ct.Op{put("callee_a")}}, prog("caller_a", 1)), apart),
		one("cgrp_diff_storage", "caller_a",
			ct.Step{Load: load("callee_b"), Do: []ct.Op{put("callee_b").Fails(ct.EINVAL)}},
			ct.Step{Load: refused("caller_b")}),
		one("cgrp_no_storage", "caller_a", ct.Step{Load: refused("caller_none")}),
		one("cgrp_no_storage first", "caller_none",
			ct.Step{Load: refused("caller_a")},
			ct.Step{Load: load("callee_a"), Do: []ct.Op{put("callee_a").Fails(ct.EINVAL)}}),
		uncounted(one("cgrp_no_storage_leaf", "caller_a", ct.Step{Load: load("leaf_none"), Do: []ct.Op{put("leaf_none")}}, prog("caller_a", 1)), apart),
		one("cgrp_no_storage_bridge", "caller_a",
			ct.Step{Load: load("bridge_none"), Do: []ct.Op{put("bridge_none").Fails(ct.EINVAL)}}),
		one("cgrp_none has none", "caller_none",
			ct.Step{Load: load("leaf_none"), Do: []ct.Op{put("leaf_none")}},
			ct.Step{Load: load("bridge_none"), Do: []ct.Op{put("bridge_none")}}),
	}
}
