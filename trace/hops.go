package trace

import (
	"io"
	"strconv"
	"strings"
)

// Hops writes one line for each tail call, taken or not, and leaves out other events:
//
//	entry[12] dispatch.c:40 -> prog_array[1] -> target (1)
//	entry[12] dispatch.c:40 -> prog_array[0]: not taken, empty slot (0)
//
// The number in parentheses is how many tail calls the run has taken so far. It is safe for
// concurrent use.
type Hops struct{ lines }

// NewHops makes a Hops that writes each line with one call of Write.
func NewHops(w io.Writer) *Hops { return &Hops{lines{w: w}} }

// Event implements Sink.
func (h *Hops) Event(e *Event) {
	if e.Kind == Hop || e.Kind == Miss {
		h.write(func(b []byte) []byte { return AppendHop(b, e) })
	}
}

// Wants implements Chooser.
func (h *Hops) Wants(k Kind) bool { return k == Hop || k == Miss }

// Err returns the first error of the writer. Nothing is written after it.
func (h *Hops) Err() error { return h.failed() }

// AppendHop appends the line of a Hop or Miss event without a newline at its end.
func AppendHop(b []byte, e *Event) []byte {
	b = append(append(b, e.From...), '[')
	b = strconv.AppendInt(b, int64(e.Insn), 10)
	b = append(b, ']')
	if e.File != "" {
		b = append(b, ' ')
		b = append(b, e.File[strings.LastIndexByte(e.File, '/')+1:]...)
		b = strconv.AppendInt(append(b, ':'), int64(e.Line), 10)
	}
	b = append(b, " -> "...)
	b = append(append(b, e.Map...), '[')
	b = append(strconv.AppendUint(b, uint64(e.Index), 10), ']')
	if e.Kind == Hop {
		b = append(append(b, " -> "...), e.To...)
	} else {
		b = append(append(b, ": not taken, "...), e.Reason.String()...)
	}
	b = append(b, " ("...)
	return append(strconv.AppendInt(b, int64(e.Taken), 10), ')')
}
