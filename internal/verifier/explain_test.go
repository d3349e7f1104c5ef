package verifier

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// explainCase is a rejected program and how it is explained.
type explainCase struct {
	callCase
	lines map[int]string // source lines by instruction; the number of the line is 10 more
	flags uint32
	what  string
	todo  string
	path  []string // "insn: why"
}

func (c *explainCase) explain(t *testing.T) *Error {
	t.Helper()
	p := c.program(t)
	p.Flags = c.flags
	for at := range len(p.Insns) {
		if text, ok := c.lines[at]; ok {
			p.Lines = append(p.Lines, Line{Insn: at, File: "case.c", Line: at + 10, Text: text})
		}
	}
	_, err := Verify(p, nil)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("accepted: %v", err)
	}
	return e
}

func TestExplanations(t *testing.T) {
	for _, c := range explainCases() {
		t.Run(c.name, func(t *testing.T) {
			e := c.explain(t)
			var path []string
			for _, s := range e.Path {
				path = append(path, fmt.Sprintf("%d: %s", s.Insn, s.Why))
			}
			if e.Explanation != c.what {
				t.Errorf("%s\nexplained as %s\nwant         %s", e.Reason.Message, e.Explanation, c.what)
			}
			if e.Suggestion != c.todo {
				t.Errorf("suggested %s\nwant      %s", e.Suggestion, c.todo)
			}
			if got, want := strings.Join(path, "\n"), strings.Join(c.path, "\n"); got != want {
				t.Errorf("path\n%s\nwant\n%s", got, want)
			}
		})
	}
}

const lookupHash = "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\n"
const packetCheck = "r6 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r6\nr4 += 14\nif r4 > r3 goto out\n"

