package cfg

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// known has the opcodes that Linux takes from user space (bpf_opcode_in_insntable,
// kernel/bpf/core.c). It is never written to after this.
var known = opcodeTable()

func opcodeTable() (t [256]bool) {
	set := func(class uint8, rest ...uint8) {
		for _, r := range rest {
			t[class|r] = true
		}
	}
	arith := []uint8{isa.ADD, isa.SUB, isa.AND, isa.OR, isa.LSH, isa.RSH, isa.XOR,
		isa.MUL, isa.MOV, isa.ARSH, isa.DIV, isa.MOD}
	compare := []uint8{isa.JEQ, isa.JNE, isa.JGT, isa.JLT, isa.JGE, isa.JLE,
		isa.JSGT, isa.JSLT, isa.JSGE, isa.JSLE, isa.JSET}
	for _, src := range []uint8{0, isa.SrcReg} {
		set(isa.ClassALU|src, arith...)
		set(isa.ClassALU64|src, arith...)
		set(isa.ClassJMP|src, compare...)
		set(isa.ClassJMP32|src, compare...)
	}
	set(isa.ClassALU, isa.NEG, isa.END, isa.END|isa.SrcReg)
	set(isa.ClassALU64, isa.NEG, isa.END)
	set(isa.ClassJMP, isa.CALL, isa.EXIT, isa.JA, isa.JCOND)
	set(isa.ClassJMP32, isa.JA)
	sizes := []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW}
	for _, class := range []uint8{isa.ClassLDX, isa.ClassST, isa.ClassSTX} {
		set(class|isa.ModeMEM, sizes...)
	}
	set(isa.ClassSTX|isa.ModeATOMIC, sizes...)
	set(isa.ClassLDX|isa.ModeMEMSX, sizes[:3]...)
	set(isa.ClassLD|isa.ModeABS, sizes[:3]...)
	set(isa.ClassLD|isa.ModeIND, sizes[:3]...)
	set(isa.LDDW, 0)
	return t
}

// checkInsns judges opcodes and wide loads (resolve_pseudo_ldimm64).
func (a *analysis) checkInsns() *reject.Error {
	for n := 0; n < len(a.Insns); n++ {
		i := a.Insns[n]
		if i.Class() == isa.ClassLDX {
			mode := i.Op & 0xe0
			if mode != isa.ModeMEM && mode != isa.ModeMEMSX || i.Imm != 0 {
				return reject.At(n, CodeReservedField, linux.EINVAL, "BPF_LDX uses reserved fields")
			}
		}
		if i.Op == isa.LDDW {
			if err := a.checkWide(n); err != nil {
				return err
			}
			n++
			continue
		}
		if !known[i.Op] {
			return reject.At(n, CodeUnknownOpcode, linux.EINVAL, "unknown opcode %02x", i.Op)
		}
	}
	return nil
}

func (a *analysis) checkWide(n int) *reject.Error {
	invalid := func(text string) *reject.Error {
		return reject.At(n, CodeWideLoad, linux.EINVAL, "%s", text)
	}
	if n == len(a.Insns)-1 {
		return invalid("invalid bpf_ld_imm64 insn")
	}
	i, second := a.Insns[n], a.Insns[n+1]
	if second.Op != 0 || second.Dst != 0 || second.Src != 0 || second.Off != 0 {
		return invalid("invalid bpf_ld_imm64 insn")
	}
	switch i.Src {
	case 0, isa.PseudoFunc:
		return nil
	case isa.PseudoBTFID, isa.PseudoMapValue, isa.PseudoMapIdxValue:
	case isa.PseudoMapFD, isa.PseudoMapIdx:
		if second.Imm != 0 {
			return invalid("unrecognized bpf_ld_imm64 insn")
		}
	default:
		return invalid("unrecognized bpf_ld_imm64 insn")
	}
	if a.in.Wide == nil {
		return nil
	}
	return a.in.Wide(n, i, second)
}
