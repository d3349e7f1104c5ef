package corpus_test

import (
	"flag"
	"maps"
	"testing"

	"github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/caromtest/corpus"
	"github.com/carom-bpf/carom/kernel"
)

const testdata = "../testdata"

// TestCorpus runs all cases. Its last line says how many ran where, and what was skipped and why.
func TestCorpus(t *testing.T) {
	var total, declared caromtest.Summary
	for _, g := range corpus.Groups() {
		t.Run(g.Name, func(t *testing.T) {
			cases := g.Cases(testdata)
			declared.Add(caromtest.Declared([]string{"interpreter", kernel.Name, caromtest.EdgeCounts}, cases...))
			total.Add(caromtest.Run(t, cases...))
		})
	}
	t.Log(total)
	if f := flag.Lookup("test.run"); f != nil && f.Value.String() != "" {
		return // perhaps not all cases
	}
	for name, want := range declared.By {
		got := total.By[name]
		missing := 0
		for _, n := range got.Missing {
			missing += n
		}
		if got.Ran+missing != want.Ran || !maps.Equal(got.Skipped, want.Skipped) {
			t.Errorf("%s: ran %d and skipped %v; the cases say %d and %v", name, got.Ran+missing, got.Skipped, want.Ran, want.Skipped)
		}
	}
}

// TestRows checks that the rows of Linux's tests name cases that there are.
func TestRows(t *testing.T) {
	known := map[string]bool{}
	for _, g := range corpus.Groups() {
		for _, c := range g.Cases(testdata) {
			name := g.Name + "/" + c.Name
			if known[name] {
				t.Errorf("there are two cases %s", name)
			}
			known[name] = true
		}
	}
	seen := map[string]bool{}
	for _, list := range corpus.Selftests() {
		for _, r := range list.Rows {
			if seen[r.Name] {
				t.Errorf("row %s is there twice", r.Name)
			}
			seen[r.Name] = true
			if len(r.Cases)+len(r.Tests) == 0 && r.Left == "" {
				t.Errorf("row %s has neither a case nor a reason", r.Name)
			}
			for _, c := range r.Cases {
				if !known[c] {
					t.Errorf("row %s: there is no case %s", r.Name, c)
				}
			}
		}
	}
}
