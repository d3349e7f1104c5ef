package main

import (
	"fmt"
	"slices"

	"github.com/carom-bpf/carom"
)

// edgeTotals are the tail calls of carom attach --count-edges, named as in carom run --json.
type edgeTotals struct {
	Counted bool        `json:"edges_counted"`
	Edges   []edgeCount `json:"edges"`
	Misses  []edgeCount `json:"misses"`
	Hops    uint64      `json:"tail_calls"`
	Missed  uint64      `json:"not_taken"`
}

// kernelOptions are those of the collection.
func (f *attachFlags) kernelOptions() *carom.Options {
	return (&runFlags{countEdges: f.countEdges}).kernelOptions()
}

// edges reads what was counted; it is nil without --count-edges.
func (s *attachSession) edges() (*edgeTotals, error) {
	if !s.flags.countEdges {
		return nil, nil
	}
	var all summary
	if err := all.finish(s.coll, nil, &runFlags{engine: engineKernel, countEdges: true}); err != nil {
		return nil, fmt.Errorf("read the counts of tail calls: %w", err)
	}
	return &edgeTotals{true, all.Edges, all.Misses, all.Hops, all.Missed}, nil
}

// counting says what --count-edges runs in the place of the object's programs.
func (s *stream) counting() error {
	return s.line(nil, "  tail calls are counted: what runs is an instrumented copy of each program")
}

// edges prints the tables of carom run; JSON has them in the last line.
func (s *stream) edges(e *edgeTotals) error {
	if e == nil || s.json || len(e.Edges)+len(e.Misses) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintln(s.out); err != nil {
		return err
	}
	all := summary{Edges: slices.Clone(e.Edges), Misses: e.Misses}
	for _, t := range []*table{all.edgeTable(), all.missTable()} {
		if err := t.write(s.out); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

// String is the part of the last line.
func (e *edgeTotals) String() string {
	return fmt.Sprintf("%s, %d not taken", plural(e.Hops, "tail call"), e.Missed)
}
