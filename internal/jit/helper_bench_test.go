package jit

import (
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/vm"
)

// BenchmarkHelper is the way to Go and back.
func BenchmarkHelper(b *testing.B) {
	const calls = 100
	m, c := testMachine(b)
	insns := []isa.Insn{{Op: alu64 | isa.MOV, Dst: 6, Imm: calls}, helperCall(),
		{Op: alu64 | isa.SUB, Dst: 6, Imm: 1}, {Op: isa.ClassJMP | isa.JNE, Dst: 6, Off: -3}, {Op: isa.ClassJMP | isa.EXIT}}
	p, err := m.NewProgram(codeOf(insns, &vm.Helper{Func: func(*vm.Call) uint64 { return 2 }}, vm.Func{Name: "test", End: len(insns)}))
	if err != nil {
		b.Fatal(err)
	}
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
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
}
