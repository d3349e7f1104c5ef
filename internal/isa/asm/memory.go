package asm

import (
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
)

type memSize struct {
	text   string
	code   uint8
	signed bool
}

var memSizes = [...]memSize{
	{"u8", isa.SizeB, false}, {"u16", isa.SizeH, false}, {"u32", isa.SizeW, false}, {"u64", isa.SizeDW, false},
	{"s8", isa.SizeB, true}, {"s16", isa.SizeH, true}, {"s32", isa.SizeW, true},
}

// regWidth is the width a value register of this access must have: 8 bytes need r.
func (m memSize) regWidth() byte {
	if m.code == isa.SizeDW {
		return 'r'
	}
	return 0
}

// pointer reads (u32 *).
func (l *line) pointer() (memSize, error) {
	if err := l.expect("("); err != nil {
		return memSize{}, err
	}
	for _, m := range memSizes {
		if l.accept(m.text) {
			return m, l.expect("*", ")")
		}
	}
	return memSize{}, l.fail("expected u8, u16, u32, u64, s8, s16 or s32")
}

// address reads (r1 +4).
func (l *line) address() (base uint8, off int16, err error) {
	if err := l.expect("("); err != nil {
		return 0, 0, err
	}
	if base, err = l.reg('r'); err != nil {
		return 0, 0, err
	}
	if t := l.peek().text; t == "+" || t == "-" {
		v, err := l.number(16)
		if err != nil {
			return 0, 0, err
		}
		off = int16(v)
	}
	return base, off, l.expect(")")
}

// load reads *(u32 *)(r2 +4) and *(u32 *)skb[...].
func (l *line) load(s *stmt, dst reg) error {
	if err := l.expect("*"); err != nil {
		return err
	}
	m, err := l.pointer()
	if err != nil {
		return err
	}
	if l.accept("skb") {
		return l.packetLoad(s, dst, m)
	}
	if dst.width == 'w' && (m.signed || m.regWidth() == 'r') {
		return l.fail("a load of %s needs a destination r0 to r10", m.text)
	}
	mode := uint8(isa.ModeMEM)
	if m.signed {
		mode = isa.ModeMEMSX
	}
	s.Op = isa.ClassLDX | mode | m.code
	s.Src, s.Off, err = l.address()
	return err
}

// packetLoad reads [12], [r6] and [r6 + 12].
func (l *line) packetLoad(s *stmt, dst reg, m memSize) (err error) {
	if dst.n != 0 || m.signed {
		return l.fail("a packet load has the form r0 = *(u8 *)skb[...]")
	}
	if err := l.expect("["); err != nil {
		return err
	}
	s.Op = isa.ClassLD | isa.ModeABS | m.code
	if _, ok := l.peekReg(); ok {
		s.Op = isa.ClassLD | isa.ModeIND | m.code
		if s.Src, err = l.reg('r'); err != nil {
			return err
		}
		if l.accept("]") {
			return nil
		}
		// Linux prints a negative offset as + -4.
		if !l.accept("+") && l.peek().text != "-" {
			return l.fail("expected ] or an offset")
		}
	}
	if s.Imm, err = l.imm32(); err != nil {
		return err
	}
	return l.expect("]")
}

// storeTarget reads *(u32 *)(r1 +4) into size and address.
func (l *line) storeTarget(s *stmt) (m memSize, err error) {
	if err := l.expect("*"); err != nil {
		return m, err
	}
	return l.pointee(s)
}

// pointee reads (u32 *)(r1 +4), the memory operand of atomics.
func (l *line) pointee(s *stmt) (m memSize, err error) {
	at := l.pos
	if m, err = l.pointer(); err != nil {
		return m, err
	}
	if m.signed {
		l.pos = at
		return m, l.fail("only loads may be signed")
	}
	s.Dst, s.Off, err = l.address()
	return m, err
}

func (l *line) store(s *stmt) error {
	m, err := l.storeTarget(s)
	if err != nil {
		return err
	}
	if err := l.expect("="); err != nil {
		return err
	}
	if _, ok := l.peekReg(); ok {
		s.Op = isa.ClassSTX | isa.ModeMEM | m.code
		s.Src, err = l.reg(m.regWidth())
		return err
	}
	if !l.isNumber() {
		return l.fail("expected a register or a number")
	}
	s.Op = isa.ClassST | isa.ModeMEM | m.code
	s.Imm, err = l.imm32()
	return err
}

