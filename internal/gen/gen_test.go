package gen_test

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/kernel"
)

// TestAgainstKernel runs a short batch of a fixed seed; internal/cmd/difftest runs long ones.
func TestAgainstKernel(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Skip(err)
	}
	engines := &gen.Engines{Tested: carom.Interpreter, Judge: kernel.Engine(kernel.Options{}), CPUs: cpus}
	const cases = 400
	verdicts := map[gen.Verdict]int{}
	for n := range uint64(cases) {
		c := gen.Generate(2026, n)
		r := engines.Compare(c)
		verdicts[r.Verdict]++
		switch r.Verdict {
		case gen.Differs:
			t.Errorf("case %s: %s\n%s", c.Name, r.Text, c)
		case gen.Unusable:
			t.Errorf("case %s: %s", c.Name, r.Text)
		case gen.Refused:
			t.Logf("case %s: %s", c.Name, r.Text)
		}
	}
	if verdicts[gen.Same] < cases*8/10 {
		t.Errorf("only %d of %d cases were compared: %v", verdicts[gen.Same], cases, verdicts)
	}
}

func TestSameSeedSameCase(t *testing.T) {
	for n := range uint64(50) {
		if a, b := gen.Generate(7, n).String(), gen.Generate(7, n).String(); a != b {
			t.Fatalf("case %d differs from itself:\n%s\n%s", n, a, b)
		}
	}
	if gen.Generate(7, 0).String() == gen.Generate(8, 0).String() {
		t.Error("two seeds give the same case")
	}
}

// TestMinimise leaves out every operation without which there still is a tail call.
func TestMinimise(t *testing.T) {
	has := func(c *gen.Case) bool {
		for i := range c.Progs {
			if strings.Contains(c.Progs[i].Text(), "call bpf_tail_call") {
				return true
			}
		}
		return false
	}
	for n := range uint64(200) {
		c := gen.Generate(3, n)
		if !has(c) {
			continue
		}
		before := c.String()
		small := gen.Minimise(c, 100000, has)
		if !has(small) {
			t.Fatalf("case %d: what was to be kept is gone", n)
		}
		if c.String() != before {
			t.Fatalf("case %d: the input was changed", n)
		}
		if len(small.Slots) != 0 || len(small.Runs) != 1 {
			t.Errorf("case %d: %d slots and %d runs are left", n, len(small.Slots), len(small.Runs))
		}
		for p := range small.Progs {
			for f := range small.Progs[p].Funcs {
				ops := small.Progs[p].Funcs[f].Ops
				for i := range ops {
					small.Progs[p].Funcs[f].Ops = append(ops[:i:i], ops[i+1:]...)
					if has(small) {
						t.Errorf("case %d: operation %d of function %d of program %d is not needed:\n%s", n, i, f, p, ops[i].Head)
					}
				}
				small.Progs[p].Funcs[f].Ops = ops
			}
		}
	}
}
