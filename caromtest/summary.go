package caromtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Summary is how many cases ran where, by engine name; EdgeCounts has those whose tail calls were
// counted in the kernel too.
type Summary struct {
	Cases int
	By    map[string]Tally
}

// Tally is what became of the cases on one engine. Cases that have nothing for it count nowhere.
type Tally struct {
	Ran int
	// Skipped are the cases that leave the engine out, and Missing those that this system cannot
	// run, by reason.
	Skipped, Missing map[string]int
}

// Declared is the summary of a run on a system that has everything, from the cases alone.
func Declared(engines []string, cases ...Case) Summary {
	s := Summary{Cases: len(cases)}
	for i := range cases {
		for _, e := range engines {
			if e == EdgeCounts && !cases[i].CountsEdges() {
				continue
			}
			s.add(e, cases[i].Skipped(e), "")
		}
	}
	return s
}

// Add adds the counts of another run.
func (s *Summary) Add(other Summary) {
	s.Cases += other.Cases
	for name, o := range other.By {
		t := s.tally(name)
		t.Ran += o.Ran
		for why, n := range o.Skipped {
			t.Skipped[why] += n
		}
		for why, n := range o.Missing {
			t.Missing[why] += n
		}
		s.By[name] = t
	}
}

// add counts a case on an engine: skipped and missing are reasons, "" for none.
func (s *Summary) add(engine, skipped, missing string) {
	t := s.tally(engine)
	switch {
	case skipped != "":
		t.Skipped[skipped]++
	case missing != "":
		t.Missing[missing]++
	default:
		t.Ran++
	}
	s.By[engine] = t
}

func (s *Summary) tally(engine string) Tally {
	if s.By == nil {
		s.By = map[string]Tally{}
	}
	t, ok := s.By[engine]
	if !ok {
		t = Tally{Skipped: map[string]int{}, Missing: map[string]int{}}
	}
	return t
}

// String is one line: the cases, and for each engine how many ran, how many were skipped and why.
func (s Summary) String() string {
	parts := []string{fmt.Sprintf("%d cases", s.Cases)}
	for _, name := range slices.Sorted(maps.Keys(s.By)) {
		t := s.By[name]
		text := fmt.Sprintf("%s: %d ran", name, t.Ran)
		text += reasons("skipped", t.Skipped) + reasons("missing here", t.Missing)
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func reasons(what string, by map[string]int) string {
	if len(by) == 0 {
		return ""
	}
	total, list := 0, []string{}
	for _, why := range slices.Sorted(maps.Keys(by)) {
		total += by[why]
		list = append(list, fmt.Sprintf("%d × %s", by[why], why))
	}
	return fmt.Sprintf(", %d %s (%s)", total, what, strings.Join(list, ", "))
}
