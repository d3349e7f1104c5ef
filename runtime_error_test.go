package carom_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"

	"github.com/carom-bpf/carom"
)

// runtimeError runs p of a collection and returns how it failed.
func runtimeError(t *testing.T, coll *carom.Collection, in *carom.Input) *carom.RuntimeError {
	t.Helper()
	if in == nil {
		in = &carom.Input{Data: make([]byte, 64)}
	}
	err := coll.Programs["p"].RunInput(context.Background(), in, new(carom.Result))
	re := new(carom.RuntimeError)
	if !errors.As(err, &re) {
		t.Fatalf("got %v, want a RuntimeError", err)
	}
	if re.Program != "p" {
		t.Errorf("program %q, want p", re.Program)
	}
	for _, part := range []string{re.Program, re.Code.String(), re.Reason} {
		if !strings.Contains(re.Error(), part) {
			t.Errorf("%q does not say %q", re.Error(), part)
		}
	}
	return re
}

func TestRuntimeErrors(t *testing.T) {
	lookup := `
		*(u32 *)(r10 -4) = 0
		r2 = r10
		r2 += -4
		r1 = map[m] ll
		call bpf_map_lookup_elem
		`
	deep := "call f\nexit\n"
	for _, name := range []string{"f", "g", "h", "i", "j", "k", "l"} {
		deep += "func " + name + "\ncall " + string(name[0]+1) + "\nexit\n"
	}
	deep += "func m\nr0 = 0\nexit"

	for _, c := range []struct {
		name, text string
		code       carom.ErrorCode
		insn       int
		disasm     string
		region     string // prefix
		distance   int64
		reason     string // part
	}{
		{"null", "r1 = 0\nr0 = *(u64 *)(r1 +8)\nexit", carom.CodeAccess, 1, "r0 = *(u64 *)(r1 +8)", "", 0, "NULL pointer"},
		{"unchecked lookup", "*(u32 *)(r10 -4) = 9\nr2 = r10\nr2 += -4\nr1 = map[m] ll\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 +0)\nexit",
			carom.CodeAccess, 6, "r0 = *(u64 *)(r0 +0)", "", 0, "NULL pointer"},
		{"above the stack", "r0 = *(u64 *)(r10 +0)\nexit", carom.CodeAccess, 0, "r0 = *(u64 *)(r10 +0)", "stack of frame 0", 1, "past the end"},
		{"across the stack's end", "r0 = *(u64 *)(r10 -4)\nexit", carom.CodeAccess, 0, "r0 = *(u64 *)(r10 -4)", "stack of frame 0", 4, "past the end"},
		{"below the stack", "*(u64 *)(r10 -520) = 1\nexit", carom.CodeAccess, 0, "*(u64 *)(r10 -520) = 1", "stack of frame 0", -8, "before the start"},
		{"into the next element", lookup + "r0 = *(u64 *)(r0 +4)\nexit", carom.CodeAccess, 6, "r0 = *(u64 *)(r0 +4)", "element 0 of map m", 4, "past the end"},
		{"between elements", strings.Replace(lookup, "map[m]", "map[small]", 1) + "r0 = *(u32 *)(r0 +4)\nexit", carom.CodeAccess, 6, "r0 = *(u32 *)(r0 +4)", "element 0 of map small", 1, "past the end"},
		{"read-only map", "*(u32 *)(r10 -4) = 0\nr2 = r10\nr2 += -4\nr1 = map[ro] ll\ncall bpf_map_lookup_elem\n*(u64 *)(r0 +0) = 1\nexit",
			carom.CodeAccess, 6, "*(u64 *)(r0 +0) = 1", "element 0 of map ro", 0, "read"},
		{"past the packet", "r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +64)\nexit", carom.CodeAccess, 1, "r0 = *(u8 *)(r2 +64)", "packet", 1, "past the end"},
		{"before the packet", "r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 -1)\nexit", carom.CodeAccess, 1, "r0 = *(u8 *)(r2 -1)", "packet", -1, "before the start"},
		{"context hole", "r0 = *(u32 *)(r1 +64)\nexit", carom.CodeAccess, 0, "r0 = *(u32 *)(r1 +64)", "context", 0, ""},
		{"half a context field", "r0 = *(u64 *)(r1 +0)\nexit", carom.CodeContextAccess, 0, "r0 = *(u64 *)(r1 +0)", "xdp_md", 0, "data"},
		{"context store", "*(u32 *)(r1 +0) = 1\nexit", carom.CodeContextAccess, 0, "*(u32 *)(r1 +0) = 1", "xdp_md", 0, ""},
		{"misaligned atomic", "r1 = 1\nlock *(u64 *)(r10 -12) += r1\nexit", carom.CodeMisaligned, 1, "lock *(u64 *)(r10 -12) += r1", "", 0, "multiple of 8"},
		{"calls too deep", deep, carom.CodeCallDepth, 0, "", "", 0, "too deep"},
		{"wild pointer", "r1 = 0x1234567890 ll\nr0 = *(u8 *)(r1 +0)\nexit", carom.CodeAccess, 2, "r0 = *(u8 *)(r1 +0)", "", 0, "no memory of this run is near"},
		{"function pointer", "r1 = func[f] ll\nr0 = *(u8 *)(r1 +0)\nexit\nfunc f\nr0 = 0\nexit", carom.CodeAccess, 2, "r0 = *(u8 *)(r1 +0)", "", 0, "function"},
		{"map pointer", "r1 = map[m] ll\nr0 = *(u8 *)(r1 +0)\nexit", carom.CodeAccess, 2, "r0 = *(u8 *)(r1 +0)", "", 0, ""},
		{"tail call without a map", "r2 = r10\nr3 = 0\ncall bpf_tail_call\nexit", carom.CodeBadMap, 2, "call bpf_tail_call#12", "", 0, "PROG_ARRAY"},
		{"tail call through NULL", "r2 = 0\nr3 = 0\ncall bpf_tail_call\nexit", carom.CodeBadMap, 2, "call bpf_tail_call#12", "", 0, "PROG_ARRAY"},
		{"tail call through another map", "r2 = map[m] ll\nr3 = 0\ncall bpf_tail_call\nexit", carom.CodeBadMap, 3, "call bpf_tail_call#12", "", 0, "PROG_ARRAY"},
		{"look-up without a map", "r1 = r10\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nexit", carom.CodeBadMap, 3, "call bpf_map_lookup_elem#1", "", 0, "R1"},
		{"call of nothing", "r6 = 77777\ncallx r6\nexit", carom.CodeBadCall, 1, "", "", 0, "R6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ro := array(8, 1)
			ro.Flags = 1 << 7 // BPF_F_RDONLY_PROG
			s := source{progs: map[string]string{"p": c.text}, maps: map[string]*ebpf.MapSpec{"m": array(8, 4), "small": array(4, 4), "ro": ro}}
			re := runtimeError(t, s.load(t, &carom.Options{Verify: carom.VerifySkip}), nil)
			if re.Code != c.code {
				t.Fatalf("%v: code %v, want %v", re, re.Code, c.code)
			}
			if c.code != carom.CodeCallDepth && re.Insn != c.insn {
				t.Errorf("%v: instruction %d, want %d", re, re.Insn, c.insn)
			}
			if !strings.HasSuffix(re.Disasm, c.disasm) {
				t.Errorf("disassembly %q, want %q", re.Disasm, c.disasm)
			}
			if !strings.HasPrefix(re.Region, c.region) || (c.distance != 0 && re.Distance != c.distance) {
				t.Errorf("%v: %d bytes from %q, want %d from %q", re, re.Distance, re.Region, c.distance, c.region)
			}
			if !strings.Contains(re.Error(), c.reason) {
				t.Errorf("%v: does not say %q", re, c.reason)
			}
		})
	}
}

