package corpus

import (
	"math/big"
	"math/bits"
)

// The definitions of RFC 9669 section 4, on integers of any size. They share no code with the
// engines on purpose.

// unsigned is the low bits of v as a number.
func unsigned(v uint64, width uint) *big.Int {
	n := new(big.Int).SetUint64(v)
	return n.And(n, mask(width))
}

// signed is the low bits of v as a number in two's complement.
func signed(v uint64, width uint) *big.Int {
	n := unsigned(v, width)
	if n.Bit(int(width)-1) == 1 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), width))
	}
	return n
}

// mask is 2^width - 1.
func mask(width uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), width)
	return n.Sub(n, big.NewInt(1))
}

// wrap is n modulo 2^width; a 32-bit result leaves the upper half of a register zero.
func wrap(n *big.Int, width uint) uint64 {
	return new(big.Int).And(n, mask(width)).Uint64()
}

// binary is one arithmetic instruction with two operands.
type binaryOp struct {
	name, text string
	signed     bool // operands are signed
	divides    bool
	shifts     bool
	f          func(z, a, b *big.Int) *big.Int
}

func shiftBy(f func(z, a *big.Int, n uint) *big.Int) func(z, a, b *big.Int) *big.Int {
	return func(z, a, b *big.Int) *big.Int { return f(z, a, uint(b.Uint64())) }
}

func binaryOps() []binaryOp {
	second := func(z, _, b *big.Int) *big.Int { return z.Set(b) }
	return []binaryOp{
		{name: "add", text: "+=", f: (*big.Int).Add},
		{name: "sub", text: "-=", f: (*big.Int).Sub},
		{name: "mul", text: "*=", f: (*big.Int).Mul},
		{name: "div", text: "/=", divides: true, f: (*big.Int).Quo},
		{name: "mod", text: "%=", divides: true, f: (*big.Int).Rem},
		{name: "sdiv", text: "s/=", signed: true, divides: true, f: (*big.Int).Quo},
		{name: "smod", text: "s%=", signed: true, divides: true, f: (*big.Int).Rem},
		{name: "or", text: "|=", f: (*big.Int).Or},
		{name: "and", text: "&=", f: (*big.Int).And},
		{name: "xor", text: "^=", f: (*big.Int).Xor},
		{name: "lsh", text: "<<=", shifts: true, f: shiftBy((*big.Int).Lsh)},
		{name: "rsh", text: ">>=", shifts: true, f: shiftBy((*big.Int).Rsh)},
		{name: "arsh", text: "s>>=", shifts: true, signed: true, f: shiftBy((*big.Int).Rsh)},
		{name: "mov", text: "=", f: second},
	}
}

// eval is the register after the instruction. Division by zero gives 0, modulo zero leaves the
// operand, shifts use the low 5 or 6 bits of their operand.
func (o binaryOp) eval(a, b uint64, width uint) uint64 {
	x, y := unsigned(a, width), unsigned(b, width)
	if o.signed {
		x = signed(a, width)
		if !o.shifts {
			y = signed(b, width)
		}
	}
	if o.shifts {
		y.And(y, big.NewInt(int64(width-1)))
	}
	if o.divides && y.Sign() == 0 {
		if o.text == "/=" || o.text == "s/=" {
			return 0
		}
		return wrap(x, width)
	}
	return wrap(o.f(new(big.Int), x, y), width)
}

// unary is an instruction whose result depends on one register. %s is the register, read and
// written.
type unaryOp struct {
	name, text string
	f          func(uint64) uint64
}

func unaryOps() []unaryOp {
	swap16 := func(v uint64) uint64 { return uint64(bits.ReverseBytes16(uint16(v))) }
	swap32 := func(v uint64) uint64 { return uint64(bits.ReverseBytes32(uint32(v))) }
	ops := []unaryOp{
		{"neg64", "r1 = -r1", func(v uint64) uint64 { return wrap(new(big.Int).Neg(unsigned(v, 64)), 64) }},
		{"neg32", "w1 = -w1", func(v uint64) uint64 { return wrap(new(big.Int).Neg(unsigned(v, 32)), 32) }},
		{"be16", "r1 = be16 r1", swap16},
		{"be32", "r1 = be32 r1", swap32},
		{"be64", "r1 = be64 r1", bits.ReverseBytes64},
		{"bswap16", "r1 = bswap16 r1", swap16},
		{"bswap32", "r1 = bswap32 r1", swap32},
		{"bswap64", "r1 = bswap64 r1", bits.ReverseBytes64},
	}
	for _, width := range []uint{16, 32, 64} {
		ops = append(ops, unaryOp{sprint("le%d", width), sprint("r1 = le%d r1", width),
			func(v uint64) uint64 { return wrap(unsigned(v, width), width) }})
	}
	for _, from := range []uint{8, 16, 32} {
		ops = append(ops, unaryOp{sprint("movsx%d_64", from), sprint("r1 = (s%d)r1", from),
			func(v uint64) uint64 { return wrap(signed(v, from), 64) }})
		if from < 32 {
			ops = append(ops, unaryOp{sprint("movsx%d_32", from), sprint("w1 = (s%d)w1", from),
				func(v uint64) uint64 { return wrap(signed(v, from), 32) }})
		}
	}
	return ops
}

// condition is a conditional jump.
type condition struct {
	name, text string
	signed     bool
	f          func(a, b *big.Int) bool
}

func conditions() []condition {
	cmp := func(ok ...int) func(a, b *big.Int) bool {
		return func(a, b *big.Int) bool {
			c := a.Cmp(b)
			for _, o := range ok {
				if c == o {
					return true
				}
			}
			return false
		}
	}
	return []condition{
		{"jeq", "==", false, cmp(0)},
		{"jne", "!=", false, cmp(-1, 1)},
		{"jgt", ">", false, cmp(1)},
		{"jge", ">=", false, cmp(0, 1)},
		{"jlt", "<", false, cmp(-1)},
		{"jle", "<=", false, cmp(-1, 0)},
		{"jsgt", "s>", true, cmp(1)},
		{"jsge", "s>=", true, cmp(0, 1)},
		{"jslt", "s<", true, cmp(-1)},
		{"jsle", "s<=", true, cmp(-1, 0)},
		{"jset", "&", false, func(a, b *big.Int) bool { return new(big.Int).And(a, b).Sign() != 0 }},
	}
}

// eval is 1 when the jump is taken, 0 otherwise.
func (c condition) eval(a, b uint64, width uint) uint64 {
	x, y := unsigned(a, width), unsigned(b, width)
	if c.signed {
		x, y = signed(a, width), signed(b, width)
	}
	if c.f(x, y) {
		return 1
	}
	return 0
}
