package corpus

import (
	"bytes"
	"fmt"

	ct "github.com/carom-bpf/carom/caromtest"
)

// Programs returns the rows of the other files of the kernel's selftests, those of its
// instruction set suite, and those that pass state along a chain.
func Programs(testdata string) []ct.Case {
	o := objects(testdata)
	cases := []ct.Case{
		runtimeJIT(o),
		mapPointers(o),
		refTracking(o),
		o.one("exceptions", "exception",
			want(18), want(24, fill("thrower")...), prog("thrower", 16)),
		progArrayInit(o),
		o.one("verifier_sock", "packet_main", want(0x45), want(7, fill("target")...)),
		suite(o),
		ct.Case{Name: "frames that fit", Object: o.path("line_buffers"), Load: []string{"narrow"}},
		o.one("many headers", "many_headers", want(2)), o.one("many loops", "many_loops", anything()), o.one("many calls", "many_calls", anything()),
	}
	cases = append(cases, dissector(o)...)
	return append(cases, channels(o)...)
}

func refTracking(o objects) ct.Case {
	return o.one("verifier_ref_tracking", "ref_tracking",
		prog("call_when_nothing_held", 0), prog("release_then_call", 0),
		prog("call_when_nothing_held", 7, fill("target")...), prog("release_then_call", 7))
}

func runtimeJIT(o objects) ct.Case {
	branch := func(name string, zero, one uint32) []ct.Step {
		return []ct.Step{
			set(prog(name, zero), map[string]any{"branch": int32(0)}),
			set(prog(name, one), map[string]any{"branch": int32(1)}),
		}
	}
	steps := []ct.Step{
		prog("once", 42), prog("loop", 41), prog("empty_slot", 1), prog("key_2", 24), prog("index_256", 2),
		prog("index_minus_1", 2), prog("index_2_to_32", 42), prog("loop_1", 41), prog("loop_2", 41),
	}
	steps = append(steps, branch("key_2_or_2", 24, 24)...)
	steps = append(steps, branch("key_0_or_2", 42, 24)...)
	steps = append(steps, branch("two_maps_slot_0", 42, 1)...)
	return uncounted(o.one("verifier_runtime_jit", "runtime_jit", steps...), twoArrays)
}

func mapPointers(o objects) ct.Case {
	at := func(name string, branch int32, ret uint32) ct.Step {
		return set(prog(name, ret), map[string]any{"branch": branch})
	}
	return uncounted(o.one("verifier_map_ptr_mixing", "runtime_jit",
		at("two_maps_slot_7", 0, 42), at("two_maps_slot_7", 1, 1),
		at("same_map_slot_0", 0, 42), at("same_map_slot_0", 1, 42)), twoArrays)
}

func progArrayInit(o objects) ct.Case {
	return ct.Case{
		Name: "prog_array_init", Object: o.path("prog_array_init"), Prog: "entry", Context: make([]byte, 16),
		Steps: []ct.Step{vars(want(0), map[string]any{"value": int32(42)})},
	}
}

// suite is lib/test_bpf.c's.
func suite(o objects) ct.Case {
	counted := func(name string, ret uint32, repeat int, count uint64) ct.Step {
		s := set(vars(prog(name, ret), map[string]any{"count": count}), map[string]any{"count": uint64(0)})
		s.Repeat = repeat
		return s
	}
	return o.one("test_bpf", "suite",
		prog("leaf", 1), prog("call2", 3), prog("call3", 6), prog("call4", 10),
		prog("stack_leaf", 0), prog("stack_caller", 0),
		counted("max_count", 1, 1000, 34000), counted("max_count_helpers", 1, 1000, 34000),
		counted("null_target", 1, 1000, 1000), counted("out_of_range", 1, 1000, 1000))
}

// frame makes an Ethernet frame of at least 60 bytes.
func frame(parts ...[]byte) []byte {
	b := append(make([]byte, 12), bytes.Join(parts, nil)...)
	return append(b, make([]byte, max(0, 60-len(b)))...)
}

