package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/kernel"
	"github.com/cilium/ebpf"
)

// openStreams opens readers for the maps of records: those asked for, else all.
func openStreams(coll *carom.Collection, spec *ebpf.CollectionSpec, asked []string) ([]*recordMap, error) {
	chosen := coll
	var typed []string
	if len(asked) > 0 {
		chosen = &carom.Collection{Maps: map[string]*carom.Map{}}
	}
	for _, text := range asked {
		name, _, hasType := strings.Cut(text, ":")
		m, err := findMap(spec, name, "--events "+text)
		if err != nil {
			return nil, err
		}
		if m.Type != ebpf.PerfEventArray && m.Type != ebpf.RingBuf {
			return nil, usagef("--events %s: map %s is a %s; records come from a PerfEventArray or RingBuf", text, name, m.Type)
		}
		if hasType {
			typed = append(typed, text)
		}
		chosen.Maps[name] = coll.Maps[name]
	}
	all, err := openRecords(chosen, spec, typed)
	for _, r := range all {
		r.setDeadline(time.Time{}) // reads wait
	}
	return all, err
}

func (r *recordMap) setDeadline(t time.Time) {
	if r.perf != nil {
		r.perf.SetDeadline(t)
	} else {
		r.ring.SetDeadline(t)
	}
}

// flush has the reader return what is there and then an error that finished knows.
func (r *recordMap) flush() error {
	if r.perf != nil {
		return r.perf.Flush()
	}
	return r.ring.Flush()
}

// finished reports whether a reader ended because it was told to.
func finished(err error) bool {
	return errors.Is(err, maps.ErrFlushed) || errors.Is(err, os.ErrClosed)
}

// stream is the output of carom attach, to which several readers write.
type stream struct {
	mu      sync.Mutex
	out     *bufio.Writer
	json    bool
	printed uint64 // lines of trace_printk
	stays   bool   // all is pinned
}

// line writes one line: the text, or v as JSON.
func (s *stream) line(v any, format string, args ...any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json {
		if v == nil {
			return nil
		}
		return errors.Join(writeJSON(s.out, v), s.out.Flush())
	}
	_, err := fmt.Fprintf(s.out, format+"\n", args...)
	return errors.Join(err, s.out.Flush())
}

// Lines of carom attach --json.
type (
	attachedLine struct {
		Kind    string         `json:"kind"` // attached
		Program string         `json:"program"`
		ID      ebpf.ProgramID `json:"id"`
		Target  string         `json:"target"`
		// Instrumented says that a copy which counts tail calls is attached.
		Instrumented bool `json:"instrumented,omitempty"`
	}
	slotLine struct {
		Kind    string         `json:"kind"` // slot
		Map     string         `json:"map"`
		MapID   ebpf.MapID     `json:"map_id"`
		Index   uint32         `json:"index"`
		Program string         `json:"program,omitempty"`
		ID      ebpf.ProgramID `json:"id"`
	}
	printedLine struct {
		Kind string `json:"kind"` // printk
		Time uint64 `json:"time"` // nanoseconds since the system started
		CPU  int    `json:"cpu"`
		PID  int    `json:"pid"` // of the thread
		Comm string `json:"comm"`
		From string `json:"from,omitempty"` // program
		Text string `json:"text"`
	}
	lostLine struct {
		Kind    string `json:"kind"` // lost
		Map     string `json:"map"`
		CPU     int    `json:"cpu"`
		Samples uint64 `json:"samples"`
	}
	detachedLine struct {
		Kind      string              `json:"kind"` // detached, or left with --pin
		Seconds   float64             `json:"seconds"`
		Printed   uint64              `json:"printed"`
		TraceLost uint64              `json:"trace_lost"` // events of all programs on the machine
		Maps      map[string]mapCount `json:"maps,omitempty"`
		*edgeTotals
	}
	mapCount struct {
		Records uint64 `json:"records"`
		Lost    uint64 `json:"lost"`
	}
)

func (s *stream) attached(p *carom.Program, target string, instrumented bool) error {
	return s.line(attachedLine{"attached", p.Name(), p.ID(), target, instrumented},
		"%s (%s, id %d) is attached to %s", p.Name(), p.Type(), p.ID(), target)
}

