package verifier

import (
	"slices"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// maxTrail bounds how many instructions of a path are followed to explain a rejection.
const maxTrail = 1 << 16

// trail is the path to a rejection, followed once more to see where values came from. It is made
// when a program was rejected, so that the exploration does not pay for it.
type trail struct {
	insns []int // slots in the order of their execution; the last one was rejected
	depth []int // frame of each of them
	// to is where a conditional jump went: 0 for no jump, 1 for the jump, 2 for the fall-through.
	to     []uint8
	marks  []mark
	shadow []shadowFrame // where the values in registers and on the stack come from, by frame
	regs   [numRegs]reg  // before the rejected instruction
	frame  int           // running frame there
	// complete says that following the path led to the same rejection.
	complete bool
}

// mark notes that something happened on the path beside values being made.
type mark struct {
	at   int // index in the trail
	kind origin
}

// origin says how a value came to be.
type origin uint8

const (
	fromNothing   origin = iota
	fromEntry            // the program began with it
	fromConst            // an immediate
	fromAddress          // a wide load of a map, a function, …
	fromMemory           // a load
	fromMath             // arithmetic
	fromCall             // the result of a call
	fromClobber          // the register is overwritten by calls
	fromMovedData        // a packet pointer that a call made invalid
	fromReleased         // a reference that a call gave up
)

// node is one value of the path.
type node struct {
	kind origin
	at   int // index in the trail, -1 at the entry
	val  reg // what is known of it, where it was made
	ptr  reg // of a load: the pointer
	from [2]*node
}

// shadowFrame has the nodes of one frame.
type shadowFrame struct {
	regs  [numRegs]*node
	slots map[int]*node
}

// path returns the slots that the current path executed, oldest first, as far as the history
// tells and at most limit of them, the last ones. The last one is the current instruction.
func (v *verifier) path(limit int) []int {
	var out []int
	at := v.state.insn
	for s := v.state; s != nil; {
		n := len(s.history)
		for {
			if len(out) >= limit || at < 0 || at >= len(v.insns) {
				slices.Reverse(out)
				return out
			}
			if v.insns[at].Op != 0 {
				out = append(out, at)
			}
			prev, ok := s.before(at, &n)
			if !ok {
				break
			}
			at = prev
		}
		if s = s.parent; s != nil {
			at = s.last
			if at < 0 {
				break
			}
		}
	}
	slices.Reverse(out)
	return out
}

// exploring says that the rejection happened while a path was explored.
func (v *verifier) exploring(r *reject.Error) bool {
	return v.state != nil && v.state.branches > 0 && r.Insn >= 0
}

// follow executes the path again and notes where values come from.
func (v *verifier) follow(r *reject.Error) *trail {
	t := &trail{insns: v.path(maxTrail + 1)}
	t.regs, t.frame = *v.state.regs(), v.state.frameNo()
	if len(t.insns) == 0 || len(t.insns) > maxTrail {
		return t
	}
	w := *v
	w.log, w.opts, w.pending = nil, &Options{}, nil
	if !w.restart(t) {
		return t
	}
	t.depth, t.to = make([]int, len(t.insns)), make([]uint8, len(t.insns))
	for i, insn := range t.insns {
		last := i == len(t.insns)-1
		t.depth[i] = w.state.frameNo()
		if last {
			t.regs, t.frame = *w.state.regs(), w.state.frameNo()
			if r.Code == CodeLoop {
				t.complete = true
				break
			}
		}
		err := t.step(&w, i, insn)
		if err != nil {
			t.complete = last && err.Message == r.Message
			break
		}
		if !last && !t.choose(&w, i, t.insns[i+1]) {
			break
		}
	}
	return t
}

// restart sets up the state in which the path began.
func (v *verifier) restart(t *trail) bool {
	root := v.state
	for root.parent != nil {
		root = root.parent
	}
	sub := root.frames[0].Subprog
	if t.insns[0] != v.graph.Subprogs[sub].Start {
		return false
	}
	v.startState(sub)
	if sub == 0 {
		v.state.regs()[1].setPointer(PtrToCtx)
	} else if v.setGlobalArgs(sub) != nil {
		return false
	}
	t.shadow = []shadowFrame{{slots: map[int]*node{}}}
	for i := range 6 {
		if r := v.state.regs()[i]; r.Type != NotInit {
			t.shadow[0].regs[i] = &node{kind: fromEntry, at: -1, val: r}
		}
	}
	return true
}

// step executes one instruction and notes what it makes.
func (t *trail) step(v *verifier, i, insn int) *reject.Error {
	s := v.state
	v.insn, v.histAt = insn, -1
	// Without a history, walks back end at once.
	s.insn, s.first, s.last, s.parent, s.history = insn, insn, -1, nil, s.history[:0]
	v.prev = insn
	v.backtrack.reset()
	v.live.Begin(&v.chain, insn)
	pre := *s.regs()
	frames := len(s.frames)
	pointers := t.pointers(s)
	val := t.stored(v, &pre)
	flow, err := v.step()
	if err != nil {
		return err
	}
	if flow == flowNext {
		v.insn++
	}
	t.note(v, i, frames, &pre, val)
	if in := v.insns[insn]; in.Op == opCall {
		t.lost(v.state, i, pointers)
	}
	return nil
}

// choose goes on with the branch that the path went.
func (t *trail) choose(v *verifier, i, next int) bool {
	in := v.insns[t.insns[i]]
	conditional := (in.Class() == isa.ClassJMP || in.Class() == isa.ClassJMP32) &&
		in.Op&0xf0 != isa.CALL && in.Op&0xf0 != isa.EXIT && in.Op&0xf0 != isa.JA
	if conditional {
		t.to[i] = 2
		if next != t.insns[i]+1 {
			t.to[i] = 1
		}
	}
	if v.insn == next {
		v.pending = v.pending[:0]
		return true
	}
	for _, p := range v.pending {
		if p.insn == next {
			frames := len(v.state.frames)
			v.state = p.state
			v.pending = v.pending[:0]
			v.setChain()
			t.resize(frames, len(v.state.frames))
			return true
		}
	}
	return false
}

// resize makes as many shadow frames as there are frames.
func (t *trail) resize(_, n int) {
	for len(t.shadow) < n {
		t.shadow = append(t.shadow, shadowFrame{slots: map[int]*node{}})
	}
	t.shadow = t.shadow[:n]
}

// place is a register or a stack slot.
type place struct {
	frame, n int
	slot     bool
	kind     origin // what becomes of it when it is a number afterwards
}

// pointers lists where packet pointers and references are.
func (t *trail) pointers(s *state) []place {
	var out []place
	add := func(r *reg, at place) {
		switch {
		case r.Type.isAnyPacket():
			at.kind = fromMovedData
		case r.RefID != 0:
			at.kind = fromReleased
		default:
			return
		}
		out = append(out, at)
	}
	for i, f := range s.frames {
		for n := range f.Regs {
			add(&f.Regs[n], place{frame: i, n: n})
		}
		for n := range f.Stack {
			if f.Stack[n].isSpilled() {
				add(&f.Stack[n].reg, place{frame: i, n: n, slot: true})
			}
		}
	}
	return out
}

// lost notes the pointers that an instruction made invalid.
func (t *trail) lost(s *state, i int, was []place) {
	moved := false
	for _, p := range was {
		if p.frame >= len(s.frames) || p.frame >= len(t.shadow) {
			continue
		}
		f, sh := s.frames[p.frame], &t.shadow[p.frame]
		if p.slot {
			if p.n < len(f.Stack) && f.Stack[p.n].isSpilled() && f.Stack[p.n].Type == ScalarValue {
				sh.slots[p.n] = &node{kind: p.kind, at: i, from: [2]*node{sh.slots[p.n]}}
				moved = moved || p.kind == fromMovedData
			}
			continue
		}
		old := sh.regs[p.n]
		if f.Regs[p.n].Type == ScalarValue && (old == nil || old.at != i) {
			sh.regs[p.n] = &node{kind: p.kind, at: i, from: [2]*node{old}}
			moved = moved || p.kind == fromMovedData
		}
	}
	if moved {
		t.marks = append(t.marks, mark{i, fromMovedData})
	}
}

// stored is where an instruction stores to or loads from the stack.
func (t *trail) stored(v *verifier, pre *[numRegs]reg) (at place) {
	in := v.insns[v.insn]
	ptr := -1
	switch in.Class() {
	case isa.ClassLDX:
		ptr = int(in.Src)
	case isa.ClassST, isa.ClassSTX:
		ptr = int(in.Dst)
	}
	if ptr < 0 || ptr >= numRegs || pre[ptr].Type != PtrToStack || !pre[ptr].Var.IsConst() {
		return place{frame: -1}
	}
	spi, _ := slotOf(int(in.Off) + int(pre[ptr].Off) + int(int64(pre[ptr].Var.Value)))
	return place{frame: int(pre[ptr].Frame), n: spi, slot: true}
}

// note records what an instruction made.
func (t *trail) note(v *verifier, i, frames int, pre *[numRegs]reg, at place) {
	in := v.insns[t.insns[i]]
	if now := len(v.state.frames); now != frames {
		t.crossed(v, i, frames, now)
		return
	}
	sh := &t.shadow[len(t.shadow)-1]
	post := v.state.regs()
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		sh.regs[in.Dst] = t.math(in, i, sh, &post[in.Dst])
	case isa.ClassLDX:
		sh.regs[in.Dst] = t.load(v, i, in.Src, pre, at, &post[in.Dst])
	case isa.ClassLD:
		if in.Op&0xe0 == isa.ModeIMM {
			kind := fromAddress
			if in.Src == 0 {
				kind = fromConst
			}
			sh.regs[in.Dst] = &node{kind: kind, at: i, val: post[in.Dst]}
			return
		}
		t.called(v, i, sh)
	case isa.ClassST, isa.ClassSTX:
		t.store(v, i, in, pre, at)
	case isa.ClassJMP:
		if in.Op == opCall {
			t.called(v, i, sh)
		}
	}
}

