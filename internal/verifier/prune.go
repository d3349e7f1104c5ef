package verifier

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// When a state is saved, and for how long (is_state_visited, kernel/bpf/verifier.c).
const (
	maxHistory      = 40 // entries after which a state is saved in any case
	minJumps        = 2  // jumps and instructions since the last state was saved
	minInsns        = 8
	minLoopJumps    = 20 // the same in a loop
	minLoopInsns    = 100
	maxMisses       = 3  // comparisons in vain, per success, until a state is dropped
	maxMissesInLoop = 64 // of checkpoints whose paths are not all explored
)

// pruner is what pruning keeps beside the states.
type pruner struct {
	visits    []*loopVisit
	explored  int // states that are compared
	dropped   int // states that are not compared any more, but have children
	backedges int
}

// savedState is what a state has beyond what it says of the program, once it is saved
// (struct bpf_verifier_state_list).
type savedState struct {
	saved        bool
	dropped      bool
	hits, misses int
	visit        *loopVisit // of the loop that it is in
	equal        *state     // of a backedge: the state that covers it
}

// bucket returns the list for the states at an instruction. States of other instructions may be
// in it too, as in Linux, whose greatest number of states at an instruction counts them.
func (v *verifier) bucket(insn int) *[]*state {
	if v.saved == nil {
		v.saved = make([][]*state, len(v.insns))
	}
	return &v.saved[(uint32(insn)^uint32(v.state.cur().CallSite))%uint32(len(v.insns))]
}

// countPeak updates the greatest number of states that were kept at once.
func (v *verifier) countPeak() {
	v.peak = max(v.peak, v.prune.explored+v.prune.dropped+v.prune.backedges)
}

// isVisited says that the current state is covered by one that was at the instruction before,
// and saves it if it is not (is_state_visited).
func (v *verifier) isVisited(insn int) (bool, *reject.Error) {
	force := v.graph.Has(insn, cfg.Checkpoint) || len(v.state.history) > maxHistory
	jumps, insns := v.jumps-v.prevJumps, v.processed-v.prevProcessed
	add := force || jumps >= minJumps && insns >= minInsns

	list := v.bucket(insn)
	v.cleanStates(*list, insn)
	seen, kept := 0, len(*list)
	// A list has its newest state last, and is looked through from there.
	for i := len(*list) - 1; i >= 0; i-- {
		s := (*list)[i]
		seen++
		if s.insn != insn {
			continue
		}
		hit, loop, err := v.compare(s)
		if err != nil {
			return false, err
		}
		if hit {
			v.compact(list, kept)
			return true, v.covered(s, loop)
		}
		if s.branches > 0 && !force && jumps < minLoopJumps && insns < minLoopInsns {
			add = false
		}
		if add {
			s.misses++
		}
		n := maxMisses
		if s.branches > 0 && v.graph.Has(insn, cfg.Checkpoint) {
			n = maxMissesInLoop
		}
		if s.misses > s.hits*n+n {
			v.drop(s)
			(*list)[i] = nil
			kept--
		}
	}
	v.compact(list, kept)
	v.maxPerInsn = max(v.maxPerInsn, seen)
	if add {
		v.save(list, insn)
	}
	return false, nil
}

// compact removes the gaps from a list that has n states.
func (v *verifier) compact(list *[]*state, n int) {
	if n == len(*list) {
		return
	}
	to := 0
	for _, s := range *list {
		if s != nil {
			(*list)[to] = s
			to++
		}
	}
	clear((*list)[to:])
	*list = (*list)[:to]
}

// compare compares the current state with an earlier one at the instruction. loop says that
// what is known of the earlier one is not final.
func (v *verifier) compare(s *state) (hit, loop bool, err *reject.Error) {
	if s.branches == 0 {
		loop = s.incomplete()
		if loop {
			return v.covers(s, v.state, rangeWithin), true, nil
		}
		return v.covers(s, v.state, notExact), false, nil
	}
	switch {
	case v.otherAsyncEntry(s):
		return false, false, nil
	case v.isIterNext(s.insn):
		hit = v.covers(s, v.state, rangeWithin) && v.iterConverged()
		return hit, true, nil
	case v.isMayGoto(s.insn) && s.mayGoto != v.state.mayGoto && v.covers(s, v.state, rangeWithin):
		return true, true, nil
	case v.graph.Has(s.insn, cfg.CallsCallback):
		return v.covers(s, v.state, rangeWithin), false, nil
	}
	if maybeLooping(s, v.state) && v.covers(s, v.state, exact) && !iterDepthsDiffer(s, v.state) &&
		s.mayGoto == v.state.mayGoto && s.callbackUnroll == v.state.callbackUnroll {
		return false, false, v.infiniteLoop(s)
	}
	return false, false, nil
}

