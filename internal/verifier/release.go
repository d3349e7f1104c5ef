package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// CodeRelease is the class of reasons that newer kernels do not give.
const CodeRelease reject.Code = "kernel-version"

// checkRelease refuses what kernels of the profile do not have yet: program types, map types and
// instructions.
func (v *verifier) checkRelease() *reject.Error {
	p := v.prog
	if !v.profile.HasProgramType(p.Type) {
		return &reject.Error{
			Code: CodeRelease, Errno: linux.EINVAL, Insn: -1, Reg: -1,
			Found: "program type " + p.Type.String(), Needed: "a program type that Linux " + v.profile.Version + " has",
		}
	}
	for _, m := range p.Maps {
		if !v.profile.HasMapType(m.Type) {
			return &reject.Error{
				Code: CodeRelease, Errno: linux.EINVAL, Insn: -1, Reg: -1,
				Found:  "map " + m.Name + " of type " + m.Type.String(),
				Needed: "a map type that Linux " + v.profile.Version + " has",
			}
		}
	}
	for i := 0; i < len(v.insns); i++ {
		in := v.insns[i]
		if err := v.checkInsnRelease(i, in); err != nil {
			return err
		}
		if in.Op == isa.LDDW {
			i++
		}
	}
	return nil
}

// checkInsnRelease refuses an instruction that is newer than the profile, with what the kernel
// says of it as unknown.
func (v *verifier) checkInsnRelease(at int, in isa.Insn) *reject.Error {
	refuse := func(since, format string, args ...any) *reject.Error {
		e := reject.At(at, CodeRelease, linux.EINVAL, format, args...)
		e.Found, e.Needed = "an instruction of Linux "+since, "instructions that Linux "+v.profile.Version+" has"
		return e
	}
	atomic := in.Class() == isa.ClassSTX && in.Op&0xe0 == isa.ModeATOMIC
	switch {
	case !v.profile.LoadAcquire && atomic && (in.Imm == isa.AtomicLoadAcq || in.Imm == isa.AtomicStoreRel):
		return refuse("6.15", "BPF_ATOMIC uses invalid atomic opcode %02x", uint32(in.Imm))
	case !v.profile.MayGoto && in.Op == opMayGoto:
		return refuse("6.9", "unknown opcode %02x", in.Op)
	case v.profile.Version4:
		return nil
	}
	const since = "6.6"
	alu := in.Class() == isa.ClassALU || in.Class() == isa.ClassALU64
	switch op := in.Op & 0xf0; {
	case in.Class() == isa.ClassLDX && in.Op&0xe0 == isa.ModeMEMSX,
		in.Op == isa.ClassJMP32|isa.JA,
		in.Class() == isa.ClassALU64 && op == isa.END:
		return refuse(since, "unknown opcode %02x", in.Op)
	case alu && op == isa.MOV && in.Off != 0:
		return refuse(since, "BPF_MOV uses reserved fields")
	case alu && (op == isa.DIV || op == isa.MOD) && in.Off != 0:
		return refuse(since, "BPF_ALU uses reserved fields")
	}
	return nil
}
