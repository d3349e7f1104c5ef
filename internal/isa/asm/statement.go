package asm

import (
	"github.com/carom-bpf/carom/internal/isa"
)

// keyword returns the parser of a statement that begins with the word, or nil. All other
// statements begin with a register or with the * of a store.
func keyword(word string) func(*line, *stmt) error {
	switch word {
	case "goto":
		return func(l *line, s *stmt) error { return l.branch(s, isa.ClassJMP|isa.JA) }
	case "may_goto":
		return func(l *line, s *stmt) error { return l.branch(s, isa.ClassJMP|isa.JCOND) }
	case "gotol":
		return (*line).longJump
	case "gotox":
		return func(l *line, s *stmt) error { return l.throughReg(s, isa.ClassJMP|isa.JA|isa.SrcReg) }
	case "callx":
		return func(l *line, s *stmt) error { return l.throughReg(s, isa.ClassJMP|isa.CALL|isa.SrcReg) }
	case "if":
		return (*line).conditional
	case "call":
		return (*line).call
	case "exit":
		return func(_ *line, s *stmt) error { s.Op = isa.ClassJMP | isa.EXIT; return nil }
	case "nospec":
		return func(_ *line, s *stmt) error { s.Op = isa.ClassST | isa.ModeATOMIC; return nil }
	case "lock":
		return (*line).lock
	case "store_release":
		return (*line).storeRelease
	case "lddw":
		return (*line).lddw
	case "raw":
		return (*line).rawSlot
	}
	return nil
}

func (l *line) statement(s *stmt) error {
	if _, ok := l.peekReg(); ok {
		return l.regStatement(s)
	}
	t := l.peek()
	if t.text == "*" {
		return l.store(s)
	}
	parse := keyword(t.text)
	if t.kind != tokWord || parse == nil {
		return l.fail("expected an instruction, a label or func")
	}
	l.pos++
	return parse(l, s)
}

// regStatement reads dst op src and dst = value.
func (l *line) regStatement(s *stmt) error {
	dst, _ := l.peekReg()
	l.pos++
	s.Dst = dst.n
	class := uint8(isa.ClassALU64)
	if dst.width == 'w' {
		class = isa.ClassALU
	}
	if l.accept("=") {
		return l.assign(s, dst, class)
	}
	op, ok := aluOperator(l.peek())
	if !ok {
		return l.fail("expected = or an operator such as +=")
	}
	l.pos++
	s.Op, s.Off = class|op.code, op.off
	return l.aluSource(s, dst.width)
}

type aluOp struct {
	text string
	code uint8
	off  int16
}

var aluOps = [...]aluOp{
	{"+=", isa.ADD, 0}, {"-=", isa.SUB, 0}, {"*=", isa.MUL, 0}, {"/=", isa.DIV, 0},
	{"%=", isa.MOD, 0}, {"s/=", isa.DIV, 1}, {"s%=", isa.MOD, 1}, {"|=", isa.OR, 0},
	{"&=", isa.AND, 0}, {"^=", isa.XOR, 0}, {"<<=", isa.LSH, 0}, {">>=", isa.RSH, 0},
	{"s>>=", isa.ARSH, 0},
}

func aluOperator(t token) (aluOp, bool) {
	for _, op := range aluOps {
		if t.kind == tokPunct && op.text == t.text {
			return op, true
		}
	}
	return aluOp{}, false
}

// aluSource reads a register of the given width or an immediate into Src or Imm.
func (l *line) aluSource(s *stmt, width byte) (err error) {
	if _, ok := l.peekReg(); ok {
		s.Op |= isa.SrcReg
		s.Src, err = l.reg(width)
		return err
	}
	if !l.isNumber() {
		return l.fail("expected a register or a number")
	}
	s.Imm, err = l.imm32()
	return err
}

// assign reads what may stand to the right of dst =.
func (l *line) assign(s *stmt, dst reg, class uint8) error {
	if l.isNumber() {
		return l.assignNumber(s, dst, class)
	}
	if _, ok := l.peekReg(); ok {
		s.Op = class | isa.MOV
		return l.aluSource(s, dst.width)
	}
	switch t := l.peek(); {
	case l.accept("-"):
		s.Op = class | isa.NEG
		return l.sameReg(dst.width, dst.n)
	case l.accept("("):
		s.Op = class | isa.MOV | isa.SrcReg
		return l.signExtended(s, dst.width)
	case t.text == "*":
		return l.load(s, dst)
	case l.accept("&"):
		return l.percpuAddr(s, dst)
	case t.kind == tokWord:
		return l.assignWord(s, dst)
	}
	return l.fail("expected a register, a number or a load after =")
}

// assignNumber reads a move, or a wide load when ll or the opcode in front says so.
func (l *line) assignNumber(s *stmt, dst reg, class uint8) error {
	start := l.pos
	wide := l.op == isa.LDDW || l.tokens[len(l.tokens)-1].text == "ll"
	if !wide {
		s.Op = class | isa.MOV
		return l.aluSource(s, dst.width)
	}
	if dst.width != 'r' {
		l.pos = start
		return l.fail("a wide load needs a register r0 to r10")
	}
	v, err := l.number(64)
	if err != nil {
		return err
	}
	s.setWide(0, v)
	l.accept("ll")
	return nil
}

