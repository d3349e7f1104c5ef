package verifier

import (
	"math/bits"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// argRegs has the bits of R1 to R5.
const argRegs = 0x3e

// opMayGoto is the opcode of may_goto.
const opMayGoto = isa.ClassJMP | isa.JCOND

// backtrack is the set of registers and slots whose values are looked for while walking back
// (struct backtrack_state).
type backtrack struct {
	frame int
	regs  [linux.MaxFrames]uint16
	slots [linux.MaxFrames]uint64
}

func (b *backtrack) reset() { *b = backtrack{} }

// empty says that nothing is looked for any more.
func (b *backtrack) empty() bool {
	var set uint64
	for i := range b.frame + 1 {
		set |= uint64(b.regs[i]) | b.slots[i]
	}
	return set == 0
}

func (b *backtrack) set(n uint8)      { b.regs[b.frame] |= 1 << n }
func (b *backtrack) clear(n uint8)    { b.regs[b.frame] &^= 1 << n }
func (b *backtrack) has(n uint8) bool { return b.regs[b.frame]>>n&1 != 0 }

// hasLinked and setLinked are about a register of any frame.
func (b *backtrack) hasLinked(l linkedReg) bool {
	if l.spilled {
		return b.slots[l.frame]>>l.place&1 != 0
	}
	return b.regs[l.frame]>>l.place&1 != 0
}

func (b *backtrack) setLinked(l linkedReg) {
	if l.spilled {
		b.slots[l.frame] |= 1 << l.place
	} else {
		b.regs[l.frame] |= 1 << l.place
	}
}

// sync looks for all registers that were narrowed together, if it looks for one of them
// (bt_sync_linked_regs).
func (b *backtrack) sync(h *step) {
	if h == nil || h.Linked.n == 0 {
		return
	}
	regs := h.Linked.regs[:h.Linked.n]
	for _, l := range regs {
		if !b.hasLinked(l) {
			continue
		}
		for _, l := range regs {
			b.setLinked(l)
		}
		return
	}
}

// outcome of a step back.
type outcome uint8

const (
	backOK       outcome = iota
	backUnknown          // where the value comes from cannot be told
	backMistaken         // the walk has gone wrong
)

// back undoes one instruction: what is looked for after it becomes what is looked for before
// it. next is the instruction that was executed after it, h its entry in the history
// (backtrack_insn).
func (v *verifier) back(at, next int, h *step) outcome {
	in := &v.insns[at]
	if in.Op == 0 {
		return backOK
	}
	b := &v.backtrack
	if v.log != nil {
		v.log.printf("mark_precise: frame%d: regs=%s stack=%s before ",
			b.frame, regMask(b.regs[b.frame]), slotMask(b.slots[b.frame]))
		v.log.insn(at)
	}
	b.sync(h)
	done, result := false, backOK
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		done = b.backALU(in)
	case isa.ClassLDX:
		done = b.backLoad(in.Dst, h)
	case isa.ClassSTX, isa.ClassST:
		if dst, ok := atomicLoads(in); ok {
			done = b.backLoad(dst, h)
		} else {
			done, result = b.backStore(in, h)
		}
	case isa.ClassJMP, isa.ClassJMP32:
		done, result = v.backJump(in, at, next, h)
	case isa.ClassLD:
		return b.backLD(in, at, next)
	}
	if !done {
		b.sync(h)
	}
	return result
}

// backALU undoes an arithmetic instruction. done says that nothing that is looked for was
// touched.
func (b *backtrack) backALU(in *isa.Insn) (done bool) {
	if !b.has(in.Dst) {
		return true
	}
	op, withReg := in.Op&0xf0, in.Op&isa.SrcReg != 0
	switch {
	case op == isa.END, op == isa.NEG:
		return true
	case op == isa.MOV:
		b.clear(in.Dst)
	}
	if withReg && in.Src != isa.FP {
		b.set(in.Src)
	}
	return false
}

// backLoad undoes a load into a register: from a spill the slot is looked for, from other
// memory nothing.
func (b *backtrack) backLoad(dst uint8, h *step) (done bool) {
	if !b.has(dst) {
		return true
	}
	b.clear(dst)
	if h == nil || !h.Stack {
		return true
	}
	b.slots[h.Frame] |= 1 << h.Slot
	return false
}

// atomicLoads returns the register that an atomic operation loads, if it does. Linux 6.18.44 takes
// operations that fetch for stores, so that it prunes where what was fetched matters; later
// versions do not.
func atomicLoads(in *isa.Insn) (dst uint8, ok bool) {
	if in.Class() != isa.ClassSTX || in.Op&0xe0 != isa.ModeATOMIC {
		return 0, false
	}
	switch {
	case in.Imm == isa.AtomicLoadAcq:
		return in.Dst, true
	case in.Imm == isa.AtomicStoreRel, in.Imm&isa.AtomicFetch == 0:
		return 0, false
	case in.Imm == isa.AtomicCMPXCHG:
		return 0, true
	}
	return in.Src, true
}

