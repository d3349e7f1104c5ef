package asm

import (
	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa"
)

// slots gives the encoded form.
func (s *source) slots() ([]isa.Insn, error) {
	out := make([]isa.Insn, 0, len(s.stmts))
	for _, st := range s.stmts {
		if st.ref == refMap || st.ref == refKfunc {
			return nil, s.errorAt(st.line, st.col, "%s has no number here; write map[fd:N], map[idx:N] or call kfunc:N", st.name)
		}
		out = append(out, st.Insn)
		if st.wide {
			out = append(out, isa.Insn{Imm: st.hi})
		}
	}
	return out, nil
}

// instructions gives the form of cilium/ebpf.
func (s *source) instructions() (ebpfasm.Instructions, error) {
	start := map[int]function{}
	for _, f := range s.funcs {
		start[f.stmt] = f
	}
	out := make(ebpfasm.Instructions, 0, len(s.stmts))
	for n := 0; n < len(s.stmts); n++ {
		st := s.stmts[n]
		f, entry := start[n]
		ins, reason := lower(st)
		if st.raw && st.Op == isa.LDDW {
			// cilium knows a wide load only as a whole.
			ins.Constant, reason = s.rawWide(n, start)
			n++
		}
		if reason != "" {
			return nil, s.errorAt(st.line, st.col, "%s", reason)
		}
		if entry {
			ins = s.markFunction(ins, f)
		}
		out = append(out, ins)
	}
	return out, nil
}

// markFunction names the first instruction of a function, unless it is the only one and the
// text gives it no name. BTF is there when there are several functions: Linux wants it for
// tail calls in subprograms, and then for every function of the program.
func (s *source) markFunction(ins ebpfasm.Instruction, f function) ebpfasm.Instruction {
	if len(s.funcs) > 1 {
		ins = btf.WithFuncMetadata(ins, f.btfFunc())
	} else if f.unnamed {
		return ins
	}
	return ins.WithSymbol(f.name)
}

// rawWide joins a raw wide load with the slot behind it.
func (s *source) rawWide(n int, start map[int]function) (imm int64, reason string) {
	if n+1 < len(s.stmts) {
		second := s.stmts[n+1]
		_, entry := start[n+1]
		if second.raw && !entry && second.Insn == (isa.Insn{Imm: second.Imm}) {
			return int64(isa.Insn{Imm: s.stmts[n].Imm}.Imm64(second.Insn)), ""
		}
	}
	return 0, "cilium/ebpf cannot hold a wide load without a second slot of zeros and an immediate"
}

// aluOffsets are the ALU instructions that cilium distinguishes by operation, not by offset.
var aluOffsets = [...]struct {
	op     uint8
	off    int16
	cilium ebpfasm.ALUOp
}{
	{isa.DIV, 1, ebpfasm.SDiv},
	{isa.MOD, 1, ebpfasm.SMod},
	{isa.MOV, 8, ebpfasm.MovSX8},
	{isa.MOV, 16, ebpfasm.MovSX16},
	{isa.MOV, 32, ebpfasm.MovSX32},
}

// lower turns a statement into an instruction of cilium, or says why there is none.
func lower(s stmt) (ins ebpfasm.Instruction, reason string) {
	ins = ebpfasm.Instruction{
		OpCode:   ebpfasm.OpCode(s.Op),
		Dst:      ebpfasm.Register(s.Dst),
		Src:      ebpfasm.Register(s.Src),
		Offset:   s.Off,
		Constant: int64(s.Imm),
	}
	switch class := s.Class(); {
	case s.wide:
		ins.Constant = int64(s.Insn.Imm64(isa.Insn{Imm: s.hi}))
	case class == isa.ClassALU || class == isa.ClassALU64:
		reason = lowerALU(s, &ins)
	case class == isa.ClassSTX && s.Op&0xe0 == isa.ModeATOMIC:
		// The operation belongs to the opcode there. It stays in Constant too, because that
		// is what Marshal writes.
		const atomicMask = 0x1ff00
		ins.OpCode |= ebpfasm.OpCode(uint32(s.Imm)<<8) & atomicMask
	case class == isa.ClassJMP && s.Op&0xf0 == isa.CALL && s.Src == 0 && s.Dst == 0:
		// The upper four bits of a helper number hold the operating system there.
		if s.Imm < 0 || s.Imm >= 1<<28 {
			reason = "cilium/ebpf cannot hold a helper number outside 0 to 268435455"
		}
	}
	switch s.ref {
	case refCall, refFunc:
		ins.Constant = -1 // for cilium to resolve
		ins = ins.WithReference(s.name)
	case refMap, refKfunc:
		ins = ins.WithReference(s.name)
	}
	return ins, reason
}

func lowerALU(s stmt, ins *ebpfasm.Instruction) string {
	if s.Off == 0 {
		return ""
	}
	for _, a := range aluOffsets {
		if s.Op&0xf0 == a.op && s.Off == a.off {
			ins.OpCode = ins.OpCode.SetALUOp(a.cilium)
			ins.Offset = 0
			return ""
		}
	}
	return "cilium/ebpf cannot hold an ALU instruction with this offset"
}
