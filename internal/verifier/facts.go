package verifier

import (
	"github.com/carom-bpf/carom/internal/facts"
)

// insnFacts is what the JIT may rely on, joined over all visits of an instruction.
type insnFacts struct {
	access        facts.Pointer
	accessed      bool
	taken, fallen bool
}

// accessKinds are the kinds of memory behind the kinds of register.
var accessKinds = [numRegTypes]facts.Pointer{
	PtrToStack: facts.Stack, PtrToCtx: facts.Context, PtrToMapValue: facts.MapValue, PtrToMapKey: facts.Memory,
	PtrToPacket: facts.Packet, PtrToPacketMeta: facts.Packet, PtrToMem: facts.Memory,
	PtrToFlowKeys: facts.Memory, PtrToSocket: facts.Socket, PtrToSockCommon: facts.Socket,
	PtrToTCPSock: facts.Socket, PtrToXDPSock: facts.Socket, PtrToBTFID: facts.Kernel, ConstPtrToMap: facts.Kernel,
	// Buffers of iterators and tracepoints are as long as the program was found to use them, which
	// is compared when it is attached: until then they are checked.
	PtrToBuf: facts.Unknown, PtrToTPBuffer: facts.Unknown, PtrToArena: facts.Unknown,
}

// noteAccess notes the kind of memory that the current instruction accesses.
func (v *verifier) noteAccess(t RegType) {
	f := &v.aux[v.insn].facts
	kind := accessKinds[t.base()]
	switch {
	case t&PtrUntrusted != 0:
		kind = facts.Kernel
	case t.isPacketSlice(): // or a copy of it in the program's memory
		kind = facts.Unknown
	}
	switch {
	case !f.accessed:
		f.access, f.accessed = kind, true
	case f.access != kind:
		f.access = facts.Unknown
	}
}

// noteBranch notes which ways of the current jump are possible.
func (v *verifier) noteBranch(taken, fallen bool) {
	f := &v.aux[v.insn].facts
	f.taken = f.taken || taken
	f.fallen = f.fallen || fallen
}

// noteContext notes how much of the context is used.
func (v *verifier) noteContext(end int) { v.maxCtxOff = max(v.maxCtxOff, uint32(end)) }

// facts gives what was learned to the JIT.
func (v *verifier) facts() *facts.Program {
	p := &facts.Program{Insns: make([]facts.Insn, len(v.aux)), MaxContext: int(v.maxCtxOff)}
	for i := range v.aux {
		a := &v.aux[i]
		in := &p.Insns[i]
		in.Seen = a.seen
		in.Access = a.facts.access
		in.Taken, in.Fallen = a.facts.taken, a.facts.fallen
		if a.mapPtr != nil && !a.mapPoison {
			in.Map = v.mapIndex(a.mapPtr)
		}
		if a.keyState == keyConst && in.Map != 0 {
			in.HasKey, in.Key = true, uint32(a.key)
			p.TailCalls = true
		}
	}
	for i := range v.subs {
		p.Frame = append(p.Frame, v.subs[i].deepest)
		p.TailCalls = p.TailCalls || v.graph.Subprogs[i].HasTailCall
	}
	return p
}

// mapIndex returns 1 + the index of a map of the program, 0 for maps inside of others.
func (v *verifier) mapIndex(m *Map) int32 {
	for i, x := range v.prog.Maps {
		if x == m {
			return int32(i) + 1
		}
	}
	return 0
}
