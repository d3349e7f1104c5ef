package amd64

import "fmt"

// Reason says why something cannot be encoded.
type Reason uint8

// Reasons.
const (
	BadRegister    Reason = iota + 1 // no register has this number
	BadWidth                         // the instruction does not exist in this width
	BadAddress                       // the zero Mem
	BadIndex                         // RSP as an index
	BadScale                         // a scale other than 1, 2, 4 and 8
	BadOperation                     // the operation does not exist in this form
	BadCondition                     // no condition has this number
	BadAlignment                     // not a power of two up to 4096
	ImmediateRange                   // an immediate or count that the width has no room for
	UnknownLabel                     // a label that this assembler has not made
	UnboundLabel                     // a label that is used but nowhere bound
	BoundTwice                       // a label bound a second time
	CodeTooLarge                     // more than 1 GiB of code
)

// String returns the reason as text.
func (r Reason) String() string {
	texts := [...]string{
		BadRegister:    "no such register",
		BadWidth:       "the instruction does not exist in this width",
		BadAddress:     "the memory operand is empty: make it with At, Indexed, Scaled or Rel",
		BadIndex:       "rsp cannot be an index",
		BadScale:       "the scale must be 1, 2, 4 or 8",
		BadOperation:   "the operation does not exist in this form",
		BadCondition:   "no such condition",
		BadAlignment:   "an alignment must be a power of two up to 4096",
		ImmediateRange: "the immediate does not fit the width",
		UnknownLabel:   "the label is not from this assembler",
		UnboundLabel:   "the label is used but nowhere bound",
		BoundTwice:     "the label is bound a second time",
		CodeTooLarge:   "more than 1 GiB of code",
	}
	if int(r) < len(texts) && texts[r] != "" {
		return texts[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// EncodeError is the first mistake in the use of an assembler.
type EncodeError struct {
	Reason Reason
	Insn   int   // encoded bytes before it, not counting jumps and padding
	Label  Label // for the reasons that concern a label
}

// Error returns the mistake as text.
func (e *EncodeError) Error() string {
	if e.Label != 0 {
		return fmt.Sprintf("amd64: label %d, after %d bytes of code: %s", e.Label, e.Insn, e.Reason)
	}
	return fmt.Sprintf("amd64: after %d bytes of code: %s", e.Insn, e.Reason)
}

// fail keeps the first mistake. It returns false for the convenience of its callers.
func (a *Assembler) fail(why Reason) bool { return a.failLabel(why, 0) }

func (a *Assembler) failLabel(why Reason, l Label) bool {
	if a.err == nil {
		a.err = &EncodeError{Reason: why, Insn: len(a.buf), Label: l}
	}
	return false
}