func ipv4Header(protocol byte) []byte {
	b := make([]byte, 20)
	b[0], b[9] = 0x45, protocol
	return b
}

func ipv6Header(next byte) []byte {
	b := make([]byte, 40)
	b[0], b[6] = 0x60, next
	return b
}

// dissector has a case for each kind of frame.
func dissector(o objects) []ct.Case {
	v4, v6 := []byte{0x08, 0x00}, []byte{0x86, 0xdd}
	rows := []struct {
		name     string
		frame    []byte
		ret      uint32
		visits   [6]uint32 // ipv4, ipv6, ipv6_options, ipv6_fragment, mpls, vlan
		protocol uint32
	}{
		{"IPv4", frame(v4, ipv4Header(6)), 0, [6]uint32{1}, 6},
		{"IPv6", frame(v6, ipv6Header(17)), 0, [6]uint32{0, 1}, 17},
		{"IPv6 options", frame(v6, ipv6Header(0), []byte{60, 0, 0, 0, 0, 0, 0, 0}, append([]byte{6, 1}, make([]byte, 14)...)),
			0, [6]uint32{0, 1, 2}, 6},
		{"IPv6 fragment", frame(v6, ipv6Header(44), []byte{17, 0, 0, 0, 0, 0, 0, 0}), 0, [6]uint32{0, 1, 0, 1}, 17},
		{"VLAN", frame([]byte{0x81, 0, 0, 5, 0x81, 0, 0, 6}, v4, ipv4Header(17)), 0, [6]uint32{1, 0, 0, 0, 0, 2}, 17},
		{"MPLS", frame([]byte{0x88, 0x47, 0, 1, 0, 0x40, 0, 2, 1, 0x40}, ipv6Header(58)), 0, [6]uint32{0, 1, 0, 0, 2, 0}, 58},
		{"ARP", frame([]byte{0x08, 0x06}), 1, [6]uint32{}, 0},
		{"40 options", frame(v6, ipv6Header(0), make([]byte, 320)), 1, [6]uint32{0, 1, 32}, 0},
		{"cut off", frame(v6, ipv6Header(0), make([]byte, 6)), 2, [6]uint32{0, 1, 2}, 0},
	}
	var cases []ct.Case
	for _, r := range rows {
		c := o.one("flow_dissector/"+r.name, "ethertype",
			vars(want(r.ret), map[string]any{"visits": r.visits, "protocol": r.protocol}))
		c.Data = r.frame
		cases = append(cases, c)
	}
	return cases
}

// channels are the ways in which a chain hands on state.
func channels(o objects) []ct.Case {
	packet := want(3)
	packet.Want.Data = append([]byte{0xca, 0x70, 0x3b, 0x01}, tcp()[:44]...)
	percpu := func(name string, ret, sum uint32) ct.Step {
		s := prog(name, ret)
		s.Want.Entries = []ct.Entry{{Map: "scratch", Key: uint32(0), Value: uint64(sum)}}
		return s
	}
	return []ct.Case{
		o.one("state in skb cb and mark", "state_cb", want(13116)),
		o.one("state in XDP metadata", "state_meta",
			vars(prog("entry_no_meta", 0), map[string]any{"received": uint32(0)}),
			vars(want(2), map[string]any{"received": uint32(0xabc)})),
		o.one("state in the packet", "state_packet",
			vars(packet, map[string]any{"seen_length": uint32(58), "seen_byte": uint32(0xca)})),
		o.one("state in a per-CPU array", "state_percpu",
			percpu("entry", 1005, 5), percpu("entry", 1010, 10), percpu("entry", 1015, 15),
			percpu("entry_resetting", 1005, 5), percpu("entry_resetting", 1005, 5)),
		o.one("sparse slots", "values_sparse", sparse()...),
	}
}

func sparse() []ct.Step {
	var steps []ct.Step
	for i, ret := range []uint32{9, 11, 9, 33, 9} {
		s := set(want(ret), map[string]any{"selector": uint32(i)})
		s.Name = fmt.Sprintf("selector %d", i)
		steps = append(steps, s)
	}
	return steps
}
