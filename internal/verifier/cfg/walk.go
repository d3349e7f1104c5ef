package cfg

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// States of an instruction in the walk. The low bits say which edges are done.
const (
	discovered = 0x10
	explored   = 0x20

	fallThrough = 1
	branch      = 2
)

// walk visits everything that is reachable from the entry, callees and callbacks included, and
// sets the marks on the way (check_cfg). Whatever is left is unreachable, which Linux refuses.
func (a *analysis) walk() *reject.Error {
	a.state = make([]uint8, len(a.Insns))
	a.stack = make([]int32, 0, len(a.Insns))
	if err := a.walkFrom(0); err != nil {
		return err
	}
	if exc := a.in.ExceptionCallback; exc > 0 && a.state[exc] != explored {
		if err := a.walkFrom(exc); err != nil {
			return err
		}
	}
	for n := 0; n < len(a.Insns); n++ {
		if a.state[n] != explored {
			return reject.At(n, CodeUnreachable, linux.EINVAL, "unreachable insn %d", n)
		}
		if a.Insns[n].IsWide() {
			if a.state[n+1] != 0 {
				return reject.At(n, CodeJumpIntoWide, linux.EINVAL,
					"jump into the middle of ldimm64 insn %d", n)
			}
			n++
		}
	}
	return nil
}

func (a *analysis) walkFrom(slot int) *reject.Error {
	a.state[slot] = discovered
	a.stack = append(a.stack[:0], int32(slot))
	for len(a.stack) > 0 {
		t := a.stack[len(a.stack)-1]
		pushed, err := a.visit(t)
		if err != nil {
			return err
		}
		if !pushed {
			a.state[t] = explored
			a.stack = a.stack[:len(a.stack)-1]
		}
	}
	return nil
}

// push follows the edge from t to w. It reports whether w is to be visited first.
func (a *analysis) push(t, w int32, edge uint8) (pushed bool, err *reject.Error) {
	if a.state[t] >= discovered|edge {
		return false, nil
	}
	if w < 0 || int(w) >= len(a.Insns) {
		return false, reject.At(int(t), CodeJumpOutOfRange, linux.EINVAL,
			"jump out of range from insn %d to %d", t, w)
	}
	if edge == branch {
		a.Marks[w] |= Prune | JumpPoint
	}
	switch {
	case a.state[w] == 0:
		a.state[t] = discovered | edge
		a.state[w] = discovered
		a.stack = append(a.stack, w)
		return true, nil
	case a.state[w] == explored:
		a.state[t] = discovered | edge
	default:
		a.backEdge = true
	}
	return false, nil
}

// visit follows the next edge of the instruction at t (visit_insn).
func (a *analysis) visit(t int32) (pushed bool, err *reject.Error) {
	i := a.Insns[t]
	if i.Op == isa.LDDW {
		if i.Src == isa.PseudoFunc {
			return a.visitCall(t, 2, true)
		}
		return a.push(t, t+2, fallThrough)
	}
	if c := i.Class(); c != isa.ClassJMP && c != isa.ClassJMP32 {
		return a.push(t, t+1, fallThrough)
	}
	switch i.Op & 0xf0 {
	case isa.EXIT:
		return false, nil
	case isa.CALL:
		if a.state[t] == discovered {
			a.markCall(t, i)
		}
		return a.visitCall(t, 1, i.Src == isa.CallLocal)
	case isa.JA:
		to := t + jumpOffset(i) + 1
		if pushed, err = a.push(t, to, fallThrough); pushed || err != nil {
			return pushed, err
		}
		a.Marks[to] |= Prune | JumpPoint
		return false, nil
	}
	a.Marks[t] |= Prune
	if isMayGoto(i) {
		a.Marks[t] |= Checkpoint
	}
	if pushed, err = a.push(t, t+1, fallThrough); pushed || err != nil {
		return pushed, err
	}
	return a.push(t, t+int32(i.Off)+1, branch)
}

// markCall sets what follows from the function that a call calls.
func (a *analysis) markCall(t int32, i isa.Insn) {
	if i.Src != isa.CallHelper && i.Src != isa.CallKfunc {
		return
	}
	c := a.callee(i)
	if c.AsyncCallback {
		// Without a comparison of states before it, every visit would start the callback anew.
		a.Marks[t] |= Prune
	}
	if c.SyncCallback {
		// How often the callback runs is not known, so the loop over it must converge here.
		a.Marks[t] |= CallsCallback | Checkpoint | Prune | JumpPoint
	}
	if c.IterNext {
		a.Marks[t] |= Prune | Checkpoint
	}
	if c.MightSleep || c.ChangesPacket {
		s := &a.Subprogs[a.SubprogAt(int(t))]
		s.MightSleep = s.MightSleep || c.MightSleep
		s.ChangesPacket = s.ChangesPacket || c.ChangesPacket
	}
}

// visitCall follows the edges of a call of size slots, or of a load of a function's address:
// to the next instruction, then to the callee if it belongs to the program.
func (a *analysis) visitCall(t, size int32, local bool) (pushed bool, err *reject.Error) {
	if pushed, err = a.push(t, t+size, fallThrough); pushed || err != nil {
		return pushed, err
	}
	a.Marks[t+size] |= Prune | JumpPoint
	if !local {
		return false, nil
	}
	w := t + a.Insns[t].Imm + 1
	a.Marks[t] |= Prune
	// At the last visit the callee is explored, so what is known of it is complete.
	caller, callee := &a.Subprogs[a.SubprogAt(int(t))], &a.Subprogs[a.SubprogAt(int(w))]
	caller.ChangesPacket = caller.ChangesPacket || callee.ChangesPacket
	caller.MightSleep = caller.MightSleep || callee.MightSleep
	return a.push(t, w, branch)
}
