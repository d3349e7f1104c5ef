package arm64

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// draw makes random operands and their names.
type draw struct{ *rand.Rand }

func (d draw) width() Width { return Width(d.IntN(2)) }

// reg is X0 to X30 or XZR.
func (d draw) reg() Reg { return Reg(d.IntN(32)) }

// regSP is X0 to X30 or SP.
func (d draw) regSP() Reg {
	if r := d.reg(); r != XZR {
		return r
	}
	return SP
}

// other is a register, not XZR, that is none of those given.
func (d draw) other(not ...Reg) Reg {
	for {
		r := Reg(d.IntN(31))
		clash := false
		for _, n := range not {
			clash = clash || n == r
		}
		if !clash {
			return r
		}
	}
}

func (d draw) cond() Cond { return Cond(d.IntN(14)) }

// name gives the name of a register in a width.
func name(w Width, r Reg) string {
	s := r.String()
	switch {
	case w == W64:
		return s
	case r == SP:
		return "wsp"
	}
	return "w" + s[1:]
}

// sizeWidth is the width of the register that an access of the size takes.
func sizeWidth(s Size) Width {
	if s == Size64 {
		return W64
	}
	return W32
}

// suffix is what the size adds to a mnemonic.
func suffix(s Size) string { return [...]string{"b", "h", "", ""}[s] }

var (
	shiftNames  = [...]string{"lsl", "lsr", "asr", "ror"}
	extendNames = [...]string{"uxtb", "uxth", "uxtw", "uxtx", "sxtb", "sxth", "sxtw", "sxtx"}
	orderNames  = [...]string{"", "l", "a", "al"}
)

// bitmask is a random constant of the logical instructions, made as the manual describes them.
func (d draw) bitmask(w Width) uint64 {
	size := 2 << d.IntN(5+int(w))
	ones := 1 + d.IntN(size-1)
	turn := d.IntN(size)
	var v uint64
	for i := range w.Bits() {
		if (i+turn)%size < ones {
			v |= 1 << i
		}
	}
	return v
}

type generated struct {
	build func(*Assembler)
	text  string
}

func gen(build func(*Assembler), format string, args ...any) generated {
	return generated{build, fmt.Sprintf(format, args...)}
}

func (d draw) arith() generated {
	ops := [...]struct {
		name  string
		flags bool
		emit  func(*Assembler, Width, Reg, Reg, Operand)
	}{{"add", false, (*Assembler).Add}, {"sub", false, (*Assembler).Sub},
		{"adds", true, (*Assembler).Adds}, {"subs", true, (*Assembler).Subs}}
	op := ops[d.IntN(len(ops))]
	w := d.width()
	rd, rn := d.reg(), d.reg()
	var operand Operand
	var text string
	switch d.IntN(4) {
	case 0:
		v := d.Uint64N(4096) << (12 * d.IntN(2))
		operand, text, rn = Imm(v), fmt.Sprintf("#%d", v), d.regSP()
		if !op.flags {
			rd = d.regSP()
		}
	case 1:
		rm := d.reg()
		operand, text = R(rm), name(w, rm)
	case 2:
		rm, s, n := d.reg(), d.IntN(3), d.IntN(w.Bits())
		operand = Shifted(rm, Shift(s), uint8(n))
		text = fmt.Sprintf("%s, %s #%d", name(w, rm), shiftNames[s], n)
	default:
		rm, e, n := d.reg(), Extend(d.IntN(8)), d.IntN(5)
		from := W32
		if w == W64 && e&3 == 3 {
			from = W64
		}
		operand, rn = Extended(rm, e, uint8(n)), d.regSP()
		text = fmt.Sprintf("%s, %s #%d", name(from, rm), extendNames[e], n)
		if !op.flags {
			rd = d.regSP()
		}
	}
	return gen(func(a *Assembler) { op.emit(a, w, rd, rn, operand) },
		"%s %s, %s, %s", op.name, name(w, rd), name(w, rn), text)
}

