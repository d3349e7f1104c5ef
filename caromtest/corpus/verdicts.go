package corpus

import (
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	ct "github.com/carom-bpf/carom/caromtest"
)

// verdict is one program and what a verifier says of it: errno and text of the last line, or
// neither when it is accepted.
type verdict struct {
	name  string
	text  string // of entry, and of functions behind it
	errno ct.Errno
	log   string
}

// call is a tail call whose context is in R6.
const call = "r1 = r6\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\n"

// tailing is a function with nothing but a tail call.
const tailing = "func jump (struct __sk_buff *ctx) int\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit\n"

// reserve takes a ring buffer record, which stays in R7 or the program ends.
const reserve = "r1 = map[ring] ll\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 != 0 goto +2\nr0 = 0\nexit\nr7 = r0\n"

// submit gives the record back.
const submit = "r1 = r7\nr2 = 0\ncall bpf_ringbuf_submit\n"

// Verdicts returns the cases of what verifiers say of programs with tail calls. Linux and
// carom's verifier judge each of them; nothing runs.
func Verdicts() []ct.Case {
	var cases []ct.Case
	for _, g := range []struct {
		name string
		rows []verdict
	}{
		{"arguments", tailCallArguments()}, {"results", results()}, {"functions", functions()},
		{"slots", slots()}, {"packets", packets()}, {"references", references()}, {"stack", stack()},
	} {
		for _, v := range g.rows {
			c := ct.Case{
				Name: g.name + "/" + v.name, Asm: map[string]string{"entry": v.text}, Type: ebpf.SchedCLS,
				Maps: map[string]*ebpf.MapSpec{
					"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
					"other":     {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
					"table":     {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2},
					"value":     {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
					"ring":      {Type: ebpf.RingBuf, MaxEntries: 4096},
				},
			}
			if v.errno != 0 {
				c.Refused = &ct.Refusal{Errno: v.errno, Text: v.log}
			}
			cases = append(cases, c)
		}
	}
	return append(cases, kinds()...)
}

// tailCallArguments: what bpf_tail_call takes.
func tailCallArguments() []verdict {
	key := "*(u32 *)(r10 -4) = 0\n*(u64 *)(r10 -16) = 0\nr1 = map[jmp_table] ll\nr2 = r10\nr2 += -4\n"
	end := "\nr0 = 0\nexit"
	return []verdict{
		{"R1 is a number", "r1 = 0\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call" + end, ct.EACCES, "R1 type=scalar expected=ctx"},
		{"R1 is the frame pointer", "r1 = r10\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call" + end, ct.EACCES, "R1 type=fp expected=ctx"},
		{"R1 is inside of the context", "r1 += 8\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call" + end,
			ct.EACCES, "dereference of modified ctx ptr R1 off=8 disallowed"},
		{"R2 is a number", "r2 = 0\nr3 = 0\ncall bpf_tail_call" + end, ct.EACCES, "R2 type=scalar expected=map_ptr"},
		{"R2 is the context", "r2 = r1\nr3 = 0\ncall bpf_tail_call" + end, ct.EACCES, "R2 type=ctx expected=map_ptr"},
		{"R2 is an array", "r2 = map[table] ll\nr3 = 0\ncall bpf_tail_call" + end, ct.EINVAL, "expected prog array map for tail call"},
		{"R2 is a ring buffer", "r2 = map[ring] ll\nr3 = 0\ncall bpf_tail_call" + end, ct.EINVAL, "expected prog array map for tail call"},
		{"R3 holds nothing", "r2 = map[jmp_table] ll\ncall bpf_tail_call" + end, ct.EACCES, "R3 !read_ok"},
		{"R3 is a pointer", "r2 = map[jmp_table] ll\nr3 = r10\ncall bpf_tail_call" + end, 0, ""},
		{"lookup in a program array", key + "call bpf_map_lookup_elem" + end, ct.EINVAL, "cannot pass map_type 3 into func bpf_map_lookup_elem#1"},
		{"update of a program array", key + "r3 = r10\nr3 += -16\nr4 = 0\ncall bpf_map_update_elem" + end,
			ct.EINVAL, "cannot pass map_type 3 into func bpf_map_update_elem#2"},
		{"delete from a program array", key + "call bpf_map_delete_elem" + end, ct.EINVAL, "cannot pass map_type 3 into func bpf_map_delete_elem#3"},
	}
}

// results: what a tail call that is not taken leaves behind.
func results() []verdict {
	entry := "r6 = r1\n" + call
	return []verdict{
		{"R0 is unreadable", entry + "exit", ct.EACCES, "R0 !read_ok"},
		{"R1 is unreadable", entry + "r0 = r1\nexit", ct.EACCES, "R1 !read_ok"},
		{"R3 is unreadable", entry + "r0 = r3\nexit", ct.EACCES, "R3 !read_ok"},
		{"R5 is unreadable", entry + "r0 = r5\nexit", ct.EACCES, "R5 !read_ok"},
		{"R6 stays", entry + "r0 = *(u32 *)(r6 +0)\nexit", 0, ""},
		{"the stack stays", "r6 = r1\n*(u64 *)(r10 -8) = 7\n" + call + "r0 = *(u64 *)(r10 -8)\nexit", 0, ""},
		{"it is the last instruction", "r2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call", ct.EINVAL, "last insn is not an exit or jmp"},
	}
}

// functions: which subprograms may have a tail call.
func functions() []verdict {
	const entry = "call jump\nr0 = 0\nexit\n"
	const body = "r2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit\n"
	of := func(result string) string {
		return entry + "func jump (struct __sk_buff *ctx) " + result + "\n" + body
	}
	const only = "tail_call is only allowed in functions that return 'int'."
	return []verdict{
		{"returns int", of("int"), 0, ""},
		{"returns u64", of("u64"), 0, ""},
		{"returns nothing", of("void"), ct.EINVAL, only},
		{"a tail call that is never reached counts", entry + "func jump (struct __sk_buff *ctx) void\nr2 = 0\nif r2 == 0 goto +5\n" + body,
			ct.EINVAL, only},
	}
}

// slots: which slot is taken.
func slots() []verdict {
	at := func(index string) string {
		return "r2 = map[jmp_table] ll\n" + index + "\ncall bpf_tail_call\nr0 = 0\nexit"
	}
	two := "r6 = r1\nr7 = *(u32 *)(r1 +0)\nr2 = map[jmp_table] ll\nr3 = 0\nif r7 > 9 goto +2\nr2 = map[other] ll\nr1 = r6\ncall bpf_tail_call\nr0 = 0\nexit"
	return []verdict{
		{"a constant past the end", at("r3 = 99"), 0, ""},
		{"a negative constant", at("r3 = -1"), 0, ""},
		{"a constant past 32 bits", at("r3 = 0x100000000 ll"), 0, ""},
		{"a number that nobody knows", at("r3 = *(u32 *)(r1 +0)"), 0, ""},
		{"other constants on other branches", "r4 = *(u32 *)(r1 +0)\nr2 = map[jmp_table] ll\nr3 = 1\nif r4 > 9 goto +1\nr3 = 2\ncall bpf_tail_call\nr0 = 0\nexit", 0, ""},
		{"other maps on other branches", two, 0, ""},
		{"other maps, past the end", strings.Replace(two, "r3 = 0", "r3 = 7", 1), 0, ""},
	}
}

// packets: what is known after a tail call, in the program and in the caller of a subprogram.
func packets() []verdict {
	const checked = "r6 = r1\nr7 = *(u32 *)(r1 +76)\nr8 = *(u32 *)(r1 +80)\nr2 = r7\nr2 += 1\nif r2 > r8 goto out\n"
	const read = "r0 = *(u8 *)(r7 +0)\nexit\nout:\nr0 = 0\nexit\n"
	const written = "r6 = r1\n*(u64 *)(r10 -8) = -8\nr7 = *(u32 *)(r1 +0)\nif r7 == 42 goto known\n*(u64 *)(r10 -8) = -1024\nknown:\n" +
		"r1 = r6\nr2 = r10\nr2 += -8\ncall store\nr1 = *(u64 *)(r10 -8)\nr2 = r10\nr2 += r1\nr0 = *(u64 *)(r2 +0)\nexit\n"
	return []verdict{
		{"a packet pointer in the main program", checked + call + read, 0, ""},
		{"a packet pointer in the caller of a static function", checked + "r1 = r6\ncall jump\n" + read + tailing, ct.EACCES, "R7 invalid mem access 'scalar'"},
		{"a packet pointer in the caller of a global function",
			checked + "r1 = r6\ncall jump\n" + read + "global " + tailing, ct.EACCES, "R7 invalid mem access 'scalar'"},
		{"the result of a function", "call jump\nr1 = map[value][0]+0 ll\nr1 += r0\nr0 = *(u8 *)(r1 +0)\nexit\n" + tailing,
			ct.EINVAL, "math between map_value pointer and register with unbounded min value is not allowed"},
		{"the result of a function that calls nobody", "call zero\nr1 = map[value][0]+0 ll\nr1 += r0\nr0 = *(u8 *)(r1 +0)\nexit\n" +
			"func zero (struct __sk_buff *ctx) int\nr0 = 0\nexit", 0, ""},
		{"a write behind the tail call of a function", written +
			"func store (struct __sk_buff *ctx, void *p) int\nr6 = r2\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\n*(u64 *)(r6 +0) = -16\nr0 = 0\nexit",
			ct.EACCES, "invalid read from stack R2 off=-1024 size=8"},
		{"a write in a function that calls nobody", written +
			"func store (struct __sk_buff *ctx, void *p) int\n*(u64 *)(r2 +0) = -16\nr0 = 0\nexit", 0, ""},
	}
}

// references: what may be held at a tail call.
func references() []verdict {
	const leak = "tail_call would lead to reference leak"
	const sub = "func jump (struct __sk_buff *ctx) int\nr6 = r1\n"
	return []verdict{
		{"a record in the main program", "r6 = r1\n" + reserve + call + submit + "r0 = 0\nexit", ct.EINVAL, leak},
		{"a record that was released", "r6 = r1\n" + reserve + submit + call + "r0 = 0\nexit", 0, ""},
		{"a record that may be held", "r6 = r1\nr1 = map[ring] ll\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr7 = r0\n" + call + "r0 = 0\nexit", ct.EINVAL, leak},
		{"a record of the function that tail-calls", "call jump\nr0 = 0\nexit\n" + sub + reserve + call + submit + "r0 = 0\nexit",
			ct.EINVAL, "BPF_EXIT instruction in main prog would lead to reference leak"},
		{"a record of the caller", "r6 = r1\n" + reserve + "r1 = r6\ncall jump\n" + submit + "r0 = 0\nexit\n" + tailing, 0, ""},
		{"a record at the end", "r6 = r1\n" + reserve + "r0 = 0\nexit", ct.EINVAL, "BPF_EXIT instruction in main prog would lead to reference leak"},
	}
}

// stack: how much of it callers may use.
func stack() []verdict {
	uses := func(bytes int, rest string) string {
		return sprint("*(u8 *)(r10 -%d) = 1\n", bytes) + rest
	}
	const entry = "call jump\nr0 = 0\nexit\n"
	// chain is n functions that call each other, behind the program.
	chain := func(n int) string {
		var b strings.Builder
		b.WriteString("call f1\nr0 = 0\nexit\n")
		for i := 1; i <= n; i++ {
			b.WriteString(sprint("func f%d (struct __sk_buff *ctx) int\n", i))
			if i < n {
				b.WriteString(sprint("call f%d\n", i+1))
			}
			b.WriteString("r0 = 0\nexit\n")
		}
		return b.String()
	}
	const tooLarge = "tail_calls are not allowed when call stack of previous frames is %d bytes. Too large"
	return []verdict{
		{"callers with 240 bytes", uses(240, entry) + tailing, 0, ""},
		{"callers with 241 bytes", uses(241, entry) + tailing, ct.EACCES, sprint(tooLarge, 256)},
		{"callers with 256 bytes", uses(256, entry) + tailing, ct.EACCES, sprint(tooLarge, 256)},
		{"two callers with 128 bytes", uses(128, "call middle\nr0 = 0\nexit\nfunc middle (struct __sk_buff *ctx) int\n"+uses(128, entry)) + tailing,
			ct.EACCES, sprint(tooLarge, 256)},
		{"a tail call that is never reached", uses(256, entry) +
			"func jump (struct __sk_buff *ctx) int\nr2 = 0\nif r2 == 0 goto +4\nr2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit\n",
			ct.EACCES, sprint(tooLarge, 256)},
		{"the function's own frame does not count", uses(240, entry) + strings.Replace(tailing, "\nr2 =", "\n*(u8 *)(r10 -272) = 1\nr2 =", 1), 0, ""},
		{"512 bytes of the main program", "r6 = r1\n" + uses(512, call+"r0 = 0\nexit"), 0, ""},
		{"512 bytes in two frames", uses(256, "call f\nr0 = 0\nexit\nfunc f () int\n"+uses(256, "r0 = 0\nexit")), 0, ""},
		{"528 bytes in two frames", uses(256, "call f\nr0 = 0\nexit\nfunc f () int\n"+uses(257, "r0 = 0\nexit")),
			ct.EACCES, "combined stack size of 2 calls is 528. Too large"},
		{"8 frames", chain(7), 0, ""},
		{"9 frames", chain(8), ct.E2BIG, "the call stack of 9 frames is too deep"},
	}
}

// kinds: what else decides about a tail call.
func kinds() []ct.Case {
	return []ct.Case{{
		Name:    "functions/without BTF",
		Asm:     map[string]string{"entry": "call jump\nr0 = 0\nexit\n" + tailing},
		Maps:    map[string]*ebpf.MapSpec{"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		Prepare: withoutBTF,
		Refused: &ct.Refusal{Errno: ct.EINVAL, Text: "tail_call is not allowed in subprogs without BTF"},
	}, {
		Name: "kinds/programs that override results", Type: ebpf.Kprobe,
		Asm:  map[string]string{"entry": "r6 = r1\nr2 = 1\ncall bpf_override_return\n" + call + "r0 = 0\nexit"},
		Maps: map[string]*ebpf.MapSpec{"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		// Refused as owner of the array, without a word; without CONFIG_BPF_KPROBE_OVERRIDE the helper is.
		Refused: &ct.Refusal{Errno: ct.EINVAL},
	}, {
		Name: "kinds/sleepable programs", Type: ebpf.Syscall, Asm: map[string]string{"entry": jumpNow + "r0 = 0\nexit"},
		Maps: map[string]*ebpf.MapSpec{"jmp_table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
		Prepare: func(spec *ebpf.CollectionSpec) error {
			spec.Programs["entry"].Flags = 1 << 4 // BPF_F_SLEEPABLE
			return nil
		},
		Refused: &ct.Refusal{Errno: ct.EINVAL, Text: "Sleepable programs can only use array, hash, ringbuf and local storage maps"},
	}}
}

// withoutBTF takes away what says which functions there are.
func withoutBTF(spec *ebpf.CollectionSpec) error {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			reference, symbol := ins.Reference(), ins.Symbol()
			ins.Metadata = asm.Metadata{}
			*ins = ins.WithReference(reference).WithSymbol(symbol)
		}
	}
	return nil
}

// jumpNow is a tail call in a program that has done nothing yet.
const jumpNow = "r2 = map[jmp_table] ll\nr3 = 0\ncall bpf_tail_call\n"
