package verifier

import "github.com/carom-bpf/carom/internal/verifier/reject"

// exactness says how much two states must be alike for the current one to count as explored
// (enum exact_level, kernel/bpf/verifier.c).
type exactness uint8

const (
	notExact    exactness = iota // ranges matter where the old state needed them
	exact                        // the same state
	rangeWithin                  // all ranges matter
	contained                    // as notExact, but all ranges matter; for Options.Contain
)

// idPair says that an id of an old state stands for one of the current state.
type idPair struct{ old, cur uint32 }

// idMap relates the ids of two states while they are compared (struct bpf_idmap).
type idMap struct {
	pairs []idPair
	temp  uint32
}

// reset forgets all pairs. Ids above used are free for scalars that have none.
func (m *idMap) reset(used uint32) {
	m.pairs = m.pairs[:0]
	m.temp = used
}

// match says that old may stand for cur: each always for the same (check_ids).
func (m *idMap) match(old, cur uint32) bool {
	if old == 0 || cur == 0 {
		return old == cur
	}
	for i := range m.pairs {
		p := &m.pairs[i]
		if p.old == old {
			return p.cur == cur
		}
		if p.cur == cur {
			return false
		}
	}
	m.pairs = append(m.pairs, idPair{old, cur})
	return true
}

// matchScalar is match for scalars: one that is tied to nothing in the old state may be tied
// now, and one that is tied to nothing now has an id of its own (check_scalar_ids).
func (m *idMap) matchScalar(old, cur uint32) bool {
	if old == 0 {
		return true
	}
	if cur == 0 {
		m.temp++
		cur = m.temp
	}
	if !m.match(old, cur) {
		return false
	}
	return old&addConst == 0 || m.match(old&^addConst, cur&^addConst)
}

// sameHead compares what describes a pointer apart from its variable offset.
func (r *reg) sameHead(o *reg) bool {
	return r.Type == o.Type && r.Off == o.Off && r.Range == o.Range && r.MemSize == o.MemSize &&
		r.Map == o.Map && r.MapUID == o.MapUID && r.Func == o.Func && r.BTF == o.BTF && r.DynptrID == o.DynptrID && r.Object == o.Object
}

// sameRefs compares ids.
func (m *idMap) sameRefs(old, cur *reg) bool {
	return m.match(old.ID, cur.ID) && m.match(old.RefID, cur.RefID)
}

// same says that two registers are alike up to their ids (regs_exact).
func (m *idMap) same(old, cur *reg) bool {
	return old.sameHead(cur) && old.Scalar == cur.Scalar && m.sameRefs(old, cur)
}

// covers says that what is safe with the old register is safe with the current one (regsafe).
func (m *idMap) covers(old, cur *reg, how exactness) bool {
	if how == exact {
		return m.same(old, cur)
	}
	if old.Type != cur.Type {
		return old.Type == NotInit && how != rangeWithin
	}
	switch old.Type.base() {
	case NotInit, PtrToArena:
		return true
	case ScalarValue:
		return !old.Precise && how == notExact || m.coversScalar(old, cur)
	case PtrToMapKey, PtrToMapValue, PtrToMem, PtrToBuf, PtrToTPBuffer:
		return old.sameHead(cur) && cur.Scalar.Within(&old.Scalar) && m.sameRefs(old, cur)
	case PtrToPacketMeta, PtrToPacket:
		return coversRange(old.Range, cur.Range) && old.Off == cur.Off && m.match(old.ID, cur.ID) &&
			cur.Scalar.Within(&old.Scalar)
	case PtrToStack:
		return m.same(old, cur) && old.Frame == cur.Frame
	}
	return m.same(old, cur)
}

// coversScalar compares the ranges and relations of two scalars.
func (m *idMap) coversScalar(old, cur *reg) bool {
	if old.ID != 0 {
		distant := old.ID&addConst != 0
		if distant != (cur.ID&addConst != 0) || distant && old.Off != cur.Off {
			return false
		}
	}
	return cur.Scalar.Within(&old.Scalar) && m.matchScalar(old.ID, cur.ID)
}

// coversRange compares what is known of the bytes behind two packet pointers.
func coversRange(old, cur int32) bool {
	if old < 0 || cur < 0 {
		return old == cur
	}
	return old <= cur
}

// covers says that what is safe with the old state is safe with the current one (states_equal).
func (v *verifier) covers(old, cur *state, how exactness) bool {
	if len(old.frames) != len(cur.frames) || old.inSleepable != cur.inSleepable {
		return false
	}
	m := &v.idmap
	m.reset(v.ids)
	if !m.coversRefs(old, cur) {
		return false
	}
	if how == notExact && v.opts.Contain != nil {
		how = contained
	}
	// The running frame differs most often.
	for i := len(old.frames) - 1; i >= 0; i-- {
		fo, fc := old.frames[i], cur.frames[i]
		if fo.CallSite != fc.CallSite {
			return false
		}
		live := v.graph.Live[old.at(i)]
		if v.opts.Contain != nil {
			live = 1<<numRegs - 1
		}
		if !m.coversFrame(fo, fc, live, how) {
			return false
		}
	}
	return true
}

