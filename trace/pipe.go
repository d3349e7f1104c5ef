package trace

import (
	"io"
	"strconv"
	"sync"
)

// pipeFlags is the column of latency flags in a line of trace_pipe. Linux shows how it was
// interrupted there; these are the flags of a run by BPF_PROG_TEST_RUN: bottom halves off,
// preemption and migration disabled once.
const pipeFlags = "b..11"

// Pipe writes printed lines as tracefs trace_pipe shows them (kernel/trace/trace_output.c,
// trace_print_context), and leaves out other events:
//
//	carom-1       [000] b..11     1.000000: bpf_trace_printk: text
//
// It is safe for concurrent use.
type Pipe struct{ lines }

// NewPipe makes a Pipe that writes each line with one call of Write.
func NewPipe(w io.Writer) *Pipe { return &Pipe{lines{w: w}} }

// Event implements Sink.
func (p *Pipe) Event(e *Event) {
	if e.Kind == Printk {
		p.write(func(b []byte) []byte { return AppendPipe(b, e) })
	}
}

// Wants implements Chooser.
func (p *Pipe) Wants(k Kind) bool { return k == Printk }

// Err returns the first error of the writer. Nothing is written after it.
func (p *Pipe) Err() error { return p.failed() }

// AppendPipe appends the line of a Printk event without a newline at its end.
func AppendPipe(b []byte, e *Event) []byte {
	comm := e.Comm
	switch {
	case comm == "" && e.PID == 0:
		comm = "<idle>"
	case comm == "":
		comm = "<...>"
	}
	b = pad(b, 16-len(comm))
	b = append(append(b, comm...), '-')
	n := len(b)
	b = strconv.AppendUint(b, uint64(e.PID), 10)
	b = pad(b, 7-(len(b)-n))
	b = append(b, " ["...)
	b = zeros(b, uint64(e.CPU), 3)
	b = append(b, "] "+pipeFlags+" "...)
	// Linux rounds to microseconds.
	micros := (e.Time + 500) / 1000
	var digits [20]byte
	seconds := strconv.AppendUint(digits[:0], micros/1e6, 10)
	b = pad(b, 5-len(seconds))
	b = append(append(b, seconds...), '.')
	b = zeros(b, micros%1e6, 6)
	b = append(b, ": bpf_trace_printk: "...)
	return append(b, e.Text...)
}

func pad(b []byte, n int) []byte {
	for ; n > 0; n-- {
		b = append(b, ' ')
	}
	return b
}

// zeros appends v with leading zeros to at least width digits.
func zeros(b []byte, v uint64, width int) []byte {
	var digits [20]byte
	d := strconv.AppendUint(digits[:0], v, 10)
	for range width - len(d) {
		b = append(b, '0')
	}
	return append(b, d...)
}

// lines writes whole lines, one at a time.
type lines struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
	err error
}

func (l *lines) write(text func([]byte) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.buf = append(text(l.buf[:0]), '\n')
	_, l.err = l.w.Write(l.buf)
}

func (l *lines) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
