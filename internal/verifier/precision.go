package verifier

import (
	"math/bits"
	"strconv"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// pushHistory records the current instruction in the history of the current path. What else is
// learned of it goes into the same entry (push_jmp_history).
func (v *verifier) pushHistory(h step) {
	s := v.state
	if v.histAt >= 0 {
		e := &s.history[len(s.history)-1]
		e.Stack = e.Stack || h.Stack
		e.Frame |= h.Frame
		e.Slot |= h.Slot
		e.DstStack = e.DstStack || h.DstStack
		e.SrcStack = e.SrcStack || h.SrcStack
		e.Linked = h.Linked
		return
	}
	h.Insn, h.Prev = int32(v.insn), int32(v.prev)
	s.history = append(s.history, h)
	v.histAt = v.insn
}

// historyAt returns the last of the first n entries of a state's history, if it is that of an
// instruction (get_jmp_hist_entry).
func (s *state) historyAt(n, insn int) *step {
	if n > 0 && int(s.history[n-1].Insn) == insn {
		return &s.history[n-1]
	}
	return nil
}

// before returns the instruction that was executed before one. n counts the entries of the
// history that are left; ok is false where the state begins (get_prev_insn_idx).
func (s *state) before(insn int, n *int) (prev int, ok bool) {
	cnt := *n
	if insn == s.first && (cnt == 0 || cnt == 1 && int(s.history[0].Insn) == insn) {
		return 0, false
	}
	if cnt > 0 && int(s.history[cnt-1].Insn) == insn {
		*n--
		return int(s.history[cnt-1].Prev), true
	}
	return insn - 1, true
}

// markPrecise notes that the program is safe only because of the value of a scalar register:
// all registers and slots that it was made of become precise in the states that were saved on
// the way (mark_chain_precision).
func (v *verifier) markPrecise(n int) *reject.Error {
	if n < 0 {
		return nil
	}
	if v.state.regs()[n].Type != ScalarValue {
		return v.failReg(n, CodeInternal, linux.EFAULT, "backtracking misuse")
	}
	b := &v.backtrack
	b.frame = v.state.frameNo()
	b.set(uint8(n))
	var changed bool
	return v.walkBack(v.state, &changed)
}

// propagatePrecision makes precise in the current path what is precise in the state that
// covers it. changed is set if that was new (propagate_precision).
func (v *verifier) propagatePrecision(old, cur *state, changed *bool) *reject.Error {
	b := &v.backtrack
	for i := len(old.frames) - 1; i >= 0; i-- {
		f := old.frames[i]
		for j := range numRegs - 1 {
			if r := &f.Regs[j]; r.Precise && r.Type == ScalarValue {
				b.regs[i] |= 1 << j
			}
		}
		for j := range f.Stack {
			if s := &f.Stack[j]; s.Precise && s.isSpilledScalar() {
				b.slots[i] |= 1 << j
			}
		}
		if v.log != nil && (b.regs[i] != 0 || b.slots[i] != 0) {
			v.log.printf("frame %d: propagating %s\n", i, propagated(b.regs[i], b.slots[i]))
		}
	}
	b.frame = cur.frameNo()
	return v.walkBack(cur, changed)
}

// propagated formats as "r1,fp-8".
func propagated(regs uint16, slots uint64) string {
	out := []byte(nil)
	for ; regs != 0; regs &= regs - 1 {
		out = append(out, ",r"...)
		out = appendInt(out, bits.TrailingZeros16(regs))
	}
	for ; slots != 0; slots &= slots - 1 {
		out = append(out, ",fp"...)
		out = appendInt(out, -slotSize*(bits.TrailingZeros64(slots)+1))
	}
	return trimComma(out)
}

// walkBack goes back from the last instruction of a state until all that v.backtrack looks for
// is found (__mark_chain_precision).
func (v *verifier) walkBack(start *state, changed *bool) *reject.Error {
	b := &v.backtrack
	if b.empty() {
		return nil
	}
	s, last, first, next := start, start.insn, start.first, -1
	begun := false
	for {
		if v.log != nil {
			v.log.printf("mark_precise: frame%d: last_idx %d first_idx %d subseq_idx %d \n", b.frame, last, first, next)
		}
		if last < 0 {
			return v.reachedEntry(s, changed)
		}
		n := len(s.history)
		for at := last; ; {
			if begun { // the instruction itself uses the value
				switch v.back(at, next, s.historyAt(n, at)) {
				case backUnknown:
					v.forcePrecise(start)
					b.reset()
					return nil
				case backMistaken:
					err := v.mistaken(at)
					b.reset()
					return err
				}
			}
			begun = true
			if b.empty() {
				return nil
			}
			next = at
			prev, ok := s.before(at, &n)
			if !ok {
				break
			}
			if at = prev; at < 0 || at >= len(v.insns) {
				err := v.mistaken(at)
				b.reset()
				return err
			}
		}
		if s = s.parent; s == nil {
			break
		}
		v.markState(s, changed)
		if b.empty() {
			return nil
		}
		next, last, first = first, s.last, s.first
	}
	v.forcePrecise(start)
	b.reset()
	return nil
}

// reachedEntry ends a walk at the beginning of a function: only the arguments of a global
// function that is verified on its own come from nowhere.
func (v *verifier) reachedEntry(s *state, changed *bool) *reject.Error {
	b := &v.backtrack
	f := s.frames[0]
	if len(s.frames) != 1 || f.Subprog == 0 || f.CallSite != -1 || b.slots[0] != 0 || b.regs[0]&^argRegs != 0 {
		err := v.fail(CodeInternal, linux.EFAULT, "backtracking func entry subprog %d reg_mask %x stack_mask %x",
			f.Subprog, b.regs[b.frame], b.slots[b.frame])
		b.reset()
		return err
	}
	for m := b.regs[0]; m != 0; m &= m - 1 {
		if r := &f.Regs[bits.TrailingZeros16(m)]; r.Type == ScalarValue {
			r.Precise = true
			*changed = true
		}
	}
	b.reset()
	return nil
}

// markState makes precise in a saved state what is looked for; what was precise already, or is
// no number, is not looked for any further.
func (v *verifier) markState(s *state, changed *bool) {
	b := &v.backtrack
	for i := b.frame; i >= 0; i-- {
		f := s.frames[i]
		for m := b.regs[i]; m != 0; m &= m - 1 {
			n := bits.TrailingZeros16(m)
			if r := &f.Regs[n]; r.Type == ScalarValue && !r.Precise {
				r.Precise = true
				*changed = true
			} else {
				b.regs[i] &^= 1 << n
			}
		}
		for m := b.slots[i]; m != 0; m &= m - 1 {
			n := bits.TrailingZeros64(m)
			if n < len(f.Stack) && f.Stack[n].isSpilledScalar() && !f.Stack[n].Precise {
				f.Stack[n].Precise = true
				*changed = true
			} else {
				b.slots[i] &^= 1 << n
			}
		}
		if v.log != nil {
			v.log.printf("mark_precise: frame%d: parent state regs=%s stack=%s: ",
				i, regMask(b.regs[i]), slotMask(b.slots[i]))
			v.log.state(s, i)
		}
	}
}

// forcePrecise makes all scalars of all saved states on the way to s precise
// (mark_all_scalars_precise).
func (v *verifier) forcePrecise(s *state) {
	if v.log != nil {
		v.log.printf("mark_precise: frame%d: falling back to forcing all scalars precise\n", s.frameNo())
	}
	for s = s.parent; s != nil; s = s.parent {
		for i, f := range s.frames {
			for j := range numRegs - 1 {
				r := &f.Regs[j]
				if r.Type != ScalarValue || r.Precise {
					continue
				}
				r.Precise = true
				if v.log != nil {
					v.log.printf("force_precise: frame%d: forcing r%d to be precise\n", i, j)
				}
			}
			for j := range f.Stack {
				r := &f.Stack[j]
				if !r.isSpilledScalar() || r.Precise {
					continue
				}
				r.Precise = true
				if v.log != nil {
					v.log.printf("force_precise: frame%d: forcing fp%d to be precise\n", i, -slotSize*(j+1))
				}
			}
		}
	}
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }
