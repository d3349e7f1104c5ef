package corpus

import (
	"strings"

	"github.com/cilium/ebpf"

	ct "github.com/carom-bpf/carom/caromtest"
)

// crashes is why no kernel gets a callback that reaches a tail call.
const crashes = "Linux 6.18 warns of a verifier bug when a callback has a tail call, and loads programs whose callbacks reach one, although running them may crash it"

// callbacks returns the cases of tail calls in programs with callbacks, which are the rows of
// tailcall_callback.
func callbacks() []ct.Case {
	const loop = "r1 = 3\nr2 = func[each] ll\nr3 = r10\nr3 += -8\nr4 = 0\n*(u64 *)(r10 -8) = 0\ncall bpf_loop\n"
	const each = "func each (u64 i, void *p) int\n"
	const jump = "func jump (struct __sk_buff *ctx) int\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit\n"
	one := func(name, entry string) ct.Case {
		return ct.Case{
			Name: "tailcall_callback/" + name, Prog: "entry", Data: tcp(),
			Asm:  map[string]string{"entry": entry, "target": "r0 = 9\nexit"},
			Maps: map[string]*ebpf.MapSpec{"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		}
	}
	unsafe := func(name, entry string) ct.Case {
		c := one(name, entry)
		c.Refused, c.Unsafe = &ct.Refusal{Errno: ct.EINVAL, Text: "cannot tail call within callback"}, crashes
		return c
	}
	unrelated := one("unrelated", "r6 = r1\n"+loop+"r7 = r0\nr1 = r6\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = r7\nexit\n"+each+"r0 = 0\nexit")
	unrelated.Steps = []ct.Step{taken(want(3), 0, 1), taken(want(9, fill("target")...), 1, 0)}
	return []ct.Case{
		unrelated,
		unsafe("direct", loop+"r0 = 0\nexit\n"+each+"r1 = 0\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit"),
		unsafe("through a subprogram", "*(u64 *)(r10 -16) = r1\n"+loop+"r0 = 0\nexit\n"+each+"r1 = 0\ncall jump\nr0 = 0\nexit\n"+jump),
	}
}

// directJumps: Linux patches a call with a constant index into a jump, at most 1024 in a program.
func directJumps() []ct.Case {
	sites := func(n int) ct.Case {
		call := "r1 = r6\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\n"
		return ct.Case{
			Name: sprint("%d calls with a constant index", n), Prog: "entry", Data: tcp(),
			Asm:  map[string]string{"entry": "r6 = r1\n" + strings.Repeat(call, n) + "r0 = 1\nexit", "target": "r0 = 9\nexit"},
			Maps: map[string]*ebpf.MapSpec{"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		}
	}
	most, more := sites(1024), sites(1025)
	// Only loaded: Linux takes seconds to patch them all when the slot changes.
	more.Refused = &ct.Refusal{Errno: ct.ENOSPC}
	return []ct.Case{most, more}
}
