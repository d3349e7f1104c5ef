package verifier

import (
	"math"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

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

// collectLinked adds the scalars of the current state that have an id, of registers those that
// are still read. What does not fit in loses the id (collect_linked_regs).
func (v *verifier) collectLinked(id uint32, l *linkedRegs) {
	id &^= addConst
	for i := v.state.frameNo(); i >= 0; i-- {
		f := v.state.frames[i]
		live := v.graph.Live[v.state.at(i)]
		for j := range numRegs - 1 {
			if live>>j&1 == 0 {
				continue
			}
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
		if (r.ID^known.ID)&addConst == addConst {
			continue // distances of different width have nothing to do with each other
		}
		subreg, off, id := r.Subreg, r.Off, r.ID
		same := (r.ID|known.ID)&addConst == 0 || r.Off == known.Off
		*r = *known
		r.Subreg = subreg
		if !same {
			// Its own id and distance are needed the next time.
			r.Off, r.ID = off, id
			r.Scalar.AddDelta(width((id|known.ID)&addConst32 == 0), off-known.Off)
		}
	}
}

// distance returns what an addition or subtraction of a constant puts between a register and
// those it shares its id with. ok is false for other operations, for constants of more than 32
// bits, and where an operation of 32 bits cuts the register off.
func distance(op uint8, wide bool, dst, src *scalar.Scalar) (delta int32, ok bool) {
	if op != isa.ADD && op != isa.SUB || !src.IsConst(width(wide)) || !wide && dst.Umax > math.MaxUint32 {
		return 0, false
	}
	val := int64(src.Var.Value)
	if !wide {
		val = int64(int32(val))
	}
	if val < math.MinInt32 || val > math.MaxInt32 {
		return 0, false
	}
	if op == isa.SUB {
		if val == math.MinInt32 {
			return 0, false
		}
		val = -val
	}
	return int32(val), true
}

// setDistance notes that a scalar is now another one of its id plus delta.
func (r *reg) setDistance(delta int32, wide bool) {
	if wide {
		r.ID |= addConst64
	} else {
		r.ID |= addConst32
	}
	r.Off = delta
}
