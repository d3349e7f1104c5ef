package verifier

import (
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// maxPokes is how many tail calls with a constant slot a program may have
// (bpf_jit_add_poke_descriptor, kernel/bpf/core.c).
const maxPokes = 1024

// textCallbackTailCall is what kernels that look for it say of a callback with a tail call.
const textCallbackTailCall = "cannot tail call within callback"

// recordKey notes the slot of a tail call (record_func_key).
func (v *verifier) recordKey(meta *callMeta) *reject.Error {
	if meta.proto.ID != linux.FuncTailCall {
		return nil
	}
	if meta.m == nil || meta.m.Type != ebpf.ProgramArray {
		e := v.failReg(2, CodeMapUse, linux.EINVAL, "%s", v.profile.TailCallMapText)
		if meta.m != nil {
			e.Found = "map " + meta.m.Name + " of type " + meta.m.Type.String()
		}
		e.Needed = "a map of type " + ebpf.ProgramArray.String()
		return e
	}
	if err := v.refuseInCallback(); err != nil {
		return err
	}
	aux := &v.aux[v.insn]
	slot := &v.state.regs()[3]
	key := slot.Var.Value
	if !slot.isConst() || key >= uint64(meta.m.MaxEntries) {
		aux.keyState = keyPoison
		return nil
	}
	if err := v.markPrecise(3); err != nil {
		return err
	}
	switch {
	case aux.keyState == keyUnseen:
		aux.key, aux.keyState = key, keyConst
	case aux.keyState == keyConst && aux.key != key:
		aux.keyState = keyPoison
	}
	return nil
}

// refuseInCallback refuses tail calls that a callback can reach: they would leave the helper
// that runs it. Linux 6.18 does not look for all of them.
func (v *verifier) refuseInCallback() *reject.Error {
	for _, f := range v.state.frames {
		if f.InCallback || f.InAsync {
			text := v.profile.CallbackTailCallText
			if text == "" {
				text = textCallbackTailCall
			}
			return v.fail(CodeTailCall, linux.EINVAL, "%s", text)
		}
	}
	return nil
}

// tailCall follows a tail call whose arguments were checked. In a subprogram there are two
// ways: it is not taken, or it is and the other program returns to the caller.
func (v *verifier) tailCall() (flow, *reject.Error) {
	if v.profile.TailCall == linux.TailCallChangesPacket {
		v.clearPackets()
	}
	if v.profile.TailCall != linux.TailCallReturns || v.state.frameNo() == 0 {
		return flowNext, nil
	}
	v.scratch(0)
	if _, err := v.push(v.insn+1, v.insn); err != nil {
		return flowNext, err
	}
	v.clearPackets()
	v.state.regs()[0].setUnknown()
	return flowJump, v.returnFromCall()
}

// checkTailCalls is what Linux checks of tail calls after the exploration: how many can be
// direct jumps, and that the program fits the arrays that it uses.
func (v *verifier) checkTailCalls() *reject.Error {
	v.poke = 0
	for i := range v.insns {
		in, aux := v.insns[i], &v.aux[i]
		if !aux.seen || in.Op != opCall || in.Src != isa.CallHelper || in.Imm != linux.FuncTailCall ||
			aux.keyState != keyConst || aux.mapPoison {
			continue
		}
		if v.poke++; v.poke > maxPokes {
			e := reject.At(i, CodeTailCall, linux.ENOSPC, "adding tail call poke descriptor failed")
			e.Needed = "at most 1024 tail calls with a constant slot"
			return e
		}
	}
	return v.checkOwners()
}

// opCall is the operation of calls.
const opCall = isa.ClassJMP | isa.CALL

// checkOwners checks that the program is like the others that use its maps of programs
// (bpf_check_tail_call, kernel/bpf/core.c).
func (v *verifier) checkOwners() *reject.Error {
	own := v.owner()
	for i := 0; i+1 < len(v.insns); i++ {
		in := v.insns[i]
		if in.Op != opWideLoad {
			continue
		}
		m, at := v.mapOf(in), i
		i++
		if m == nil || !holdsPrograms(m) {
			continue
		}
		diffs := own.Refused()
		if m.Owner != nil {
			o := *m.Owner
			for j := range o.Storage {
				if own.Storage[j] == unknownCookie && o.Storage[j] != 0 {
					o.Storage[j] = unknownCookie
				}
			}
			if m.Type != ebpf.ProgramArray {
				o.AttachType = own.AttachType
			}
			diffs = append(diffs, o.Diff(own, *v.profile)...)
		}
		if len(diffs) == 0 {
			continue
		}
		e := reject.At(at, CodeTailCall, linux.EINVAL, "")
		found, needed := make([]string, len(diffs)), make([]string, len(diffs))
		for j, d := range diffs {
			found[j], needed[j] = d.Field+" "+d.Have, d.Field+" "+d.Want
		}
		e.Found = "program with " + strings.Join(found, ", ")
		e.Needed = "as the owner of map " + m.Name + ": " + strings.Join(needed, ", ")
		return e
	}
	return nil
}

// holdsPrograms says that the programs which use a map must be alike, because the map may hold
// programs (map_type_contains_progs, include/linux/bpf.h).
func holdsPrograms(m *Map) bool {
	return m.Type == ebpf.ProgramArray || m.Type == ebpf.DevMap || m.Type == ebpf.CPUMap
}

// unknownCookie stands for the cgroup storage of the program where nobody knows its cookie.
const unknownCookie = ^uint64(0)

// cookie identifies a cgroup storage.
func (m *Map) cookie() uint64 {
	if m.Cookie == 0 {
		return unknownCookie
	}
	return m.Cookie
}

// OwnerOf is a program as a PROG_ARRAY sees it, whose owner it becomes when it is the first.
func OwnerOf(p *Program) linux.Owner {
	o := linux.Owner{
		Type: p.Type, AttachType: linux.FixAttachType(p.Type, p.AttachType), Jited: true,
		Frags: p.Flags&flagFrags != 0, Sleepable: p.Flags&flagSleepable != 0, AttachTo: p.AttachTo,
		Extension: p.Type == ebpf.Extension,
	}
	for _, m := range p.Maps {
		switch m.Type {
		case ebpf.CGroupStorage:
			o.Storage[0] = m.cookie()
		case ebpf.PerCPUCGroupStorage:
			o.Storage[1] = m.cookie()
		}
	}
	for _, in := range p.Insns {
		if in.Op == opCall && in.Src == isa.CallHelper && in.Imm == linux.FuncTailCall {
			o.TailCalls = true
		}
	}
	return o
}

// owner is the program as the maps that it uses see it. What bars a program from being put into
// a map only is not in it.
func (v *verifier) owner() linux.Owner {
	p := v.prog
	o := linux.Owner{
		Type: p.Type, AttachType: linux.FixAttachType(p.Type, p.AttachType), Jited: true,
		Frags: p.Flags&flagFrags != 0, Sleepable: v.sleepable, AttachTo: p.AttachTo,
	}
	for i := range v.graph.Subprogs {
		o.TailCalls = o.TailCalls || v.graph.Subprogs[i].HasTailCall
	}
	for i, in := range v.insns {
		if v.aux[i].seen && in.Op == opCall && in.Src == isa.CallHelper && in.Imm == linux.FuncOverrideReturn {
			o.Override = true
		}
		if in.Op != opWideLoad {
			continue
		}
		switch m := v.mapOf(in); {
		case m == nil:
		case m.Type == ebpf.CGroupStorage:
			o.Storage[0] = m.cookie()
		case m.Type == ebpf.PerCPUCGroupStorage:
			o.Storage[1] = m.cookie()
		}
	}
	return o
}
