package main

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// regions are the kinds of region behind the kinds of access that a fact may promise.
var regions = map[facts.Pointer]mem.Kind{
	facts.Stack: mem.KindStack, facts.Context: mem.KindContext, facts.MapValue: mem.KindMapValue, facts.Packet: mem.KindPacket,
}

// factCheck compares a run with what the JIT was promised.
type factCheck struct {
	facts   *facts.Program
	jump    int // the conditional jump that was executed last, -1 for none
	depth   int // its frame
	checked int
}

// step says what is wrong before an instruction, "" when nothing is.
func (f *factCheck) step(s *vm.Step) string {
	known := &f.facts.Insns[s.Insn]
	in := s.Prog.Insns[s.Insn]
	if !known.Seen {
		return fmt.Sprintf("insn %d is executed and not seen", s.Insn)
	}
	f.checked++
	if why := f.branch(s); why != "" {
		return why
	}
	f.jump = -1
	if _, ok := jumpTarget(in, s.Insn); ok {
		f.jump, f.depth = s.Insn, s.Depth
	}
	if want, ok := regions[known.Access]; ok {
		addr := s.Regs[in.Dst&15] + uint64(int64(in.Off))
		if in.Class() == isa.ClassLDX {
			addr = s.Regs[in.Src&15] + uint64(int64(in.Off))
		}
		if in.Op&^0x18 == isa.ClassSTX|isa.ModeATOMIC && in.Imm == isa.AtomicLoadAcq {
			addr = s.Regs[in.Src&15] + uint64(int64(in.Off))
		}
		if r := s.CPU.Machine().Space.Find(addr); want != mem.KindContext && (r == nil || r.Kind != want) {
			return fmt.Sprintf("insn %d: an access of kind %d goes to %#x in %v", s.Insn, known.Access, addr, r)
		}
	}
	return f.key(s, in, known)
}

// branch checks which way the last jump went.
func (f *factCheck) branch(s *vm.Step) string {
	if f.jump < 0 || f.depth != s.Depth {
		return ""
	}
	known := &f.facts.Insns[f.jump]
	to, _ := jumpTarget(s.Prog.Insns[f.jump], f.jump)
	switch {
	case to == f.jump+1:
	case s.Insn == to && !known.Taken:
		return fmt.Sprintf("insn %d: the jump is taken", f.jump)
	case s.Insn == f.jump+1 && !known.Fallen:
		return fmt.Sprintf("insn %d: the jump is not taken", f.jump)
	}
	return ""
}

// key checks a constant index.
func (f *factCheck) key(s *vm.Step, in isa.Insn, known *facts.Insn) string {
	if !known.HasKey || in.Op != isa.ClassJMP|isa.CALL || in.Src != isa.CallHelper {
		return ""
	}
	have := uint32(s.Regs[3])
	if in.Imm != linux.FuncTailCall {
		have = mem.Load32(s.Regs[2])
	}
	if have != known.Key {
		return fmt.Sprintf("insn %d: the key is %d, not %d", s.Insn, have, known.Key)
	}
	return ""
}

// jumpTarget is where a conditional jump goes.
func jumpTarget(in isa.Insn, at int) (int, bool) {
	switch in.Class() {
	case isa.ClassJMP, isa.ClassJMP32:
	default:
		return 0, false
	}
	switch in.Op & 0xf0 {
	case isa.EXIT, isa.CALL, isa.JA, isa.JCOND:
		return 0, false
	}
	return at + 1 + int(in.Off), true
}
