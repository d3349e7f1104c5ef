// Command difftest runs random programs on several engines, compares everything that can be
// observed, and saves a small case of each difference.
//
//	go run ./internal/cmd/difftest --count 10000 --seed 1 --engines interp,jit,kernel --out /tmp/differences
//
// A case is named seed_number: --seed SEED --start NUMBER --count 1 runs it again, and --show prints
// it. With --out, the file "current" there holds the name of the case that runs, for when an engine
// takes the process down. The kernel needs root. A program runs on one engine after the other;
// only programs that end are given to the kernel. The exit code is 1 after a difference, and when
// the kernel logged a warning.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/cmd/internal/kmsg"
	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/kernel"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

type settings struct {
	count, seed, start uint64
	duration           time.Duration
	out                string
	refused            string
	engines            string
	most               int
	show               bool
}

func parse(args []string, stderr io.Writer) (*settings, error) {
	s := &settings{}
	flags := flag.NewFlagSet("difftest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&s.count, "count", 0, "collections to generate; 0 for no limit")
	flags.DurationVar(&s.duration, "time", 0, "how long to run; 0 for no limit")
	flags.Uint64Var(&s.seed, "seed", 1, "seed of the sequence")
	flags.Uint64Var(&s.start, "start", 0, "number of the first case in the sequence")
	flags.StringVar(&s.out, "out", "", "folder for cases that differ")
	flags.StringVar(&s.refused, "refused", "", "also save a small case of each refusal whose message has this text")
	flags.StringVar(&s.engines, "engines", "interp,kernel", "engines to compare, two or more of interp, jit and kernel, in this order")
	flags.IntVar(&s.most, "most", 20, "stop after so many differences")
	flags.BoolVar(&s.show, "show", false, "print the first case and stop")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if s.count == 0 && s.duration == 0 {
		s.count = 10000
	}
	return s, nil
}

func run(args []string, stderr io.Writer) int {
	s, err := parse(args, stderr)
	if err != nil {
		return 2
	}
	if s.show {
		fmt.Fprint(stderr, gen.Generate(s.seed, s.start))
		return 0
	}
	pairs, err := pairs(s.engines)
	if err != nil {
		fmt.Fprintln(stderr, "difftest:", err)
		return 2
	}
	t := &test{settings: s, stderr: stderr, refusals: map[string]int{}, begin: time.Now(), pairs: pairs}
	if pairs[len(pairs)-1].Judge.Name() != kernel.Name {
		t.loop()
		t.summary()
		return min(len(t.differences), 1)
	}
	log, err := kmsg.Open()
	if err != nil {
		fmt.Fprintln(stderr, "difftest: cannot read the kernel's log:", err)
		return 2
	}
	defer log.Close()
	t.loop()
	t.summary()
	warnings, err := log.Warnings()
	if err != nil {
		fmt.Fprintln(stderr, "difftest: cannot read the kernel's log:", err)
		return 1
	}
	for _, w := range warnings {
		fmt.Fprintln(stderr, "kernel log:", w)
	}
	if len(t.differences) > 0 || len(warnings) > 0 {
		return 1
	}
	return 0
}

// pairs are the engines to compare, each with the one before it.
func pairs(names string) ([]gen.Engines, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		cpus = runtime.NumCPU()
	}
	known := map[string]carom.Engine{"interp": carom.Interpreter, "jit": carom.JIT, kernel.Name: kernel.Engine(kernel.Options{})}
	var out []gen.Engines
	var last carom.Engine
	for name := range strings.SplitSeq(names, ",") {
		e := known[name]
		if e == nil {
			return nil, fmt.Errorf("--engines %s: there are interp, jit and kernel", name)
		}
		if last != nil && last.Name() == kernel.Name {
			return nil, errors.New("--engines: the kernel comes last, it gets what has run elsewhere")
		}
		if name == kernel.Name {
			if err := kernel.Available(); err != nil {
				return nil, err
			}
		}
		if last != nil {
			out = append(out, gen.Engines{Tested: last, Judge: e, CPUs: cpus})
		}
		last = e
	}
	if len(out) == 0 {
		return nil, errors.New("--engines: give two engines or more")
	}
	return out, nil
}

// compare runs a case on all engines, until two differ or one does not take it.
func (t *test) compare(c *gen.Case) (r gen.Report) {
	if t.out != "" {
		_ = os.WriteFile(filepath.Join(t.out, "current"), []byte(c.Name+"\n"), 0o644)
	}
	for i := range t.pairs {
		if r = t.pairs[i].Compare(c); r.Verdict != gen.Same {
			return r
		}
	}
	return r
}

type test struct {
	*settings
	stderr      io.Writer
	pairs       []gen.Engines
	begin       time.Time
	cases       int
	programs    int // generated
	accepted    int // programs
	same        int // cases
	runs        int
	endless     int
	unusable    int
	grown       int
	refusals    map[string]int
	differences []string
}

