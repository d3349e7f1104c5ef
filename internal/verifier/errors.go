package verifier

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// Classes of reasons that the exploration itself gives.
const (
	CodeInternal      reject.Code = "internal"
	CodeTooComplex    reject.Code = "too-complex"
	CodeReserved      reject.Code = "reserved-field"
	CodeUninit        reject.Code = "uninitialised-register"
	CodeFramePointer  reject.Code = "frame-pointer-write"
	CodeLock          reject.Code = "lock-held"
	CodePointerMath   reject.Code = "pointer-arithmetic"
	CodeNullMath      reject.Code = "null-check-missing-arithmetic"
	CodePointerLeak   reject.Code = "pointer-comparison"
	CodeDivZero       reject.Code = "division-by-zero"
	CodeShift         reject.Code = "shift-too-far"
	CodeUnbounded     reject.Code = "unbounded-offset"
	CodeLoop          reject.Code = "infinite-loop"
	CodeUnsupported   reject.Code = "unsupported"
	CodeMayGoto       reject.Code = "may-goto"
	CodeStackDepth    reject.Code = "stack-depth"
	CodeTailCall      reject.Code = "tail-call"
	CodeReturn        reject.Code = "return-value"
	CodeReference     reject.Code = "reference-leak"
	CodeProgram       reject.Code = "program"
	CodeMapUse        reject.Code = "map-not-allowed"
	CodeFuncInfo      reject.Code = "func-info"
	CodeHelper        reject.Code = "helper-not-allowed"
	CodeArgument      reject.Code = "helper-argument"
	CodeAccess        reject.Code = "invalid-access"
	CodeNullAccess    reject.Code = "null-check-missing"
	CodePacketAccess  reject.Code = "packet-bounds"
	CodeMapAccess     reject.Code = "map-value-bounds"
	CodeContextAccess reject.Code = "context-access"
	CodeStackAccess   reject.Code = "stack-access"
	CodeStackUninit   reject.Code = "stack-uninitialised"
	CodeAlignment     reject.Code = "alignment"
	CodeCallback      reject.Code = "callback"
	CodeDynptr        reject.Code = "dynptr"
	CodeIter          reject.Code = "iterator"
	CodeTimer         reject.Code = "timer"
	CodeLicence       reject.Code = "licence"
)

// Error is why a program is not accepted, with its source position.
type Error struct {
	Reason  reject.Error
	Program string
	File    string // empty without line_info
	Line    int
	Source  string // text of the line
	// Path lists what led there, oldest first.
	Path []PathStep
	// Frames are those of the chain of calls whose stack is too large, the first caller first.
	Frames []Frame
	// Explanation says in plain words what is wrong; Suggestion what to do.
	Explanation, Suggestion string
}

// PathStep is a place that the path to the error went through and why it matters.
type PathStep struct {
	Insn int
	File string
	Line int
	Text string
	Why  string
}

// Error gives program, place and reason.
func (e *Error) Error() string {
	s := "program " + e.Program
	if e.Reason.Insn >= 0 {
		s += fmt.Sprintf(": insn %d", e.Reason.Insn)
	}
	if e.File != "" {
		s += fmt.Sprintf(" at %s:%d", e.File, e.Line)
	}
	if e.Reason.Message != "" {
		return s + ": " + e.Reason.Message
	}
	return s + ": " + string(e.Reason.Code)
}

// Unwrap gives the reason and the error number.
func (e *Error) Unwrap() []error { return []error{&e.Reason, e.Reason.Errno} }

// fail makes the reason for the current instruction.
func (v *verifier) fail(code reject.Code, errno linux.Errno, format string, args ...any) *reject.Error {
	return reject.At(v.insn, code, errno, format, args...)
}

// failReg is fail for a register.
func (v *verifier) failReg(n int, code reject.Code, errno linux.Errno, format string, args ...any) *reject.Error {
	return reject.InReg(v.insn, n, code, errno, format, args...)
}

// unsupported refuses what belongs to the rules that carom's verifier does not have.
func (v *verifier) unsupported(what string) *reject.Error {
	e := v.fail(CodeUnsupported, linux.ENOTSUPP, "carom's verifier does not know %s", what)
	e.Found = what
	return e
}
