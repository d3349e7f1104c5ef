package cfg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

func assemble(t testing.TB, text string) []isa.Insn {
	t.Helper()
	insns, err := asm.Assemble(text)
	if err != nil {
		t.Fatal(err)
	}
	return insns
}

// refused are programs that do not pass, with what Linux 6.18 prints last.
var refused = []struct {
	name  string
	text  string
	funcs []cfg.Func
	code  reject.Code
	errno linux.Errno
	insn  int
	msg   string
}{
	{"falls off the end", "r0 = 0", nil, cfg.CodeFallThrough, linux.EINVAL, 0, "last insn is not an exit or jmp"},
	{"ends with a conditional jump", "r0 = 0\nif r0 == 0 goto -2", nil, cfg.CodeFallThrough, linux.EINVAL, 1, "last insn is not an exit or jmp"},
	{"ends with a call", "r0 = 0\ncall 7", nil, cfg.CodeFallThrough, linux.EINVAL, 1, "last insn is not an exit or jmp"},
	{"ends in a wide load", "exit\nraw 0x18 0 0 0 0", nil, cfg.CodeFallThrough, linux.EINVAL, 1, "last insn is not an exit or jmp"},
	{"jumps behind the end", "r0 = 0\nif r0 == 0 goto +1\nexit", nil, cfg.CodeJumpOutOfRange, linux.EINVAL, 1, "jump out of range from insn 1 to 3"},
	{"jumps before the start", "r0 = 0\ngoto -3\nexit", nil, cfg.CodeJumpOutOfRange, linux.EINVAL, 1, "jump out of range from insn 1 to -1"},
	{"far jump wraps", "r0 = 0\nraw 0x06 0 0 0 2147483647\nexit", nil, cfg.CodeJumpOutOfRange, linux.EINVAL, 1, "jump out of range from insn 1 to -2147483647"},
	{"jumps into a subprogram", "raw 0x85 0 1 0 2\nif r0 == 0 goto +1\nexit\nr0 = 0\nexit", nil, cfg.CodeJumpOutOfRange, linux.EINVAL, 1, "jump out of range from insn 1 to 3"},
	{"jumps out of a subprogram", "raw 0x85 0 1 0 1\nexit\nr0 = 0\nif r0 == 0 goto -4\nexit", nil, cfg.CodeJumpOutOfRange, linux.EINVAL, 3, "jump out of range from insn 3 to 0"},
	{"calls behind the end", "raw 0x85 0 1 0 5\nexit", nil, cfg.CodeCallTarget, linux.EINVAL, 0, "call to invalid destination"},
	{"calls before the start", "raw 0x85 0 1 0 -5\nexit", nil, cfg.CodeCallTarget, linux.EINVAL, 0, "call to invalid destination"},
	{"runs into a subprogram", "raw 0x85 0 1 0 1\nr0 = 0\nr0 = 1\nexit", nil, cfg.CodeFallThrough, linux.EINVAL, 1, "last insn is not an exit or jmp"},
	{"unreachable", "r0 = 0\nexit\nr0 = 1\nexit", nil, cfg.CodeUnreachable, linux.EINVAL, 2, "unreachable insn 2"},
	{"unreachable behind a jump", "r0 = 0\ngoto +1\nr0 = 2\nexit", nil, cfg.CodeUnreachable, linux.EINVAL, 2, "unreachable insn 2"},
	{"subprogram that only unreachable code calls", "r0 = 0\nexit\nraw 0x85 0 1 0 1\nexit\nexit", nil, cfg.CodeUnreachable, linux.EINVAL, 2, "unreachable insn 2"},
	{"jump into a wide load", "if r1 == 0 goto +1\nr0 = 1 ll\nexit", nil, cfg.CodeJumpIntoWide, linux.EINVAL, 1, "jump into the middle of ldimm64 insn 1"},
	{"unknown opcode", "raw 0xff 0 0 0 0\nexit", nil, cfg.CodeUnknownOpcode, linux.EINVAL, 0, "unknown opcode ff"},
	{"opcode 0", "raw 0 0 0 0 0\nexit", nil, cfg.CodeUnknownOpcode, linux.EINVAL, 0, "unknown opcode 00"},
	{"jump through a register", "raw 0x0d 0 0 0 0\nexit", nil, cfg.CodeUnknownOpcode, linux.EINVAL, 0, "unknown opcode 0d"},
	{"unknown opcode before unreachable code", "exit\nraw 0xff 0 0 0 0\nexit", nil, cfg.CodeUnknownOpcode, linux.EINVAL, 1, "unknown opcode ff"},
	{"load with an immediate", "raw 0x61 0 1 0 5\nexit", nil, cfg.CodeReservedField, linux.EINVAL, 0, "BPF_LDX uses reserved fields"},
	{"load of an unknown mode", "raw 0xc1 0 1 0 0\nexit", nil, cfg.CodeReservedField, linux.EINVAL, 0, "BPF_LDX uses reserved fields"},
	{"wide load with a wrong second slot", "raw 0x18 0 0 0 1\nraw 0 0 0 1 0\nexit", nil, cfg.CodeWideLoad, linux.EINVAL, 0, "invalid bpf_ld_imm64 insn"},
	{"wide load cut short by an instruction", "raw 0x18 0 0 0 1\nr0 = 0\nexit", nil, cfg.CodeWideLoad, linux.EINVAL, 0, "invalid bpf_ld_imm64 insn"},
	{"wide load of an unknown source", "lddw r1, 7, 5\nexit", nil, cfg.CodeWideLoad, linux.EINVAL, 0, "unrecognized bpf_ld_imm64 insn"},
	{"map with an upper half", "lddw r1, 1, 0x100000005\nexit", nil, cfg.CodeWideLoad, linux.EINVAL, 0, "unrecognized bpf_ld_imm64 insn"},
	{"tail call in a subprogram without BTF", "raw 0x85 0 1 0 1\nexit\ncall 12\nr0 = 0\nexit", nil, cfg.CodeTailCallNoBTF, linux.EINVAL, 2, "tail_call is not allowed in subprogs without BTF"},
	{"load from the packet in a subprogram without BTF", "raw 0x85 0 1 0 1\nexit\nraw 0x20 0 0 0 0\nr0 = 0\nexit", nil, cfg.CodeLoadAbsNoBTF, linux.EINVAL, 2, "LD_ABS is not allowed in subprogs without BTF"},
	{"too many subprograms", manyFunctions(257), nil, cfg.CodeTooManySubprogs, linux.E2BIG, 255, "too many subprograms"},
	{"one record too many", "raw 0x85 0 1 0 1\nexit\nr0 = 0\nexit", []cfg.Func{{0, true}, {2, true}, {3, true}}, cfg.CodeFuncInfo, linux.EINVAL, -1, "number of funcs in func_info doesn't match number of subprogs"},
	{"record in the wrong place", "raw 0x85 0 1 0 1\nexit\nr0 = 0\nexit", []cfg.Func{{0, true}, {3, true}}, cfg.CodeFuncInfo, linux.EINVAL, 2, "func_info BTF section doesn't match subprog layout in BPF program"},
	{"tail call in a function that returns a pointer", "raw 0x85 0 1 0 1\nexit\ncall 12\nr0 = 0\nexit", []cfg.Func{{0, true}, {2, false}}, cfg.CodeTailCallReturn, linux.EINVAL, 2, "tail_call is only allowed in functions that return 'int'."},
	{"load from the packet in a function that returns a pointer", "raw 0x85 0 1 0 1\nexit\nraw 0x20 0 0 0 0\nr0 = 0\nexit", []cfg.Func{{0, true}, {2, false}}, cfg.CodeLoadAbsReturn, linux.EINVAL, 2, "LD_ABS is only allowed in functions that return 'int'."},
}

