package verifier

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

const framesC = `
#define SEC(n) __attribute__((section(n), used))
static long (*read_str)(void *, unsigned, const void *) = (void *)115;
struct event { unsigned long long time; char line[64]; };
static __attribute__((noinline)) int emit(const void *from)
{
	struct event e = {};
	return read_str(e.line, sizeof(e.line), from);
}
static inline int inlined(const void *from)
{
	char path[40];
	return read_str(path, sizeof(path), from);
}
SEC("tc") int entry(void *ctx)
{
	char line[32];
	read_str(line, sizeof(line), ctx);
	return inlined(ctx) + emit(line);
}
`

func TestReadLocals(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed")
	}
	for _, version := range []string{"-gdwarf-4", "-gdwarf-5"} {
		object := filepath.Join(t.TempDir(), "frames.o")
		cmd := exec.Command(clang, "-target", "bpf", "-O2", "-g", version, "-x", "c", "-c", "-", "-o", object)
		cmd.Stdin = strings.NewReader(framesC)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b, err := os.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadLocals(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]Variable{"emit": {{"e", 72}}, "entry": {{"line", 32}, {"path", 40}}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}
}

func TestReadLocalsWithoutDWARF(t *testing.T) {
	b, err := os.ReadFile("../../docs/rejections/stack_frames.o")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLocals(bytes.NewReader(b)); !errors.Is(err, ErrNoDWARF) {
		t.Errorf("got %v, want ErrNoDWARF", err)
	}
	if _, err := ReadLocals(strings.NewReader("no object")); err == nil {
		t.Error("no error for what is no object")
	}
}

// deep is a chain of two functions: the second one has a tail call where tail is true.
func deep(t *testing.T, first, second int, tail bool) *Error {
	t.Helper()
	text := "r6 = r1\n*(u64 *)(r10 - FIRST) = 0\ncall sub\nexit\nsub:\n*(u64 *)(r10 - SECOND) = 0\n"
	if tail {
		text += "lddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\n"
	}
	c := callCase{name: "deep", typ: ebpf.SchedCLS, text: text + "r0 = 0\nexit"}
	c.text = strings.NewReplacer("FIRST", itoa(first), "SECOND", itoa(second)).Replace(c.text)
	p := c.program(t)
	p.Locals = map[string][]Variable{
		"main": {{"key", 8}, {"line", 256}, {"event", 40}},
		"sub":  {{"copy", 200}},
	}
	_, err := Verify(p, nil)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%d and %d bytes are accepted: %v", first, second, err)
	}
	return e
}

func itoa(n int) string { return string(appendInt(nil, n)) }

func TestFramesTooLarge(t *testing.T) {
	e := deep(t, 304, 240, false)
	if want := "The frames of this chain of calls take 544 bytes of stack, and a program has 512: main() 304 bytes → sub() 240 bytes. " +
		"Largest variables, in bytes, in main(): line (256), event (40), key (8); in sub(): copy (200)."; e.Explanation != want {
		t.Errorf("got  %s\nwant %s", e.Explanation, want)
	}
	want := []Frame{
		{Function: "main", Size: 304, Variables: []Variable{{"line", 256}, {"event", 40}, {"key", 8}}},
		{Function: "sub", Size: 240, Variables: []Variable{{"copy", 200}}},
	}
	if !reflect.DeepEqual(e.Frames, want) {
		t.Errorf("frames %v, want %v", e.Frames, want)
	}
	if len(e.Path) != 2 || e.Path[0].Why != "main() takes 304 bytes of stack" {
		t.Errorf("path %v", e.Path)
	}
}

func TestLargestFrameInOneFunction(t *testing.T) {
	e := deep(t, 600, 8, false)
	if want := "main() needs 600 bytes of stack, and a program has 512. Largest variables, in bytes, in main(): line (256), event (40), key (8)."; e.Explanation != want {
		t.Errorf("got  %s\nwant %s", e.Explanation, want)
	}
}

func TestFramesBelowTailCall(t *testing.T) {
	e := deep(t, 264, 240, true)
	if want := "sub() makes tail calls, so its callers together may take less than 256 bytes of stack, and they take 272: " +
		"main() 272 bytes → sub() 240 bytes. Largest variables, in bytes, in main(): line (256), event (40), key (8); in sub(): copy (200)."; e.Explanation != want {
		t.Errorf("got  %s\nwant %s", e.Explanation, want)
	}
	if want := "Make the variables of the callers smaller, keep the largest in a per-CPU array, or make the tail call in main() itself."; e.Suggestion != want {
		t.Errorf("got  %s\nwant %s", e.Suggestion, want)
	}
}
