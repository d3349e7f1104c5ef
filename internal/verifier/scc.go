package verifier

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// maxBackedgeRounds is how often marks are carried over the edges of a loop before all of its
// scalars are taken as precise (MAX_BACKEDGE_ITERS, kernel/bpf/verifier.c).
const maxBackedgeRounds = 64

// loopChain names a loop as it is reached: the loop of the outermost frame that is in one, and
// the calls that lead to that frame (struct bpf_scc_callchain).
type loopChain struct {
	callsites [linux.MaxFrames]int32
	scc       uint32
}

// loopVisit collects the states of a loop whose paths end in an earlier state of the same loop.
// Precision marks of those states are not final before the loop is explored as a whole
// (struct bpf_scc_visit).
type loopVisit struct {
	chain     loopChain
	entry     *state   // the state that entered the loop, nil when it is explored
	backedges []*state // oldest first; their equal is the state that they ended in
	open      int      // backedges that are counted as states
}

// loopChainOf returns the chain of a state that is in a loop.
func (v *verifier) loopChainOf(s *state) (c loopChain, ok bool) {
	if v.graph.SCC == nil {
		return c, false
	}
	for i := range s.frames {
		at := s.at(i)
		if c.scc = v.graph.SCC[at]; c.scc != 0 {
			return c, true
		}
		c.callsites[i] = int32(at)
	}
	return c, false
}

// at returns the instruction that frame i is at.
func (s *state) at(i int) int {
	if i == len(s.frames)-1 {
		return s.insn
	}
	return s.frames[i+1].CallSite
}

// enterLoop ties a saved state to the visit of its loop, which begins with it if it is the
// first (maybe_enter_scc).
func (v *verifier) enterLoop(s *state) {
	s.visit = nil
	c, ok := v.loopChainOf(s)
	if !ok {
		return
	}
	for _, visit := range v.prune.visits {
		if visit.chain == c {
			s.visit = visit
			break
		}
	}
	if s.visit == nil {
		s.visit = &loopVisit{chain: c}
		v.prune.visits = append(v.prune.visits, s.visit)
	}
	if s.visit.entry == nil {
		s.visit.entry = s
		if v.log != nil {
			v.log.printf("SCC enter %s\n", &c)
		}
	}
}

// exitLoop ends the visit that a saved state has begun, when all paths from it are explored
// (maybe_exit_scc).
func (v *verifier) exitLoop(s *state) *reject.Error {
	visit := s.visit
	if visit == nil || visit.entry != s {
		return nil
	}
	if v.log != nil {
		v.log.printf("SCC exit %s\n", &visit.chain)
	}
	visit.entry = nil
	v.prune.backedges -= visit.open
	visit.open = 0
	v.countPeak()
	return v.settleLoop(visit)
}

// addBackedge keeps a copy of the current state, which ended in a state of a loop
// (add_scc_backedge).
func (v *verifier) addBackedge(equal *state) *reject.Error {
	visit := equal.visit
	if visit == nil {
		return v.fail(CodeInternal, linux.EFAULT, "add backedge: no SCC in verification path, insn_idx %d", equal.insn)
	}
	copied := v.pool.clone(v.state)
	copied.history = append(copied.history[:0], v.state.history...)
	copied.equal = equal
	if v.log != nil {
		v.log.printf("SCC backedge %s\n", &visit.chain)
	}
	visit.backedges = append(visit.backedges, copied)
	visit.open++
	v.prune.backedges++
	v.countPeak()
	return nil
}

// incomplete says that marks of a saved state may still be added by the rest of its loop
// (incomplete_read_marks).
func (s *state) incomplete() bool { return s.visit != nil && len(s.visit.backedges) > 0 }

// settleLoop carries precision over the backedges of a loop until nothing changes, then
// forgets them (propagate_backedges).
func (v *verifier) settleLoop(visit *loopVisit) *reject.Error {
	for round, changed := 1, true; changed; round++ {
		if round > maxBackedgeRounds {
			if v.log != nil {
				v.log.printf("propagate_backedges: too many iterations\n")
			}
			for i := len(visit.backedges) - 1; i >= 0; i-- {
				v.forcePrecise(visit.backedges[i])
			}
			break
		}
		changed = false
		for i := len(visit.backedges) - 1; i >= 0; i-- {
			s := visit.backedges[i]
			if err := v.propagatePrecision(s.equal, s, &changed); err != nil {
				return err
			}
		}
	}
	for _, s := range visit.backedges {
		v.pool.release(s)
	}
	clear(visit.backedges)
	visit.backedges = visit.backedges[:0]
	return nil
}

// String gives the chain as Linux logs it: the calls, then the number of the loop.
func (c *loopChain) String() string {
	text := "("
	for _, at := range c.callsites {
		if at == 0 {
			break
		}
		text += fmt.Sprintf("%d,", at)
	}
	return text + fmt.Sprintf("%d)", c.scc)
}
