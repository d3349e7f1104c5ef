package trace

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
)

// JSON writes every event as one line of JSON. Fields that mean nothing for the kind of event
// are left out. It is safe for concurrent use.
type JSON struct{ lines }

// NewJSON makes a JSON sink that writes each line with one call of Write.
func NewJSON(w io.Writer) *JSON { return &JSON{lines{w: w}} }

// Event implements Sink.
func (j *JSON) Event(e *Event) {
	j.write(func(b []byte) []byte { return AppendJSON(b, e) })
}

// Err returns the first error of the writer. Nothing is written after it.
func (j *JSON) Err() error { return j.failed() }

// common is what all kinds of event have.
type common struct {
	Kind string `json:"kind"`
	Time uint64 `json:"time"` // nanoseconds
	CPU  int    `json:"cpu"`
	PID  uint32 `json:"pid"`
	Comm string `json:"comm"`
	From string `json:"from"`
	Insn int    `json:"insn"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

type printkLine struct {
	common
	Text string `json:"text"`
}

type hopLine struct {
	common
	Map    string `json:"map"`
	Index  uint32 `json:"index"`
	To     string `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	Taken  int    `json:"taken"`
}

// AppendJSON appends an event as a JSON object without a newline at its end.
func AppendJSON(b []byte, e *Event) []byte {
	c := common{e.Kind.String(), e.Time, e.CPU, e.PID, e.Comm, e.From, e.Insn, e.File, e.Line}
	var v any
	switch e.Kind {
	case Hop:
		v = hopLine{common: c, Map: e.Map, Index: e.Index, To: e.To, Taken: e.Taken}
	case Miss:
		v = hopLine{common: c, Map: e.Map, Index: e.Index, Reason: e.Reason.String(), Taken: e.Taken}
	default:
		v = printkLine{common: c, Text: string(e.Text)}
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil { // cannot happen: strings and numbers only
		return b
	}
	return append(b, bytes.TrimSuffix(line.Bytes(), []byte("\n"))...)
}

// Tee passes events on to several sinks, in order.
func Tee(sinks ...Sink) Sink { return tee(slices.Clone(sinks)) }

type tee []Sink

// Event implements Sink.
func (t tee) Event(e *Event) {
	for _, s := range t {
		s.Event(e)
	}
}

// Wants implements Chooser.
func (t tee) Wants(k Kind) bool {
	return slices.ContainsFunc(t, func(s Sink) bool { return Wants(s, k) })
}
