package verifier

import (
	"io"

	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/liveness"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
	"github.com/cilium/ebpf/btf"
)

// MaxInsns is how many instructions the exploration of one program may process
// (BPF_COMPLEXITY_LIMIT_INSNS, include/linux/bpf.h).
const MaxInsns = 1_000_000

// MaxPending is how many branches may wait to be explored (BPF_COMPLEXITY_LIMIT_JMP_SEQ,
// kernel/bpf/verifier.c).
const MaxPending = 8192

// Options say how a program is verified. The zero value verifies for Linux 6.18, silently.
type Options struct {
	Profile *linux.Profile
	// CPUs is how many there may be, which bounds bpf_get_smp_processor_id; 0 for as many as a
	// collection may have.
	CPUs int
	// Log receives the trace that Linux prints at log level 2, nil for none.
	Log io.Writer
	// Contain prunes only where one state's ranges contain the other's, and records every state,
	// so that the values of a run can be looked up in them. Slow; for tests.
	Contain Recorder
}

// Verdict is what is known of a program that was accepted.
type Verdict struct {
	Stats Stats
	Facts *facts.Program
}

// Stats are the numbers that Linux prints below its log.
type Stats struct {
	Insns       int // instructions processed
	TotalStates int // states saved
	PeakStates  int // saved at once
	MaxPerInsn  int // most states at one instruction
	StackDepth  int // bytes, of the deepest chain of calls
	Subprogs    []SubprogStats
}

// SubprogStats are the numbers of one function.
type SubprogStats struct {
	Name       string // empty without func_info
	Start, End int
	Stack      int // bytes of its frame
}

// verifier is one verification.
type verifier struct {
	prog     *Program
	opts     *Options
	profile  *linux.Profile
	insns    []isa.Insn
	graph    *cfg.Graph
	live     *liveness.Tracker
	chain    liveness.Chain
	fastcall *cfg.FastcallStack
	pool     pool
	log      *logger // nil for none

	state   *state
	pending []pending
	saved   [][]*state // by instruction and call, newest last
	aux     []insnAux
	subs    []subprog

	insn, prev     int // current and previous instruction, prev -1 at the start
	processed      int
	jumps          int
	prevJumps      int // jumps when the last state was saved
	prevProcessed  int
	peak, total    int
	maxPerInsn     int
	ids            uint32
	poke           int    // tail calls with a constant slot
	histAt         int    // instruction whose history entry is the last one, -1 for none
	scratchedRegs  uint32 // registers to print after the instruction
	scratchedSlots uint64
	global         int // the global function being verified on its own, -1 for the main program
	maxCtxOff      uint32
	prune          pruner
	idmap          idMap
	backtrack      backtrack
	fakeA, fakeB   reg
	deepest        int // bytes of the deepest chain of calls
	iters          []*iterType

	// Tables of the program's type, and what its flags say.
	ctx       *linux.CtxRules
	socks     [numRegTypes]*linux.CtxRules // rules of socket structures, made when needed
	helpers   *linux.HelperTable
	packet    linux.PacketRights
	hook      *hook // what the program is attached to, if BTF describes its context
	objects   map[btf.Type]*object
	byName    map[string]*object
	strict    bool // every access must be aligned
	sleepable bool
	// exceptionSub is the function that bpf_throw calls, 0 for none.
	exceptionSub int
}

// pending is a branch that waits.
type pending struct {
	state      *state
	insn, prev int
}

// insnAux is what is learned of an instruction over all paths (struct bpf_insn_aux_data).
type insnAux struct {
	seen      bool
	ptrType   RegType // of the pointer that a load or store uses
	mapPtr    *Map    // of a helper call: its map, if always the same
	mapPoison bool
	mapOK     *Map   // map that was found to fit the helper
	key       uint64 // constant key or slot of a tail call plus keySet, if always the same
	keyState  keyState
	ctxField  uint8
	facts     insnFacts
}

type keyState uint8

const (
	keyUnseen keyState = iota
	keyConst
	keyPoison
)

// Verify explores the program and says whether Linux would load it. The error is an *Error.
func Verify(p *Program, o *Options) (*Verdict, error) {
	if o == nil {
		o = &Options{}
	}
	v := &verifier{prog: p, opts: o, profile: o.Profile, insns: p.Insns, global: -1}
	if v.profile == nil {
		l := linux.Linux618()
		v.profile = &l
	}
	if o.Log != nil {
		v.log = newLogger(v, o.Log)
	}
	err := v.run()
	if v.log != nil {
		v.log.finish(err)
	}
	if err != nil {
		return nil, v.locate(err)
	}
	return v.verdict(), nil
}

