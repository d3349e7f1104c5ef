package main

import (
	"fmt"
	"io"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/trace"
)

// summary is what all runs together did: the table at the end, and the last line of --json.
type summary struct {
	Kind     string         `json:"kind"` // summary
	Object   string         `json:"object"`
	Engine   string         `json:"engine"` // that gave the numbers: interp, jit or kernel
	Entry    string         `json:"entry"`
	Type     string         `json:"type"`
	Inputs   uint64         `json:"inputs"` // packets, events or single runs
	Runs     uint64         `json:"runs"`   // of the entry, repetitions included
	Programs []programRuns  `json:"programs"`
	Counted  bool           `json:"edges_counted"` // tail calls of the kernel are counted on request
	Edges    []edgeCount    `json:"edges"`
	Misses   []edgeCount    `json:"misses"`
	Verdicts []verdictCount `json:"verdicts"`
	Refused  []refusedCount `json:"refused"`
	Records  []recordCount  `json:"records"`
	Unwound  []unwoundCount `json:"unwound"`
	Insns    int64          `json:"instructions"`
	Hops     uint64         `json:"tail_calls"`
	Missed   uint64         `json:"not_taken"`
	// Elapsed is the time of all runs in nanoseconds. It is left out with a fixed clock, so that
	// the same input gives the same bytes.
	Elapsed *time.Duration `json:"elapsed_ns,omitempty"`
	Timings *timings       `json:"timings,omitempty"` // for --timings

	verdicts map[verdictKey]uint64
	refused  map[refusedKey]uint64
	unwound  map[string]uint64
	names    verdicts
	packets  bool
	elapsed  time.Duration
}

type programRuns struct {
	Name string `json:"name"`
	Runs uint64 `json:"runs"`
}