// TestBadInstructions runs what no compiler makes: loading takes it, running it is an error.
func TestBadInstructions(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		code carom.ErrorCode
	}{
		{"falls off the end", "r0 = 0\nr0 += 1", carom.CodeBadJump},
		{"bad opcode", "raw 0xff 0 0 0 0\nexit", carom.CodeBadOpcode},
	} {
		t.Run(c.name, func(t *testing.T) {
			coll, err := carom.NewCollection(single(c.text).spec(t), &carom.Options{Verify: carom.VerifySkip})
			if err != nil {
				// Refusing it at load is as good, if the error names the program.
				le := new(carom.LinkError)
				if !errors.As(err, &le) && !strings.Contains(err.Error(), "program p") {
					t.Errorf("%v does not name the program", err)
				}
				return
			}
			defer coll.Close()
			if re := runtimeError(t, coll, nil); re.Code != c.code {
				t.Errorf("%v: code %v, want %v", re, re.Code, c.code)
			}
		})
	}
}

// TestSourceLine lets a look-up return an address that is none.
func TestSourceLine(t *testing.T) {
	coll := loadObject(t, "examples/tail-context/tail_context.o", &carom.Options{Verify: carom.VerifySkip, Helpers: []carom.Helper{{
		Proto: carom.Proto{ID: 1, Name: "bpf_map_lookup_elem"}, Func: func(*carom.Call) uint64 { return 16 },
	}}})
	err := coll.Programs["first_prog"].RunInput(context.Background(), &carom.Input{Data: packet54()}, new(carom.Result))
	re := new(carom.RuntimeError)
	if !errors.As(err, &re) || re.Code != carom.CodeAccess {
		t.Fatalf("got %v, want an invalid memory access", err)
	}
	if re.Program != "first_prog" || !strings.HasSuffix(re.File, "tail_context.c") || re.Source != "*tc = (struct tail_context){ .first = 11 };" {
		t.Errorf("program %q at %s:%d %q", re.Program, re.File, re.Line, re.Source)
	}
	text, err2 := os.ReadFile("examples/tail-context/tail_context.c")
	check(t, err2)
	if line := strings.Split(string(text), "\n")[re.Line-1]; strings.TrimSpace(line) != re.Source {
		t.Errorf("line %d is %q, the error says %q", re.Line, line, re.Source)
	}
	if want := fmt.Sprintf("tail_context.c:%d", re.Line); !strings.Contains(re.Error(), want) {
		t.Errorf("%q does not say %q", re.Error(), want)
	}
}

