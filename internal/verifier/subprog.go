package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf/btf"
)

// subprog is what is learned of one function.
type subprog struct {
	depth    int // bytes of stack that its frame takes, without spills that Linux removes
	deepest  int // with them
	callback bool
	async    bool // runs after the program, from a timer or work queue
	called   bool // a global function that something calls
	verified bool // a global function that was verified on its own
	argsDone bool
	args     []subArg
	argsErr  *reject.Error
	private  privateStack
}

// subArg is what a global function takes in one register.
type subArg struct {
	kind    linux.ArgType // ArgAnything, ArgPtrToCtx, ArgPtrToMem, ArgPtrToBTFID or ArgPtrToArena
	object  *object       // of ArgPtrToBTFID
	memSize uint32
}

// isGlobal says that a function has external linkage: it is verified on its own.
func (v *verifier) isGlobal(n int) bool {
	return n < len(v.prog.Funcs) && v.prog.Funcs[n].Type != nil && v.prog.Funcs[n].Type.Linkage == btf.GlobalFunc
}

// subprogName returns the name of a function, empty without BTF.
func (v *verifier) subprogName(n int) string {
	if n < len(v.prog.Funcs) {
		return v.prog.Funcs[n].Name
	}
	return ""
}

// startState makes the state in which a function starts.
func (v *verifier) startState(sub int) {
	v.pending = v.pending[:0]
	s := v.pool.state()
	*s = state{frames: append(s.frames[:0], v.pool.newFrame(-1, 0, sub)), history: s.history[:0], refs: s.refs[:0]}
	s.branches = 1
	s.first, s.last = v.graph.Subprogs[sub].Start, -1
	s.inSleepable = v.sleepable
	v.state = s
	v.insn = v.graph.Subprogs[sub].Start
	v.setChain()
}

// exploreMain explores the program itself (do_check_main).
func (v *verifier) exploreMain() *reject.Error {
	v.startState(0)
	v.state.regs()[1].setPointer(PtrToCtx)
	return v.explore()
}

// exploreGlobals verifies the global functions that something calls, each on its own and for
// any arguments that fit its prototype (do_check_subprogs).
func (v *verifier) exploreGlobals() *reject.Error {
	if v.exceptionSub > 0 {
		v.subs[v.exceptionSub].called = true
	}
	for again := true; again; {
		again = false
		for n := 1; n < len(v.subs); n++ {
			if s := &v.subs[n]; !v.isGlobal(n) || !s.called || s.verified {
				continue
			}
			if err := v.exploreGlobal(n); err != nil {
				return err
			}
			v.subs[n].verified = true
			again = true
		}
	}
	return nil
}

// exploreGlobal verifies one global function (do_check_common).
func (v *verifier) exploreGlobal(n int) *reject.Error {
	v.dropStates()
	v.startState(n)
	if v.log != nil {
		v.log.linef("Validating %s() func#%d...", v.subprogName(n), n)
	}
	if err := v.setGlobalArgs(n); err != nil {
		return err
	}
	if n == v.exceptionSub && n > 0 {
		if err := v.enterException(n); err != nil {
			return err
		}
	}
	v.global = n
	if err := v.explore(); err != nil {
		return err
	}
	if v.log != nil {
		v.log.linef("Func#%d ('%s') is safe for any args that match its prototype", n, v.subprogName(n))
	}
	return nil
}

// setGlobalArgs sets the registers to what a global function may be called with.
func (v *verifier) setGlobalArgs(n int) *reject.Error {
	args, err := v.globalArgs(n)
	if err != nil {
		return err
	}
	regs := v.state.regs()
	for i, a := range args {
		r := &regs[i+1]
		switch a.kind.Base() {
		case linux.ArgPtrToCtx:
			r.setPointer(PtrToCtx)
		case linux.ArgPtrToMem:
			r.setPointer(PtrToMem | RegType(a.kind&(linux.PtrMaybeNull|linux.PtrUntrusted|linux.MemRdonly)))
			r.MemSize = a.memSize
			if a.kind.Has(linux.PtrMaybeNull) {
				r.ID = v.newID()
			}
		case linux.ArgPtrToBTFID:
			r.setPointer(PtrToBTFID | RegType(a.kind&(linux.PtrMaybeNull|linux.PtrUntrusted|linux.PtrTrusted)))
			r.BTF = a.object
			r.ID = v.newID()
		case linux.ArgPtrToDynptr:
			r.setDynptr(localDynptr, true, v.newID())
		default:
			r.setUnknown()
		}
	}
	return nil
}

// callLocal interprets a call of a subprogram (check_func_call).
func (v *verifier) callLocal(in isa.Insn) (flow, *reject.Error) {
	target := v.insn + int(in.Imm) + 1
	sub := v.graph.SubprogAt(target)
	if v.isGlobal(sub) {
		return flowNext, v.callGlobal(sub)
	}
	if err := v.enter(v.state, sub, v.insn); err != nil {
		return flowNext, err
	}
	frames := v.state.frames
	caller, callee := frames[len(frames)-2], frames[len(frames)-1]
	copy(callee.Regs[1:6], caller.Regs[1:6])
	v.clearCallerSaved(caller)
	if v.log != nil {
		v.log.call(caller, callee)
	}
	v.insn = v.graph.Subprogs[sub].Start
	v.setChain()
	return flowJump, nil
}

