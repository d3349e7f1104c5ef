package caromtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/trace"
)

// subject is what a case runs on.
type subject struct {
	engine carom.Engine
	count  carom.Counting // of tail calls
}

// withCounters is the kernel with programs that count their tail calls.
func withCounters() subject {
	return subject{kernel.Engine(kernel.Options{CountEdges: carom.CountOn}), carom.CountOn}
}

// name is that in messages.
func (s subject) name() string {
	if s.count == carom.CountOn && s.isKernel() {
		return s.engine.Name() + " with counters"
	}
	return s.engine.Name()
}

func (s subject) isKernel() bool { return s.engine.Name() == kernel.Name }

// edge is one way out of a tail-call site.
type edge struct {
	collection int // number of the load
	from       string
	insn       int
	array      string
	index      uint32
	to         string
	reason     trace.Reason
}

func (e edge) String() string {
	to := e.to
	if e.reason != trace.Taken {
		to = fmt.Sprintf("not taken (%v)", e.reason)
	}
	return fmt.Sprintf("%s, instruction %d, %s[%d] to %s", e.from, e.insn, e.array, e.index, to)
}

// edges counts tail calls since the case began.
type edges map[edge]uint64

// edges reads the counters of all collections.
func (b *bench) edges() (edges, error) {
	out := edges{}
	for i, coll := range b.colls {
		list, err := coll.Edges()
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			out[edge{i, e.From, e.Insn, e.Map, e.Index, e.To, e.Reason}] += e.Count
		}
	}
	return out, nil
}

// since splits what was counted after an earlier reading into tail calls taken and not taken. An
// edge may have another index then: past the end, a site only knows the last one.
func (e edges) since(before edges) (taken, missed int) {
	allTaken, allMissed := e.totals()
	wereTaken, wereMissed := before.totals()
	return int(allTaken - wereTaken), int(allMissed - wereMissed)
}

func (e edges) totals() (taken, missed uint64) {
	for at, n := range e {
		if at.reason == trace.Taken {
			taken += n
		} else {
			missed += n
		}
	}
	return taken, missed
}

// without lists what other has not, or has with another count.
func (e edges) without(other edges) string {
	var list []string
	for at, n := range e {
		if other[at] != n {
			list = append(list, fmt.Sprintf("%v: %d", at, n))
		}
	}
	slices.Sort(list)
	return "[" + strings.Join(list, "; ") + "]"
}

func (e edges) equal(other edges) bool { return maps.Equal(e, other) }
