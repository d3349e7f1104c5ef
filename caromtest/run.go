package caromtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// Run runs each case as a subtest on all engines that there are on this system.
func Run(t *testing.T, cases ...Case) Summary {
	t.Helper()
	return RunOn(t, Engines(), cases...)
}

// Engines are those that Run uses: the interpreter, the JIT, and the kernel.
func Engines() []carom.Engine {
	return []carom.Engine{carom.Interpreter, carom.JIT, kernel.Engine(kernel.Options{})}
}

// RunOn runs each case as a subtest on the engines given. An engine that is not available is
// skipped with the reason. Where the kernel is one of the engines, a case with tail calls runs there
// once more with counters, whose values must be those of an engine in user space.
func RunOn(t *testing.T, engines []carom.Engine, cases ...Case) Summary {
	t.Helper()
	r := &runner{engines: engines, unavailable: map[string]error{}, sum: Summary{Cases: len(cases)}}
	for _, e := range engines {
		if e.Name() == kernel.Name {
			r.unavailable[e.Name()] = kernel.Available()
		}
	}
	defer r.ended.close(t)
	for i := range cases {
		t.Run(cases[i].Name, func(t *testing.T) { r.run(t, &cases[i]) })
	}
	return r.sum
}

// runner runs cases one after the other.
type runner struct {
	engines     []carom.Engine
	unavailable map[string]error
	ended       leftovers
	sum         Summary
}

func (r *runner) run(t *testing.T, c *Case) {
	var seen []observed
	counts := c.CountsEdges()
	counted := -1 // the index in seen of an engine in user space that counted
	for _, e := range r.engines {
		s := subject{engine: e}
		if counts && !s.isKernel() {
			s.count = carom.CountOn
		}
		if o, ok := r.on(t, c, e.Name(), s); ok {
			if s.count == carom.CountOn {
				counted = len(seen)
			}
			seen = append(seen, o)
		}
	}
	for i := 1; i < len(seen); i++ {
		report(t, disagreements(c, &seen[0], &seen[i]))
	}
	isKernel := func(e carom.Engine) bool { return e.Name() == kernel.Name }
	if !slices.ContainsFunc(r.engines, isKernel) || !counts || counted < 0 {
		return
	}
	r.onCounters(t, c, &seen[counted])
}

// on runs a case on an engine, in a subtest, and reports whether there is something to compare.
func (r *runner) on(t *testing.T, c *Case, name string, s subject) (o observed, ok bool) {
	t.Run(name, func(t *testing.T) {
		if err := r.unavailable[s.engine.Name()]; err != nil {
			r.skip(t, c, name, err.Error())
		}
		if why := c.Skipped(name); why != "" {
			if c.Unsafe == "" || !s.isKernel() {
				mustFail(t, name, observe(t, c, s, &r.ended))
			}
			r.skip(t, c, name, "")
		}
		o = observe(t, c, s, &r.ended)
		if o.missing != "" {
			r.skip(t, c, name, o.missing)
		}
		r.sum.add(name, "", "")
		report(t, o.problems)
		ok = true
	})
	return o, ok
}

// onCounters compares tail calls, and all else, with programs that count in the kernel.
func (r *runner) onCounters(t *testing.T, c *Case, user *observed) {
	t.Run(EdgeCounts, func(t *testing.T) {
		if err := r.unavailable[kernel.Name]; err != nil {
			r.skip(t, c, EdgeCounts, err.Error())
		}
		o := observe(t, c, withCounters(), &r.ended)
		o.problems = append(o.problems, disagreements(c, user, &o)...)
		if why := c.Skipped(EdgeCounts); why != "" {
			mustFail(t, EdgeCounts, o)
			r.skip(t, c, EdgeCounts, "")
		}
		if o.missing != "" {
			r.skip(t, c, EdgeCounts, o.missing)
		}
		r.sum.add(EdgeCounts, "", "")
		report(t, o.problems)
	})
}

// skip ends a subtest for the reason of the case or, where it has none, that of the system.
func (r *runner) skip(t *testing.T, c *Case, name, missing string) {
	why := c.Skipped(name)
	r.sum.add(name, why, missing)
	if why == "" {
		why = missing
	}
	t.Skip(why)
}

// mustFail checks that a case is not left out for nothing.
func mustFail(t *testing.T, name string, o observed) {
	t.Helper()
	if len(o.problems) == 0 && o.missing == "" {
		t.Errorf("the case is skipped on %q, and nothing is wrong with it there: take it out of Skip", name)
	}
}

func report(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

// observed is what one engine did with a case.
type observed struct {
	engine   string
	missing  string   // why this system cannot run the case
	problems []string // differences from the expectation
	steps    []state
}

// state is what there is after a step.
type state struct {
	name    string
	failure string // of the run
	ret     uint32
	data    []byte
	context []byte
	trace   []string
	records records
	edges   edges // nil when nobody counts
	maps    map[string]contents
}

// disagreements lists what two engines see differently.
func disagreements(c *Case, a, b *observed) []string {
	var out []string
	differ := func(step, what string, x, y any) {
		out = append(out, fmt.Sprintf("%s: the engines disagree about %s\n\t%-12s %v\n\t%-12s %v",
			step, what, a.engine+":", x, b.engine+":", y))
	}
	for i := range min(len(a.steps), len(b.steps)) {
		x, y := &a.steps[i], &b.steps[i]
		if x.failure != y.failure {
			differ(x.name, "the outcome", orOK(x.failure), orOK(y.failure))
			continue
		}
		if !x.records.equal(y.records) {
			differ(x.name, "the records", fmt.Sprintf("% x", x.records), fmt.Sprintf("% x", y.records))
		}
		if x.ret != y.ret {
			differ(x.name, "the return value", describe(x.ret), describe(y.ret))
		}
		if !slices.Equal(x.data, y.data) {
			differ(x.name, "the packet", dump(x.data), dump(y.data))
		}
		if !slices.Equal(x.context, y.context) {
			differ(x.name, "the context", dump(x.context), dump(y.context))
		}
		if !slices.Equal(x.trace, y.trace) {
			differ(x.name, "what was printed", fmt.Sprintf("%q", x.trace), fmt.Sprintf("%q", y.trace))
		}
		if x.edges != nil && y.edges != nil && !x.edges.equal(y.edges) {
			differ(x.name, "the tail calls", x.edges.without(y.edges), y.edges.without(x.edges))
		}
		for _, d := range diffMaps(x.maps, y.maps, c.Ignore) {
			differ(x.name, d.where, d.a, d.b)
		}
	}
	return out
}

func orOK(failure string) string {
	if failure == "" {
		return "no error"
	}
	return failure
}

func describe(ret uint32) string { return fmt.Sprintf("%d (%#x)", int32(ret), ret) }

func dump(b []byte) string { return fmt.Sprintf("%d bytes: % x", len(b), b) }
