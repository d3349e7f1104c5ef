package cfg

import (
	"math"

	"github.com/carom-bpf/carom/internal/isa"
)

const (
	opSpill = isa.ClassSTX | isa.ModeMEM | isa.SizeDW
	opFill  = isa.ClassLDX | isa.ModeMEM | isa.SizeDW
)

// findFastcalls finds spills and fills that clang put around calls which keep the registers
// that they do not use, for kernels that do not know so (mark_fastcall_patterns). Linux removes
// them, with the stack that they take, when nothing else uses that stack.
func (a *analysis) findFastcalls() {
	for s := range a.Subprogs {
		sub := &a.Subprogs[s]
		lowest := int16(0)
		for _, i := range a.Insns[sub.Start:sub.End] {
			if i.Op == opSpill && i.Dst == isa.FP {
				lowest = min(lowest, i.Off)
			}
		}
		if lowest == 0 {
			// A pattern needs a spill at the lowest offset. One at offset 0 is refused
			// elsewhere, so it does not matter.
			continue
		}
		for n := sub.Start; n < sub.End; n++ {
			if a.Insns[n].Op == opCall {
				a.findFastcall(sub, n, lowest)
			}
		}
	}
}

// findFastcall marks the pairs of spill and fill around the call at slot n, from the inside to
// the outside; their stack offsets grow from the lowest on. Linux 6.18 does not ask whether a
// jump leads between them; newer releases of 6.12 do.
func (a *analysis) findFastcall(sub *Subprog, n int, lowest int16) {
	c := a.callee(a.Insns[n])
	if !c.Known {
		return
	}
	clobbered := paramRegs(c)
	if !c.Void {
		clobbered |= 1
	}
	expected := callerRegs &^ clobbered
	pairs, off := 0, lowest
	for ; pairs < 6; pairs, off = pairs+1, off+8 {
		first, last := n-pairs-1, n+pairs+1
		if first < 0 || last >= len(a.Insns) {
			break
		}
		spill, fill := a.Insns[first], a.Insns[last]
		if spill.Op != opSpill || fill.Op != opFill || spill.Dst != isa.FP || fill.Src != isa.FP ||
			spill.Src != fill.Dst || expected>>spill.Src&1 == 0 || spill.Off != off || fill.Off != off {
			break
		}
		expected &^= 1 << spill.Src
		a.Marks[first] |= Fastcall
		a.Marks[last] |= Fastcall
	}
	if pairs == 0 {
		return
	}
	if c.Fastcall {
		if a.FastcallSpills == nil {
			a.FastcallSpills = make([]uint8, len(a.Insns))
		}
		a.FastcallSpills[n] = uint8(pairs)
	} else {
		sub.keepFastcall = true
	}
	sub.FastcallOff = min(sub.FastcallOff, off)
}

// FastcallStack follows, while a program is simulated, whether the stack of spills around calls
// is used by anything else, and says in the end how deep the stack is without them
// (check_fastcall_stack_contract, remove_fastcall_spills_fills).
type FastcallStack struct {
	g   *Graph
	off []int16 // by subprogram; MinInt16 once the spills have to stay
}

// NewFastcallStack starts with all patterns in place.
func NewFastcallStack(g *Graph) *FastcallStack {
	f := &FastcallStack{g: g, off: make([]int16, len(g.Subprogs))}
	for n := range f.off {
		f.off[n] = g.Subprogs[n].FastcallOff
	}
	return f
}

// Access tells of an access to the stack of a subprogram's frame by the instruction at slot:
// off is the lowest byte, relative to the frame pointer.
func (f *FastcallStack) Access(subprog, slot, off int) {
	if int(f.off[subprog]) <= off || f.Pattern(subprog, slot) {
		return
	}
	f.off[subprog] = math.MinInt16
}

// Pattern reports whether the instruction is a spill or fill that may still be removed.
func (f *FastcallStack) Pattern(subprog, slot int) bool {
	return f.off[subprog] != math.MinInt16 && f.g.Has(slot, Fastcall)
}

// Depth gives the bytes of stack that a subprogram takes when the spills that nothing needs
// are removed; deepest is what it takes with them. It decides only about limits: a machine that
// does not remove the spills needs the room.
func (f *FastcallStack) Depth(subprog, deepest int) int {
	sub := &f.g.Subprogs[subprog]
	if sub.keepFastcall || f.off[subprog] == math.MinInt16 || f.g.FastcallSpills == nil {
		return deepest
	}
	for _, pairs := range f.g.FastcallSpills[sub.Start:sub.End] {
		if pairs > 0 {
			return -int(f.off[subprog])
		}
	}
	return deepest
}
