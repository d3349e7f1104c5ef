package asm

import (
	"fmt"
	"strconv"
	"strings"

	ebpfasm "github.com/cilium/ebpf/asm"

	"github.com/carom-bpf/carom/internal/isa"
)

// refKind says what the name in a statement stands for and which field it fills.
type refKind uint8

const (
	refNone     refKind = iota
	refBranch           // a label, in Off
	refLongJump         // a label, in Imm
	refCall             // a function, in Imm
	refFunc             // a function, in Imm of a wide load
	refMap              // a map, left to the loader
	refKfunc            // a kernel function, left to the loader
)

// stmt is one instruction before names are resolved.
type stmt struct {
	isa.Insn
	hi   int32 // upper half of the immediate of a wide load
	wide bool  // takes two slots; a raw statement takes one whatever its opcode
	raw  bool
	ref  refKind
	name string
	line int // index into the source lines
	col  int
}

func (s stmt) slots() int {
	if s.wide {
		return 2
	}
	return 1
}

// source is a parsed text: its lines for error messages and everything found in them.
type source struct {
	lines  []string
	stmts  []stmt
	funcs  []function // in the order of their first statement
	labels []label
}

// label marks the statement that follows it.
type label struct {
	name string
	stmt int
	line int
}

func (s *source) errorAt(line, col int, format string, args ...any) *Error {
	return &Error{
		Line:   line + 1,
		Column: col + 1,
		Text:   strings.TrimSpace(s.lines[line]),
		Reason: fmt.Sprintf(format, args...),
	}
}

// Parse reads a program for cilium/ebpf: map and kernel function names become references of
// the instructions, every function starts with a symbol, and when there is more than one
// function each carries the BTF without which Linux refuses tail calls in subprograms. Jumps
// to labels are resolved. Errors are of type *Error, also for an instruction that a cilium
// Instruction cannot hold (Assemble can).
func Parse(text string) (ebpfasm.Instructions, error) {
	src, err := parse(text)
	if err != nil {
		return nil, err
	}
	return src.instructions()
}

// Assemble reads a program into instruction slots. Calls and addresses of subprograms are
// resolved to distances; a map or kernel function must be given by number. Unlike Parse it
// takes every raw slot. Errors are of type *Error.
func Assemble(text string) ([]isa.Insn, error) {
	src, err := parse(text)
	if err != nil {
		return nil, err
	}
	return src.slots()
}

// parse reads all lines and resolves labels and functions.
func parse(text string) (*source, error) {
	src := &source{lines: strings.Split(text, "\n")}
	for n := range src.lines {
		if err := src.parseLine(n); err != nil {
			return nil, err
		}
	}
	if err := src.link(); err != nil {
		return nil, err
	}
	return src, nil
}

func (s *source) parseLine(n int) error {
	rest, op := linePrefix(s.lines[n])
	tokens, bad := lex(s.lines[n], rest)
	if bad >= 0 {
		return s.errorAt(n, bad, "unexpected character %q", s.lines[n][bad])
	}
	l := &line{src: s, n: n, tokens: tokens, op: op}
	if len(tokens) > 1 && tokens[0].kind == tokWord && tokens[1].text == ":" {
		s.labels = append(s.labels, label{name: tokens[0].text, stmt: len(s.stmts), line: n})
		l.tokens = tokens[2:]
	}
	if len(l.tokens) == 0 {
		return nil
	}
	if f := l.directive(); f != nil {
		if err := l.parseFunc(f); err != nil {
			return err
		}
		return l.end()
	}
	st := stmt{line: n, col: l.peek().col}
	if err := l.statement(&st); err != nil {
		return err
	}
	if err := l.end(); err != nil {
		return err
	}
	if op >= 0 && int(st.Op) != op {
		return s.errorAt(n, st.col, "the text has opcode %02x, not %02x", st.Op, op)
	}
	s.stmts = append(s.stmts, st)
	return nil
}

// line is a cursor over the tokens of one line.
type line struct {
	src    *source
	n      int
	tokens []token
	pos    int
	op     int // opcode printed before the instruction, or -1
}

