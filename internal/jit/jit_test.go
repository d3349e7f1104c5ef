package jit

import (
	"context"
	"testing"

	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

func testMachine(tb testing.TB) (*vm.Machine, *vm.CPU) {
	tb.Helper()
	space, err := mem.NewSpaceOf(1 << 30)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := vm.NewMachineIn(space)
	if err != nil {
		tb.Fatal(err)
	}
	if err := Enable(m); err != nil {
		tb.Skip(err)
	}
	c, err := m.NewCPU(0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(); m.Close() })
	return m, c
}

// trusting are facts that promise everything of a program that uses its stack only.
func trusting(insns []isa.Insn) *facts.Program {
	f := &facts.Program{Insns: make([]facts.Insn, len(insns))}
	for n := range f.Insns {
		f.Insns[n] = facts.Insn{Seen: true, Access: facts.Stack}
	}
	return f
}

func testProgram(tb testing.TB, m *vm.Machine, insns ...isa.Insn) *vm.Program {
	tb.Helper()
	p, err := m.NewProgram(&vm.Code{Name: "test", Insns: insns, Funcs: []vm.Func{{Name: "test", End: len(insns)}}})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func compile(tb testing.TB, p *vm.Program) {
	tb.Helper()
	if err := Compile(&Input{Program: p, Facts: trusting(p.Insns)}); err != nil {
		tb.Fatal(err)
	}
}

func run(tb testing.TB, c *vm.CPU, p *vm.Program, r1 uint64) uint64 {
	tb.Helper()
	var res vm.Result
	if err := c.Begin(context.Background()); err != nil {
		tb.Fatal(err)
	}
	defer c.End()
	if err := c.Run(p, r1, 0, vm.Limits{}, &res); err != nil {
		tb.Fatal(err)
	}
	return res.R0
}

func TestFirstProgram(t *testing.T) {
	m, c := testMachine(t)
	p := testProgram(t, m,
		isa.Insn{Op: isa.ClassALU64 | isa.MOV, Dst: 0, Imm: 0},
		isa.Insn{Op: isa.ClassALU64 | isa.MOV, Dst: 1, Imm: 100000},
		isa.Insn{Op: isa.ClassALU64 | isa.ADD | isa.SrcReg, Dst: 0, Src: 1},
		isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: 10, Src: 0, Off: -8},
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: 0, Src: 10, Off: -8},
		isa.Insn{Op: isa.ClassALU64 | isa.SUB, Dst: 1, Imm: 1},
		isa.Insn{Op: isa.ClassJMP | isa.JNE, Dst: 1, Off: -5},
		isa.Insn{Op: isa.ClassJMP | isa.EXIT},
	)
	want := run(t, c, p, 0)
	compile(t, p)
	if got := run(t, c, p, 0); got != want || want != 5000050000 {
		t.Errorf("native code returns %d, the interpreter %d", got, want)
	}
}

func BenchmarkEmpty(b *testing.B) {
	m, c := testMachine(b)
	p := testProgram(b, m, isa.Insn{Op: isa.ClassALU64 | isa.MOV, Imm: 2}, isa.Insn{Op: isa.ClassJMP | isa.EXIT})
	compile(b, p)
	var res vm.Result
	if err := c.Begin(nil); err != nil {
		b.Fatal(err)
	}
	defer c.End()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Run(p, 0, 0, vm.Limits{}, &res); err != nil {
			b.Fatal(err)
		}
	}
}