// coversFrame compares two frames by their live registers (func_states_equal).
func (m *idMap) coversFrame(old, cur *frame, live uint16, how exactness) bool {
	if old.CallbackDepth > cur.CallbackDepth {
		return false
	}
	for i := range numRegs {
		if live>>i&1 != 0 && !m.covers(&old.Regs[i], &cur.Regs[i], how) {
			return false
		}
	}
	for i := range old.Stack {
		if !m.coversSlot(old, cur, i, how) {
			return false
		}
	}
	return true
}

// unbound is a scalar of which nothing is known; it is never written.
var unbound = func() (r reg) { r.setUnknown(); return }()

// unused says that a byte of the stack holds nothing that a load may rely on.
func (k slotKind) unused() bool { return k == slotInvalid || k == slotMisc }

// asScalar returns the number that a load of the whole slot gives, nil if that is not one
// register (scalar_reg_for_stack).
func (s *slot) asScalar() *reg {
	if s.isSpilledScalar64() {
		return &s.reg
	}
	for _, k := range s.Kind {
		if !k.unused() {
			return nil
		}
	}
	return &unbound
}

// coversSlot compares slot i of two frames (stacksafe).
func (m *idMap) coversSlot(old, cur *frame, i int, how exactness) bool {
	so := &old.Stack[i]
	strict := how == exact || how == rangeWithin
	used := 0
	for used < slotSize && so.Kind[used].unused() {
		used++
	}
	if used == slotSize && !strict {
		return true
	}
	if i >= len(cur.Stack) {
		return false
	}
	sc := &cur.Stack[i]
	if used == slotSize {
		return so.Kind == sc.Kind
	}
	if strict {
		for j := range used + 1 {
			if so.Kind[j] != sc.Kind[j] {
				return false
			}
		}
	}
	if ro := so.asScalar(); ro != nil {
		if rc := sc.asScalar(); rc != nil {
			return m.covers(ro, rc, how)
		}
	}
	for j := used; j < slotSize; j++ {
		if so.Kind[j] != sc.Kind[j] && (strict || !so.Kind[j].unused()) {
			return false
		}
	}
	switch so.Kind[slotSize-1] {
	case slotSpill:
		return m.covers(&so.reg, &sc.reg, how)
	case slotMisc, slotZero, slotInvalid:
		return true
	}
	return m.coversSpecial(&so.reg, &sc.reg, so.Kind[slotSize-1])
}

// coversSpecial compares the objects that calls keep on the stack. How often an iterator has
// advanced does not matter.
func (m *idMap) coversSpecial(old, cur *reg, kind slotKind) bool {
	o, c := &old.Object, &cur.Object
	switch kind {
	case slotDynptr:
		return o.Dynptr == c.Dynptr && o.First == c.First && m.match(old.RefID, cur.RefID)
	case slotIter:
		return old.Type == cur.Type && o.Iter == c.Iter && o.Drained == c.Drained && m.match(old.RefID, cur.RefID)
	}
	return m.same(old, cur)
}

// maybeLooping says that the running frames have the same registers (states_maybe_looping).
func maybeLooping(old, cur *state) bool {
	if len(old.frames) != len(cur.frames) {
		return false
	}
	fo, fc := old.cur(), cur.cur()
	for i := range numRegs {
		ro, rc := &fo.Regs[i], &fc.Regs[i]
		if ro.ID != rc.ID || ro.RefID != rc.RefID || ro.Scalar != rc.Scalar || !ro.sameHead(rc) {
			return false
		}
	}
	return true
}

// sameCallsites says that two states are in the same chain of calls.
func sameCallsites(a, b *state) bool {
	if len(a.frames) != len(b.frames) {
		return false
	}
	for i := range a.frames {
		if a.frames[i].CallSite != b.frames[i].CallSite {
			return false
		}
	}
	return true
}

// widen makes scalars that are not precise and not the same as at the entry of the loop
// unknown, so that the next round of the loop has a chance to end in it
// (widen_imprecise_scalars).
func (v *verifier) widen(old, cur *state) *reject.Error {
	m := &v.idmap
	m.reset(v.ids)
	for i := len(old.frames) - 1; i >= 0; i-- {
		fo, fc := old.frames[i], cur.frames[i]
		for j := range numRegs {
			m.widenReg(&fo.Regs[j], &fc.Regs[j])
		}
		for j := range min(len(fo.Stack), len(fc.Stack)) {
			if fo.Stack[j].isSpilled() && fc.Stack[j].isSpilled() {
				m.widenReg(&fo.Stack[j].reg, &fc.Stack[j].reg)
			}
		}
	}
	return nil
}

// widenReg widens one register (maybe_widen_reg).
func (m *idMap) widenReg(old, cur *reg) {
	if old.Type != ScalarValue || cur.Type != ScalarValue || old.Precise || cur.Precise || m.same(old, cur) {
		return
	}
	cur.setUnknown()
}
