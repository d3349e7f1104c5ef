package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

const (
	numRegs  = 11 // R0 to R10
	slotSize = 8  // bytes of one stack slot
	numSlots = linux.MaxStack / slotSize
)

// Values of reg.Range for packet pointers that were compared with the packet's end: at it, or
// past it (enum in include/linux/bpf_verifier.h).
const (
	atPacketEnd     = -1
	beyondPacketEnd = -2
)

// addConst in an id says that the register is another register of that id plus Off (linked
// scalars, BPF_ADD_CONST): by an addition of 64 bits, or of 32.
const (
	addConst64 = 1 << 31
	addConst32 = 1 << 30
	addConst   = addConst64 | addConst32
)

// reg is what is known of a register or of a spilled one (struct bpf_reg_state). For pointers
// the scalar is the variable part of the offset and Off the fixed part.
type reg struct {
	Type    RegType
	Off     int32
	Range   int32  // of packet pointers: bytes that are known to be there
	MemSize uint32 // of PtrToMem
	Map     *Map   // of map pointers, keys and values
	MapUID  uint32 // which inner map, of a lookup in a map of maps
	scalar.Scalar
	// ID ties registers together that hold the same pointer or number: a check of one is a
	// check of all. 0 is none.
	ID     uint32
	RefID  uint32 // the acquired reference that this pointer belongs to
	Frame  int32  // of PtrToStack: which frame
	Subreg int32  // instruction + 1 that wrote the low half only, 0 where both halves are set
	Func   int32  // of PtrToFunc: subprogram
	// DynptrID is the dynptr that PtrToMem is a slice of, 0 for none.
	DynptrID uint32
	Object   stackObject // of slots that hold a dynptr or an iterator, and of ConstPtrToDynptr
	// Precise says that the program is safe only because of the value of this scalar.
	Precise bool
	BTF     *object // of PtrToBTFID
}

// slotKind is what one byte of the stack holds (enum bpf_stack_slot_type).
type slotKind uint8

const (
	slotInvalid slotKind = iota // nothing was written
	slotSpill                   // part of a spilled register
	slotMisc                    // anything
	slotZero                    // zero
	slotDynptr
	slotIter
	slotIRQ
)

// slot is eight bytes of stack. Kind[7] is the byte at the highest address; a register that is
// spilled with less than eight bytes fills the low addresses last: Kind[8-size:].
type slot struct {
	reg
	Kind [slotSize]slotKind
}

// frame is the state of one function that is running (struct bpf_func_state).
type frame struct {
	Regs     [numRegs]reg
	Stack    []slot // slot i is fp-8*(i+1)
	CallSite int    // instruction of the call, -1 in the main program
	Subprog  int
	// No is the position in the state's frames.
	No int
	// InCallback says that a helper calls this frame.
	InCallback, InAsync, InException bool
	CallbackRet                      [2]int32 // range that the callback must return
	CallbackDepth                    uint32
	AsyncEntry                       uint32 // asynchronous callbacks that led to this one
}

// step is an entry of a state's history: the instruction executed and the one before it
// (struct bpf_jmp_history_entry).
type step struct {
	Insn, Prev int32
	// Stack says that the instruction accessed slot Slot of frame Frame.
	Stack       bool
	Frame, Slot uint8
	// DstStack and SrcStack say that a comparison's operand is a stack pointer.
	DstStack, SrcStack bool
	// Linked are registers and slots that were narrowed together at this instruction.
	Linked linkedRegs
}

// state is everything that is known at one point of one path (struct bpf_verifier_state).
type state struct {
	frames []*frame
	parent *state
	// branches counts the paths that go on from here and are not yet explored.
	branches int
	insn     int // where the state was saved
	history  []step
	first    int // first instruction executed since the parent
	last     int // last instruction executed before the next state was saved

	depth int // states that were saved on the way
	savedState

	inSleepable    bool
	mayGoto        int // times may_goto was taken
	cleaned        bool
	refs           []reference
	refsGen        uint32
	locks          held
	callbackUnroll uint32
}

// cur returns the running frame.
func (s *state) cur() *frame { return s.frames[len(s.frames)-1] }

// regs returns the registers of the running frame.
func (s *state) regs() *[numRegs]reg { return &s.cur().Regs }

