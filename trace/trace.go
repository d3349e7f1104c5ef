// Package trace defines what a run can report while it goes on: every tail call that was taken
// or missed, and every line that a program prints.
package trace

// Kind says what happened.
type Kind uint8

// Kinds of event.
const (
	Hop    Kind = iota + 1 // a tail call was taken
	Miss                   // a tail call was not taken; Reason says why
	Printk                 // a program printed Text
)

// String names the kind.
func (k Kind) String() string { return pick([]string{"", "hop", "miss", "printk"}, int(k)) }

// Reason says why a tail call was not taken (kernel/bpf/core.c, JMP_TAIL_CALL).
type Reason uint8

// Reasons, in the order in which Linux checks them.
const (
	Taken      Reason = iota
	OutOfRange        // the index, cut to 32 bits, is not below max_entries
	Limit             // 33 tail calls were taken in this run
	Empty             // the slot holds no program
)

// String names the reason.
func (r Reason) String() string {
	return pick([]string{"taken", "index out of range", "limit of 33 reached", "empty slot"}, int(r))
}

func pick(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

// Event is one thing that happened on a virtual CPU. It is valid during the call to Sink.Event
// only; a sink that keeps it makes a copy, of Text too.
type Event struct {
	Kind Kind
	Time uint64 // nanoseconds of the run's clock
	CPU  int
	PID  uint32
	Comm string

	From string // program that made the call or printed
	Insn int    // instruction in From
	File string // source position of Insn, if the object has one
	Line int

	Map    string // PROG_ARRAY
	Index  uint32 // cut to 32 bits
	To     string // program that runs next; empty for a miss
	Reason Reason
	Taken  int // tail calls taken in this run so far, this one included

	Text []byte // of Printk, without the trailing newline
}

// Sink takes events. Virtual CPUs call it concurrently.
type Sink interface {
	Event(*Event)
}

// Chooser is a Sink that takes some kinds of events only. Others may be kept from it, and should be:
// a sink that takes hops slows down every one of them.
type Chooser interface {
	Sink
	// Wants reports whether the sink takes events of a kind. The answer never changes.
	Wants(Kind) bool
}

// Wants reports whether a sink takes events of a kind. One that is not a Chooser takes all.
func Wants(s Sink, k Kind) bool {
	if s == nil {
		return false
	}
	c, ok := s.(Chooser)
	return !ok || c.Wants(k)
}

// Only passes events of one kind on to a sink.
func Only(k Kind, s Sink) Sink { return only{k, s} }

type only struct {
	kind Kind
	sink Sink
}

// Event implements Sink.
func (o only) Event(e *Event) {
	if e.Kind == o.kind {
		o.sink.Event(e)
	}
}

// Wants implements Chooser.
func (o only) Wants(k Kind) bool { return k == o.kind && Wants(o.sink, k) }

// SinkFunc makes a function a Sink.
type SinkFunc func(*Event)

// Event implements Sink.
func (f SinkFunc) Event(e *Event) { f(e) }