func (d draw) logic() generated {
	ops := [...]struct {
		name string
		emit func(*Assembler, Width, Reg, Reg, Operand)
	}{{"and", (*Assembler).And}, {"orr", (*Assembler).Orr}, {"eor", (*Assembler).Eor},
		{"ands", (*Assembler).Ands}, {"bic", (*Assembler).Bic}, {"orn", (*Assembler).Orn},
		{"eon", (*Assembler).Eon}}
	w, rd, rn := d.width(), d.reg(), d.reg()
	if d.IntN(2) == 0 {
		op, v := ops[d.IntN(4)], d.bitmask(w)
		if op.name != "ands" {
			rd = d.regSP()
		}
		return gen(func(a *Assembler) { op.emit(a, w, rd, rn, Imm(v)) },
			"%s %s, %s, #%#x", op.name, name(w, rd), name(w, rn), v)
	}
	op, rm, s, n := ops[d.IntN(len(ops))], d.reg(), d.IntN(4), d.IntN(w.Bits())
	return gen(func(a *Assembler) { op.emit(a, w, rd, rn, Shifted(rm, Shift(s), uint8(n))) },
		"%s %s, %s, %s, %s #%d", op.name, name(w, rd), name(w, rn), name(w, rm), shiftNames[s], n)
}

func (d draw) threeRegs() generated {
	ops := [...]struct {
		name string
		emit func(*Assembler, Width, Reg, Reg, Reg)
	}{{"mul", (*Assembler).Mul}, {"mneg", (*Assembler).Mneg}, {"udiv", (*Assembler).Udiv},
		{"sdiv", (*Assembler).Sdiv}, {"lsl", (*Assembler).Lsl}, {"lsr", (*Assembler).Lsr},
		{"asr", (*Assembler).Asr}, {"ror", (*Assembler).Ror}, {"adc", (*Assembler).Adc},
		{"adcs", (*Assembler).Adcs}, {"sbc", (*Assembler).Sbc}}
	op := ops[d.IntN(len(ops))]
	w, rd, rn, rm := d.width(), d.reg(), d.reg(), d.reg()
	return gen(func(a *Assembler) { op.emit(a, w, rd, rn, rm) },
		"%s %s, %s, %s", op.name, name(w, rd), name(w, rn), name(w, rm))
}

func (d draw) fourRegs() generated {
	w, rd, rn, rm, ra := d.width(), d.reg(), d.reg(), d.reg(), d.reg()
	op, emit := "madd", (*Assembler).Madd
	if d.IntN(2) == 0 {
		op, emit = "msub", (*Assembler).Msub
	}
	return gen(func(a *Assembler) { emit(a, w, rd, rn, rm, ra) },
		"%s %s, %s, %s, %s", op, name(w, rd), name(w, rn), name(w, rm), name(w, ra))
}

func (d draw) bitfield() generated {
	ops := [...]struct {
		name string
		emit func(*Assembler, Width, Reg, Reg, uint8, uint8)
	}{{"ubfx", (*Assembler).Ubfx}, {"sbfx", (*Assembler).Sbfx}, {"bfxil", (*Assembler).Bfxil},
		{"bfi", (*Assembler).Bfi}, {"ubfiz", (*Assembler).Ubfiz}, {"sbfiz", (*Assembler).Sbfiz}}
	op := ops[d.IntN(len(ops))]
	w, rd, rn := d.width(), d.reg(), d.reg()
	if op.name == "bfi" {
		rn = d.other() // with xzr the text has another name, bfc
	}
	lsb := d.IntN(w.Bits())
	width := 1 + d.IntN(w.Bits()-lsb)
	return gen(func(a *Assembler) { op.emit(a, w, rd, rn, uint8(lsb), uint8(width)) },
		"%s %s, %s, #%d, #%d", op.name, name(w, rd), name(w, rn), lsb, width)
}

