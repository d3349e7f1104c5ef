package asm

import (
	"github.com/carom-bpf/carom/internal/isa"
)

// mapValue reads [name], [id:5] or [idx:5] after map, and for the address of a value
// [0]+off or +off.
func (l *line) mapValue(s *stmt) error {
	if err := l.expect("["); err != nil {
		return err
	}
	name, err := l.word("the name of a map, or id:N, fd:N, idx:N")
	if err != nil {
		return err
	}
	object, value := uint8(isa.PseudoMapFD), uint8(isa.PseudoMapValue)
	s.setWide(0, 0)
	if l.accept(":") {
		switch name {
		case "id", "fd":
		case "idx":
			object, value = isa.PseudoMapIdx, isa.PseudoMapIdxValue
		default:
			return l.fail("expected id, fd or idx before the number of a map, not %s", name)
		}
		if s.Imm, err = l.imm32(); err != nil {
			return err
		}
	} else {
		s.ref, s.name = refMap, name
	}
	s.Src = object
	if err := l.expect("]"); err != nil {
		return err
	}
	if l.accept("[") {
		if err := l.expect("0", "]"); err != nil {
			return err
		}
		s.Src = value
	}
	if t := l.peek().text; t == "+" || t == "-" {
		s.Src = value
		if l.accept("+") { // bpftool prints a negative offset as +-4
			s.hi, err = l.imm32()
			return err
		}
		s.hi, err = l.imm32()
	}
	return err
}

func (l *line) funcValue(s *stmt) (err error) {
	if err := l.expect("["); err != nil {
		return err
	}
	s.setWide(isa.PseudoFunc, 0)
	s.ref = refFunc
	if s.name, err = l.word("the name of a function"); err != nil {
		return err
	}
	return l.expect("]")
}

// subprogValue reads the form in which bpftool prints the address of a subprogram.
func (l *line) subprogValue(s *stmt) (err error) {
	if err := l.expect("["); err != nil {
		return err
	}
	s.setWide(isa.PseudoFunc, 0)
	if s.Imm, err = l.imm32(); err != nil {
		return err
	}
	return l.expect("]")
}

// btfValue reads [id:N] or [id:N fd:M] after btf, the address of a kernel variable.
func (l *line) btfValue(s *stmt) (err error) {
	if err := l.expect("[", "id", ":"); err != nil {
		return err
	}
	s.setWide(isa.PseudoBTFID, 0)
	if s.Imm, err = l.imm32(); err != nil {
		return err
	}
	if l.accept("fd") {
		if err := l.expect(":"); err != nil {
			return err
		}
		if s.hi, err = l.imm32(); err != nil {
			return err
		}
	}
	return l.expect("]")
}

// lddw reads dst, src, imm64: a wide load with any pseudo source.
func (l *line) lddw(s *stmt) (err error) {
	if s.Dst, err = l.reg('r'); err != nil {
		return err
	}
	if err := l.expect(","); err != nil {
		return err
	}
	src, err := l.field(4)
	if err != nil {
		return err
	}
	if err := l.expect(","); err != nil {
		return err
	}
	imm, err := l.number(64)
	s.setWide(uint8(src), imm)
	return err
}
