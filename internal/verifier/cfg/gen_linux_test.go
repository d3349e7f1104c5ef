package cfg_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

// classifierHelper describes the helpers of a classifier by the tables of package linux.
func classifierHelper(id int32) cfg.Callee {
	p := linux.Helpers(linux.HelperScope{Type: ebpf.SchedCLS}).Proto(uint32(id))
	if id < 0 || p == nil {
		return cfg.Callee{}
	}
	return cfg.Callee{
		Known: true, Params: uint8(p.NumArgs()), Void: p.Ret == linux.RetVoid,
		Fastcall: p.AllowFastcall, ChangesPacket: p.ChangesPacket, MightSleep: p.MightSleep,
		SyncCallback: callees(id).SyncCallback, AsyncCallback: callees(id).AsyncCallback,
	}
}

// instructions encodes a generated program. Maps become plain numbers: Linux refuses such a
// program, but only after it has computed what is compared here.
func instructions(t *testing.T, p *gen.Prog) (insns []isa.Insn, funcs []cfg.Func, ok bool) {
	t.Helper()
	parsed, err := asm.Parse(p.Text())
	if err != nil {
		t.Fatal(err)
	}
	for n := range parsed {
		if parsed[n].IsLoadFromMap() {
			parsed[n] = parsed[n].WithReference("")
			parsed[n].Src = 0
		}
	}
	var code bytes.Buffer
	if err := parsed.Marshal(&code, binary.LittleEndian); err != nil {
		return nil, nil, false // calls kernel functions
	}
	if insns, err = isa.Decode(code.Bytes()); err != nil {
		t.Fatal(err)
	}
	funcs = []cfg.Func{{ReturnsInt: true}}
	for n, i := range insns {
		switch {
		case i.Op == 0x85 && i.Src == isa.CallLocal, i.Op == isa.LDDW && i.Src == isa.PseudoFunc:
			funcs = append(funcs, cfg.Func{Start: n + int(i.Imm) + 1, ReturnsInt: true})
		case i.Op == 0x85 && i.Src == isa.CallKfunc:
			return nil, nil, false
		}
	}
	slices.SortFunc(funcs, func(a, b cfg.Func) int { return a.Start - b.Start })
	return insns, slices.Compact(funcs), true
}

func TestGeneratedProgramsAgreeWithLinux(t *testing.T) {
	needKernel(t)
	compared := 0
	for n := uint64(0); compared < 60 && n < 2000; n++ {
		c := gen.Generate(31, n)
		if c.Type != ebpf.SchedCLS {
			continue
		}
		for i := range c.Progs {
			insns, funcs, ok := instructions(t, &c.Progs[i])
			if !ok {
				continue
			}
			in := cfg.Input{Insns: insns, Funcs: funcs, Helper: classifierHelper}
			if _, err := cfg.Analyze(in); err != nil {
				t.Fatalf("case %d: %v\n%s", n, err, c.Progs[i].Text())
			}
			judge(t, in, newBTF(t, funcs))
			if t.Failed() {
				t.Fatalf("case %d\n%s", n, c.Progs[i].Text())
			}
			compared++
		}
	}
	if compared < 60 {
		t.Errorf("only %d programs were compared", compared)
	}
}

// TestParametersOfHelpersAreThoseOfLinux takes them from the live registers before a call.
func TestParametersOfHelpersAreThoseOfLinux(t *testing.T) {
	needKernel(t)
	for id := range int32(linux.MaxFuncID + 5) {
		judge(t, cfg.Input{Insns: []isa.Insn{{Op: 0x85, Imm: id}, {Op: 0x95}}, Helper: classifierHelper}, nil)
		if t.Failed() {
			t.Fatalf("helper %d", id)
		}
	}
}