// slots lists what the program arrays hold.
func (s *stream) slots(coll *carom.Collection) error {
	programs := map[ebpf.ProgramID]string{}
	for name, p := range coll.Programs {
		programs[p.ID()] = name
	}
	for _, name := range sortedKeys(coll.Maps) {
		m := coll.Maps[name]
		if m.Type() != ebpf.ProgramArray {
			continue
		}
		used := uint32(0)
		for i := range m.MaxEntries() {
			var id ebpf.ProgramID
			if err := m.Lookup(i, &id); errors.Is(err, ebpf.ErrKeyNotExist) {
				continue
			} else if err != nil {
				return err
			}
			used++
			if err := s.line(slotLine{"slot", name, m.ID(), i, programs[id], id},
				"  %s[%d] -> %s (id %d)", name, i, programs[id], id); err != nil {
				return err
			}
		}
		if used == 0 {
			if err := s.line(nil, "  %s is empty: its tail calls are not taken; fill it with --slot %s[INDEX]=PROGRAM", name, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stream) started(d time.Duration) error {
	_, will, _ := s.end()
	switch {
	case d > 0:
		return s.line(nil, "%s after %s, or with Ctrl-C", will, d)
	case s.stays:
		return s.line(nil, "Ctrl-C ends carom")
	}
	return s.line(nil, "Ctrl-C detaches")
}

// followRecords prints records until the reader is flushed.
func (s *stream) followRecords(r *recordMap) error {
	var sample carom.PerfRecord
	var record carom.RingbufRecord
	for {
		var err error
		if r.perf != nil {
			err = r.perf.ReadInto(&sample)
		} else {
			err = r.ring.ReadInto(&record)
		}
		if finished(err) {
			return s.flush()
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", r.name, err)
		}
		if r.perf != nil {
			err = s.sample(r, &sample)
		} else {
			err = s.record(r, record.RawSample, nil, record.Remaining)
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Flush()
}

func (s *stream) sample(r *recordMap, rec *carom.PerfRecord) error {
	if n := rec.LostSamples; n > 0 {
		r.lost += n
		return s.line(lostLine{"lost", r.name, rec.CPU, n}, "%s: %d samples of CPU %d are lost, they came too fast", r.name, n, rec.CPU)
	}
	if rec.RawSample == nil {
		return nil
	}
	cpu := rec.CPU
	return s.record(r, rec.RawSample, &cpu, rec.Remaining)
}

// record prints a record. Output is flushed when no more wait.
func (s *stream) record(r *recordMap, sample []byte, cpu *int, remaining int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.count++
	err := r.print(s.out, sample, cpu, s.json)
	if remaining == 0 {
		err = errors.Join(err, s.out.Flush())
	}
	return err
}

// pollTime is how long a reader of trace_printk waits at once.
const pollTime = 200 * time.Millisecond

// followPrinter prints lines of trace_printk until the programs are detached and all is read.
func (s *stream) followPrinter(p *kernel.Printer, detached <-chan struct{}) error {
	for quiet := 0; quiet < 2; {
		wait := pollTime
		select {
		case <-detached:
			wait = 0
			quiet++ // a line may be held back once, for its stack
		default:
		}
		lines, err := p.Read(wait)
		if err != nil {
			return err
		}
		if len(lines) > 0 {
			quiet = 0
		}
		for i := range lines {
			if err := s.print(&lines[i]); err != nil {
				return err
			}
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) print(l *kernel.Printed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.printed++
	if s.json {
		return writeJSON(s.out, printedLine{"printk", l.Time, l.CPU, l.TID, l.Comm, l.Program, l.Text})
	}
	_, err := fmt.Fprintf(s.out, "%s%s\n", l.Header, l.Text)
	return err
}

// summary says what came in all and what was lost.
func (s *stream) summary(took time.Duration, records []*recordMap, p *kernel.Printer, edges *edgeTotals) error {
	kind, _, did := s.end()
	v := detachedLine{Kind: kind, Seconds: took.Seconds(), Printed: s.printed, Maps: map[string]mapCount{}, edgeTotals: edges}
	var parts []string
	if p != nil {
		v.TraceLost = p.Lost()
		parts = append(parts, plural(s.printed, "line")+" printed")
		if v.TraceLost > 0 {
			parts = append(parts, plural(v.TraceLost, "trace event")+" lost")
		}
	}
	for _, r := range records {
		v.Maps[r.name] = mapCount{r.count, r.lost}
		part := plural(r.count, "record") + " of " + r.name
		if r.perf != nil {
			part += fmt.Sprintf(", %d lost", r.lost)
		}
		parts = append(parts, part)
	}
	if edges != nil {
		parts = append(parts, edges.String())
	}
	if len(parts) == 0 {
		parts = []string{"the object has nothing to print"}
	}
	return s.line(v, "%s after %s: %s", did, took.Round(time.Millisecond), strings.Join(parts, ", "))
}
