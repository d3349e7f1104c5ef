package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/trace"
	"github.com/cilium/ebpf"
)

// maxDifferences is how many differences are printed; all are counted.
const maxDifferences = 20

// judge is the kernel's half of --engine both. It runs every input after user space did, and
// compares.
type judge struct {
	side    *kernelSide
	coll    *carom.Collection
	entry   *carom.Program
	records []*recordMap
	res     carom.Result
	printed []string // by user space, in the current run
	out     io.Writer
	json    bool
	count   int
	edges   bool // compare tail calls
}

// differenceLine is a difference for --json.
type differenceLine struct {
	Kind      string `json:"kind"`            // difference
	Input     uint64 `json:"input,omitempty"` // 0: after all runs
	What      string `json:"what"`
	UserSpace string `json:"user_space"`
	InKernel  string `json:"kernel"`
}

// comparisonLine is the outcome of --engine both for --json.
type comparisonLine struct {
	Kind        string `json:"kind"` // comparison
	Differences int    `json:"differences"`
}

// newJudge loads the object into the kernel and sets it up as in user space.
func (s *session) newJudge(spec *ebpf.CollectionSpec, entry string, slots []slot, settings []setting) error {
	coll, err := carom.NewCollection(spec, s.flags.kernelOptions())
	if err != nil {
		return loadError(err)
	}
	s.judge = &judge{side: s.side, coll: coll, entry: coll.Programs[entry], out: s.out, json: s.flags.json, edges: s.flags.countEdges}
	if err := applySlots(coll, slots); err != nil {
		return loadError(err)
	}
	if err := applySettings(coll, settings); err != nil {
		return err
	}
	s.judge.records, err = openRecords(coll, spec, s.flags.eventStruct)
	for _, r := range append(slices.Clone(s.records), s.judge.records...) {
		r.keep = true
	}
	return err
}

// listen notes what programs print in user space.
func (j *judge) listen(e *trace.Event) {
	if e.Kind == trace.Printk {
		j.printed = append(j.printed, strings.TrimSuffix(string(e.Text), "\n"))
	}
}

// run runs the input in the kernel. mine and failure are what user space made of it.
func (j *judge) run(ctx context.Context, s *session, n int, in *carom.Input, mine *carom.Result, failure error) error {
	cpu, err := j.coll.CPU(ctx, n)
	if err != nil {
		return err
	}
	input := s.sum.Inputs
	err = cpu.Run(ctx, j.entry, in, &j.res)
	if err != nil && !isErrno(err) {
		return fmt.Errorf("input %d: %w", input, err)
	}
	if a, b := failureName(failure), failureName(err); a != b {
		return j.differ(input, "result", a, b)
	}
	if err == nil {
		if err := j.compareResults(input, s.sum.names, in, mine); err != nil {
			return err
		}
	}
	lines, err := j.side.printed()
	if err != nil {
		return err
	}
	theirs := make([]string, len(lines))
	for i, l := range lines {
		theirs[i] = l.Text
	}
	err = j.differLists(input, "printed lines", j.printed, theirs)
	j.printed = j.printed[:0]
	return errors.Join(err, j.compareRecords(input, s.records))
}

func (j *judge) compareResults(input uint64, names verdicts, in *carom.Input, mine *carom.Result) error {
	if uint32(mine.Return) != uint32(j.res.Return) {
		a := names.name(mine.Return, &carom.Redirect{}, len(in.Data))
		b := names.name(j.res.Return, &carom.Redirect{}, len(in.Data))
		if err := j.differ(input, "verdict", a, b); err != nil {
			return err
		}
	}
	if bytes.Equal(mine.Data, j.res.Data) {
		return nil
	}
	a, b := showBytes(mine.Data, j.res.Data)
	return j.differ(input, "packet", a, b)
}

func (j *judge) compareRecords(input uint64, mine []*recordMap) error {
	for i, theirs := range j.records {
		if err := theirs.drain(io.Discard, j.json); err != nil {
			return err
		}
		err := j.differLists(input, "records of "+theirs.name, mine[i].kept, theirs.kept)
		mine[i].kept, theirs.kept = nil, nil
		if err != nil {
			return err
		}
	}
	return nil
}

// differLists reports the first place where lists differ.
func (j *judge) differLists(input uint64, what string, a, b []string) error {
	for i := range max(len(a), len(b)) {
		x, y := "none", "none"
		if i < len(a) {
			x = fmt.Sprintf("%q", a[i])
		}
		if i < len(b) {
			y = fmt.Sprintf("%q", b[i])
		}
		if x != y {
			return j.differ(input, fmt.Sprintf("%s, number %d", what, i+1), x, y)
		}
	}
	return nil
}

// differ prints a difference.
func (j *judge) differ(input uint64, what, userSpace, inKernel string) error {
	if j.count++; j.count > maxDifferences {
		return nil
	}
	if j.json {
		return writeJSON(j.out, differenceLine{"difference", input, what, userSpace, inKernel})
	}
	where := fmt.Sprintf("input %d", input)
	if input == 0 {
		where = "after all runs"
	}
	_, err := fmt.Fprintf(j.out, "difference, %s: %s: user space %s, kernel %s\n", where, what, userSpace, inKernel)
	return err
}