func explainCases() []explainCase {
	const (
		tc  = ebpf.SchedCLS
		xdp = ebpf.XDP
		kp  = ebpf.Kprobe
		out = "out:\nr0 = 0\nexit"
	)
	return []explainCase{
		{callCase: callCase{name: "null check", typ: tc, text: lookupHash + "r7 = r0\nr0 = *(u64 *)(r7 + 0)\nexit"},
			lines: map[int]string{0: "__u64 key = 0;", 3: "struct val *v = bpf_map_lookup_elem(&hash, &key);", 7: "return v->count;"},
			what:  "v = bpf_map_lookup_elem(&hash) (line 13) may return NULL, and the result is used without a check. The key may not be in the map; the call then returns NULL.",
			todo:  "Check it first: if (!v) return 0;",
			path: []string{
				"5: v = bpf_map_lookup_elem(&hash) may return NULL",
				"7: rejected here",
			}},
		{callCase: callCase{name: "null check, spilled", typ: tc, text: lookupHash + "*(u64 *)(r10 - 16) = r0\nr1 = *(u64 *)(r10 - 16)\n*(u64 *)(r1 + 8) = 1\nr0 = 0\nexit"},
			what: "bpf_map_lookup_elem(&hash) (insn 5) may return NULL, and the result is used without a check. The key may not be in the map; the call then returns NULL.",
			todo: "Check it first: if (!p) return 0;",
			path: []string{
				"5: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"8: rejected here",
			}},
		{callCase: callCase{name: "null check, arithmetic", typ: tc, text: lookupHash + "r0 += 8\nr0 = *(u64 *)(r0 + 0)\nexit"},
			what: "bpf_map_lookup_elem(&hash) (insn 5) may return NULL, and the result is used without a check. The key may not be in the map; the call then returns NULL.",
			todo: "Check it first: if (!p) return 0;",
			path: []string{
				"5: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"6: rejected here",
			}},
		{callCase: callCase{name: "packet, no check", typ: tc, text: "r2 = *(u32 *)(r1 + 76)\nr0 = *(u16 *)(r2 + 12)\nexit"},
			lines: map[int]string{0: "struct ethhdr *eth = (void *)(long)skb->data;", 1: "return eth->h_proto;"},
			what:  "The program reads bytes 12 to 13 behind data, but nothing on this path has compared the pointer with data_end.",
			todo:  "Check it first: if ((void *)(eth + 1) > data_end) return …;",
			path: []string{
				"0: eth = the field data of struct __sk_buff: a pointer into the packet",
				"1: rejected here",
			}},
		{callCase: callCase{name: "packet, short check", typ: tc, text: packetCheck + "r0 = *(u32 *)(r6 + 12)\nexit\n" + out},
			what: "The program reads bytes 12 to 15 behind data, but the check against data_end on this path covers 14 bytes only, and this needs 16.",
			todo: "Make the check long enough: if (data + 16 > data_end) return …;",
			path: []string{
				"0: R6 = the field data of struct __sk_buff: a pointer into the packet",
				"4: this branch: r4 > r3 does not hold, on to insn 5",
				"5: rejected here",
			}},
		{callCase: callCase{name: "packet, variable offset", typ: tc, text: packetCheck + "r5 = *(u8 *)(r6 + 0)\nr6 += r5\nr0 = *(u8 *)(r6 + 0)\nexit\n" + out},
			lines: map[int]string{0: "void *data = (void *)(long)skb->data;", 5: "__u8 len = *(__u8 *)data;", 6: "struct tcphdr *tcp = data + len;", 7: "return tcp->source;"},
			what:  "The program reads up to byte 0 of what tcp points to, but nothing on this path has compared the pointer with data_end. Adding a variable to a pointer makes earlier checks void.",
			todo:  "Check it first: if ((void *)(tcp + 1) > data_end) return …;",
			path: []string{
				"0: data = the field data of struct __sk_buff: a pointer into the packet",
				"4: this branch: r4 > r3 does not hold, on to line 15",
				"5: len = a number from the packet (0 to 255)",
				"6: tcp = a pointer into the packet plus a variable offset (0 to 255)",
				"7: rejected here",
			}},
		{callCase: callCase{name: "packet, moved", typ: tc, text: "r7 = r1\n" + packetCheck + "r1 = r7\nr2 = 0\ncall bpf_skb_pull_data\nr0 = *(u8 *)(r6 + 0)\nexit\n" + out},
			lines: map[int]string{0: "int prog(struct __sk_buff *skb)", 1: "void *data = (void *)(long)skb->data;", 6: "bpf_skb_pull_data(skb, 0);", 9: "return *(__u8 *)data;"},
			what:  "data points into the packet, but became invalid at line 16: bpf_skb_pull_data() may move the packet, so that all pointers into it and their checks are void.",
			todo:  "Load data and data_end from the context again after bpf_skb_pull_data(), and check the bounds again.",
			path: []string{
				"1: data = the field data of struct __sk_buff: a pointer into the packet",
				"5: this branch: r4 > r3 does not hold, on to line 16",
				"8: packet pointers became invalid here: bpf_skb_pull_data() may move the packet",
				"9: rejected here",
			}},
		{callCase: callCase{name: "packet, write", typ: ebpf.CGroupSKB, text: packetCheck + "*(u8 *)(r6 + 0) = 1\n" + out},
			what: "Programs of type CGroupSKB may read the packet through pointers, but not write to it.",
			todo: "Write with a helper such as bpf_skb_store_bytes, or use a program type that may write (XDP, tc).",
			path: []string{
				"0: R6 = the field data of struct __sk_buff: a pointer into the packet",
				"4: this branch: r4 > r3 does not hold, on to insn 5",
				"5: rejected here",
			}},
		{callCase: callCase{name: "map value, behind", typ: tc, text: lookupHash + "if r0 == 0 goto out\nr0 = *(u64 *)(r0 + 12)\nexit\n" + out},
			what: "The program reads bytes 12 to 19 of a value of map hash, which has 16 bytes.",
			todo: "Access what is inside, or make the type larger.",
			path: []string{
				"5: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"6: this branch: r0 == 0x0 does not hold, on to insn 7",
				"7: rejected here",
			}},
		{callCase: callCase{name: "map value, no limit", typ: tc, text: "r6 = r1\n" + lookupHash + "if r0 == 0 goto out\nr1 = *(u32 *)(r6 + 8)\nr1 &= 0x1fffffff\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\nexit\n" + out},
			what: "A number made of the field mark of struct __sk_buff is used as an index into a value of map hash, which has 16 bytes, and nothing limits it on this path.",
			todo: "Limit it before it is used: if (index >= 16) return 0; or index &= 15;",
			path: []string{
				"6: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"7: this branch: r0 == 0x0 does not hold, on to insn 8",
				"8: R1 = the field mark of struct __sk_buff (0 to 4294967295)",
				"9: R1 is now 0 to 536870911",
				"10: R0 = a pointer to a value of map hash plus a variable offset (0 to 536870911)",
				"11: rejected here",
			}},
		{callCase: callCase{name: "map value, limit too large", typ: tc, text: "r6 = r1\n" + lookupHash + "if r0 == 0 goto out\nr1 = *(u32 *)(r6 + 8)\nr1 &= 7\nr1 <<= 2\nr0 += r1\nr0 = *(u32 *)(r0 + 0)\nexit\n" + out},
			lines: map[int]string{0: "int prog(struct __sk_buff *skb)", 8: "__u32 i = skb->mark;", 9: "i &= 7;", 10: "return v->slots[i];"},
			what:  "The program reads up to byte 31 of a value of map hash, which has 16 bytes: i is limited, but not to less than 4 elements.",
			todo:  "Limit it before it is used: if (i >= 4) return 0; or i &= 3;",
			path: []string{
				"6: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"7: this branch: r0 == 0x0 does not hold, on to line 18",
				"8: i = the field mark of struct __sk_buff (0 to 4294967295)",
				"9: R1 is now 0 to 7",
				"11: R0 = a pointer to a value of map hash plus a variable offset (0 to 28)",
				"12: rejected here",
			}},
		{callCase: callCase{name: "map value, negative", typ: tc, text: "r6 = r1\n" + lookupHash + "if r0 == 0 goto out\nr1 = *(u32 *)(r6 + 8)\nr1 &= 7\nr1 -= 8\nr0 += r1\nr0 = *(u8 *)(r0 + 0)\nexit\n" + out},
			what: "A number made of the field mark of struct __sk_buff is used as an offset into a value of map hash and may be negative (-8 to -1).",
			todo: "Use an unsigned type for index, or check before: if (index < 0) return 0;",
			path: []string{
				"6: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"7: this branch: r0 == 0x0 does not hold, on to insn 8",
				"8: R1 = the field mark of struct __sk_buff (0 to 4294967295)",
				"9: R1 is now 0 to 7",
				"10: R1 is now -8 to -1",
				"11: R0 = a pointer to a value of map hash plus a variable offset (-8 to -1)",
				"12: rejected here",
			}},
		{callCase: callCase{name: "map value, unbounded", typ: tc, text: "r6 = r1\n" + lookupHash + "if r0 == 0 goto out\nr1 = *(u32 *)(r6 + 8)\nr1 <<= 32\nr1 s>>= 32\nr1 <<= 60\nr0 += r1\nexit\n" + out},
			what: "A number made of the field mark of struct __sk_buff is added to a pointer to a value of map hash and may be any value, also a negative one. Nothing on this path excludes negative values.",
			todo: "Use an unsigned type for index, and limit it before it is added: if (index >= 16) return 0;",
			path: []string{
				"6: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"7: this branch: r0 == 0x0 does not hold, on to insn 8",
				"8: R1 = the field mark of struct __sk_buff (0 to 4294967295)",
				"9: R1 is now any value, also a negative one",
				"10: R1 is now -2147483648 to 2147483647",
				"11: R1 is now any value, also a negative one",
				"12: rejected here",
			}},
		{callCase: callCase{name: "read-only map", typ: tc, text: "lddw r1, 6, 5\n*(u32 *)(r1 + 0) = 1\nr0 = 0\nexit"},
			what: "Map rodata is read-only for programs (BPF_F_RDONLY_PROG).",
			todo: "Write to another map, or remove const or the flag.",
			path: []string{
				"0: R1 = a pointer to map rodata",
				"2: rejected here",
			}},
		{callCase: callCase{name: "register not set", typ: tc, text: "r0 = r7\nexit"},
			what: "R7 is read, but nothing on this path has written it.",
			todo: "Initialise the variable on every path; clang warns of it with -Wuninitialized and -Wsometimes-uninitialized."},
		{callCase: callCase{name: "register overwritten", typ: tc, text: "r3 = 1\ncall bpf_ktime_get_ns\nr0 = r3\nexit"},
			what: "R3 is used after the call of bpf_ktime_get_ns() (insn 1), which overwrites R0 to R5.",
			todo: "Keep the value in R6 to R9 or on the stack across the call. Compiled C does that, unless a function has another prototype than it is called with.",
			path: []string{
				"1: the call of bpf_ktime_get_ns() overwrites R0 to R5",
				"2: rejected here",
			}},
		{callCase: callCase{name: "no result", typ: tc, text: "r6 = 1\nexit"},
			what: "The function ends without a return value: R0 is not set on this path.",
			todo: "Return a value on every path."},
		{callCase: callCase{name: "argument not set", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nr3 = r2\nlddw r1, 5, 17\ncall bpf_map_update_elem\nr0 = 0\nexit"},
			what: "Argument 4 of bpf_map_update_elem() is not set.",
			todo: "Pass all arguments that the prototype has."},
		{callCase: callCase{name: "number as address, tc", typ: tc, text: "r2 = *(u32 *)(r1 + 8)\nr0 = *(u8 *)(r2 + 0)\nexit"},
			what: "The field mark of struct __sk_buff is a number for the verifier, and is used as an address.",
			todo: "Use a pointer that comes from the context, a map, the stack or a helper; a pointer that went through arithmetic, a 32-bit variable or a map is a number.",
			path: []string{
				"0: R2 = the field mark of struct __sk_buff (0 to 4294967295)",
				"1: rejected here",
			}},
		{callCase: callCase{name: "number as address, kprobe", typ: kp, text: "r2 = *(u64 *)(r1 + 112)\nr0 = *(u8 *)(r2 + 0)\nexit"},
			what: "A field of the context is a number for the verifier, and is used as an address.",
			todo: "Read memory of the kernel with bpf_probe_read_kernel (or BPF_CORE_READ), and that of a process with bpf_probe_read_user.",
			path: []string{
				"0: R2 = a field of the context (any value)",
				"1: rejected here",
			}},
		{callCase: callCase{name: "stack, below", typ: tc, text: "*(u64 *)(r10 - 520) = 0\nr0 = 0\nexit"},
			what: "case() needs 520 bytes of stack, and a program has 512.",
			todo: "Make the variables smaller, or keep the largest in a per-CPU array with one entry."},
		{callCase: callCase{name: "stack, index", typ: tc, text: "r2 = *(u32 *)(r1 + 8)\nr2 &= 63\nr3 = r10\nr3 += -16\nr3 += r2\n*(u8 *)(r3 + 0) = 1\nr0 = 0\nexit"},
			what: "A number made of the field mark of struct __sk_buff is used as an index into an array on the stack and is not limited well enough (0 to 63).",
			todo: "Limit it before: if (index >= N) return 0; with N as many as there are elements, and an unsigned type.",
			path: []string{
				"0: R2 = the field mark of struct __sk_buff (0 to 4294967295)",
				"1: R2 is now 0 to 63",
				"3: R3 = a pointer to the stack at offset -16",
				"4: R3 = a pointer to the stack plus a variable offset (0 to 63)",
				"5: rejected here",
			}},
		{callCase: callCase{name: "stack, misaligned", typ: tc, text: "*(u64 *)(r10 - 12) = 0\nr0 = 0\nexit"},
			what: "An access of 8 bytes on the stack must be at a multiple of 8, and this one is at fp-12.",
			todo: "Do not cast a char array to a larger type; give the variable the type that is accessed, or __attribute__((aligned(8)))."},
		{callCase: callCase{name: "loop", typ: tc, text: "l0:\ncall bpf_get_prandom_u32\nif r0 != 0 goto l0\nexit"},
			what: "The loop at insn 1 may go on forever: after one more round, nothing that the verifier follows has changed.",
			todo: "Count with a local variable that changes in every round, and compare it with a constant; or use bpf_loop, bpf_for or may_goto.",
			path: []string{
				"1: this branch: r0 != 0x0 holds, on to insn 0",
				"1: rejected here",
			}},
		{callCase: callCase{name: "too many rounds", typ: tc, text: "r6 = 0\nr7 = 0\nl0:\nr6 += 1\ncall bpf_get_prandom_u32\nr7 += r0\nif r6 < 1000000 goto l0\nr0 = 0\nexit"},
			what: "The paths through the program have more than 1000000 instructions together. Linux follows every round of a loop, and the loop of insns 2 to 5 is still running in round 250000.",
			todo: "Let it run fewer rounds, or write it with bpf_loop or may_goto, whose body is verified for all rounds at once. Move parts into global functions, which are verified once, and tail-call the rest.",
			path: []string{"2: this loop is in round 250000"}},
		{callCase: callCase{name: "too many branches", typ: tc, text: "r6 = 0\nl0:\nr6 += 1\ncall bpf_get_prandom_u32\nif r0 == 7 goto out\nif r6 < 1000000 goto l0\n" + out},
			what: "More than 8192 branches wait to be explored at once, most of them from insn 3: a loop leaves one in every round.",
			todo: "Let loops run fewer rounds, or write them with bpf_loop, whose body is verified for all rounds at once."},
		{callCase: callCase{name: "helper of another type", typ: xdp, text: "call bpf_override_return\nexit"},
			what: "Programs of type XDP cannot call bpf_override_return().",
			todo: "Program types with bpf_override_return: Kprobe."},
		{callCase: callCase{name: "GPL", typ: kp, free: true, text: "call bpf_get_current_task\nr0 = 0\nexit"},
			what: "bpf_get_current_task() is only for programs whose licence is compatible with the GPL.",
			todo: "Declare it, if it is true: char _license[] SEC(\"license\") = \"GPL\"; (\"Dual MIT/GPL\", \"Dual BSD/GPL\" and \"GPL v2\" count, too.)"},
		{callCase: callCase{name: "map of another type", typ: xdp, text: "lddw r1, 5, 0\nr2 = 0\nr3 = 0\ncall bpf_redirect_map\nexit"},
			what: "bpf_redirect_map() does not work on map array, which is of type Array.",
			todo: "Map types for bpf_redirect_map: DevMap, CPUMap, XSKMap, DevMapHash."},
		{callCase: callCase{name: "tail call, map", typ: tc, text: "lddw r2, 5, 0\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit"},
			what: "A tail call needs a map of type ProgramArray, and array is of type Array.",
			todo: "Pass a map with __uint(type, BPF_MAP_TYPE_PROG_ARRAY).",
			path: []string{
				"0: R2 = map array",
				"3: rejected here",
			}},
		{callCase: callCase{name: "tail call, context", typ: tc, text: "r1 = r10\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit"},
			what: "The first argument of a tail call must be the context that the program was called with; this is a pointer to the stack.",
			todo: "Pass ctx itself: bpf_tail_call(ctx, &progs, index). In a subprogram, make ctx an argument of it."},
		{callCase: callCase{name: "tail call, reference", typ: tc, text: "r6 = r1\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr7 = r0\nr1 = r6\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\n" + out},
			what: "The program still holds what bpf_ringbuf_reserve() returned (insn 5) at a tail call, which does not return when it is taken.",
			todo: "Release it with bpf_ringbuf_submit or bpf_ringbuf_discard before bpf_tail_call.",
			path: []string{
				"5: acquired here, and still held",
				"6: this branch: r0 == 0x0 does not hold, on to insn 7",
				"12: rejected here",
			}},
		{callCase: callCase{name: "reference leak", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr0 = 0\nexit"},
			what: "The program ends while it holds what bpf_ringbuf_reserve() returned (insn 4).",
			todo: "Release it with bpf_ringbuf_submit or bpf_ringbuf_discard on every path on which it is not NULL.",
			path: []string{
				"4: acquired here, and still held",
				"6: rejected here",
			}},
		{callCase: callCase{name: "use after release", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr6 = r0\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nr0 = *(u64 *)(r6 + 0)\nexit\n" + out},
			what: "The result of bpf_ringbuf_reserve(&ring) was given up by bpf_ringbuf_submit() at insn 9, and is used afterwards.",
			todo: "Use it before bpf_ringbuf_submit() only.",
			path: []string{
				"4: R0 = bpf_ringbuf_reserve(&ring) may return NULL",
				"5: this branch: r0 == 0x0 does not hold, on to insn 6",
				"9: bpf_ringbuf_submit() gives it up here",
				"10: rejected here",
			}},
		{callCase: callCase{name: "context, write", typ: xdp, text: "*(u32 *)(r1 + 12) = 1\nr0 = 0\nexit"},
			what: "ingress_ifindex of struct xdp_md can be read but not written by programs of type XDP.",
			todo: "Remember the value in a map or on the stack instead."},
		{callCase: callCase{name: "context, behind", typ: xdp, text: "r0 = *(u32 *)(r1 + 24)\nexit"},
			what: "Offset 24 lies behind struct xdp_md, which has 24 bytes for programs.",
			todo: "Use the definition of the structure in linux/bpf.h, which is what programs see; that of the kernel differs."},
		{callCase: callCase{name: "context, part", typ: xdp, text: "r0 = *(u8 *)(r1 + 12)\nexit"},
			what: "The field ingress_ifindex of struct xdp_md (4 bytes at offset 12) cannot be read in an access of 1 byte at offset 12.",
			todo: "Access the whole field with its own type; the compiler may have merged or split accesses, which volatile prevents."},
		{callCase: callCase{name: "result out of range", typ: ebpf.CGroupSKB, text: "r0 = *(u32 *)(r1 + 0)\nexit"},
			what: "The return value may be 0 to 4294967295, the field len of struct __sk_buff; a program of type CGroupSKB must return 0 or 1.",
			todo: "Return constants, or compare the value before it is returned. Values: 0 drops the packet, 1 lets it pass, and at egress 2 and 3 do the same with a notice of congestion.",
			path: []string{
				"0: R0 = the field len of struct __sk_buff (0 to 4294967295)",
				"1: rejected here",
			}},
		{callCase: callCase{name: "result constant", typ: ebpf.CGroupSock, text: "r0 = 2\nexit"},
			what: "The return value may be 2; a program of type CGroupSock must return 0 or 1.",
			todo: "Return constants, or compare the value before it is returned. Values: 0 refuses the operation, 1 allows it.",
			path: []string{
				"0: R0 = 2",
				"1: rejected here",
			}},
		{callCase: callCase{name: "pointer masked", typ: tc, text: "r1 &= 8\nr0 = 0\nexit"},
			what: "The context is changed by an operation other than adding or subtracting a number.",
			todo: "Align and mask offsets before they are added to the pointer, not the pointer itself."},
		{callCase: callCase{name: "pointer cut", typ: tc, text: "w1 += 8\nr0 = 0\nexit"},
			what: "The context is used in 32-bit arithmetic, which would cut it.",
			todo: "Keep pointers in variables of a pointer type or of 64 bits."},
		{callCase: callCase{name: "data_end plus", typ: tc, text: "r2 = *(u32 *)(r1 + 80)\nr2 += 8\nr0 = 0\nexit"},
			what: "data_end is only for comparisons; nothing can be added to it.",
			todo: "Compute with data instead: if (data + n > data_end) return …;",
			path: []string{
				"0: R2 = the field data_end of struct __sk_buff: the end of the packet",
				"1: rejected here",
			}},
		{callCase: callCase{name: "division by zero", typ: tc, text: "r0 = 1\nr0 /= 0\nexit"},
			what: "The divisor is the constant 0. (A divisor that is not known may be 0: the result is then 0, and that of a remainder the dividend.)",
			todo: "Correct the constant. Often it is a const volatile variable or macro that was never set."},
		{callCase: callCase{name: "shift", typ: tc, text: "r0 = 1\nr0 <<= 64\nexit"},
			what: "A value of 64 bits is shifted by 64.",
			todo: "Shift by 0 to 63, or cast to a wider type first."},
		{callCase: callCase{name: "frame pointer", typ: tc, text: "r10 = 1\nr0 = 0\nexit"},
			what: "R10 is the frame pointer, and programs cannot change it.",
			todo: "Copy it to another register first: r2 = r10; r2 += -8."},
		{callCase: callCase{name: "unreachable", typ: tc, text: "r0 = 0\nexit\nr0 = 1\nexit"},
			what: "No path leads to insn 2. The instruction before leaves for elsewhere, and no jump comes here.",
			todo: "Remove the code. A compiler that left it there took it for reachable, for example after a call of a function that never returns."},
		{callCase: callCase{name: "jump out", typ: tc, text: "r0 = 0\ngoto +5\nexit"},
			what: "The jump at insn 1 leads out of its function.",
			todo: "Let jumps stay inside of a function; calls are for the rest."},
		{callCase: callCase{name: "no exit", typ: tc, text: "r0 = 0"},
			what: "The program does not end: after its last instruction, it would run on into what follows.",
			todo: "Return at the end of the function. Compiled C lacks it after undefined behaviour, such as an endless loop or a division by a constant zero that the compiler has seen."},
		{callCase: callCase{name: "size, no limit", typ: tc, text: "r4 = *(u32 *)(r1 + 8)\nr2 = 0\nr3 = r10\nr3 += -8\ncall bpf_skb_load_bytes\nr0 = 0\nexit"},
			lines: map[int]string{0: "__u32 n = skb->mark;", 1: "bpf_skb_load_bytes(skb, 0, buf, n);"},
			what:  "The size that is passed to bpf_skb_load_bytes(), n, is not limited on this path (0 to 4294967295).",
			todo:  "Limit it: if (n > sizeof(buf)) return 0; or n &= sizeof(buf) - 1 where that is a power of two.",
			path: []string{
				"0: n = the field mark of struct __sk_buff (0 to 4294967295)",
				"3: R3 = a pointer to the stack at offset -8",
				"4: rejected here",
			}},
		{callCase: callCase{name: "straight into a map", typ: tc, text: "lddw r1, 6, 0\nr0 = *(u32 *)(r1 + 0)\nexit"},
			what: "The program points straight into the values of map array, which only works for arrays with one entry, inside of its 16 bytes.",
			todo: "Look the value up with bpf_map_lookup_elem."},
		{callCase: callCase{name: "alignment, strict", typ: tc, text: lookupHash + "if r0 == 0 goto out\nr0 = *(u32 *)(r0 + 1)\nexit\n" + out}, flags: flagStrictAlignment,
			what: "An access of 4 bytes to a pointer to a value of map hash must be at a multiple of 4.",
			todo: "Align the field, or copy it bytewise with __builtin_memcpy.",
			path: []string{
				"5: R0 = bpf_map_lookup_elem(&hash) may return NULL",
				"6: this branch: r0 == 0x0 does not hold, on to insn 7",
				"7: rejected here",
			}},
	}
}
