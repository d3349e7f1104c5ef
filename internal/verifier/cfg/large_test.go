package cfg_test

import (
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

// large makes a program of cfg.MaxInsns slots with branches, calls and, if they are wanted,
// loops.
func large(back int16) []isa.Insn {
	insns := make([]isa.Insn, cfg.MaxInsns)
	for n := range insns {
		switch n % 10 {
		case 0:
			insns[n] = isa.Insn{Op: isa.ClassJMP | isa.JEQ, Dst: 6, Off: 6, Imm: int32(n)}
		case 3:
			insns[n] = isa.Insn{Op: isa.ClassJMP | isa.CALL, Imm: 7}
		case 8:
			insns[n] = isa.Insn{Op: isa.ClassJMP | isa.JNE, Dst: 0, Off: back}
		default:
			insns[n] = isa.Insn{Op: isa.ClassALU64 | isa.ADD, Dst: uint8(n % 7), Imm: 1}
		}
	}
	insns[len(insns)-1] = isa.Insn{Op: isa.ClassJMP | isa.EXIT}
	return insns
}

func TestLargestProgram(t *testing.T) {
	for _, back := range []int16{0, -5} {
		insns := large(back)
		g, err := cfg.Analyze(cfg.Input{Insns: insns, Helper: callees})
		if err != nil {
			t.Fatal(err)
		}
		loops := 0
		if back != 0 {
			loops = cfg.MaxInsns / 10
		}
		if g.Loops != loops || len(g.Postorder) != len(insns) {
			t.Errorf("%d loops, want %d; %d instructions in postorder", g.Loops, loops, len(g.Postorder))
		}
	}
	if _, err := cfg.Analyze(cfg.Input{Insns: make([]isa.Insn, cfg.MaxInsns+1)}); err == nil || err.Code != cfg.CodeProgramSize {
		t.Errorf("got %v for one instruction too many", err)
	}
	if _, err := cfg.Analyze(cfg.Input{}); err == nil || err.Code != cfg.CodeProgramSize {
		t.Errorf("got %v for no instruction", err)
	}
}

func BenchmarkAnalyze(b *testing.B) {
	for name, back := range map[string]int16{"forward": 0, "loops": -5} {
		insns := large(back)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := cfg.Analyze(cfg.Input{Insns: insns, Helper: callees}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