func TestBudget(t *testing.T) {
	endless := single("loop: r0 += 1; goto loop; exit")
	for _, c := range []struct {
		name string
		opts *carom.Options
		in   int64
	}{
		{"of the collection", &carom.Options{Verify: carom.VerifySkip, Budget: 1000}, 0},
		{"of the run", &carom.Options{Verify: carom.VerifySkip}, 1000},
		{"of the run first", &carom.Options{Verify: carom.VerifySkip, Budget: math.MaxInt64}, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			re := runtimeError(t, endless.load(t, c.opts), &carom.Input{Data: make([]byte, 64), Budget: c.in})
			if re.Code != carom.CodeBudget {
				t.Errorf("code %v, want %v", re.Code, carom.CodeBudget)
			}
		})
	}
	// The same budget is enough for a program that stays below it.
	coll := single("r0 = 2; exit").load(t, &carom.Options{Budget: 2})
	if v, _, err := coll.Programs["p"].Test(make([]byte, 64)); v != 2 || err != nil {
		t.Errorf("%d, %v; want 2", v, err)
	}
}

func TestCancelEndsARun(t *testing.T) {
	coll := single("loop: r0 += 1; goto loop; exit").load(t, &carom.Options{Verify: carom.VerifySkip, CPUs: 1, Budget: math.MaxInt64})
	ctx, cancel := context.WithCancel(context.Background())
	started := make(chan error)
	go func() {
		started <- nil
		started <- coll.Programs["p"].RunInput(ctx, &carom.Input{Data: make([]byte, 64)}, new(carom.Result))
	}()
	<-started
	cancel()
	err := <-started
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	if re := new(carom.RuntimeError); errors.As(err, &re) && re.Code != carom.CodeCanceled {
		t.Errorf("code %v, want %v", re.Code, carom.CodeCanceled)
	}
	// The virtual CPU is good for the next run.
	if _, _, err := coll.Programs["p"].Test(make([]byte, 13)); err == nil {
		t.Error("a packet of 13 bytes is accepted")
	}
}

// TestInputErrors are refused as BPF_PROG_TEST_RUN does.
func TestInputErrors(t *testing.T) {
	coll := single("r0 = 2; exit").load(t, nil)
	err := coll.Programs["p"].RunInput(context.Background(), &carom.Input{Data: make([]byte, 13)}, new(carom.Result))
	ie := new(carom.InputError)
	if !errors.As(err, &ie) || !errors.Is(err, carom.Errno(22)) {
		t.Errorf("got %v, want an InputError with EINVAL", err)
	}
	err = coll.Programs["p"].RunInput(context.Background(), &carom.Input{Data: make([]byte, 64), Registers: []carom.Register{{Name: "ax"}}}, new(carom.Result))
	if !errors.As(err, &ie) {
		t.Errorf("registers for XDP: got %v, want an InputError", err)
	}
}

// TestLinkErrors name program and instruction.
func TestLinkErrors(t *testing.T) {
	spec := single("r0 = 0; exit").spec(t)
	spec.Programs["p"].Instructions = ebpfasm.Instructions{ebpfasm.BuiltinFunc(9999).Call(), ebpfasm.Return()}
	_, err := carom.NewCollection(spec, nil)
	le := new(carom.LinkError)
	if !errors.As(err, &le) || le.Program != "p" || le.Insn != 0 || !strings.Contains(err.Error(), "9999") || !errors.Is(err, carom.Errno(22)) {
		t.Errorf("got %v, want a LinkError with EINVAL for insn 0 of p that names 9999", err)
	}
	_, err = carom.NewCollection(single("r1 = map[gone] ll; r0 = 0; exit").spec(t), nil)
	if !errors.As(err, &le) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("got %v, want a LinkError that names the map", err)
	}
}