func (d draw) shiftImm() generated {
	ops := [...]struct {
		name string
		emit func(*Assembler, Width, Reg, Reg, uint8)
	}{{"lsl", (*Assembler).LslImm}, {"lsr", (*Assembler).LsrImm}, {"asr", (*Assembler).AsrImm},
		{"ror", (*Assembler).RorImm}}
	op := ops[d.IntN(len(ops))]
	w, rd, rn := d.width(), d.reg(), d.reg()
	n := d.IntN(w.Bits())
	return gen(func(a *Assembler) { op.emit(a, w, rd, rn, uint8(n)) },
		"%s %s, %s, #%d", op.name, name(w, rd), name(w, rn), n)
}

func (d draw) selects() generated {
	ops := [...]struct {
		name string
		emit func(*Assembler, Width, Reg, Reg, Reg, Cond)
	}{{"csel", (*Assembler).Csel}, {"csinc", (*Assembler).Csinc}, {"csinv", (*Assembler).Csinv},
		{"csneg", (*Assembler).Csneg}}
	op := ops[d.IntN(len(ops))]
	w, rd, rn, rm, c := d.width(), d.reg(), d.reg(), d.reg(), d.cond()
	return gen(func(a *Assembler) { op.emit(a, w, rd, rn, rm, c) },
		"%s %s, %s, %s, %s", op.name, name(w, rd), name(w, rn), name(w, rm), c)
}

func (d draw) ccmp() generated {
	op, emit := "ccmp", (*Assembler).Ccmp
	if d.IntN(2) == 0 {
		op, emit = "ccmn", (*Assembler).Ccmn
	}
	w, rn, rm, nzcv, c := d.width(), d.reg(), d.reg(), d.IntN(16), d.cond()
	operand, text := R(rm), name(w, rm)
	if d.IntN(2) == 0 {
		v := d.Uint64N(32)
		operand, text = Imm(v), fmt.Sprintf("#%d", v)
	}
	return gen(func(a *Assembler) { emit(a, w, rn, operand, uint8(nzcv), c) },
		"%s %s, %s, #%d, %s", op, name(w, rn), text, nzcv, c)
}

// mem is a random address of an access of 1<<log2 bytes, its text, and whether it writes back.
func (d draw) mem(log2, mode int) (m Mem, text string, unscaled bool) {
	base := d.regSP()
	switch mode {
	case 0:
		off := int64(d.IntN(4096)) << log2
		return Offset(base, off), fmt.Sprintf("[%v, #%d]", base, off), false
	case 1:
		off := int64(d.IntN(512) - 256)
		return Offset(base, off), fmt.Sprintf("[%v, #%d]", base, off), !fitsScaled(uint(log2), off)
	case 2:
		off := int64(d.IntN(512) - 256)
		return PreIndex(base, off), fmt.Sprintf("[%v, #%d]!", base, off), false
	case 3:
		off := int64(d.IntN(512) - 256)
		return PostIndex(base, off), fmt.Sprintf("[%v], #%d", base, off), false
	}
	index, e := d.reg(), [...]Extend{UXTW, UXTX, SXTW, SXTX}[d.IntN(4)]
	ext := ", " + extendNames[e]
	if e == UXTX {
		ext = ""
	}
	text = fmt.Sprintf("[%v, %s%s", base, name(Width(e&1), index), ext)
	if d.IntN(2) == 0 {
		return IndexExt(base, index, e), text + "]", false
	}
	if log2 > 0 {
		if e == UXTX {
			text += ", lsl"
		}
		text += fmt.Sprintf(" #%d", log2)
	}
	return ScaledExt(base, index, e), text + "]", false
}

