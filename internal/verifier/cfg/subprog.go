package cfg

import (
	"slices"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

const (
	opCall   = isa.ClassJMP | isa.CALL
	opExit   = isa.ClassJMP | isa.EXIT
	opJA     = isa.ClassJMP | isa.JA
	opJA32   = isa.ClassJMP32 | isa.JA
	opJCond  = isa.ClassJMP | isa.JCOND
	tailCall = 12 // BPF_FUNC_tail_call
)

func isHelperCall(i isa.Insn) bool { return i.Op == opCall && i.Src == isa.CallHelper }
func isLocalCall(i isa.Insn) bool  { return i.Op == opCall && i.Src == isa.CallLocal }
func isKfuncCall(i isa.Insn) bool  { return i.Op == opCall && i.Src == isa.CallKfunc }
func isFuncPtr(i isa.Insn) bool    { return i.Op == isa.LDDW && i.Src == isa.PseudoFunc }
func isTailCall(i isa.Insn) bool   { return isHelperCall(i) && i.Imm == tailCall }
func isMayGoto(i isa.Insn) bool    { return i.Op == opJCond && i.Src == 0 }

// isPacketLoad tells of loads by offset, which leave the function when there is no such byte.
func isPacketLoad(i isa.Insn) bool {
	mode := i.Op & 0xe0
	return i.Class() == isa.ClassLD && (mode == isa.ModeABS || mode == isa.ModeIND)
}

// jumpOffset is the distance of a jump from the slot after it. Only the far jump has it in Imm.
func jumpOffset(i isa.Insn) int32 {
	if i.Op == opJA32 {
		return i.Imm
	}
	return int32(i.Off)
}

// findSubprogs finds where subprograms start (add_subprog_and_kfunc). Slots are read one by
// one, whatever they belong to, because nothing was judged yet.
func (a *analysis) findSubprogs() *reject.Error {
	starts := []int32{0}
	// known has the starts found so far as bits, so that many calls of few functions are cheap.
	known := make([]uint64, len(a.Insns)/64+1)
	known[0] = 1
	add := func(slot int, target int32) *reject.Error {
		if target < 0 || int(target) >= len(a.Insns) {
			return reject.At(slot, CodeCallTarget, linux.EINVAL, "call to invalid destination")
		}
		if known[target/64]>>(target%64)&1 != 0 {
			return nil
		}
		if len(starts) >= linux.MaxSubprogs {
			return reject.At(slot, CodeTooManySubprogs, linux.E2BIG, "too many subprograms")
		}
		known[target/64] |= 1 << (target % 64)
		starts = append(starts, target)
		return nil
	}
	for n, i := range a.Insns {
		var err *reject.Error
		switch {
		case isFuncPtr(i), isLocalCall(i):
			// Linux adds in 32 bits, so a far target wraps.
			err = add(n, int32(n)+i.Imm+1)
		case isKfuncCall(i) && a.in.AddKfunc != nil:
			err = a.in.AddKfunc(n, i)
		}
		if err != nil {
			return err
		}
	}
	if a.in.ExceptionCallback > 0 {
		if err := add(0, int32(a.in.ExceptionCallback)); err != nil {
			return err
		}
	}
	slices.Sort(starts)
	a.Subprogs = make([]Subprog, len(starts))
	for n, s := range starts {
		end := len(a.Insns)
		if n+1 < len(starts) {
			end = int(starts[n+1])
		}
		a.Subprogs[n] = Subprog{Start: int(s), End: end, Exit: -1}
	}
	return nil
}

// checkSubprogs asserts that no jump leaves its subprogram and that none of them runs into the
// next (check_subprogs).
func (a *analysis) checkSubprogs() *reject.Error {
	for s := range a.Subprogs {
		sub := &a.Subprogs[s]
		for n := sub.Start; n < sub.End; n++ {
			i := a.Insns[n]
			switch i.Class() {
			case isa.ClassLD:
				sub.HasLoadAbs = sub.HasLoadAbs || isPacketLoad(i)
			case isa.ClassJMP, isa.ClassJMP32:
				if err := sub.checkJump(n, i); err != nil {
					return err
				}
			}
		}
		if op := a.Insns[sub.End-1].Op; op != opExit && op != opJA && op != opJA32 {
			return reject.At(sub.End-1, CodeFallThrough, linux.EINVAL, "last insn is not an exit or jmp")
		}
	}
	return nil
}

func (s *Subprog) checkJump(slot int, i isa.Insn) *reject.Error {
	switch i.Op & 0xf0 {
	case isa.EXIT:
		s.Exit = slot
		return nil
	case isa.CALL:
		s.HasTailCall = s.HasTailCall || isTailCall(i)
		return nil
	}
	s.HasMayGoto = s.HasMayGoto || isMayGoto(i)
	to := int32(slot) + jumpOffset(i) + 1
	if int(to) < s.Start || int(to) >= s.End {
		return reject.At(slot, CodeJumpOutOfRange, linux.EINVAL,
			"jump out of range from insn %d to %d", slot, to)
	}
	return nil
}

// checkFuncs compares the subprograms with func_info (check_abnormal_return, check_btf_func).
func (a *analysis) checkFuncs() *reject.Error {
	funcs := a.in.Funcs
	if len(funcs) > 0 && len(funcs) != len(a.Subprogs) {
		return reject.At(-1, CodeFuncInfo, linux.EINVAL,
			"number of funcs in func_info doesn't match number of subprogs")
	}
	for n, s := range a.Subprogs {
		if err := s.checkFunc(n, funcs); err != nil {
			return err
		}
	}
	if a.in.BTF != nil {
		return a.in.BTF(a.Graph)
	}
	return nil
}

func (s *Subprog) checkFunc(n int, funcs []Func) *reject.Error {
	if len(funcs) > 0 && funcs[n].Start != s.Start {
		return reject.At(s.Start, CodeFuncInfo, linux.EINVAL,
			"func_info BTF section doesn't match subprog layout in BPF program")
	}
	switch {
	case n == 0: // the main program may do both
	case len(funcs) == 0 && s.HasLoadAbs:
		return reject.At(s.Start, CodeLoadAbsNoBTF, linux.EINVAL,
			"LD_ABS is not allowed in subprogs without BTF")
	case len(funcs) == 0 && s.HasTailCall:
		return reject.At(s.Start, CodeTailCallNoBTF, linux.EINVAL,
			"tail_call is not allowed in subprogs without BTF")
	case len(funcs) == 0 || funcs[n].ReturnsInt:
	case s.HasLoadAbs:
		return reject.At(s.Start, CodeLoadAbsReturn, linux.EINVAL,
			"LD_ABS is only allowed in functions that return 'int'.")
	case s.HasTailCall:
		return reject.At(s.Start, CodeTailCallReturn, linux.EINVAL,
			"tail_call is only allowed in functions that return 'int'.")
	}
	return nil
}
