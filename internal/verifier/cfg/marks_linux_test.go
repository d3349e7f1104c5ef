package cfg_test

import (
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

// pruned are programs that read a stack slot at their end, so that the slot is live everywhere;
// Linux logs that where it compares states, at the entry, and where the slot is read (last).
var pruned = []struct {
	name  string
	text  string
	prune []int
}{
	{"straight", "call 7\nr0 += 1\nr0 = *(u64 *)(r10 -8)\nexit", []int{1}},
	{"branch", "call 7\nr6 = r0\nr6 += 1\nif r0 > 7 goto +1\nr0 = 1\nr6 = 1\nr0 = *(u64 *)(r10 -8)\nexit", []int{1, 3, 5}},
	{"jump", "r0 = 0\ngoto +0\nr0 = 1\nr0 = 2\nr0 = *(u64 *)(r10 -8)\nexit", []int{2}},
	{"far jump", "r0 = 0\ngotol +0\nr0 = 1\nr0 = 2\nr0 = *(u64 *)(r10 -8)\nexit", []int{2}},
	{"loop", "r6 = 0\nr6 = 1\nr7 = 1\ncall 7\nif r0 > 5 goto -4\nr0 = 1\nr0 = *(u64 *)(r10 -8)\nexit", []int{1, 4}},
	{"may_goto", "r6 = 0\nr7 = 0\nmay_goto +3\nr6 = 1\nr6 = 2\ngoto -4\nr0 = 1\nr0 = *(u64 *)(r10 -8)\nexit", []int{2, 6}},
	{"call of a subprogram", "r1 = 0\nr2 = 0\ncall f\nr0 = 0\nr1 = 1\nr0 = *(u64 *)(r10 -8)\nexit\nfunc f\nr0 = 0\nexit", []int{2, 3}},
	{"callback", "r1 = 1\nr2 = func[cb] ll\nr3 = 0\nr4 = 0\ncall 181\nr0 = 0\nr0 = 2\nr0 = *(u64 *)(r10 -8)\nexit\nfunc cb\nr0 = 0\nexit", []int{1, 3, 5, 6}},
}

func TestPrunePointsAreThoseOfLinux(t *testing.T) {
	needKernel(t)
	line := regexp.MustCompile(`(?m)^\(0\) frame 0 insn (\d+) \+live -8`)
	for _, c := range pruned {
		t.Run(c.name, func(t *testing.T) {
			insns := assemble(t, c.text)
			g, err := cfg.Analyze(cfg.Input{Insns: insns, Helper: callees})
			if err != nil {
				t.Fatal(err)
			}
			var prune []int
			last := g.Subprogs[0].Exit - 1
			for n := range last {
				if g.Has(n, cfg.Prune) {
					prune = append(prune, n)
				}
			}
			if !slices.Equal(prune, c.prune) {
				t.Errorf("states are compared at %v, want %v", prune, c.prune)
			}
			var funcs []cfg.Func
			for _, sub := range g.Subprogs {
				funcs = append(funcs, cfg.Func{Start: sub.Start, ReturnsInt: true})
			}
			v := ask(t, insns, newBTF(t, funcs), 1<<20)
			logged := map[int]bool{}
			for _, m := range line.FindAllStringSubmatch(v.log, -1) {
				n, _ := strconv.Atoi(m[1])
				logged[n] = true
			}
			for n := range last + 1 {
				want := n == 0 || n == last || slices.Contains(c.prune, n)
				if logged[n] != want {
					t.Errorf("instruction %d: Linux logs it: %v, want %v\n%s", n, logged[n], want, v.log)
				}
			}
		})
	}
}

// TestCheckpoints has marks that Linux does not log (visit_insn, kernel/bpf/verifier.c).
func TestCheckpoints(t *testing.T) {
	const callback = cfg.Prune | cfg.Checkpoint | cfg.JumpPoint | cfg.CallsCallback
	for _, c := range []struct {
		text string
		want map[int]cfg.Mark
	}{
		{"r0 = 0\nmay_goto +0\nexit", map[int]cfg.Mark{1: cfg.Prune | cfg.Checkpoint, 2: cfg.Prune | cfg.JumpPoint}},
		{"r0 = 0\nif r0 == 0 goto +1\nr0 = 1\nexit", map[int]cfg.Mark{1: cfg.Prune, 3: cfg.Prune | cfg.JumpPoint}},
		{"call 181\nexit", map[int]cfg.Mark{0: callback, 1: cfg.Prune | cfg.JumpPoint}},
		{"call 170\nexit", map[int]cfg.Mark{0: cfg.Prune, 1: cfg.Prune | cfg.JumpPoint}},
		{"call 7\nexit", map[int]cfg.Mark{1: cfg.Prune | cfg.JumpPoint}},
		{"call f\nexit\nfunc f\nexit", map[int]cfg.Mark{0: cfg.Prune, 1: cfg.Prune | cfg.JumpPoint, 2: cfg.Prune | cfg.JumpPoint}},
		{"raw 0x85 0 2 0 5\nexit", map[int]cfg.Mark{0: cfg.Prune | cfg.Checkpoint, 1: cfg.Prune | cfg.JumpPoint}},
	} {
		g, err := cfg.Analyze(cfg.Input{Insns: assemble(t, c.text), Helper: callees, Kfunc: iterNext})
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		for n := range g.Insns {
			if g.Marks[n] != c.want[n] {
				t.Errorf("%q: instruction %d has marks %b, want %b", c.text, n, g.Marks[n], c.want[n])
			}
		}
	}
}
