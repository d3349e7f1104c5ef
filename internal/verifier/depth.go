package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// privateStack says whether a function's frame lies on a stack of the program's own instead of
// the kernel's (enum priv_stack_mode, include/linux/bpf_verifier.h).
type privateStack uint8

const (
	privateUnknown privateStack = iota
	privateNo
	privateYes
)

const (
	// privateMin is the frame from which on a private stack is used (BPF_PRIV_STACK_MIN_SIZE).
	privateMin = 64
	// tailCallStack bounds the callers' frames of a subprogram with a tail call.
	tailCallStack = 256
)

// usesPrivateStack is bpf_enable_priv_stack: program types that may run again while they run.
func usesPrivateStack(t ebpf.ProgramType, attach ebpf.AttachType) bool {
	switch t {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent, ebpf.RawTracepoint:
		return true
	case ebpf.Tracing:
		return attach != ebpf.AttachTraceIter
	}
	return false
}

// roundDepth is what the JIT takes for a frame (round_up_stack_depth).
func roundDepth(n int) int { return (n + 15) &^ 15 }

// checkStackDepth adds up the frames of every chain of calls (check_max_stack_depth).
func (v *verifier) checkStackDepth() *reject.Error {
	for i := range v.subs {
		v.subs[i].deepest = v.subs[i].depth
		v.subs[i].depth = v.fastcall.Depth(i, v.subs[i].depth)
	}
	private := usesPrivateStack(v.prog.Type, v.prog.AttachType)
	for i := range v.graph.Subprogs {
		if v.graph.Subprogs[i].HasTailCall {
			private = false
		}
	}
	for i := len(v.subs) - 1; i >= 0; i-- {
		if i > 0 && !v.subs[i].async {
			continue
		}
		if err := v.chainDepth(i, i == 0 && private); err != nil {
			return err
		}
	}
	return nil
}

// depthWalk is one walk over the calls of a program.
type depthWalk struct {
	v       *verifier
	private bool
	chain   []depthFrame
	depth   int
	entered int  // function that was entered last
	tail    bool // a function with a tail call was called
}

// depthFrame is a function on the chain of calls and where to go on in it.
type depthFrame struct {
	sub, insn int
}

// chainDepth checks all chains of calls that start in a function.
func (v *verifier) chainDepth(start int, private bool) *reject.Error {
	return (&depthWalk{v: v, private: private}).run(start)
}

// run walks all chains of calls that start in a function (check_max_stack_depth_subprog).
func (w *depthWalk) run(start int) *reject.Error {
	v := w.v
	if err := w.enter(start); err != nil {
		return err
	}
	for len(w.chain) > 0 {
		top := &w.chain[len(w.chain)-1]
		callee, err := w.nextCall(top)
		if err != nil {
			return err
		}
		if callee < 0 {
			if v.subs[top.sub].private != privateYes {
				w.depth -= roundDepth(v.subs[top.sub].depth)
			}
			w.chain = w.chain[:len(w.chain)-1]
			continue
		}
		w.entered = callee
		if len(w.chain) >= linux.MaxFrames {
			return reject.At(-1, CodeStackDepth, linux.E2BIG,
				"the call stack of %d frames is too deep !", len(w.chain))
		}
		if err := w.enter(callee); err != nil {
			return err
		}
	}
	return nil
}

// enter adds a function's frame.
func (w *depthWalk) enter(sub int) *reject.Error {
	v := w.v
	w.entered = sub
	s := &v.subs[sub]
	if !w.private {
		s.private = privateNo
	}
	if sub > 0 && v.graph.Subprogs[sub].HasTailCall && w.depth >= tailCallStack {
		return reject.At(-1, CodeStackDepth, linux.EACCES,
			"tail_calls are not allowed when call stack of previous frames is %d bytes. Too large", w.depth)
	}
	size := roundDepth(s.depth)
	if w.private && s.private == privateUnknown && size >= privateMin {
		s.private = privateYes
	}
	if s.private == privateYes {
		if size > linux.MaxStack {
			return reject.At(-1, CodeStackDepth, linux.EACCES,
				"stack size of subprog %d is %d. Too large", sub, size)
		}
	} else {
		w.depth += size
		if w.depth > linux.MaxStack {
			return reject.At(-1, CodeStackDepth, linux.EACCES,
				"combined stack size of %d calls is %d. Too large", len(w.chain)+1, w.depth)
		}
	}
	v.deepest = max(v.deepest, w.depth)
	w.chain = append(w.chain, depthFrame{sub, v.graph.Subprogs[sub].Start})
	return nil
}

// nextCall returns the next function that the top of the chain calls, -1 when there is none.
func (w *depthWalk) nextCall(top *depthFrame) (int, *reject.Error) {
	v := w.v
	for end := v.graph.Subprogs[top.sub].End; top.insn < end; {
		at := top.insn
		in := v.insns[at]
		top.insn++
		if err := w.checkThrow(at); err != nil {
			return 0, err
		}
		call := in.Op == isa.ClassJMP|isa.CALL && in.Src == isa.CallLocal
		if !call && !(in.Op == isa.LDDW && in.Src == isa.PseudoFunc) {
			continue
		}
		sub := v.graph.SubprogAt(at + int(in.Imm) + 1)
		if v.subs[sub].async {
			if v.graph.Subprogs[sub].HasTailCall {
				return 0, reject.At(at, CodeStackDepth, linux.EFAULT, "verifier bug. subprog has tail_call and async cb")
			}
			if !call {
				continue
			}
			if sub == v.exceptionSub {
				return 0, reject.At(at, CodeHelper, linux.EINVAL, "insn %d cannot call exception cb directly", at)
			}
		}
		w.tail = w.tail || v.graph.Subprogs[sub].HasTailCall
		return sub, nil
	}
	if w.tail && v.exceptionSub > 0 {
		for _, f := range w.chain[:len(w.chain)-1] {
			if f.sub == v.exceptionSub {
				return 0, reject.At(-1, CodeTailCall, linux.EINVAL, "cannot tail call within exception cb")
			}
		}
	}
	return -1, nil
}
