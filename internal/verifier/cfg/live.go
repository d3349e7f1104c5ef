package cfg

import "github.com/carom-bpf/carom/internal/isa"

const (
	allRegs    = uint16(0xffff)
	callerRegs = uint16(0x3f) // r0 to r5
	argRegs    = uint16(0x3e) // r1 to r5
)

// useDef is what one instruction reads and writes, as bits of registers.
type useDef struct{ use, def uint16 }

// computeLive finds the registers that may be read before they are written, before every
// instruction (compute_live_registers).
func (a *analysis) computeLive() {
	a.Live = make([]uint16, len(a.Insns))
	sets := make([]useDef, len(a.Insns))
	for n, i := range a.Insns {
		sets[n] = a.regs(i)
	}
	for changed := true; changed; {
		changed = false
		for _, n := range a.Postorder {
			out := uint16(0)
			for _, to := range a.Succ[n] {
				if to >= 0 {
					out |= a.Live[to]
				}
			}
			if in := out&^sets[n].def | sets[n].use; in != a.Live[n] {
				a.Live[n] = in
				// Without a loop the successors were final already.
				changed = a.backEdge
			}
		}
	}
}

// regs gives what an instruction reads and writes. Whatever is not known reads everything.
func (a *analysis) regs(i isa.Insn) useDef {
	dst, src := uint16(1)<<i.Dst, uint16(1)<<i.Src
	operands := dst
	if i.Op&isa.SrcReg != 0 {
		operands |= src
	}
	switch i.Class() {
	case isa.ClassLD:
		if i.Op == isa.LDDW {
			return useDef{0, dst}
		}
		if i.Op == 0 { // second slot of a wide load, never looked at
			return useDef{}
		}
	case isa.ClassLDX:
		return useDef{src, dst}
	case isa.ClassST:
		return useDef{dst, 0}
	case isa.ClassSTX:
		return storeRegs(i, dst, src)
	case isa.ClassALU, isa.ClassALU64:
		switch i.Op & 0xf0 {
		case isa.END:
			return useDef{dst, dst}
		case isa.MOV:
			if i.Op&isa.SrcReg == 0 {
				return useDef{0, dst}
			}
			return useDef{src, dst}
		}
		return useDef{operands, dst}
	case isa.ClassJMP, isa.ClassJMP32:
		switch i.Op & 0xf0 {
		case isa.JA, isa.JCOND:
			return useDef{}
		case isa.EXIT:
			return useDef{1, 0}
		case isa.CALL:
			if c := a.callee(i); c.Known {
				return useDef{paramRegs(c), callerRegs}
			}
			return useDef{argRegs, callerRegs}
		}
		return useDef{operands, 0}
	}
	return useDef{allRegs, 0}
}

// paramRegs are the registers that a function takes arguments in.
func paramRegs(c Callee) uint16 { return (uint16(1)<<(min(c.Params, 5)+1) - 1) &^ 1 }

func storeRegs(i isa.Insn, dst, src uint16) useDef {
	switch {
	case i.Op&0xe0 == isa.ModeMEM:
		return useDef{dst | src, 0}
	case i.Imm == isa.AtomicCMPXCHG:
		return useDef{1 | dst | src, 1}
	case i.Imm == isa.AtomicLoadAcq:
		return useDef{src, dst}
	case i.Imm == isa.AtomicStoreRel:
		return useDef{dst | src, 0}
	case i.Imm&isa.AtomicFetch != 0:
		return useDef{dst | src, src}
	}
	return useDef{dst | src, 0}
}

// LiveString prints live registers as Linux does in its log: the digit of each that is live
// among r0 to r9, a dot for the others.
func LiveString(live uint16) string {
	var b [10]byte
	for r := range b {
		b[r] = '.'
		if live>>r&1 != 0 {
			b[r] = '0' + byte(r)
		}
	}
	return string(b[:])
}
