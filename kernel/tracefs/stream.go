package tracefs

import (
	"regexp"
	"strconv"
	"strings"
)

// Entry is one call of bpf_trace_printk with all that trace_pipe says about it.
type Entry struct {
	Line
	Header string // what trace_pipe shows before the text, up to "bpf_trace_printk: "
	Comm   string // command of the thread, as the kernel last saw it
	Time   uint64 // nanoseconds of the trace clock, which counts from the start of the system
	Stack  []Frame
}

// Frame is one function of a kernel stack, the innermost first.
type Frame struct {
	Addr   uint64
	Symbol string // without address; bpf_prog_TAG_NAME for a program
}

// Batch is what was printed since the last call.
type Batch struct {
	Entries []Entry
	Lost    uint64 // events that the trace buffer had no room for
}

// Rows of trace_pipe: comm-tid [cpu] flags seconds.micros: what; a function of a stack; a loss.
var (
	rowHeader = regexp.MustCompile(`^(.{16})-(\d+) +\[(\d+)\] \S+ +(\d+)\.(\d{6}): `)
	rowFrame  = regexp.MustCompile(`^ => (.*) <([0-9a-f]+)>$`)
	rowLost   = regexp.MustCompile(`^CPU:\d+ \[LOST (\d+) EVENTS\]$`)
)

// What a row with a header says.
const (
	eventPrint = "bpf_trace_printk: "
	eventStack = "<stack trace>"
)

// stream parses trace_pipe as it comes, in pieces that end anywhere.
type stream struct {
	rest    string // a row that has not ended
	entries []Entry
	stack   int // index of the entry that stack rows belong to, -1 for none
	inText  bool
	lost    uint64
	waited  bool // the entries were held back once for a stack
}

func (s *stream) feed(text string) {
	text = s.rest + text
	for {
		row, after, whole := strings.Cut(text, "\n")
		if !whole {
			s.rest = row
			return
		}
		s.row(row)
		text = after
	}
}

func (s *stream) row(row string) {
	m := rowHeader.FindStringSubmatch(row)
	switch {
	case m != nil && strings.HasPrefix(row[len(m[0]):], eventPrint):
		s.print(m, row[len(m[0])+len(eventPrint):])
	case m != nil && row[len(m[0]):] == eventStack:
		s.inText, s.stack = false, s.withoutStack(m)
	case m != nil:
		s.inText, s.stack = false, -1
	case s.inText && !rowLost.MatchString(row):
		e := &s.entries[len(s.entries)-1]
		e.Text += "\n" + row
	default:
		s.other(row)
	}
}

func (s *stream) print(m []string, text string) {
	number := func(i int) uint64 { n, _ := strconv.ParseUint(m[i], 10, 64); return n }
	s.entries = append(s.entries, Entry{
		Line:   Line{TID: int(number(2)), CPU: int(number(3)), Text: text},
		Header: m[0] + eventPrint,
		Comm:   strings.TrimSpace(m[1]),
		Time:   number(4)*1e9 + number(5)*1e3,
	})
	s.inText = true
}

// withoutStack finds the entry that a stack belongs to: the last one of that thread and CPU that
// has none. One that interrupted another comes later and has its stack earlier.
func (s *stream) withoutStack(m []string) int {
	tid, _ := strconv.Atoi(m[2])
	cpu, _ := strconv.Atoi(m[3])
	for i := len(s.entries) - 1; i >= 0; i-- {
		if e := &s.entries[i]; e.TID == tid && e.CPU == cpu && e.Stack == nil {
			e.Stack = []Frame{}
			return i
		}
	}
	return -1
}

func (s *stream) other(row string) {
	if m := rowLost.FindStringSubmatch(row); m != nil {
		n, _ := strconv.ParseUint(m[1], 10, 64)
		s.lost += n
		s.inText, s.stack = false, -1
		return
	}
	m := rowFrame.FindStringSubmatch(row)
	if m == nil || s.stack < 0 || s.stack >= len(s.entries) {
		return
	}
	addr, _ := strconv.ParseUint(m[2], 16, 64)
	e := &s.entries[s.stack]
	e.Stack = append(e.Stack, Frame{addr, m[1]})
}

// take returns the entries that are complete. One without a stack waits for the next call, in case
// the stack comes then.
func (s *stream) take(stacks bool) Batch {
	n := len(s.entries)
	if stacks && !s.waited {
		for i, e := range s.entries {
			if len(e.Stack) == 0 {
				n = i
				break
			}
		}
	}
	s.waited = n < len(s.entries)
	b := Batch{Lost: s.lost, Entries: make([]Entry, n)}
	copy(b.Entries, s.entries)
	for i := range b.Entries {
		b.Entries[i].Text = strings.TrimSuffix(b.Entries[i].Text, "\n")
	}
	s.entries = append([]Entry(nil), s.entries[n:]...)
	s.lost = 0
	s.stack -= n
	if n > 0 && len(s.entries) == 0 {
		s.inText = false
	}
	return b
}