// math is what an arithmetic instruction makes; a copy stays what it was.
func (t *trail) math(in isa.Insn, i int, sh *shadowFrame, post *reg) *node {
	op, withReg := in.Op&0xf0, in.Op&isa.SrcReg != 0
	switch {
	case op == isa.MOV && withReg && in.Off == 0:
		return sh.regs[in.Src]
	case op == isa.MOV && !withReg:
		return &node{kind: fromConst, at: i, val: *post}
	}
	n := &node{kind: fromMath, at: i, val: *post}
	if op != isa.MOV {
		n.from[0] = sh.regs[in.Dst]
	}
	if withReg && op != isa.END {
		n.from[1] = sh.regs[in.Src]
	}
	return n
}

// load is what a load makes; what was spilled stays what it was.
func (t *trail) load(v *verifier, i int, src uint8, pre *[numRegs]reg, at place, post *reg) *node {
	if at.frame >= 0 && at.frame < len(t.shadow) {
		f := v.state.frames[at.frame]
		if old := t.shadow[at.frame].slots[at.n]; old != nil && at.n < len(f.Stack) && f.Stack[at.n].isSpilled() {
			return old
		}
	}
	return &node{
		kind: fromMemory, at: i, val: *post, ptr: pre[src],
		from: [2]*node{t.shadow[len(t.shadow)-1].regs[src]},
	}
}

