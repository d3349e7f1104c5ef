package main

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/carom-bpf/carom/internal/cmd/internal/kmsg"
	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/cilium/ebpf"
)

// random compares generated programs.
type random struct {
	on           bool
	sound        bool
	contain      bool
	cases        bool // programs that nearly all are accepted
	runs         int
	count, seed  uint64
	start        uint64
	duration     time.Duration
	dir          string
	keep         int
	verbose      bool
	stdout       io.Writer
	kernel       *judge
	convert      *converter
	options      verifier.Options
	begin        time.Time
	seen, loaded int // generated, given to Linux
	accepted     int // by Linux
	verdicts     int
	reasons      int
	unsafe       int
	surplus      int // of messages that already have their share, not in the other numbers
	bugs         int // programs for which Linux reports an error of its own
	unsupported  int // programs that need rules which carom does not have; not in the other numbers
	kernelTime   time.Duration
	caromTime    time.Duration
	messages     map[string]*count
	ratios       ratios
	groups       map[string]*group
	known        map[string]int // differences of a known class, which are in no group
	templates    map[string][2]int
}

func (r *random) flags(f *flag.FlagSet) {
	f.BoolVar(&r.on, "random", false, "generate programs")
	f.Uint64Var(&r.count, "count", 10000, "with -random: programs; 0 for no limit")
	f.Uint64Var(&r.seed, "seed", 1, "with -random: seed of the sequence")
	f.Uint64Var(&r.start, "start", 0, "with -random: number of the first program")
	f.DurationVar(&r.duration, "time", 0, "with -random: how long to run; 0 for no limit")
	f.StringVar(&r.dir, "out", "", "with -random: folder for programs that differ")
	f.BoolVar(&r.sound, "sound", false, "run generated programs that carom accepts, and check facts; Linux is not asked")
	f.BoolVar(&r.contain, "contain", false, "with -sound: check that every register is in the states of the verifier")
	f.BoolVar(&r.cases, "cases", false, "with -sound: programs that nearly all are accepted")
	f.IntVar(&r.runs, "runs", 4, "with -sound: inputs for each program")
	f.IntVar(&r.keep, "keep", 1, "with -random: programs to save of each kind of difference")
}

func (r *random) run(stderr io.Writer) int {
	log, err := kmsg.Open()
	if err != nil {
		fmt.Fprintln(stderr, "verifydiff: cannot read the kernel's log:", err)
		return 2
	}
	defer log.Close()
	if r.kernel, err = newJudge(); err != nil {
		fmt.Fprintln(stderr, "verifydiff:", err)
		return 2
	}
	defer r.kernel.close()
	r.convert = newConverter()
	profile := linux.Linux618()
	profile.Lacks = r.kernel.lacks()
	r.options.Profile = &profile
	if r.options.CPUs, err = ebpf.PossibleCPU(); err != nil {
		fmt.Fprintln(stderr, "verifydiff:", err)
		return 2
	}
	r.messages, r.groups, r.templates, r.known = map[string]*count{}, map[string]*group{}, map[string][2]int{}, map[string]int{}
	r.begin = time.Now()
	for n := r.start; r.count == 0 || n < r.start+r.count; n++ {
		if r.duration > 0 && time.Since(r.begin) > r.duration {
			break
		}
		r.one(n, gen.GenerateVerify(r.seed, n))
	}
	r.summary()
	if err := r.save(); err != nil {
		fmt.Fprintln(stderr, "verifydiff:", err)
		return 2
	}
	warnings, err := log.Warnings()
	if err != nil {
		fmt.Fprintln(stderr, "verifydiff: cannot read the kernel's log:", err)
		return 2
	}
	for _, w := range warnings {
		fmt.Fprintln(stderr, "kernel log:", w)
	}
	if len(r.groups) > 0 || len(warnings) > 0 {
		return 1
	}
	return 0
}

// share is the largest part of the rejections that one message may have.
const share = 0.05

func (r *random) one(n uint64, p *gen.VerifyProg) {
	r.seen++
	if !p.Loadable() {
		return
	}
	k := r.kernel.ask(p)
	r.loaded++
	if k.ownFault() {
		r.bugs++
		fmt.Fprintf(r.stdout, "number %d: Linux has a bug: %s\n", n, k.reason)
		return
	}
	c := r.askCarom(p)
	if c.unsupported {
		r.unsupported++
		return
	}
	kind := k.kind()
	if !k.accepted {
		rejected := r.loaded - r.bugs - r.unsupported - r.surplus - r.accepted
		if m := r.messages[kind]; m != nil && rejected > 2000 && float64(m.seen+1) > share*float64(rejected) {
			r.surplus++
			if !k.sameReason(c) {
				r.differs(n, p, k, c)
			}
			return
		}
		r.countMessage(kind, k, c)
	} else {
		r.accepted++
		if c.accepted {
			r.ratios.add(k.insns, c.insns)
		}
	}
	for _, t := range p.Made {
		v := r.templates[t]
		v[0]++
		if !k.accepted {
			v[1]++
		}
		r.templates[t] = v
	}
	r.kernelTime += k.took
	r.caromTime += c.took
	if k.agrees(c) {
		r.verdicts++
	}
	if c.accepted && !k.accepted {
		r.unsafe++
	}
	if k.sameReason(c) {
		r.reasons++
		return
	}
	r.differs(n, p, k, c)
}