func (t *test) loop() {
	next := time.Now().Add(10 * time.Second)
	for n := t.start; t.count == 0 || n < t.start+t.count; n++ {
		if t.duration > 0 && time.Since(t.begin) >= t.duration || len(t.differences) >= t.most {
			return
		}
		t.one(gen.Generate(t.seed, n))
		if time.Now().After(next) {
			next = time.Now().Add(10 * time.Second)
			fmt.Fprintf(t.stderr, "%v: %d collections, %d programs accepted, %d runs, %d differences\n",
				time.Since(t.begin).Round(time.Second), t.cases, t.accepted, t.runs, len(t.differences))
		}
	}
}

// slow is what is worth a line: the verifier's work on one collection.
const slow = 3 * time.Second

func (t *test) one(c *gen.Case) {
	t.cases++
	t.programs += len(c.Progs)
	begin := time.Now()
	r := t.compare(c)
	if d := time.Since(begin); d > slow {
		fmt.Fprintf(t.stderr, "case %s took %v\n", c.Name, d.Round(time.Millisecond))
	}
	t.accepted += r.Progs
	t.runs += r.Runs
	switch r.Verdict {
	case gen.Same:
		t.same++
	case gen.Endless:
		t.endless++
	case gen.Grown:
		t.grown++
	case gen.Unusable:
		t.unusable++
		fmt.Fprintf(t.stderr, "case %s: %s\n", c.Name, r.Text)
	case gen.Refused:
		t.refusals[general(r.Text)]++
		if t.refused != "" && strings.Contains(r.Text, t.refused) {
			t.save(c, "refusal", func(r gen.Report) bool {
				return r.Verdict == gen.Refused && strings.Contains(r.Text, t.refused)
			})
		}
	case gen.Differs:
		t.differ(c, r)
	}
}

// attempts bounds the work on one difference.
const attempts = 2000

func (t *test) differ(c *gen.Case, first gen.Report) {
	t.differences = append(t.differences, c.Name+": "+first.Kind)
	t.save(c, first.Kind, func(r gen.Report) bool { return r.Verdict == gen.Differs && r.Kind == first.Kind })
}

// save minimises a case and writes it to the folder, or prints it when there is none.
func (t *test) save(c *gen.Case, what string, same func(gen.Report) bool) {
	small := gen.Minimise(c, attempts, func(c *gen.Case) bool { return same(t.compare(c)) })
	last := t.compare(small)
	text := strings.ReplaceAll("// "+what+":\n"+strings.TrimSpace(last.Text), "\n", "\n// ") + "\n" + small.String()
	if t.out == "" {
		fmt.Fprintf(t.stderr, "%s\n", text)
		return
	}
	path := filepath.Join(t.out, c.Name+".txt")
	err := errors.Join(os.MkdirAll(t.out, 0o755), os.WriteFile(path, []byte(text), 0o644))
	if err != nil {
		fmt.Fprintln(t.stderr, "difftest:", err)
	}
	fmt.Fprintf(t.stderr, "%s in case %s: %s\n", what, c.Name, path)
}

// general takes numbers out of a message, so that messages can be counted.
func general(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < '0' || r > '9':
			b.WriteRune(r)
		case !strings.HasSuffix(b.String(), "N"):
			b.WriteByte('N')
		}
	}
	return b.String()
}

func (t *test) summary() {
	elapsed := time.Since(t.begin).Round(time.Second)
	refused := 0
	for _, n := range t.refusals {
		refused += n
	}
	fmt.Fprintf(t.stderr, "seed %d, numbers from %d, %v\n", t.seed, t.start, elapsed)
	fmt.Fprintf(t.stderr, "generated: %d programs in %d collections\n", t.programs, t.cases)
	judged := t.cases - t.endless - t.unusable - t.grown
	fmt.Fprintf(t.stderr, "accepted:  %d programs in %d collections of %d (%.1f %%), %d runs compared\n",
		t.accepted, judged-refused, judged, 100*float64(judged-refused)/float64(max(judged, 1)), t.runs)
	fmt.Fprintf(t.stderr, "not run:   %d did not end within %d instructions, %d grew a packet too far, %d could not be assembled\n",
		t.endless, gen.Budget, t.grown, t.unusable)
	fmt.Fprintf(t.stderr, "refused:   %d\n", refused)
	messages := slices.SortedFunc(maps.Keys(t.refusals), func(a, b string) int { return t.refusals[b] - t.refusals[a] })
	for _, m := range messages[:min(len(messages), 25)] {
		fmt.Fprintf(t.stderr, "\t%6d  %s\n", t.refusals[m], m)
	}
	fmt.Fprintf(t.stderr, "differences: %d\n", len(t.differences))
	for _, d := range t.differences {
		fmt.Fprintln(t.stderr, "\t"+d)
	}
}