var lockOps = [...]struct {
	text string
	imm  int32
}{{"+=", isa.AtomicADD}, {"|=", isa.AtomicOR}, {"&=", isa.AtomicAND}, {"^=", isa.AtomicXOR}}

// lock reads an atomic operation that returns nothing, after the word lock.
func (l *line) lock(s *stmt) error {
	m, err := l.storeTarget(s)
	if err != nil {
		return err
	}
	for _, op := range lockOps {
		if l.accept(op.text) {
			s.Op, s.Imm = isa.ClassSTX|isa.ModeATOMIC|m.code, op.imm
			s.Src, err = l.reg(m.regWidth())
			return err
		}
	}
	return l.fail("expected +=, |=, &= or ^=")
}

func (l *line) storeRelease(s *stmt) error {
	if err := l.expect("("); err != nil {
		return err
	}
	m, err := l.pointee(s)
	if err != nil {
		return err
	}
	if err := l.expect(","); err != nil {
		return err
	}
	s.Op, s.Imm = isa.ClassSTX|isa.ModeATOMIC|m.code, isa.AtomicStoreRel
	if s.Src, err = l.reg(m.regWidth()); err != nil {
		return err
	}
	return l.expect(")")
}

var atomicCalls = [...]struct {
	text string
	imm  int32
}{
	{"fetch_add", isa.AtomicADD | isa.AtomicFetch}, {"fetch_or", isa.AtomicOR | isa.AtomicFetch},
	{"fetch_and", isa.AtomicAND | isa.AtomicFetch}, {"fetch_xor", isa.AtomicXOR | isa.AtomicFetch},
	{"xchg", isa.AtomicXCHG}, {"cmpxchg", isa.AtomicCMPXCHG},
}

// atomic is an operation in the form of a function call.
type atomic struct {
	imm  int32
	only uint8 // the size the name asks for
	any  bool  // the name fits every size
}

func atomicCall(word string) (atomic, bool) {
	if word == "load_acquire" {
		return atomic{imm: isa.AtomicLoadAcq, any: true}, true
	}
	name, ok := strings.CutPrefix(word, "atomic64_")
	a := atomic{only: isa.SizeDW}
	if !ok {
		// LLVM prints this form for both sizes, Linux for all but 8 bytes.
		if name, ok = strings.CutPrefix(word, "atomic_"); !ok {
			return atomic{}, false
		}
		a = atomic{any: true}
	}
	for _, c := range atomicCalls {
		if c.text == name {
			a.imm = c.imm
			return a, true
		}
	}
	return atomic{}, false
}

// atomicCall reads the operands of an atomic operation that returns a value in dst.
func (l *line) atomicCall(s *stmt, dst reg, a atomic) error {
	if err := l.expect("("); err != nil {
		return err
	}
	at := l.pos
	m, err := l.pointee(s)
	if err != nil {
		return err
	}
	if !a.any && m.code != a.only {
		l.pos = at
		return l.fail("an operation atomic64 takes (u64 *)")
	}
	if dst.width == 'w' && m.regWidth() == 'r' {
		return l.fail("an operation on u64 needs registers r0 to r10")
	}
	s.Op, s.Imm = isa.ClassSTX|isa.ModeATOMIC|m.code, a.imm
	switch a.imm {
	case isa.AtomicLoadAcq:
		s.Dst, s.Src = dst.n, s.Dst
		return l.expect(")")
	case isa.AtomicCMPXCHG:
		if dst.n != 0 {
			return l.fail("cmpxchg returns its value in r0")
		}
		if err := l.expect(","); err != nil {
			return err
		}
		if err := l.sameReg(dst.width, 0); err != nil {
			return err
		}
		if err := l.expect(","); err != nil {
			return err
		}
		if s.Src, err = l.reg(m.regWidth()); err != nil {
			return err
		}
	default: // the old value replaces the operand
		if err := l.expect(","); err != nil {
			return err
		}
		if err := l.sameReg(dst.width, dst.n); err != nil {
			return err
		}
		s.Src = dst.n
	}
	return l.expect(")")
}