// store notes a spill, and what an atomic operation fetches.
func (t *trail) store(v *verifier, i int, in isa.Insn, pre *[numRegs]reg, at place) {
	sh := &t.shadow[len(t.shadow)-1]
	if in.Class() == isa.ClassSTX && in.Op&0xe0 == isa.ModeATOMIC {
		dst := int(in.Src)
		switch {
		case in.Imm == isa.AtomicCMPXCHG:
			dst = 0
		case in.Imm == isa.AtomicLoadAcq:
			dst = int(in.Dst)
		case in.Imm&isa.AtomicFetch == 0:
			dst = -1
		}
		if dst >= 0 {
			sh.regs[dst] = &node{kind: fromMemory, at: i, val: v.state.regs()[dst], ptr: pre[in.Dst]}
		}
		return
	}
	if at.frame < 0 || at.frame >= len(t.shadow) {
		return
	}
	var val *node
	if in.Class() == isa.ClassSTX {
		val = sh.regs[in.Src]
	} else {
		val = &node{kind: fromConst, at: i}
	}
	t.shadow[at.frame].slots[at.n] = val
}

// called notes the result of a call and the registers that are gone.
func (t *trail) called(v *verifier, i int, sh *shadowFrame) {
	post := v.state.regs()
	gone := &node{kind: fromClobber, at: i}
	args := sh.regs
	for n := range 6 {
		sh.regs[n] = gone
	}
	if post[0].Type != NotInit {
		sh.regs[0] = &node{kind: fromCall, at: i, val: post[0], from: [2]*node{args[1], args[2]}}
	}
}

// crossed notes that a function was entered or left.
func (t *trail) crossed(v *verifier, i, was, now int) {
	if now > was {
		caller := t.shadow[was-1].regs
		t.resize(was, now)
		copy(t.shadow[now-1].regs[1:6], caller[1:6])
		gone := &node{kind: fromClobber, at: i}
		for n := range 6 {
			t.shadow[was-1].regs[n] = gone
		}
		return
	}
	r0 := t.shadow[was-1].regs[0]
	t.resize(was, now)
	if v.insns[t.insns[i]].Op == isa.ClassJMP|isa.EXIT {
		t.shadow[now-1].regs[0] = r0
	}
}

// reg returns the value of a register before the rejected instruction, nil if it is not known.
func (t *trail) reg(n int) *node {
	if n < 0 || n >= numRegs || len(t.shadow) == 0 {
		return nil
	}
	return t.shadow[len(t.shadow)-1].regs[n]
}
