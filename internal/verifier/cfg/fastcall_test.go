package cfg_test

import (
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

// fastcalls are programs with calls between spills and fills, and the stack depth that Linux
// 6.18 prints for them on amd64, where it inlines bpf_get_smp_processor_id (8).
var fastcalls = []struct {
	name  string
	text  string
	depth int
}{
	{"one pair", "r1 = 1\n*(u64 *)(r10 -512) = r1\ncall 8\nr1 = *(u64 *)(r10 -512)\nr0 = r1\nexit", 504},
	{"two pairs", "r1 = 1\nr2 = 2\n*(u64 *)(r10 -16) = r1\n*(u64 *)(r10 -24) = r2\ncall 8\nr2 = *(u64 *)(r10 -24)\nr1 = *(u64 *)(r10 -16)\nr0 = r1\nr0 += r2\nexit", 8},
	{"two pairs in the wrong order", "r1 = 1\nr2 = 2\n*(u64 *)(r10 -24) = r1\n*(u64 *)(r10 -16) = r2\ncall 8\nr2 = *(u64 *)(r10 -16)\nr1 = *(u64 *)(r10 -24)\nr0 = r1\nr0 += r2\nexit", 24},
	{"same register twice, one pair counts", "r1 = 1\n*(u64 *)(r10 -16) = r1\n*(u64 *)(r10 -24) = r1\ncall 8\nr1 = *(u64 *)(r10 -24)\nr1 = *(u64 *)(r10 -16)\nr0 = r1\nexit", 16},
	{"clobbered register", "r0 = 1\n*(u64 *)(r10 -64) = r0\ncall 8\nr0 = *(u64 *)(r10 -64)\nexit", 64},
	{"callee saved register", "r6 = 1\n*(u64 *)(r10 -64) = r6\ncall 8\nr6 = *(u64 *)(r10 -64)\nr0 = r6\nexit", 64},
	{"not the lowest offset", "r1 = 1\n*(u64 *)(r10 -72) = r1\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\nr0 = r1\nexit", 72},
	{"other offset", "r1 = 1\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -56)\nr0 = 0\nexit", 64},
	{"helper that is not inlined", "r1 = 1\n*(u64 *)(r10 -64) = r1\ncall 7\nr1 = *(u64 *)(r10 -64)\nr0 = r1\nexit", 64},
	{"one of two is not inlined", "r1 = 1\n*(u64 *)(r10 -64) = r1\ncall 7\nr1 = *(u64 *)(r10 -64)\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\nr0 = r1\nexit", 64},
	{"two calls", "r1 = 1\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\nr0 = r1\nexit", 56},
	{"slot is read again", "r1 = 1\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\nr0 = *(u64 *)(r10 -64)\nexit", 64},
	{"part of the slot is written", "r1 = 1\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\n*(u8 *)(r10 -57) = 1\nr0 = 0\nexit", 64},
	{"slot above is used", "r1 = 1\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\n*(u8 *)(r10 -56) = 1\nr0 = 0\nexit", 56},
	{"jump to the call", "r1 = 1\nif r1 == 5 goto +1\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\nr0 = r1\nexit", 56},
	{"jump to the fill", "r1 = 1\nif r1 == 5 goto +2\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\nr0 = r1\nexit", 56},
	{"jump to the spill", "r1 = 1\nif r1 == 5 goto +0\n*(u64 *)(r10 -64) = r1\ncall 8\nr1 = *(u64 *)(r10 -64)\nr0 = r1\nexit", 56},
}

// depthOf tells FastcallStack of all accesses through r10, as the simulation of a program
// without variable offsets does.
func depthOf(g *cfg.Graph) int {
	f := cfg.NewFastcallStack(g)
	deepest := 0
	for n, i := range g.Insns {
		c := i.Class()
		if c == isa.ClassLDX && i.Src == isa.FP || (c == isa.ClassST || c == isa.ClassSTX) && i.Dst == isa.FP {
			f.Access(0, n, int(i.Off))
			deepest = max(deepest, -int(i.Off))
		}
	}
	return f.Depth(0, deepest)
}

func TestFastcallStack(t *testing.T) {
	for _, c := range fastcalls {
		g, err := cfg.Analyze(cfg.Input{Insns: assemble(t, c.text), Helper: callees})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := depthOf(g); got != c.depth {
			t.Errorf("%s: stack depth %d, want %d", c.name, got, c.depth)
		}
	}
}