// isMayGoto says that a may_goto is at the instruction.
func (v *verifier) isMayGoto(insn int) bool { return v.insns[insn].Op == opMayGoto }

// infiniteLoop makes the reason for a state that is the same as the earlier one s.
func (v *verifier) infiniteLoop(s *state) *reject.Error {
	err := v.fail(CodeLoop, linux.EINVAL, "infinite loop detected at insn %d", s.insn)
	if v.log != nil {
		v.log.source(s.insn)
		v.log.printf("%s\ncur state:", err.Message)
		v.log.state(v.state, v.state.frameNo())
		v.log.printf("old state:")
		v.log.state(s, v.state.frameNo())
	}
	return err
}

// covered ends the current path, which s covers: what s needed of its scalars is needed of
// those of the current state too.
func (v *verifier) covered(s *state, loop bool) *reject.Error {
	s.hits++
	if v.graph.Has(v.insn, cfg.JumpPoint) {
		v.pushHistory(step{})
	}
	var changed bool
	if err := v.propagatePrecision(s, v.state, &changed); err != nil {
		return err
	}
	if loop {
		return v.addBackedge(s)
	}
	return nil
}

// save keeps a copy of the current state for comparison; it becomes the parent of all that
// follows.
func (v *verifier) save(list *[]*state, insn int) {
	v.total++
	v.prune.explored++
	v.countPeak()
	v.prevJumps, v.prevProcessed = v.jumps, v.processed
	// Nothing of what is to come needs the values so far.
	cur := v.state
	cur.forgetPrecision()
	s := v.pool.clone(cur)
	s.savedState = savedState{saved: true}
	s.insn = insn
	s.history, cur.history = cur.history, s.history[:0]
	v.histAt = -1
	v.enterLoop(s)
	cur.parent = s
	cur.first = insn
	cur.depth = s.depth + 1
	*list = append(*list, s)
}

// forgetPrecision takes all scalars as not precise (mark_all_scalars_imprecise).
func (s *state) forgetPrecision() {
	for _, f := range s.frames {
		for i := range f.Regs {
			f.Regs[i].Precise = false
		}
		for i := range f.Stack {
			f.Stack[i].Precise = false
		}
	}
}

// drop stops comparing with a state.
func (v *verifier) drop(s *state) {
	s.dropped = true
	v.prune.explored--
	v.prune.dropped++
	v.freeIfUnused(s)
}

// freeIfUnused frees a dropped state to which no path leads back (maybe_free_verifier_state).
func (v *verifier) freeIfUnused(s *state) {
	if !s.dropped || s.branches != 0 || s.incomplete() {
		return
	}
	v.prune.dropped--
	v.pool.release(s)
}

// endBranch ends a path at a state, and with it the states whose last path it was
// (update_branch_counts).
func (v *verifier) endBranch(s *state) *reject.Error {
	for s != nil {
		s.branches--
		if s.branches > 0 {
			return nil
		}
		parent := s.parent
		if s.saved {
			if err := v.exitLoop(s); err != nil {
				return err
			}
			v.freeIfUnused(s)
		}
		s = parent
	}
	return nil
}

// cleanStates forgets registers and slots of finished states that are not read after the
// instruction (clean_live_states).
func (v *verifier) cleanStates(list []*state, insn int) {
	if v.opts.Contain != nil {
		return
	}
	for _, s := range list {
		if s.branches > 0 || s.cleaned || s.insn != insn || !sameCallsites(s, v.state) || s.incomplete() {
			continue
		}
		v.clean(s)
	}
}

// clean forgets the dead registers and slots of one state (clean_verifier_state).
func (v *verifier) clean(s *state) {
	s.cleaned = true
	v.live.Ask(&v.chain, s.insn) // its calls are those of the current state
	for i, f := range s.frames {
		live := v.graph.Live[s.at(i)]
		for j := range numRegs - 1 {
			if live>>j&1 == 0 {
				f.Regs[j].setNotInit()
			}
		}
		if len(f.Stack) == 0 {
			continue
		}
		alive := v.live.AliveMask(i)
		for j := range f.Stack {
			if alive>>j&1 == 0 {
				f.Stack[j].setNotInit()
				f.Stack[j].Kind = [slotSize]slotKind{}
			}
		}
	}
}

// earlierAt finds the newest state at an instruction that the current path came through before
// parent (find_prev_entry).
func (v *verifier) earlierAt(parent *state, insn int) *state {
	if parent == nil {
		return nil
	}
	list := *v.bucket(insn)
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		if s.insn == insn && s.branches > 0 && s.depth < parent.depth && sameCallsites(s, parent) {
			return s
		}
	}
	return nil
}