// askCarom verifies a program. A panic is an answer, too.
func (r *random) askCarom(p *gen.VerifyProg) (a answer) {
	defer func() {
		if e := recover(); e != nil {
			a = answer{err: fmt.Errorf("panic: %v", e), reason: fmt.Sprintf("carom panics: %v", e)}
		}
	}()
	return askProgram(r.convert.program(p), &r.options)
}

func (r *random) countMessage(kind string, k, c answer) {
	m := r.messages[kind]
	if m == nil {
		m = &count{}
		r.messages[kind] = m
	}
	m.seen++
	if k.agrees(c) {
		m.verdict++
	}
	if k.sameReason(c) {
		m.reason++
	}
}

// group is the differences that read alike.
type group struct {
	seen    int
	numbers []uint64
	progs   []*gen.VerifyProg
}

func (r *random) differs(n uint64, p *gen.VerifyProg, k, c answer) {
	if class := known(p, k, c); class != "" {
		r.known[class]++
		return
	}
	key := k.kind() + " | " + c.kind()
	g := r.groups[key]
	if g == nil {
		g = &group{}
		r.groups[key] = g
	}
	g.seen++
	if len(g.progs) < r.keep {
		g.progs = append(g.progs, p)
		g.numbers = append(g.numbers, n)
	}
}

// ratios counts how the numbers of processed instructions compare.
type ratios struct {
	same, within, over, under int // within a factor of 1.5, above, below
	kernel, carom             int
}

func (r *ratios) add(kernel, carom int) {
	r.kernel += kernel
	r.carom += carom
	switch {
	case kernel == carom:
		r.same++
	case float64(carom) > 1.5*float64(kernel):
		r.over++
	case float64(kernel) > 1.5*float64(carom):
		r.under++
	default:
		r.within++
	}
}

func (r *random) summary() {
	out, took := r.stdout, time.Since(r.begin)
	counted := r.loaded - r.bugs - r.unsupported - r.surplus
	rejected := counted - r.accepted
	percent := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	fmt.Fprintf(out, "seed %d, numbers from %d: %d programs in %v (%.0f/s), %d given to Linux, not counted: %d whose message has its share, %d that carom does not support, %d errors of Linux itself\n",
		r.seed, r.start, r.seen, took.Round(time.Second/10), float64(r.seen)/took.Seconds(), r.loaded, r.surplus, r.unsupported, r.bugs)
	fmt.Fprintf(out, "counted %d: Linux accepts %d (%.1f %%), rejects %d (%.1f %%) with %d messages\n",
		counted, r.accepted, percent(r.accepted, counted), rejected, percent(rejected, counted), len(r.messages))
	fmt.Fprintf(out, "verdicts agree: %d (%.2f %%), reasons agree: %d (%.2f %%), accepted by carom only: %d\n",
		r.verdicts, percent(r.verdicts, counted), r.reasons, percent(r.reasons, counted), r.unsafe)
	q := r.ratios
	both := q.same + q.within + q.over + q.under
	fmt.Fprintf(out, "instructions processed where both accept: Linux %d, carom %d; the same %.2f %%, within 1.5 %.2f %%, more %d, fewer %d\n",
		q.kernel, q.carom, percent(q.same, both), percent(q.same+q.within, both), q.over, q.under)
	fmt.Fprintf(out, "time: BPF_PROG_LOAD %v, carom %v\n\n", r.kernelTime.Round(time.Millisecond), r.caromTime.Round(time.Millisecond))
	keys := slices.Collect(maps.Keys(r.messages))
	sort.Slice(keys, func(i, j int) bool { return r.messages[keys[i]].seen > r.messages[keys[j]].seen })
	fmt.Fprintln(out, "rejected, share, verdicts, reasons that agree, message")
	for _, k := range keys {
		m := r.messages[k]
		fmt.Fprintf(out, "%7d %5.2f %% %6.1f %% %6.1f %%  %s\n", m.seen, percent(m.seen, rejected), percent(m.verdict, m.seen), percent(m.reason, m.seen), k)
	}
	fmt.Fprintln(out, "\ntemplates: programs, rejected")
	for _, t := range slices.Sorted(maps.Keys(r.templates)) {
		v := r.templates[t]
		fmt.Fprintf(out, "%7d %5.1f %%  %s\n", v[0], percent(v[1], v[0]), t)
	}
	for _, class := range knownClasses() {
		if n := r.known[class.name]; n > 0 {
			fmt.Fprintf(out, "\n%d differences are known: %s. %s\n", n, class.name, class.why)
		}
	}
	fmt.Fprintln(out, "\ndifferences")
	keys = slices.Collect(maps.Keys(r.groups))
	sort.Slice(keys, func(i, j int) bool { return r.groups[keys[i]].seen > r.groups[keys[j]].seen })
	for _, k := range keys {
		fmt.Fprintf(out, "%7d  %s  (%d)\n", r.groups[k].seen, k, r.groups[k].numbers)
	}
}