func (s *stmt) setWide(src uint8, imm int64) {
	s.Op, s.Src, s.wide = isa.LDDW, src, true
	s.Imm, s.hi = int32(imm), int32(imm>>32)
}

// movOffset gives the width of a sign-extending move, which stands in Off, or 0.
func movOffset(cast string) int16 {
	switch cast {
	case "s8":
		return 8
	case "s16":
		return 16
	case "s32":
		return 32
	}
	return 0
}

func (l *line) signExtended(s *stmt, width byte) (err error) {
	if s.Off = movOffset(l.peek().text); s.Off == 0 {
		return l.fail("expected s8, s16 or s32")
	}
	l.pos++
	if err := l.expect(")"); err != nil {
		return err
	}
	s.Src, err = l.reg(width)
	return err
}

// percpuAddr reads the address conversion that Linux itself inserts.
func (l *line) percpuAddr(s *stmt, dst reg) (err error) {
	if err := l.expect("(", "void", "__percpu", "*", ")", "("); err != nil {
		return err
	}
	s.Op, s.Off = isa.ClassALU64|isa.MOV|isa.SrcReg, -1
	if dst.width != 'r' {
		return l.fail("expected a destination r0 to r10")
	}
	if s.Src, err = l.reg('r'); err != nil {
		return err
	}
	return l.expect(")")
}

func (l *line) addrSpaceCast(s *stmt) (err error) {
	if err := l.expect("("); err != nil {
		return err
	}
	s.Op, s.Off = isa.ClassALU64|isa.MOV|isa.SrcReg, 1
	if s.Src, err = l.reg('r'); err != nil {
		return err
	}
	var space [2]uint32
	for n := range space {
		if err := l.expect(","); err != nil {
			return err
		}
		at := l.pos
		v, err := l.number(32)
		if err != nil {
			return err
		}
		if v < 0 || v > 0xffff {
			l.pos = at
			return l.fail("an address space is a number from 0 to 65535")
		}
		space[n] = uint32(v)
	}
	s.Imm = int32(space[0]<<16 | space[1])
	return l.expect(")")
}

// byteSwap reads be16, le32, bswap64 and so on; ok is false for any other word.
func byteSwap(word string) (op uint8, bits int32, ok bool) {
	for _, f := range [...]struct {
		prefix string
		op     uint8
	}{
		{"be", isa.ClassALU | isa.END | isa.SrcReg},
		{"le", isa.ClassALU | isa.END},
		{"bswap", isa.ClassALU64 | isa.END},
	} {
		for _, width := range [...]struct {
			text string
			bits int32
		}{{"16", 16}, {"32", 32}, {"64", 64}} {
			if word == f.prefix+width.text {
				return f.op, width.bits, true
			}
		}
	}
	return 0, 0, false
}

// assignWord reads the values that begin with a name.
func (l *line) assignWord(s *stmt, dst reg) error {
	t := l.peek()
	if a, ok := atomicCall(t.text); ok {
		l.pos++
		return l.atomicCall(s, dst, a)
	}
	if dst.width != 'r' {
		return l.fail("%q needs a destination r0 to r10", t.text)
	}
	l.pos++
	if op, bits, ok := byteSwap(t.text); ok {
		s.Op, s.Imm = op, bits
		return l.sameReg('r', dst.n)
	}
	var err error
	switch t.text {
	case "addr_space_cast":
		return l.addrSpaceCast(s)
	case "map":
		err = l.mapValue(s)
	case "func":
		err = l.funcValue(s)
	case "subprog":
		err = l.subprogValue(s)
	case "btf":
		err = l.btfValue(s)
	default:
		l.pos--
		return l.fail("%q is not a value; expected map[name], func[name], be16 or an atomic operation", t.text)
	}
	if err == nil {
		l.accept("ll")
	}
	return err
}

// rawSlot reads opcode, dst, src, off, imm as they are encoded.
func (l *line) rawSlot(s *stmt) error {
	s.raw = true
	op, err := l.field(8)
	if err != nil {
		return err
	}
	dst, err := l.field(4)
	if err != nil {
		return err
	}
	src, err := l.field(4)
	if err != nil {
		return err
	}
	off, err := l.number(16)
	if err != nil {
		return err
	}
	imm, err := l.imm32()
	s.Insn = isa.Insn{Op: uint8(op), Dst: uint8(dst), Src: uint8(src), Off: int16(off), Imm: imm}
	return err
}

// field reads an unsigned number of so many bits; registers may be named.
func (l *line) field(bits uint) (int64, error) {
	if r, ok := l.peekReg(); ok && bits == 4 {
		l.pos++
		return int64(r.n), nil
	}
	at := l.pos
	v, err := l.number(bits + 1)
	if err != nil {
		return 0, err
	}
	if v < 0 || v >= 1<<bits {
		l.pos = at
		return 0, l.fail("expected a number from 0 to %d", 1<<bits-1)
	}
	return v, nil
}
