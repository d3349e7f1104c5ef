package verifier

// maxLinked is how many registers of one id are kept in a history entry
// (LINKED_REGS_MAX, kernel/bpf/verifier.c).
const maxLinked = 6

// linkedReg is the place of a register: its frame, and its number or the slot it is spilled to.
type linkedReg struct {
	frame   uint8
	place   uint8
	spilled bool
}

// linkedRegs are the places of scalars that share an id (struct linked_regs).
type linkedRegs struct {
	regs [maxLinked]linkedReg
	n    uint8
}

// at returns the register in a state.
func (l linkedReg) at(s *state) *reg {
	f := s.frames[l.frame]
	if l.spilled {
		return &f.Stack[l.place].reg
	}
	return &f.Regs[l.place]
}

// collectLinked adds the scalars of the current state that have an id. Those that do not fit in
// lose the id (collect_linked_regs).
func (v *verifier) collectLinked(id uint32, l *linkedRegs) {
	id &^= addConst
	for i := v.state.frameNo(); i >= 0; i-- {
		f := v.state.frames[i]
		for j := range numRegs - 1 {
			if r := &f.Regs[j]; r.ID&^addConst == id && r.Type == ScalarValue {
				l.add(r, linkedReg{frame: uint8(i), place: uint8(j)})
			}
		}
		for j := range f.Stack {
			s := &f.Stack[j]
			if s.ID&^addConst == id && s.Type == ScalarValue && s.isSpilled() {
				l.add(&s.reg, linkedReg{frame: uint8(i), place: uint8(j), spilled: true})
			}
		}
	}
}

// add appends a place.
func (l *linkedRegs) add(r *reg, at linkedReg) {
	if l.n == maxLinked {
		r.clearID()
		return
	}
	l.regs[l.n] = at
	l.n++
}

// syncLinked gives the linked registers that have the id of known what is known of it, plus
// their distance to it (sync_linked_regs).
func (v *verifier) syncLinked(s *state, known *reg, l *linkedRegs) {
	for i := range l.n {
		r := l.regs[i].at(s)
		if r.Type != ScalarValue || r == known || r.ID&^addConst != known.ID&^addConst {
			continue
		}
		subreg, off, id := r.Subreg, r.Off, r.ID
		same := (r.ID|known.ID)&addConst == 0 || r.Off == known.Off
		*r = *known
		r.Subreg = subreg
		if !same {
			// Its own id and distance are needed the next time.
			r.Off, r.ID = off, id
			r.Scalar.AddDelta(int64(off - known.Off))
		}
	}
}
