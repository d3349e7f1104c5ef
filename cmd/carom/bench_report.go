package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// benchReport is what carom bench found out.
type benchReport struct {
	Object   string          `json:"object"`
	TimeNs   int64           `json:"time_ns"` // for each program on each engine
	Engines  []benchPresence `json:"engines"`
	Programs []benchProgram  `json:"programs"`
	Means    []benchMean     `json:"geometric_means"`
}

// benchPresence says whether an engine is there.
type benchPresence struct {
	Engine  string `json:"engine"`
	Present bool   `json:"present"`
	Why     string `json:"why,omitempty"`
}

type benchProgram struct {
	Program string `json:"program"`
	Type    string `json:"type"`
	// Insns is how many instructions a run executes, on average over the packets.
	Insns   float64      `json:"instructions,omitempty"`
	Engines []benchTimes `json:"engines"`
	// Differs lists engines whose return value was another one than the first engine's.
	Differs []string `json:"differs,omitempty"`
}

// benchTimes is one program on one engine. Times are nanoseconds for one run.
type benchTimes struct {
	Engine  string      `json:"engine"`
	Why     string      `json:"why,omitempty"` // there are no times
	Ns      *spread     `json:"ns_per_run,omitempty"`
	PerInsn float64     `json:"ns_per_instruction,omitempty"`
	Mpps    float64     `json:"mpps,omitempty"` // runs in a second / 10^6
	Ratio   *benchRatio `json:"to_kernel,omitempty"`

	rounds  []float64
	returns []uint64
	insns   float64
	failed  bool
}

type spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// benchRatio is a ratio to the kernel: of the least times, and of each round.
type benchRatio struct {
	Least  float64 `json:"of_least"`
	Rounds spread  `json:"of_rounds"`
}

// benchMean is the geometric mean of an engine's ratios to the kernel.
type benchMean struct {
	Engine   string  `json:"engine"`
	Mean     float64 `json:"mean"`
	Programs int     `json:"programs"`
}

func spreadOf(values []float64) spread {
	s := slices.Sorted(slices.Values(values))
	return spread{s[0], s[len(s)/2], s[len(s)-1]}
}

func (p *benchProgram) add(r *benchRunner) {
	s := spreadOf(r.rounds)
	p.Engines = append(p.Engines, benchTimes{
		Engine: r.column.name, Ns: &s, Mpps: 1e3 / s.Min, rounds: r.rounds, returns: r.returns, insns: r.insns,
	})
}

// finish computes what compares engines.
func (p *benchProgram) finish() {
	var kernel *benchTimes
	var first []uint64
	for i := range p.Engines {
		e := &p.Engines[i]
		if e.Engine == engineKernel && e.Ns != nil {
			kernel = e
		}
		p.Insns = max(p.Insns, e.insns)
		switch {
		case e.returns == nil:
		case first == nil:
			first = e.returns
		case !slices.Equal(first, e.returns):
			p.Differs = append(p.Differs, e.Engine)
		}
	}
	for i := range p.Engines {
		e := &p.Engines[i]
		if e.Ns == nil {
			continue
		}
		if p.Insns > 0 {
			e.PerInsn = e.Ns.Min / p.Insns
		}
		if kernel == nil || e == kernel {
			continue
		}
		ratios := make([]float64, len(e.rounds))
		for k := range ratios {
			ratios[k] = e.rounds[k] / kernel.rounds[k]
		}
		e.Ratio = &benchRatio{Least: e.Ns.Min / kernel.Ns.Min, Rounds: spreadOf(ratios)}
	}
}

func (p *benchProgram) times(engine string) *benchTimes {
	for i := range p.Engines {
		if p.Engines[i].Engine == engine {
			return &p.Engines[i]
		}
	}
	return nil
}

// summarise computes the means.
func (b *benchReport) summarise() {
	b.Means = []benchMean{}
	for _, e := range b.Engines {
		sum, n := 0.0, 0
		for i := range b.Programs {
			if t := b.Programs[i].times(e.Engine); t != nil && t.Ratio != nil {
				sum, n = sum+math.Log(t.Ratio.Least), n+1
			}
		}
		if n > 0 {
			b.Means = append(b.Means, benchMean{e.Engine, math.Exp(sum / float64(n)), n})
		}
	}
}