// run is the order of bpf_check (kernel/bpf/verifier.c).
func (v *verifier) run() *reject.Error {
	for _, phase := range []func() *reject.Error{
		v.checkRelease, // what the kernel version has
		v.checkProgram, // type, length, attach type, flags
		v.checkMaps,    // which maps this program may use
		v.analyze,      // instructions, control flow, liveness
		v.findHook,     // what the program is attached to
		v.exploreMain,
		v.exploreGlobals,
		v.checkStackDepth,
		v.checkTailCalls, // limits and owners of prog arrays
		v.checkRemoved,   // functions that are not called
	} {
		if err := phase(); err != nil {
			return err
		}
	}
	return nil
}

// explore walks all paths from the current state.
func (v *verifier) explore() *reject.Error {
	fromPending := false
	v.prev = -1
	prev := -1
	for {
		v.histAt = -1
		v.prev = prev
		if v.insn >= len(v.insns) {
			return v.fail(CodeInternal, linux.EFAULT, "invalid insn idx %d insn_cnt %d", v.insn, len(v.insns))
		}
		v.processed++
		if v.processed > MaxInsns {
			return v.fail(CodeTooComplex, linux.E2BIG, "BPF program is too large. Processed %d insn", v.processed)
		}
		v.state.last = v.prev
		v.state.insn = v.insn
		pruned := false
		if v.graph.Has(v.insn, cfg.Prune) {
			var err *reject.Error
			if pruned, err = v.isVisited(v.insn); err != nil {
				return err
			}
		}
		if pruned {
			if v.log != nil {
				v.log.safe(fromPending)
			}
			if more, err := v.nextPath(&prev); !more {
				return err
			}
			fromPending = true
			continue
		}
		if v.graph.Has(v.insn, cfg.JumpPoint) {
			v.pushHistory(step{})
		}
		if v.log != nil {
			v.log.before(fromPending)
		}
		fromPending = false
		if v.opts.Contain != nil {
			v.record(v.opts.Contain)
		}
		v.aux[v.insn].seen = true
		prev = v.insn
		v.live.Begin(&v.chain, v.insn)
		flow, err := v.step()
		if err != nil {
			return err
		}
		v.live.Commit()
		switch flow {
		case flowNext:
			v.insn++
		case flowReturn:
			fromPending = true
		case flowEnd:
			if more, err := v.nextPath(&prev); !more {
				return err
			}
			fromPending = true
		}
	}
}

// flow says where a path goes after an instruction.
type flow uint8

const (
	flowNext   flow = iota // to the instruction after v.insn
	flowJump               // to v.insn
	flowReturn             // to v.insn, from a function that has ended
	flowEnd                // nowhere
)

// nextPath ends the current path and goes on with the newest pending branch.
func (v *verifier) nextPath(prev *int) (bool, *reject.Error) {
	v.scratchAll()
	v.setChain()
	v.live.Update(&v.chain)
	if err := v.endBranch(v.state); err != nil {
		return false, err
	}
	if len(v.pending) == 0 {
		return false, nil
	}
	p := v.pending[len(v.pending)-1]
	v.pending = v.pending[:len(v.pending)-1]
	old := v.state
	v.state = p.state
	v.pool.release(old)
	v.insn, *prev = p.insn, p.prev
	v.setChain()
	return true, nil
}

// push saves the current state as a branch that goes on at insn (push_stack).
func (v *verifier) push(insn, prev int) (*state, *reject.Error) {
	s := v.pool.clone(v.state)
	s.history = append(s.history[:0], v.state.history...)
	v.pending = append(v.pending, pending{state: s, insn: insn, prev: prev})
	if len(v.pending) > MaxPending {
		return nil, v.fail(CodeTooComplex, linux.EFAULT, "The sequence of %d jumps is too complex.", len(v.pending))
	}
	if s.parent != nil {
		s.parent.branches++
	}
	return s, nil
}

// step interprets the instruction at v.insn on the current state.
func (v *verifier) step() (flow, *reject.Error) {
	in := v.insns[v.insn]
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		return flowNext, v.alu(in)
	case isa.ClassLDX:
		return flowNext, v.load(in)
	case isa.ClassSTX:
		return flowNext, v.store(in)
	case isa.ClassST:
		return flowNext, v.storeImm(in)
	case isa.ClassJMP, isa.ClassJMP32:
		return v.jump(in)
	}
	switch in.Op & 0xe0 {
	case isa.ModeABS, isa.ModeIND:
		return v.loadPacketLegacy(in)
	case isa.ModeIMM:
		if err := v.wide(in); err != nil {
			return flowNext, err
		}
		v.insn++
		v.aux[v.insn].seen = true
		return flowNext, nil
	}
	return flowNext, v.fail(CodeReserved, linux.EINVAL, "invalid BPF_LD mode")
}

