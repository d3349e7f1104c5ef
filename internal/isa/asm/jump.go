package asm

import (
	"github.com/carom-bpf/carom/internal/isa"
)

// target reads pc+3, +3 or a label; the distance counts from the next instruction.
func (l *line) target(s *stmt, bits uint, ref refKind) (int64, error) {
	start := l.pos
	if l.accept("pc") && l.peek().text != "+" && l.peek().text != "-" {
		l.pos = start // a label of this name
	}
	if t := l.peek().text; t == "+" || t == "-" {
		return l.number(bits)
	}
	name, err := l.word("a label or a distance such as +3")
	s.ref, s.name = ref, name
	return 0, err
}

func (l *line) branch(s *stmt, op uint8) error {
	off, err := l.target(s, 16, refBranch)
	s.Op, s.Off = op, int16(off)
	return err
}

func (l *line) longJump(s *stmt) error {
	imm, err := l.target(s, 32, refLongJump)
	s.Op, s.Imm = isa.ClassJMP32|isa.JA, int32(imm)
	return err
}

func (l *line) throughReg(s *stmt, op uint8) (err error) {
	s.Op = op
	s.Dst, err = l.reg('r')
	return err
}

var comparisons = [...]struct {
	text string
	code uint8
}{
	{"==", isa.JEQ}, {"!=", isa.JNE}, {">", isa.JGT}, {">=", isa.JGE}, {"<", isa.JLT}, {"<=", isa.JLE},
	{"s>", isa.JSGT}, {"s>=", isa.JSGE}, {"s<", isa.JSLT}, {"s<=", isa.JSLE}, {"&", isa.JSET},
}

func comparison(t token) (code uint8, ok bool) {
	for _, c := range comparisons {
		if t.kind == tokPunct && c.text == t.text {
			return c.code, true
		}
	}
	return 0, false
}

// conditional reads what follows if.
func (l *line) conditional(s *stmt) error {
	left, ok := l.peekReg()
	if !ok {
		return l.fail("expected a register to compare")
	}
	l.pos++
	code, ok := comparison(l.peek())
	if !ok {
		return l.fail("expected a comparison such as == or s<")
	}
	l.pos++
	s.Dst, s.Op = left.n, isa.ClassJMP|code
	if left.width == 'w' {
		s.Op = isa.ClassJMP32 | code
	}
	if err := l.aluSource(s, left.width); err != nil {
		return err
	}
	if err := l.expect("goto"); err != nil {
		return err
	}
	return l.branch(s, s.Op)
}

// call reads the target of a call; a bare name stays open until all functions are known.
func (l *line) call(s *stmt) (err error) {
	s.Op = isa.ClassJMP | isa.CALL
	if l.isNumber() && l.peek().text != "+" {
		s.Imm, err = l.imm32()
		return err
	}
	if l.accept("kfunc") {
		return l.kfunc(s)
	}
	if t := l.peek(); t.kind == tokWord && t.text == "kernel" && l.pos+1 < len(l.tokens) && l.tokens[l.pos+1].text == "-" {
		if err := l.expect("kernel", "-", "function", "#"); err != nil {
			return err
		}
		s.Src = isa.CallKfunc
		s.Imm, err = l.imm32()
		return err
	}
	imm, err := l.target(s, 32, refCall)
	if err != nil {
		return err
	}
	if s.ref == refNone { // pc+5, perhaps with the name that bpftool appends
		s.Src, s.Imm = isa.CallLocal, int32(imm)
		if l.accept("#") {
			l.next()
		}
		return nil
	}
	if !l.accept("#") {
		return nil
	}
	return l.helper(s)
}

func (l *line) kfunc(s *stmt) (err error) {
	s.Src = isa.CallKfunc
	if err := l.expect(":"); err != nil {
		return err
	}
	if l.isNumber() {
		s.Imm, err = l.imm32()
		return err
	}
	s.ref = refKfunc
	s.name, err = l.word("the name or BTF id of a kernel function")
	return err
}

// helper reads the number after name#; the name must be that of the number.
func (l *line) helper(s *stmt) error {
	at := l.pos
	id, err := l.imm32()
	if err != nil {
		return err
	}
	if known := isa.HelperName(id); s.name != known && s.name != "unknown" {
		l.pos = at
		return l.fail("no helper %s has the number %d; write call %d for the helper or call kfunc:%s", s.name, id, id, s.name)
	}
	s.ref, s.name, s.Imm = refNone, "", id
	return nil
}