// backStore undoes a store: a slot that is looked for comes from the register.
func (b *backtrack) backStore(in *isa.Insn, h *step) (done bool, o outcome) {
	if b.has(in.Dst) {
		// A number is no address: it came from the difference of two pointers.
		return true, backUnknown
	}
	if h == nil || !h.Stack || b.slots[h.Frame]>>h.Slot&1 == 0 {
		return true, backOK
	}
	b.slots[h.Frame] &^= 1 << h.Slot
	if in.Class() == isa.ClassSTX {
		b.set(in.Src)
	}
	return false, backOK
}

// backLD undoes a wide load or a load from the packet, which may end the function.
func (b *backtrack) backLD(in *isa.Insn, at, next int) outcome {
	if in.Op&0xe0 == isa.ModeIMM {
		b.clear(in.Dst)
		return backOK
	}
	if b.has(in.Dst) {
		return backUnknown
	}
	if next != at+1 {
		return b.enter()
	}
	return backOK
}

// enter goes on in the function that was called.
func (b *backtrack) enter() outcome {
	if b.frame == linux.MaxFrames-1 {
		return backMistaken
	}
	b.frame++
	return backOK
}

// leave goes on in the caller.
func (b *backtrack) leave() outcome {
	if b.frame == 0 {
		return backMistaken
	}
	b.frame--
	return backOK
}

// backJump undoes calls, exits and jumps.
func (v *verifier) backJump(in *isa.Insn, at, next int, h *step) (done bool, o outcome) {
	b := &v.backtrack
	op := in.Op & 0xf0
	switch {
	case op == isa.CALL && in.Src == isa.CallLocal && in.Class() == isa.ClassJMP:
		return true, v.backCall(in, at)
	case op == isa.CALL && v.graph.Has(at, cfg.CallsCallback) && at != next-1:
		if b.regs[b.frame]&^argRegs != 0 || b.slots[b.frame] != 0 {
			return true, backMistaken
		}
		b.regs[b.frame] = 0
		return true, b.leave()
	case op == isa.CALL:
		if in.Src == isa.CallKfunc && v.prog.Kfuncs[in.Imm] == "" {
			return true, backUnknown
		}
		b.clear(0)
		if b.regs[b.frame]&argRegs != 0 {
			return true, backMistaken
		}
		// A tail call that was taken has ended the function.
		if in.Src == isa.CallHelper && in.Imm == linux.FuncTailCall && next != at+1 {
			return true, b.enter()
		}
	case op == isa.EXIT:
		return true, v.backExit(next)
	case in.Op&isa.SrcReg != 0 && op != isa.JA:
		if !b.has(in.Dst) && !b.has(in.Src) {
			return true, backOK
		}
		if h == nil || !h.SrcStack {
			b.set(in.Src)
		}
		if h == nil || !h.DstStack {
			b.set(in.Dst)
		}
	}
	return false, backOK
}

// backCall undoes a call of a subprogram. That of a global one has set R0; from a static one
// the walk comes out of its first instruction, and its arguments are the caller's.
func (v *verifier) backCall(in *isa.Insn, at int) outcome {
	b := &v.backtrack
	if v.isGlobal(v.graph.SubprogAt(at + int(in.Imm) + 1)) {
		if b.regs[b.frame]&argRegs != 0 {
			return backMistaken
		}
		b.clear(0)
		return backOK
	}
	if b.regs[b.frame]&^argRegs != 0 || b.slots[b.frame] != 0 || b.frame == 0 {
		return backMistaken
	}
	b.regs[b.frame-1] |= b.regs[b.frame]
	b.regs[b.frame] = 0
	return b.leave()
}

// backExit undoes the return of a subprogram or callback: its R0 is the caller's, except from
// a callback.
func (v *verifier) backExit(next int) outcome {
	b := &v.backtrack
	if next >= 0 && v.graph.Has(next, cfg.CallsCallback) {
		b.regs[b.frame] &^= argRegs
	}
	if b.regs[b.frame]&argRegs != 0 {
		return backMistaken
	}
	fromCall := next > 0 && v.insns[next-1].Op == isa.ClassJMP|isa.CALL && v.insns[next-1].Src == isa.CallLocal
	precise := fromCall && b.has(0)
	b.clear(0)
	if o := b.enter(); o != backOK {
		return o
	}
	if precise {
		b.set(0)
	}
	return backOK
}

// mistaken makes the reason for a walk that has gone wrong.
func (v *verifier) mistaken(at int) *reject.Error {
	b := &v.backtrack
	return v.fail(CodeInternal, linux.EFAULT, "backtracking idx %d: unexpected regs %x stack %x in frame %d",
		at, b.regs[b.frame], b.slots[b.frame], b.frame)
}

// regMask formats as "r1,r2".
func regMask(m uint16) string {
	out := []byte(nil)
	for ; m != 0; m &= m - 1 {
		out = append(out, ",r"...)
		out = appendInt(out, bits.TrailingZeros16(m))
	}
	return trimComma(out)
}

// slotMask formats as "-8,-16".
func slotMask(m uint64) string {
	out := []byte(nil)
	for ; m != 0; m &= m - 1 {
		out = append(out, ',')
		out = appendInt(out, -slotSize*(bits.TrailingZeros64(m)+1))
	}
	return trimComma(out)
}

func trimComma(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return string(b[1:])
}