func (d draw) memory() generated {
	s := Size(d.IntN(4))
	w := sizeWidth(s)
	mode := d.IntN(5)
	m, text, unscaled := d.mem(int(s), mode)
	rt := d.reg()
	if mode == 2 || mode == 3 {
		rt = d.other(m.base)
	}
	op, emit := "ldr", func(a *Assembler) { a.Ldr(s, rt, m) }
	tail := suffix(s)
	switch d.IntN(3) {
	case 0:
		op, emit = "str", func(a *Assembler) { a.Str(s, rt, m) }
	case 1:
		if s == Size64 {
			break
		}
		if w = d.width(); s == Size32 {
			w = W64
		}
		op, tail = "ldrs", [...]string{"b", "h", "w"}[s]
		emit = func(a *Assembler) { a.Ldrs(s, w, rt, m) }
	}
	if unscaled {
		op = op[:2] + "u" + op[2:]
	}
	return gen(emit, "%s%s %s, %s", op, tail, name(w, rt), text)
}

func (d draw) vectorMemory() generated {
	m, text, unscaled := d.mem(4, d.IntN(5))
	v := VReg(d.IntN(32))
	op, emit := "ldr", (*Assembler).LdrQ
	if d.IntN(2) == 0 {
		op, emit = "str", (*Assembler).StrQ
	}
	if unscaled {
		op = op[:2] + "u" + op[2:]
	}
	return gen(func(a *Assembler) { emit(a, v, m) }, "%s q%d, %s", op, v, text)
}

func (d draw) pair() generated {
	op, emit := "ldp", (*Assembler).Ldp
	if d.IntN(2) == 0 {
		op, emit = "stp", (*Assembler).Stp
	}
	w, base := d.width(), d.regSP()
	rt := d.other(base)
	rt2 := d.other(base, rt)
	off := int64(d.IntN(128)-64) * int64(w.Bits()/8)
	forms := [...]struct {
		m    Mem
		text string
	}{{Offset(base, off), "[%v, #%d]"}, {PreIndex(base, off), "[%v, #%d]!"}, {PostIndex(base, off), "[%v], #%d"}}
	f := forms[d.IntN(3)]
	return gen(func(a *Assembler) { emit(a, w, rt, rt2, f.m) },
		"%s %s, %s, "+f.text, op, name(w, rt), name(w, rt2), base, off)
}

func (d draw) atomic() generated {
	ops := [...]struct {
		name string
		emit func(*Assembler, Size, Order, Reg, Reg, Reg)
	}{{"ldadd", (*Assembler).Ldadd}, {"ldclr", (*Assembler).Ldclr}, {"ldeor", (*Assembler).Ldeor},
		{"ldset", (*Assembler).Ldset}, {"swp", (*Assembler).Swp}, {"cas", (*Assembler).Cas}}
	op := ops[d.IntN(len(ops))]
	s, o, rs, rt, rn := Size(d.IntN(4)), Order(d.IntN(4)), d.reg(), d.reg(), d.regSP()
	w := sizeWidth(s)
	return gen(func(a *Assembler) { op.emit(a, s, o, rs, rt, rn) },
		"%s%s%s %s, %s, [%v]", op.name, orderNames[o], suffix(s), name(w, rs), name(w, rt), rn)
}

func (d draw) exclusive() generated {
	s, rn := Size(d.IntN(4)), d.regSP()
	w, rt := sizeWidth(s), d.other(rn)
	if d.IntN(3) == 0 {
		op, emit := "stxr", (*Assembler).Stxr
		if d.IntN(2) == 0 {
			op, emit = "stlxr", (*Assembler).Stlxr
		}
		rs := d.other(rt, rn)
		return gen(func(a *Assembler) { emit(a, s, rs, rt, rn) },
			"%s%s %s, %s, [%v]", op, suffix(s), name(W32, rs), name(w, rt), rn)
	}
	ops := [...]struct {
		name string
		emit func(*Assembler, Size, Reg, Reg)
	}{{"ldar", (*Assembler).Ldar}, {"stlr", (*Assembler).Stlr}, {"ldxr", (*Assembler).Ldxr}, {"ldaxr", (*Assembler).Ldaxr}}
	op := ops[d.IntN(len(ops))]
	return gen(func(a *Assembler) { op.emit(a, s, rt, rn) },
		"%s%s %s, [%v]", op.name, suffix(s), name(w, rt), rn)
}