// enter adds a frame for a function (setup_func_entry).
func (v *verifier) enter(s *state, sub, callSite int) *reject.Error {
	if len(s.frames) >= linux.MaxFrames {
		return v.fail(CodeStackDepth, linux.E2BIG, "the call stack of %d frames is too deep", len(s.frames)+1)
	}
	s.frames = append(s.frames, v.pool.newFrame(callSite, len(s.frames), sub))
	v.scratchAll()
	return nil
}

// clearCallerSaved makes R0 to R5 unreadable.
func (v *verifier) clearCallerSaved(f *frame) {
	for i := range 6 {
		f.Regs[i].setNotInit()
		v.scratch(i)
	}
}

// callGlobal interprets a call of a global function: its arguments are checked against its
// prototype and its result may be anything.
func (v *verifier) callGlobal(sub int) *reject.Error {
	name := v.subprogName(sub)
	argsErr := v.matchGlobalArgs(sub)
	if argsErr != nil && argsErr.Errno == linux.EFAULT {
		return argsErr
	}
	held := v.state.locks
	switch {
	case held.Spin > 0:
		return v.twoLines(CodeLock, "global function calls are not allowed while holding a lock,", "use static function instead")
	case v.graph.Subprogs[sub].MightSleep && (held.RCU > 0 || held.Preempt > 0 || held.IRQ > 0 || !v.state.inSleepable):
		e := v.twoLines(CodeLock, "global functions that may sleep are not allowed in non-sleepable context,",
			"a non-sleepable BPF program context")
		e.Before = append(e.Before, "i.e., in a RCU/IRQ/preempt-disabled section, or in")
		return e
	case argsErr != nil:
		e := v.fail(CodeArgument, argsErr.Errno, "Caller passes invalid args into func#%d ('%s')", sub, name)
		e.Before = append(append(e.Before, argsErr.Before...), argsErr.Message)
		e.Reg, e.Found, e.Needed = argsErr.Reg, argsErr.Found, argsErr.Needed
		return e
	}
	if v.log != nil {
		v.log.linef("Func#%d ('%s') is global and assumed valid.", sub, name)
	}
	if v.graph.Subprogs[sub].ChangesPacket && v.profile.GlobalSubprogChangesPacket {
		v.clearPackets()
	}
	v.subs[sub].called = true
	f := v.state.cur()
	v.clearCallerSaved(f)
	f.Regs[0].setUnknown()
	return nil
}

// twoLines makes a reason that Linux prints on two lines.
func (v *verifier) twoLines(code reject.Code, first, second string) *reject.Error {
	e := v.fail(code, linux.EINVAL, "%s", second)
	e.Before = []string{first}
	return e
}

// clearPackets makes all packet pointers and slices numbers of which nothing is known
// (clear_all_pkt_pointers).
func (v *verifier) clearPackets() {
	v.state.eachReg(func(r *reg) {
		if r.Type.isAnyPacket() || r.Type.isPacketSlice() {
			r.setUnknown()
		}
	})
}

// returnFromCall ends the running function and goes on in its caller (prepare_func_exit).
func (v *verifier) returnFromCall() *reject.Error {
	v.setChain()
	v.live.Update(&v.chain)
	frames := v.state.frames
	callee, caller := frames[len(frames)-1], frames[len(frames)-2]
	r0 := &callee.Regs[0]
	if r0.Type == PtrToStack {
		return v.failReg(0, CodeReturn, linux.EINVAL, "cannot return stack pointer to the caller")
	}
	if callee.InCallback {
		if err := v.checkCallbackReturn(callee); err != nil {
			return err
		}
	} else {
		caller.Regs[0] = *r0
	}
	site, inCallback := callee.CallSite, callee.InCallback
	v.insn = site + 1
	if inCallback {
		v.insn = site
	}
	if v.log != nil {
		v.log.returned(callee, caller, v.insn)
	}
	v.state.frames = frames[:len(frames)-1]
	v.pool.frames = append(v.pool.frames, callee)
	v.setChain()
	if inCallback {
		if earlier := v.earlierAt(v.state, v.insn); earlier != nil {
			return v.widen(earlier, v.state)
		}
	}
	return nil
}

// wideFunc interprets a wide load of a callback's address.
func (v *verifier) wideFunc(in isa.Insn, dst *reg) *reject.Error {
	sub := v.graph.SubprogAt(v.insn + int(in.Imm) + 1)
	switch {
	case len(v.prog.Funcs) == 0:
		return v.fail(CodeFuncInfo, linux.EINVAL, "missing btf func_info")
	case v.prog.Funcs[sub].Type.Linkage != btf.StaticFunc:
		return v.fail(CodeFuncInfo, linux.EINVAL, "callback function not static")
	case sub == 0:
		return v.fail(CodeFuncInfo, linux.EINVAL, "callback function cannot be the main program")
	}
	dst.setPointer(PtrToFunc)
	dst.Func = int32(sub)
	return nil
}

// dropStates forgets the states of the function that was explored before (free_states).
func (v *verifier) dropStates() {
	clear(v.saved)
}