// jump interprets calls, exits and jumps.
func (v *verifier) jump(in isa.Insn) (flow, *reject.Error) {
	v.jumps++
	jmp32 := in.Class() == isa.ClassJMP32
	switch in.Op & 0xf0 {
	case isa.CALL:
		return v.call(in, jmp32)
	case isa.JA:
		if in.Op&isa.SrcReg != 0 || in.Src != 0 || in.Dst != 0 ||
			!jmp32 && in.Imm != 0 || jmp32 && in.Off != 0 {
			return flowNext, v.fail(CodeReserved, linux.EINVAL, "BPF_JA uses reserved fields")
		}
		if jmp32 {
			v.insn += int(in.Imm) + 1
		} else {
			v.insn += int(in.Off) + 1
		}
		return flowJump, nil
	case isa.EXIT:
		if in.Op&isa.SrcReg != 0 || in.Imm != 0 || in.Src != 0 || in.Dst != 0 || jmp32 {
			return flowNext, v.fail(CodeReserved, linux.EINVAL, "BPF_EXIT uses reserved fields")
		}
		return v.exit()
	}
	return flowNext, v.branch(in)
}

// call checks the form of a call and hands it over by kind.
func (v *verifier) call(in isa.Insn, jmp32 bool) (flow, *reject.Error) {
	if in.Op&isa.SrcReg != 0 || in.Src != isa.CallKfunc && in.Off != 0 || in.Src > isa.CallKfunc ||
		in.Dst != 0 || jmp32 {
		return flowNext, v.fail(CodeReserved, linux.EINVAL, "BPF_CALL uses reserved fields")
	}
	if v.state.locks.Spin > 0 && !v.allowedUnderLock(in) {
		return flowNext, v.fail(CodeLock, linux.EINVAL, "function calls are not allowed while holding a lock")
	}
	v.scratch(0)
	switch in.Src {
	case isa.CallLocal:
		return v.callLocal(in)
	case isa.CallKfunc:
		return v.callKfunc(in)
	}
	return v.callHelper(in)
}

// exit ends the running function (process_bpf_exit_full).
func (v *verifier) exit() (flow, *reject.Error) {
	if err := v.checkHeldAtExit(); err != nil {
		return flowNext, err
	}
	if v.state.frameNo() > 0 {
		if err := v.returnFromCall(); err != nil {
			return flowNext, err
		}
		return flowReturn, nil
	}
	if err := v.checkReturn(); err != nil {
		return flowNext, err
	}
	return flowEnd, nil
}

// readable checks that an operand holds something (check_reg_arg with SRC_OP).
func (v *verifier) readable(n uint8) *reject.Error {
	if n >= numRegs {
		return v.failReg(int(n), CodeReserved, linux.EINVAL, "R%d is invalid", n)
	}
	v.scratch(int(n))
	if v.state.regs()[n].Type == NotInit {
		return v.failReg(int(n), CodeUninit, linux.EACCES, "R%d !read_ok", n)
	}
	return nil
}

// writable checks that a register may be written and forgets what was in it.
func (v *verifier) writable(n uint8) *reject.Error {
	if err := v.writableKeep(n); err != nil {
		return err
	}
	v.state.regs()[n].setUnknown()
	return nil
}

// writableKeep is writable for an instruction that still needs the old value.
func (v *verifier) writableKeep(n uint8) *reject.Error {
	if n >= numRegs {
		return v.failReg(int(n), CodeReserved, linux.EINVAL, "R%d is invalid", n)
	}
	v.scratch(int(n))
	if n == isa.FP {
		return v.failReg(int(n), CodeFramePointer, linux.EACCES, "frame pointer is read only")
	}
	return nil
}

// newID returns an id that no register has.
func (v *verifier) newID() uint32 {
	v.ids++
	return v.ids
}

// wide interprets a wide load (check_ld_imm).
func (v *verifier) wide(in isa.Insn) *reject.Error {
	switch {
	case in.Op&0x18 != isa.SizeDW:
		return v.fail(CodeReserved, linux.EINVAL, "invalid BPF_LD_IMM insn")
	case in.Off != 0:
		return v.fail(CodeReserved, linux.EINVAL, "BPF_LD_IMM64 uses reserved fields")
	}
	if err := v.writable(in.Dst); err != nil {
		return err
	}
	dst := &v.state.regs()[in.Dst]
	second := v.insns[v.insn+1]
	switch in.Src {
	case 0:
		dst.setConst(in.Imm64(second))
		return nil
	case isa.PseudoBTFID:
		return v.wideBTF(in, dst)
	case isa.PseudoFunc:
		return v.wideFunc(in, dst)
	}
	if int(in.Imm) < 0 || int(in.Imm) >= len(v.prog.Maps) {
		return v.fail(CodeReserved, linux.EINVAL, "invalid map_idx %d", in.Imm)
	}
	m := v.prog.Maps[in.Imm]
	if in.Src == isa.PseudoMapValue || in.Src == isa.PseudoMapIdxValue {
		*dst = reg{Type: PtrToMapValue, Scalar: scalar.Const(0), Map: m, Off: second.Imm}
		return nil
	}
	*dst = reg{Type: ConstPtrToMap, Scalar: scalar.Const(0), Map: m}
	return nil
}

// hasField says that values of the map hold a special field.
func (m *Map) hasField(name string) bool {
	for _, f := range m.Fields {
		if f.Name == name {
			return true
		}
	}
	return false
}
