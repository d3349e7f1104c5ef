package vm

import (
	"fmt"
	"strings"

	"github.com/carom-bpf/carom/internal/mem"
)

// Code says what kind of error ended a run.
type ErrorCode uint8

// Errors that end a run.
const (
	ErrAccess        ErrorCode = iota + 1 // memory that the program may not touch
	ErrContextAccess                      // no such context field, or not writable
	ErrMisaligned                         // an atomic operation on an address that is not aligned
	ErrBadOpcode                          // not an instruction
	ErrBadJump                            // a jump or fall-through to where no instruction is
	ErrCallDepth                          // more than 8 frames
	ErrBudget                             // the instruction budget is used up
	ErrCanceled                           // the context of the run ended
	ErrBadCall                            // call of something that cannot be called
	ErrBadMap                             // a register holds no map of the type needed
	ErrHelper                             // a helper refused its arguments
	ErrBusy                               // a run was started on a virtual CPU from inside a run
	ErrLeak                               // a reserved ring buffer record was not released
)

// String names the code.
func (c ErrorCode) String() string {
	names := [...]string{"", "invalid memory access", "invalid context access", "misaligned atomic access",
		"invalid instruction", "jump out of range", "call too deep", "instruction budget exhausted",
		"run canceled", "invalid call", "invalid map pointer", "helper failed", "virtual CPU is busy",
		"unreleased record"}
	if int(c) < len(names) && c > 0 {
		return names[c]
	}
	return "unknown error"
}

// Error is why a run ended without a result. It names the instruction and, for memory, what lies
// nearest to the address.
type Error struct {
	Code    ErrorCode
	Program string
	Func    string // subprogram, when it is not the entry
	Insn    int
	Disasm  string
	File    string
	Line    int
	Source  string

	Addr   uint64
	Size   int
	Access mem.Perm
	// Region is what Addr lies in or next to, empty when nothing is near.
	Region   string
	Distance int64 // bytes outside Region: negative before it, positive past it

	Reason string
	Err    error // cause, for example context.Canceled
}

func (e *Error) Unwrap() error { return e.Err }

// Error is one line: what, where, why.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", e.Program)
	if e.Func != "" && e.Func != e.Program {
		fmt.Fprintf(&b, "%s: ", e.Func)
	}
	fmt.Fprintf(&b, "insn %d", e.Insn)
	if e.Disasm != "" {
		fmt.Fprintf(&b, " (%s)", e.Disasm)
	}
	if e.File != "" {
		fmt.Fprintf(&b, " at %s:%d", e.File, e.Line)
	}
	fmt.Fprintf(&b, ": %s", e.Code)
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// withoutOpcode drops the opcode in front of a disassembled instruction.
func withoutOpcode(text string) string {
	if _, rest, ok := strings.Cut(text, ") "); ok && strings.HasPrefix(text, "(") {
		return rest
	}
	return text
}

// fault ends the run with an error at an instruction.
func (c *CPU) fault(p *Program, insn int, code ErrorCode, reason string, args ...any) *Error {
	e := &Error{Code: code, Program: p.Name, Insn: insn, Disasm: withoutOpcode(p.Disassemble(insn))}
	if len(args) > 0 {
		reason = fmt.Sprintf(reason, args...)
	}
	e.Reason = reason
	if f := p.FuncOf(insn); f != nil {
		e.Func = f.Name
	}
	if l := p.LineOf(insn); l != nil {
		e.File, e.Line, e.Source = l.File, l.Line, strings.TrimSpace(l.Text)
	}
	if c.err == nil {
		c.err = e
		c.stop = stopError
	}
	return e
}

// accessFault is fault for memory: it finds out what the address was probably meant to be.
func (c *CPU) accessFault(p *Program, insn int, addr uint64, size int, perm mem.Perm) {
	verb := "read"
	if perm&mem.PermWrite != 0 {
		verb = "write"
	}
	e := c.fault(p, insn, ErrAccess, "")
	e.Addr, e.Size, e.Access = addr, size, perm
	what := fmt.Sprintf("%s of %d bytes at %#x", verb, size, addr)
	switch {
	case addr < 4096:
		e.Reason = what + ": NULL pointer; check the value returned by the helper before using it"
		return
	case isFuncPointer(addr):
		e.Reason = what + ": the address of a function is not memory"
		return
	}
	c.describe(e, addr, uint64(size), what)
}

// describe fills in the nearest region.
func (c *CPU) describe(e *Error, addr, size uint64, what string) {
	type span struct {
		name   string
		lo, n  uint64
		detail string
	}
	best := span{}
	dist := int64(1) << 30
	consider := func(s span) {
		var d int64
		switch {
		case addr < s.lo:
			d = -int64(s.lo - addr)
		case addr >= s.lo+s.n:
			d = int64(addr-(s.lo+s.n)) + 1
		case addr+size > s.lo+s.n:
			d = int64(addr + size - (s.lo + s.n))
		}
		if max(d, -d) < max(dist, -dist) {
			best, dist = s, d
		}
	}
	if c.pkt.n > 0 || c.pkt.lo != 0 {
		consider(span{name: "packet", lo: c.pkt.lo, n: c.pkt.n})
	}
	consider(span{name: "context", lo: c.ctxAddr, n: uint64(c.ctxSize)})
	for d := 0; d <= c.depth; d++ {
		consider(span{name: fmt.Sprintf("stack of frame %d", d), lo: c.frameBase(d), n: frameSize})
	}
	for _, r := range c.records {
		consider(span{name: "ring buffer record", lo: r.lo, n: r.n})
	}
	if r := c.machine.Space.Find(addr); r != nil && addr-r.Base < r.Layout.Size && (r.Kind == mem.KindMapValue || r.Kind == mem.KindRunMemory) {
		off := addr - r.Base
		i := off / r.Stride
		name := fmt.Sprintf("element %d of map %s", i, r.Name)
		if r.Kind == mem.KindRunMemory {
			name = r.Name
		}
		consider(span{name: name, lo: r.Base + i*r.Stride + r.ValueOff, n: r.ValueSize, detail: r.Perm.String()})
	} else if r, _ := c.machine.Space.Nearest(addr, func(r *mem.Region) bool {
		return r.Kind == mem.KindMapValue || r.Kind == mem.KindRunMemory
	}); r != nil {
		consider(span{name: "values of map " + r.Name, lo: r.Base, n: r.Layout.Size})
	}
	switch {
	case best.name == "":
		e.Reason = what + ": no memory of this run is near"
	case dist == 0:
		e.Region = best.name
		e.Reason = fmt.Sprintf("%s: %s of %d bytes is %s for this access", what, best.name, best.n, "not accessible")
		if best.detail != "" {
			e.Reason = fmt.Sprintf("%s: %s is %s", what, best.name, best.detail)
		}
	case dist > 0:
		e.Region, e.Distance = best.name, dist
		e.Reason = fmt.Sprintf("%s: %d bytes past the end of %s (%d bytes long)", what, dist, best.name, best.n)
	default:
		e.Region, e.Distance = best.name, dist
		e.Reason = fmt.Sprintf("%s: %d bytes before the start of %s (%d bytes long)", what, -dist, best.name, best.n)
	}
}
