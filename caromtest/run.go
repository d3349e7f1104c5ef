package caromtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// Run runs each case as a subtest on all engines that there are on this system.
func Run(t *testing.T, cases ...Case) {
	t.Helper()
	RunOn(t, Engines(), cases...)
}

// Engines are those that Run uses: the interpreter, and the kernel.
func Engines() []carom.Engine {
	return []carom.Engine{carom.Interpreter, kernel.Engine(kernel.Options{})}
}

// RunOn runs each case as a subtest on the engines given. An engine that is not available is
// skipped with the reason.
func RunOn(t *testing.T, engines []carom.Engine, cases ...Case) {
	t.Helper()
	missing := map[string]error{}
	for _, e := range engines {
		if e.Name() == kernel.Name {
			missing[e.Name()] = kernel.Available()
		}
	}
	var ended leftovers
	defer ended.close(t)
	for i := range cases {
		c := &cases[i]
		t.Run(c.Name, func(t *testing.T) {
			var seen []observed
			for _, e := range engines {
				t.Run(e.Name(), func(t *testing.T) {
					if why := c.Skip[e.Name()]; why != "" {
						t.Skip(why)
					}
					if err := missing[e.Name()]; err != nil {
						t.Skip(err)
					}
					o := observe(t, c, e, &ended)
					for _, p := range o.problems {
						t.Error(p)
					}
					seen = append(seen, o)
				})
			}
			for i := 1; i < len(seen); i++ {
				for _, d := range disagreements(c, &seen[0], &seen[i]) {
					t.Error(d)
				}
			}
		})
	}
}

// observed is what one engine did with a case.
type observed struct {
	engine   string
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
		switch {
		case x.failure != y.failure:
			differ(x.name, "the outcome", orOK(x.failure), orOK(y.failure))
			continue
		case x.failure != "":
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