// failure is the error when a program went wrong.
func (b *benchReport) failure() error {
	var all []error
	for _, p := range b.Programs {
		for _, e := range p.Engines {
			if e.failed {
				all = append(all, fmt.Errorf("%s, %s: %s", p.Program, e.Engine, e.Why))
			}
		}
	}
	return errors.Join(all...)
}

// write prints tables: times, then ratios, then remarks.
func (b *benchReport) write(w io.Writer) error {
	if err := b.timeTable().write(w); err != nil {
		return err
	}
	if err := b.ratioTable().write(w); err != nil {
		return err
	}
	for _, m := range b.Means {
		fmt.Fprintf(w, "%s: %.3f × the kernel, geometric mean of %s\n", m.Engine, m.Mean, plural(uint64(m.Programs), "program"))
	}
	for _, e := range b.Engines {
		if !e.Present {
			fmt.Fprintf(w, "%s is not measured: %s\n", e.Engine, e.Why)
		}
	}
	for _, p := range b.Programs {
		for _, e := range p.Differs {
			fmt.Fprintf(w, "%s returned something else on %s\n", p.Program, e)
		}
		for _, e := range p.Engines {
			if e.Why != "" && e.Engine != nativeName && b.present(e.Engine) {
				fmt.Fprintf(w, "%s, %s: %s\n", p.Program, e.Engine, e.Why)
			}
		}
	}
	return nil
}

func (b *benchReport) present(engine string) bool {
	return slices.ContainsFunc(b.Engines, func(e benchPresence) bool { return e.Engine == engine && e.Present })
}

// main is the engine whose speed in packets is shown: the JIT, else the first that is there.
func (b *benchReport) main() string {
	if b.present(engineJIT) {
		return engineJIT
	}
	for _, e := range b.Engines {
		if e.Present {
			return e.Engine
		}
	}
	return engineInterp
}

func (b *benchReport) timeTable() *table {
	main := b.main()
	t := &table{head: []string{"ns per run", ">insns"}}
	for _, e := range b.Engines {
		t.head = append(t.head, ">"+e.Engine)
	}
	t.head = append(t.head, ">"+main+" ns/insn", ">"+main+" Mpps")
	for i := range b.Programs {
		p := &b.Programs[i]
		row := []string{p.Program, orDash(p.Insns, 0)}
		for _, e := range b.Engines {
			ns := 0.0
			if x := p.times(e.Engine); x != nil && x.Ns != nil {
				ns = x.Ns.Min
			}
			row = append(row, orDash(ns, digitsOf(ns)))
		}
		if x := p.times(main); x != nil && x.Ns != nil {
			row = append(row, orDash(x.PerInsn, 2), orDash(x.Mpps, 3))
		} else {
			row = append(row, "-", "-")
		}
		t.add(row...)
	}
	return t
}

// ratioTable has the ratios of all engines, and the spread of the main one.
func (b *benchReport) ratioTable() *table {
	main := b.main()
	t := &table{head: []string{"ratio to the kernel"}}
	if len(b.Means) == 0 {
		return t
	}
	for _, m := range b.Means {
		t.head = append(t.head, ">"+m.Engine)
	}
	t.head = append(t.head, ">"+main+": least", ">middle", ">largest")
	for i := range b.Programs {
		p := &b.Programs[i]
		row := []string{p.Program}
		for _, m := range b.Means {
			least := 0.0
			if x := p.times(m.Engine); x != nil && x.Ratio != nil {
				least = x.Ratio.Least
			}
			row = append(row, orDash(least, 2))
		}
		var r spread
		if x := p.times(main); x != nil && x.Ratio != nil {
			r = x.Ratio.Rounds
		}
		t.add(append(row, orDash(r.Min, 2), orDash(r.Median, 2), orDash(r.Max, 2))...)
	}
	return t
}

// digitsOf is how many digits behind the point make sense.
func digitsOf(v float64) int {
	if v < 100 {
		return 1
	}
	return 0
}

func orDash(v float64, digits int) string {
	if v == 0 {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}