func (l *line) peek() token {
	if l.pos < len(l.tokens) {
		return l.tokens[l.pos]
	}
	return token{col: len(l.src.lines[l.n])}
}

func (l *line) next() token {
	t := l.peek()
	if l.pos < len(l.tokens) {
		l.pos++
	}
	return t
}

// accept consumes the next token when it has this text.
func (l *line) accept(text string) bool {
	if t := l.peek(); t.kind == tokEnd || t.text != text {
		return false
	}
	l.pos++
	return true
}

func (l *line) expect(texts ...string) error {
	for _, text := range texts {
		if !l.accept(text) {
			return l.fail("expected %q", text)
		}
	}
	return nil
}

// fail makes an error at the next token.
func (l *line) fail(format string, args ...any) error {
	return l.src.errorAt(l.n, l.peek().col, format, args...)
}

func (l *line) end() error {
	if l.pos < len(l.tokens) {
		return l.fail("unexpected %q after the instruction", l.peek().text)
	}
	return nil
}

func (l *line) word(what string) (string, error) {
	if t := l.peek(); t.kind != tokWord {
		return "", l.fail("expected %s", what)
	}
	return l.next().text, nil
}

// reg is a register as written: r or w, and its number.
type reg struct {
	width byte
	n     uint8
}

// peekReg tells whether the next token is a register.
func (l *line) peekReg() (reg, bool) {
	t := l.peek()
	if t.kind != tokWord || len(t.text) < 2 || len(t.text) > 3 || t.text[0] != 'r' && t.text[0] != 'w' {
		return reg{}, false
	}
	n, err := strconv.ParseUint(t.text[1:], 10, 8)
	if err != nil || n > isa.FP || strconv.FormatUint(n, 10) != t.text[1:] {
		return reg{}, false
	}
	return reg{t.text[0], uint8(n)}, true
}

// reg reads a register of the given width, r or w; 0 takes both.
func (l *line) reg(width byte) (uint8, error) {
	r, ok := l.peekReg()
	if !ok {
		return 0, l.fail("expected a register, r0 to r10 or w0 to w10")
	}
	if width != 0 && r.width != width {
		return 0, l.fail("expected a register %c0 to %c10", width, width)
	}
	l.pos++
	return r.n, nil
}

// sameReg reads the register that stands on both sides of an instruction such as a negation.
func (l *line) sameReg(width byte, n uint8) error {
	t := l.pos
	got, err := l.reg(width)
	if err != nil {
		return err
	}
	if got != n {
		l.pos = t
		return l.fail("expected %c%d, the destination", width, n)
	}
	return nil
}

// number reads an integer with an optional sign. bits is its width: decimal numbers must fit
// as signed ones, hexadecimal numbers may be any pattern of that many bits. Decimal numbers of
// 64 bits may be unsigned.
func (l *line) number(bits uint) (int64, error) {
	start := l.pos
	negative := l.accept("-")
	if !negative {
		l.accept("+")
	}
	t := l.next()
	digits, base := t.text, 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	}
	v, err := strconv.ParseUint(digits, base, 64)
	if t.kind != tokNumber || err != nil {
		l.pos = start
		return 0, l.fail("expected a number of %d bits", bits)
	}
	limit := uint64(1)<<(bits-1) - 1 // largest that is accepted without a sign
	switch {
	case negative:
		limit = uint64(1) << (bits - 1)
	case base == 16 || bits == 64:
		limit = 1<<bits - 1
	}
	if v > limit {
		l.pos = start
		return 0, l.fail("%s does not fit %d bits", t.text, bits)
	}
	if negative {
		v = -v
	}
	shift := 64 - bits
	return int64(v<<shift) >> shift, nil
}

func (l *line) imm32() (int32, error) {
	v, err := l.number(32)
	return int32(v), err
}

// isNumber tells whether a number follows.
func (l *line) isNumber() bool {
	t := l.peek()
	if (t.text == "-" || t.text == "+") && l.pos+1 < len(l.tokens) {
		t = l.tokens[l.pos+1]
	}
	return t.kind == tokNumber
}