// manyFunctions makes a program of n functions: a main one that calls the others.
func manyFunctions(n int) string {
	call := fmt.Sprintf("raw 0x85 0 1 0 %d\n", n-1)
	return strings.Repeat(call, n-1) + strings.Repeat("exit\n", n)
}

func TestRefused(t *testing.T) {
	for _, c := range refused {
		_, err := cfg.Analyze(cfg.Input{Insns: assemble(t, c.text), Funcs: c.funcs, Helper: callees})
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		if err.Code != c.code || err.Errno != c.errno || err.Insn != c.insn || err.Message != c.msg {
			t.Errorf("%s: got %s %v at %d %q, want %s %v at %d %q", c.name,
				err.Code, err.Errno, err.Insn, err.Message, c.code, c.errno, c.insn, c.msg)
		}
	}
}

// params is how many arguments helpers take, by number; -1 for those that a classifier lacks.
var params = func() (p [256]int8) {
	for n := range p {
		p[n] = -1
	}
	for id, n := range map[int32]int8{
		1: 2, 2: 4, 3: 2, 5: 0, 6: 2, 7: 0, 8: 0, 12: 3, 13: 3, 23: 2, 25: 5, 26: 4, 28: 5, 39: 2,
		43: 3, 181: 4, 164: 4, 170: 2,
	} {
		p[id] = n
	}
	return p
}()

// callees is what a classifier of Linux may call.
func callees(id int32) cfg.Callee {
	if id < 0 || int(id) >= len(params) || params[id] < 0 {
		return cfg.Callee{}
	}
	return cfg.Callee{
		Known: true, Params: uint8(params[id]), Void: id == 12, Fastcall: id == 8,
		ChangesPacket: id == 12 || id == 39 || id == 43,
		SyncCallback:  id == 181 || id == 164, AsyncCallback: id == 170,
	}
}

// iterNext describes all kernel functions as those that advance an iterator.
func iterNext(isa.Insn) cfg.Callee { return cfg.Callee{Known: true, Params: 1, IterNext: true} }

func TestEffectsReachCallers(t *testing.T) {
	g, err := cfg.Analyze(cfg.Input{Insns: assemble(t, `
		call a
		exit
		func a
		call b
		exit
		func b
		call 39
		exit
		func c
		r0 = func[a] ll
		r0 = 0
		exit`), Helper: callees, ExceptionCallback: 6})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []cfg.Subprog{
		{Start: 0, End: 2, Exit: 1, PostorderStart: 0, PostorderEnd: 2, ChangesPacket: true},
		{Start: 2, End: 4, Exit: 3, PostorderStart: 2, PostorderEnd: 4, ChangesPacket: true},
		{Start: 4, End: 6, Exit: 5, PostorderStart: 4, PostorderEnd: 6, ChangesPacket: true},
		{Start: 6, End: 10, Exit: 9, PostorderStart: 6, PostorderEnd: 9, ChangesPacket: true},
	} {
		if g.Subprogs[n] != want {
			t.Errorf("subprogram %d is %+v, want %+v", n, g.Subprogs[n], want)
		}
	}
	for slot, want := range []int{0, 0, 1, 1, 2, 2, 3, 3, 3, 3} {
		if got := g.SubprogAt(slot); got != want {
			t.Errorf("slot %d is in subprogram %d, want %d", slot, got, want)
		}
	}
}
