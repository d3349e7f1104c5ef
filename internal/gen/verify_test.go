package gen

import (
	"reflect"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/cilium/ebpf"
)

func TestGenerateVerifyRepeats(t *testing.T) {
	for n := range uint64(200) {
		a, b := GenerateVerify(9, n), GenerateVerify(9, n)
		if !reflect.DeepEqual(a.Insns, b.Insns) || a.Type != b.Type || a.Flags != b.Flags {
			t.Fatalf("number %d differs from itself", n)
		}
		if len(a.Insns) == 0 {
			t.Fatalf("number %d is empty", n)
		}
	}
}

func TestEveryTemplateIsUsed(t *testing.T) {
	seen := map[string]bool{}
	for n := range uint64(6000) {
		for _, m := range GenerateVerify(4, n).Made {
			seen[m] = true
		}
	}
	for _, tpl := range templates() {
		if !seen[tpl.name] {
			t.Errorf("template %s is not used", tpl.name)
		}
	}
}

func assemble(t *testing.T, text string) *VerifyProg {
	t.Helper()
	insns, err := asm.Assemble(text)
	if err != nil {
		t.Fatal(err)
	}
	return &VerifyProg{Type: ebpf.XDP, Insns: insns}
}

func TestWithoutMendsJumps(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		at             int
	}{
		{"forward over it", "if r1 == 0 goto +2\nr2 = 1\nr3 = 1\nr0 = 0\nexit", "if r1 == 0 goto +1\nr3 = 1\nr0 = 0\nexit", 1},
		{"to it", "if r1 == 0 goto +1\nr2 = 1\nr0 = 0\nexit", "if r1 == 0 goto +0\nr0 = 0\nexit", 1},
		{"backward over it", "r2 = 1\nr3 = 1\nif r1 == 0 goto -3\nexit", "r2 = 1\nif r1 == 0 goto -2\nexit", 1},
		{"over a wide load", "if r1 == 0 goto +3\nr2 = 5 ll\nr3 = 1\nexit", "if r1 == 0 goto +1\nr3 = 1\nexit", 1},
		{"behind both", "r2 = 1\nif r1 == 0 goto +1\nr3 = 1\nexit", "if r1 == 0 goto +1\nr3 = 1\nexit", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := assemble(t, c.from)
			q, ok := p.Without(c.at)
			if !ok {
				t.Fatal("cannot be left out")
			}
			if want := assemble(t, c.to); !reflect.DeepEqual(q.Insns, want.Insns) {
				t.Errorf("%v, want %v", q.Insns, want.Insns)
			}
		})
	}
}

func TestLoadable(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"plain", "r0 = 0\nexit", true},
		{"compared with itself", "if r1 == r1 goto +0\nr0 = 0\nexit", false},
		{"may_goto", "may_goto +0\nr0 = 0\nexit", true},
		{"may_goto and a function", "may_goto +0\ncall +1\nexit\nr0 = 0\nexit", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := assemble(t, c.text).Loadable(); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	callback := &VerifyProg{Insns: []isa.Insn{{Op: isa.LDDW, Src: isa.PseudoFunc, Imm: 2}, {}, {Op: isa.ClassJMP | isa.EXIT}}}
	if callback.Loadable() {
		t.Error("a program with a callback is given to Linux")
	}
}
