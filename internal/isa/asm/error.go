package asm

import "fmt"

// Error says where and why a text is not a program.
type Error struct {
	Line   int    // line number, from 1
	Column int    // byte position in the line, from 1
	Text   string // the line, without surrounding space
	Reason string // what is wrong and what is expected
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s: %q", e.Line, e.Column, e.Reason, e.Text)
}