// compareMaps compares what maps hold after all runs.
func (j *judge) compareMaps(coll *carom.Collection) error {
	for _, name := range sortedKeys(coll.Maps) {
		mine, theirs := coll.Maps[name], j.coll.Maps[name]
		if theirs == nil || !comparable(mine) {
			continue
		}
		a, err := contents(mine)
		if err != nil {
			return err
		}
		b, err := contents(theirs)
		if err != nil {
			return err
		}
		if err := j.differMap(mine, a, b); err != nil {
			return err
		}
	}
	return nil
}

// differMap compares elements. User space may have fewer CPUs; those that both have count.
func (j *judge) differMap(m *carom.Map, a, b map[string]string) error {
	keys := map[string]bool{}
	for _, c := range []map[string]string{a, b} {
		for k := range c {
			keys[k] = true
		}
	}
	for _, k := range sortedKeys(keys) {
		x, inA := a[k]
		y, inB := b[k]
		n := max(len(x), len(y))
		if isPerCPU(m.Type()) {
			n = min(len(x), len(y))
		}
		if inA && inB && x[:min(n, len(x))] == y[:min(n, len(y))] {
			continue
		}
		what := fmt.Sprintf("map %s[%s]", m.Name(), decode(m.KeyType(), []byte(k)).text)
		p, q := showBytes([]byte(x), []byte(y))
		if !inA {
			p = "absent"
		}
		if !inB {
			q = "absent"
		}
		if err := j.differ(0, what, p, q); err != nil {
			return err
		}
	}
	return nil
}

// comparable says that a map has elements that mean the same on both engines.
func comparable(m *carom.Map) bool {
	switch m.Type() {
	case ebpf.Array, ebpf.LPMTrie, ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.PerCPUArray, ebpf.Queue, ebpf.Stack:
		return m.KeySize() > 0
	}
	return isHash(m.Type())
}

func contents(m *carom.Map) (map[string]string, error) {
	all := map[string]string{}
	it := m.Iterate()
	var key, value []byte
	for it.Next(&key, &value) {
		switch m.Type() {
		case ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps:
			value = nil // ids
		}
		all[string(key)] = string(value)
	}
	return all, it.Err()
}

// compareEdges compares how often tail calls were taken, and not and why.
func (j *judge) compareEdges(coll *carom.Collection) error {
	mine, err := coll.Edges()
	if err != nil {
		return err
	}
	theirs, err := j.coll.Edges()
	if err != nil {
		return err
	}
	a, b := edgeCounts(mine), edgeCounts(theirs)
	all := map[string]bool{}
	for _, counts := range []map[string]uint64{a, b} {
		for k := range counts {
			all[k] = true
		}
	}
	for _, k := range sortedKeys(all) {
		if a[k] != b[k] {
			if err := j.differ(0, "tail call "+k, number(a[k]), number(b[k])); err != nil {
				return err
			}
		}
	}
	return nil
}

func edgeCounts(edges []carom.Edge) map[string]uint64 {
	counts := map[string]uint64{}
	for _, e := range edges {
		counts[fmt.Sprintf("%s, insn %d -> %s[%d]: %s %s", e.From, e.Insn, e.Map, e.Index, e.Reason, e.To)] += e.Count
	}
	return counts
}

// finish prints the outcome.
func (j *judge) finish(coll *carom.Collection, inputs uint64) error {
	if err := j.compareMaps(coll); err != nil {
		return err
	}
	if j.edges {
		if err := j.compareEdges(coll); err != nil {
			return err
		}
	}
	if j.json {
		return writeJSON(j.out, comparisonLine{"comparison", j.count})
	}
	text := fmt.Sprintf("user space and kernel, %s: no difference", plural(inputs, "input"))
	if j.count > 0 {
		text = fmt.Sprintf("user space and kernel, %s: %s", plural(inputs, "input"), plural(uint64(j.count), "difference"))
	}
	_, err := fmt.Fprintln(j.out, text)
	return err
}

// verdict is the error of a run with differences.
func (j *judge) verdict() error {
	if j == nil || j.count == 0 {
		return nil
	}
	return fmt.Errorf("user space and kernel do not agree: %s", plural(uint64(j.count), "difference"))
}

func (j *judge) close() {
	if j == nil {
		return
	}
	closeRecords(j.records)
	_ = j.coll.Close()
}

// isErrno says that BPF_PROG_TEST_RUN refused the input.
func isErrno(err error) bool {
	_, refused := refusal(err)
	return refused && !errors.Is(err, carom.ErrUnsupported)
}

// failureName is what engines have to agree on when an input is refused.
func failureName(err error) string {
	var errno linux.Errno
	if err == nil {
		return "a result"
	}
	if errors.As(err, &errno) {
		return errno.Name()
	}
	return err.Error()
}

// showBytes shows two pieces of memory from where they differ on.
func showBytes(a, b []byte) (string, string) {
	at := 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		at++
	}
	show := func(p []byte) string {
		return fmt.Sprintf("%d bytes, from %d on %x", len(p), at, p[min(at, len(p)):min(at+16, len(p))])
	}
	return show(a), show(b)
}