type edgeCount struct {
	From   string `json:"from"`
	Insn   int    `json:"insn"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Source string `json:"source,omitempty"`
	Map    string `json:"map"`
	Index  uint32 `json:"index"`
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	Count  uint64 `json:"count"`
}

type verdictKey struct {
	name  string
	value int32
}

type verdictCount struct {
	Name  string `json:"name"`
	Value int32  `json:"value"`
	Count uint64 `json:"count"`
}

type refusedKey struct{ errno, reason string }

type refusedCount struct {
	Errno  string `json:"errno"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

type recordCount struct {
	Map   string `json:"map"`
	Count uint64 `json:"count"`
	Lost  uint64 `json:"lost"`
}

type unwoundCount struct {
	Helper string `json:"helper"`
	Count  uint64 `json:"count"`
}

func newSummary(object string, entry *carom.Program) *summary {
	return &summary{
		Kind: "summary", Object: object, Entry: entry.Name(), Type: entry.Type().String(),
		verdicts: map[verdictKey]uint64{}, refused: map[refusedKey]uint64{}, unwound: map[string]uint64{},
		names: newVerdicts(entry), packets: takesPackets(entry.Type()),
	}
}

// count adds the result of one input.
func (s *summary) count(in *carom.Input, res *carom.Result) {
	s.Runs += uint64(max(in.Repeat, 1))
	s.Insns += res.Instructions
	s.verdicts[verdictKey{s.names.name(res.Return, &res.Redirect, len(in.Data)), int32(uint32(res.Return))}]++
	if res.UnwoundBy != "" {
		s.unwound[res.UnwoundBy]++
	}
}

// refusal is the error of a run in which every input was refused, else nil.
func (s *summary) refusal() error {
	if s.Inputs == 0 || s.Runs > 0 || len(s.Refused) == 0 {
		return nil
	}
	r := s.Refused[0]
	if r.Errno == linux.ENOTSUPP.Name() {
		return fmt.Errorf("%s: %s: %w; choose a program of another type with --prog", s.Entry, r.Reason, carom.ErrUnsupported)
	}
	return fmt.Errorf("%s: every input was refused: %s; give inputs that BPF_PROG_TEST_RUN takes", s.Entry, r.Reason)
}

// finish computes the lists from what was counted.
func (s *summary) finish(coll *carom.Collection, records []*recordMap, f *runFlags) error {
	s.Engine, s.Counted = engineInterp, true
	if p := coll.Programs[s.Entry]; p != nil && p.Jited() {
		s.Engine = engineJIT
	}
	if f.engine == engineKernel {
		s.Engine, s.Counted = engineKernel, f.countEdges
	}
	var edges []carom.Edge
	if s.Counted {
		var err error
		if edges, err = coll.Edges(); err != nil {
			return err
		}
	}
	incoming := map[string]uint64{s.Entry: s.Runs}
	s.Edges, s.Misses = []edgeCount{}, []edgeCount{}
	for _, e := range edges {
		c := edgeCount{
			From: e.From, Insn: e.Insn, File: e.File, Line: e.Line, Source: strings.TrimSpace(e.Source),
			Map: e.Map, Index: e.Index, To: e.To, Count: e.Count,
		}
		if e.Reason == trace.Taken {
			s.Hops += e.Count
			incoming[e.To] += e.Count
			s.Edges = append(s.Edges, c)
			continue
		}
		c.Reason = e.Reason.String()
		s.Missed += e.Count
		s.Misses = append(s.Misses, c)
	}
	s.Programs = []programRuns{{s.Entry, incoming[s.Entry]}}
	for _, name := range coll.Names() {
		if name != s.Entry && s.Counted {
			s.Programs = append(s.Programs, programRuns{name, incoming[name]})
		}
	}
	s.Verdicts, s.Refused = []verdictCount{}, []refusedCount{}
	for k, n := range s.verdicts {
		s.Verdicts = append(s.Verdicts, verdictCount{k.name, k.value, n})
	}
	sort.Slice(s.Verdicts, func(i, j int) bool {
		a, b := s.Verdicts[i], s.Verdicts[j]
		return a.Count > b.Count || a.Count == b.Count && a.Name < b.Name
	})
	for k, n := range s.refused {
		s.Refused = append(s.Refused, refusedCount{k.errno, k.reason, n})
	}
	sort.Slice(s.Refused, func(i, j int) bool {
		a, b := s.Refused[i], s.Refused[j]
		return a.Errno < b.Errno || a.Errno == b.Errno && a.Reason < b.Reason
	})
	s.Records, s.Unwound = []recordCount{}, []unwoundCount{}
	for _, r := range records {
		s.Records = append(s.Records, recordCount{r.name, r.count, r.lost})
	}
	for _, name := range sortedKeys(s.unwound) {
		s.Unwound = append(s.Unwound, unwoundCount{name, s.unwound[name]})
	}
	if f.clock != "fixed" { // the same input gives the same bytes
		s.Elapsed = &s.elapsed
	}
	return nil
}

func (s *summary) writeJSON(w io.Writer) error { return writeJSON(w, s) }

// write prints the tables.
func (s *summary) write(w io.Writer) error {
	for _, t := range []*table{s.programTable(), s.edgeTable(), s.missTable(), s.verdictTable(), s.refusedTable(), s.recordTable(), s.unwoundTable()} {
		if err := t.write(w); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(w, s.total()); err != nil {
		return err
	}
	return s.Timings.write(w)
}

func (s *summary) programTable() *table {
	t := &table{head: []string{"program", ">runs"}}
	for _, p := range s.Programs {
		t.add(p.Name, number(p.Runs))
	}
	return t
}

// edgeTable has one row for each edge; calls from several places are added up.
func (s *summary) edgeTable() *table {
	t := &table{head: []string{"tail call taken", ">count"}}
	row := map[string]int{}
	var counts []uint64
	for _, e := range s.Edges {
		text := fmt.Sprintf("%s -> %s[%d] -> %s", e.From, e.Map, e.Index, e.To)
		i, ok := row[text]
		if !ok {
			i = len(counts)
			row[text] = i
			counts = append(counts, 0)
			t.add(text, "")
		}
		counts[i] += e.Count
		t.rows[i][1] = number(counts[i])
	}
	return t
}

func (s *summary) missTable() *table {
	t := &table{head: []string{"tail call not taken", "reason", ">count", "at", "source"}}
	for _, e := range s.Misses {
		at := "insn " + strconv.Itoa(e.Insn)
		if e.File != "" {
			at = fmt.Sprintf("%s:%d", path.Base(e.File), e.Line)
		}
		t.add(fmt.Sprintf("%s -> %s[%d]", e.From, e.Map, e.Index), e.Reason, number(e.Count), at, e.Source)
	}
	return t
}

func (s *summary) verdictTable() *table {
	head := []string{"result", ">runs"}
	if s.packets {
		head = []string{"verdict", ">packets"}
	}
	t := &table{head: head}
	for _, v := range s.Verdicts {
		t.add(v.Name, number(v.Count))
	}
	return t
}

func (s *summary) refusedTable() *table {
	t := &table{head: []string{"refused", ">count", "reason"}}
	for _, r := range s.Refused {
		t.add(r.Errno, number(r.Count), r.Reason)
	}
	return t
}

func (s *summary) recordTable() *table {
	t := &table{head: []string{"records of", ">count", ">lost"}}
	for _, r := range s.Records {
		t.add(r.Map, number(r.Count), number(r.Lost))
	}
	return t
}

func (s *summary) unwoundTable() *table {
	t := &table{head: []string{"ended by helper", ">runs"}}
	for _, u := range s.Unwound {
		t.add(u.Helper, number(u.Count))
	}
	return t
}

// total is the last line.
func (s *summary) total() string {
	what := "input"
	if s.packets {
		what = "packet"
	}
	text := plural(s.Inputs, what) + ", " + plural(s.Runs, "run")
	if s.Engine == engineKernel {
		text += " in the kernel"
		if s.Counted {
			text += " of an instrumented copy"
		}
	}
	if s.Counted {
		text += fmt.Sprintf(", %s, %d not taken", plural(s.Hops, "tail call"), s.Missed)
	} else {
		text += ", tail calls not counted (--count-edges counts them)"
	}
	if s.Insns > 0 { // counted by the interpreter only
		text += ", " + plural(uint64(s.Insns), "instruction")
	}
	if s.Elapsed == nil || s.Runs == 0 {
		return text
	}
	each := *s.Elapsed / time.Duration(s.Runs)
	return text + fmt.Sprintf(", %s (%s a run)", rounded(*s.Elapsed), rounded(each))
}

// rounded keeps three digits.
func rounded(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