// branch is a conditional branch over a random distance, forward or backward.
func (d draw) branch() generated {
	w, rt, c, bit := d.width(), d.reg(), d.cond(), uint8(d.IntN(64))
	dist := d.IntN(20)
	test := name(Width(bit>>5), rt)
	forms := [...]struct {
		text string
		emit func(*Assembler, Label)
	}{
		{"b", (*Assembler).B}, {"bl", (*Assembler).Bl},
		{"b." + c.String(), func(a *Assembler, l Label) { a.BCond(c, l) }},
		{"cbz " + name(w, rt) + ",", func(a *Assembler, l Label) { a.Cbz(w, rt, l) }},
		{"cbnz " + name(w, rt) + ",", func(a *Assembler, l Label) { a.Cbnz(w, rt, l) }},
		{fmt.Sprintf("tbz %s, #%d,", test, bit), func(a *Assembler, l Label) { a.Tbz(rt, bit, l) }},
		{fmt.Sprintf("tbnz %s, #%d,", test, bit), func(a *Assembler, l Label) { a.Tbnz(rt, bit, l) }},
		{"adr " + rt.String() + ",", func(a *Assembler, l Label) { a.Adr(rt, l) }},
		{"ldr " + name(w, rt) + ",", func(a *Assembler, l Label) { a.LdrLit(w, rt, l) }},
	}
	f := forms[d.IntN(len(forms))]
	nops := func(a *Assembler) {
		for range dist {
			a.Nop()
		}
	}
	if d.IntN(2) == 0 {
		return gen(func(a *Assembler) { l := a.Here(); nops(a); f.emit(a, l) },
			"%s%s #%d", strings.Repeat("nop; ", dist), f.text, -4*dist)
	}
	return gen(func(a *Assembler) { l := a.NewLabel(); f.emit(a, l); nops(a); a.Bind(l) },
		"%s #%d%s", f.text, 4*dist+4, strings.Repeat("; nop", dist))
}

func (d draw) moveWide() generated {
	ops := [...]struct {
		name string
		emit func(*Assembler, Width, Reg, uint16, uint8)
	}{{"movz", (*Assembler).Movz}, {"movn", (*Assembler).Movn}, {"movk", (*Assembler).Movk}}
	op := ops[d.IntN(3)]
	w, rd, imm := d.width(), d.reg(), uint16(d.Uint32())
	shift := 16 * d.IntN(w.Bits()/16)
	return gen(func(a *Assembler) { op.emit(a, w, rd, imm, uint8(shift)) },
		"%s %s, #%d, lsl #%d", op.name, name(w, rd), imm, shift)
}

// all lists the generators.
func (d draw) all() []func() generated {
	return []func() generated{d.arith, d.logic, d.threeRegs, d.fourRegs, d.bitfield, d.shiftImm, d.selects,
		d.ccmp, d.memory, d.memory, d.vectorMemory, d.pair, d.atomic, d.exclusive, d.branch, d.moveWide}
}

// TestRandomAgainstLLVM compares random operands of most forms with llvm-mc.
func TestRandomAgainstLLVM(t *testing.T) {
	const count, seed = 20000, 1
	d := draw{rand.New(rand.NewPCG(seed, 0))}
	kinds := d.all()
	var texts, got []string
	for range count {
		g := kinds[d.IntN(len(kinds))]()
		texts = append(texts, g.text)
		got = append(got, assemble(t, g.build, g.text))
	}
	for i, want := range llvm(t, texts) {
		if got[i] != want {
			t.Errorf("%s: got %s, llvm-mc says %s", texts[i], got[i], want)
		}
	}
}