// frameNo returns the number of the running frame, 0 for the main program.
func (s *state) frameNo() int { return len(s.frames) - 1 }

// setType makes r a pointer of a kind with a constant offset of zero.
func (r *reg) setPointer(t RegType) {
	*r = reg{Type: t, Scalar: scalar.Const(0)}
}

// setUnknown makes r a scalar of which nothing is known; precise where precision cannot be
// found by walking back.
func (r *reg) setUnknown() {
	*r = reg{Type: ScalarValue, Scalar: scalar.Unknown()}
}

// setConst makes r a known number.
func (r *reg) setConst(v uint64) {
	*r = reg{Type: ScalarValue, Scalar: scalar.Const(v)}
}

// setNotInit makes r unreadable.
func (r *reg) setNotInit() {
	*r = reg{Type: NotInit, Scalar: scalar.Unknown()}
}

// isConst says that r is a scalar of one value.
func (r *reg) isConst() bool { return r.Type == ScalarValue && r.Var.IsConst() }

// isNull says that r is the number zero.
func (r *reg) isNull() bool { return r.isConst() && r.Var.Value == 0 }

// isSpilled says that a register, whole or in part, is saved in the slot.
func (s *slot) isSpilled() bool { return s.Kind[slotSize-1] == slotSpill }

// isSpilledScalar says that the whole slot holds a scalar.
func (s *slot) isSpilledScalar() bool {
	return s.Kind[slotSize-1] == slotSpill && s.Type == ScalarValue
}

// isSpilledScalar64 is isSpilledScalar for eight bytes.
func (s *slot) isSpilledScalar64() bool {
	return s.Kind[0] == slotSpill && s.Type == ScalarValue
}

// pool keeps frames and states for reuse, since exploration makes and drops many.
type pool struct {
	frames []*frame
	states []*state
}

func (p *pool) frame() *frame {
	if n := len(p.frames); n > 0 {
		f := p.frames[n-1]
		p.frames = p.frames[:n-1]
		return f
	}
	return &frame{}
}

func (p *pool) state() *state {
	if n := len(p.states); n > 0 {
		s := p.states[n-1]
		p.states = p.states[:n-1]
		return s
	}
	return &state{}
}

// newFrame returns a frame in which nothing but R10 is set.
func (p *pool) newFrame(callSite, no, subprog int) *frame {
	f := p.frame()
	stack := f.Stack[:0]
	*f = frame{CallSite: callSite, No: no, Subprog: subprog, Stack: stack}
	for i := range f.Regs {
		f.Regs[i].setNotInit()
	}
	f.Regs[isa.FP].setPointer(PtrToStack)
	f.Regs[isa.FP].Frame = int32(no)
	return f
}

// copyState fills dst with a copy of src that shares nothing with it that changes. The history
// is not copied.
func (p *pool) copyState(dst, src *state) {
	for _, f := range dst.frames[min(len(dst.frames), len(src.frames)):] {
		p.frames = append(p.frames, f)
	}
	frames := dst.frames[:min(len(dst.frames), len(src.frames))]
	for len(frames) < len(src.frames) {
		frames = append(frames, p.frame())
	}
	for i, f := range src.frames {
		stack := append(frames[i].Stack[:0], f.Stack...)
		*frames[i] = *f
		frames[i].Stack = stack
	}
	refs, history := append(dst.refs[:0], src.refs...), dst.history[:0]
	*dst = *src
	dst.frames, dst.refs, dst.history = frames, refs, history
}

// clone returns a copy of s without its history.
func (p *pool) clone(s *state) *state {
	d := p.state()
	p.copyState(d, s)
	return d
}

// release gives a state that nobody refers to any more back to the pool.
func (p *pool) release(s *state) {
	p.frames = append(p.frames, s.frames...)
	*s = state{frames: s.frames[:0], history: s.history[:0], refs: s.refs[:0]}
	p.states = append(p.states, s)
}

// ensureStack makes the frame's stack hold size bytes.
func (f *frame) ensureStack(size int) {
	n := (size + slotSize - 1) / slotSize
	for len(f.Stack) < n {
		f.Stack = append(f.Stack, slot{})
	}
}
