package vm

import (
	"context"
	"github.com/carom-bpf/carom/internal/mem"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
)

func testMachine(tb testing.TB) (*Machine, *CPU) {
	tb.Helper()
	space, err := mem.NewSpaceOf(1 << 30) // little, for emulators that pay for reserved pages
	if err != nil {
		tb.Fatal(err)
	}
	m, err := NewMachineIn(space)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := m.NewCPU(0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(); m.Close() })
	return m, c
}

func testProgram(tb testing.TB, m *Machine, insns ...isa.Insn) *Program {
	tb.Helper()
	p, err := m.NewProgram(&Code{Name: "test", Insns: insns, Funcs: []Func{{Name: "test", End: len(insns)}}})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func BenchmarkInterpALULoop(b *testing.B) {
	m, c := testMachine(b)
	p := testProgram(b, m,
		isa.Insn{Op: isa.ClassALU64 | isa.MOV, Dst: 0, Imm: 0},
		isa.Insn{Op: isa.ClassALU64 | isa.MOV, Dst: 1, Imm: 10000},
		isa.Insn{Op: isa.ClassALU64 | isa.ADD | isa.SrcReg, Dst: 0, Src: 1},
		isa.Insn{Op: isa.ClassALU64 | isa.XOR, Dst: 0, Imm: 0x55},
		isa.Insn{Op: isa.ClassALU64 | isa.LSH, Dst: 0, Imm: 1},
		isa.Insn{Op: isa.ClassALU64 | isa.SUB, Dst: 1, Imm: 1},
		isa.Insn{Op: isa.ClassJMP | isa.JNE, Dst: 1, Off: -5},
		isa.Insn{Op: isa.ClassJMP | isa.EXIT},
	)
	var res Result
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Begin(context.Background()); err != nil {
			b.Fatal(err)
		}
		if err := c.Run(p, 0, 0, Limits{}, &res); err != nil {
			b.Fatal(err)
		}
		c.End()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(res.Instructions), "ns/insn")
}
