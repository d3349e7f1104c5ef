// Package reject holds the reason why a program is not accepted, as data.
package reject

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
)

// Code names a class of reasons. It is stable: tools may compare it.
type Code string

// Error is the reason for which a program is refused. Message reads as Linux prints it.
type Error struct {
	Code    Code        // class of the reason
	Errno   linux.Errno // what bpf(BPF_PROG_LOAD) returns
	Insn    int         // instruction slot, -1 where the whole program is meant
	Reg     int         // register, -1 where none is meant
	Message string      // the last line of Linux's log, before its statistics; may be empty
	Before  []string    // lines that Linux prints before Message for the same reason
	Found   string      // what the program has, in words
	Needed  string      // what it would need
}

// Error gives the reason as one line.
func (e *Error) Error() string {
	s := e.Message
	if s == "" {
		s = string(e.Code)
	}
	if e.Insn >= 0 {
		s = fmt.Sprintf("insn %d: %s", e.Insn, s)
	}
	return s
}

// Unwrap gives the error number.
func (e *Error) Unwrap() error { return e.Errno }

// At makes an error for an instruction. The format gives Message.
func At(insn int, code Code, errno linux.Errno, format string, args ...any) *Error {
	return &Error{Code: code, Errno: errno, Insn: insn, Reg: -1, Message: fmt.Sprintf(format, args...)}
}

// InReg is At for a register of an instruction.
func InReg(insn, reg int, code Code, errno linux.Errno, format string, args ...any) *Error {
	e := At(insn, code, errno, format, args...)
	e.Reg = reg
	return e
}
