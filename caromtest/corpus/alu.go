package corpus

import (
	"fmt"

	ct "github.com/carom-bpf/carom/caromtest"
)

func sprint(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// register is a register's name for operations of a width: r1, w1.
func register(n int, width uint) string {
	if width == 32 {
		return sprint("w%d", n)
	}
	return sprint("r%d", n)
}

// widths of arithmetic and of comparisons.
func widths() []uint { return []uint{64, 32} }

func alu() []ct.Case {
	var cases []ct.Case
	for _, op := range binaryOps() {
		for _, width := range widths() {
			cases = append(cases, aluRegister(op, width), aluSame(op, width))
			cases = append(cases, aluImmediate(op, width)...)
		}
	}
	for _, op := range unaryOps() {
		b := newBatch("alu/" + op.name)
		for i, v := range b.in {
			b.operand("r1", i)
			b.line("%s", op.text)
			b.result("r1", op.f(v))
		}
		cases = append(cases, b.finish())
	}
	return append(cases, everyRegister())
}

// everyRegister moves, extends and adds from each register to each other.
func everyRegister() ct.Case {
	b := newBatch("alu/every register")
	const x, y = 24, 29 // operands
	for dst := range 10 {
		for src := range 10 {
			if dst == src || dst == 6 || dst == 7 || src == 6 || src == 7 {
				continue // the batch needs r6 and r7
			}
			for _, op := range []struct {
				text string
				want uint64
			}{
				{sprint("r%d = r%d", dst, src), b.in[y]},
				{sprint("r%d += r%d", dst, src), b.in[x] + b.in[y]},
				{sprint("w%d = w%d", dst, src), low(b.in[y], 32)},
				{sprint("r%d = (s8)r%d", dst, src), wrap(signed(b.in[y], 8), 64)},
				{sprint("r%d = (s16)r%d", dst, src), wrap(signed(b.in[y], 16), 64)},
				{sprint("r%d = (s32)r%d", dst, src), wrap(signed(b.in[y], 32), 64)},
				{sprint("w%d = (s8)w%d", dst, src), wrap(signed(b.in[y], 8), 32)},
				{sprint("w%d = (s16)w%d", dst, src), wrap(signed(b.in[y], 16), 32)},
			} {
				b.operand(sprint("r%d", dst), x)
				b.operand(sprint("r%d", src), y)
				b.line("%s", op.text)
				b.result(sprint("r%d", dst), op.want)
				b.result(sprint("r%d", src), b.in[y])
			}
		}
	}
	return b.finish()
}

func aluRegister(op binaryOp, width uint) ct.Case {
	b := newBatch(sprint("alu/%s%d register", op.name, width))
	for i, x := range b.in {
		for j, y := range b.in {
			b.operand("r1", i)
			b.operand("r2", j)
			b.line("%s %s %s", register(1, width), op.text, register(2, width))
			b.result("r1", op.eval(x, y, width))
		}
	}
	return b.finish()
}

// aluSame has one register as both operands.
func aluSame(op binaryOp, width uint) ct.Case {
	b := newBatch(sprint("alu/%s%d itself", op.name, width))
	for i, x := range b.in {
		b.operand("r1", i)
		b.line("%s %s %s", register(1, width), op.text, register(1, width))
		b.result("r1", op.eval(x, x, width))
	}
	return b.finish()
}

// aluImmediate makes two cases where Linux rejects some of the immediates.
func aluImmediate(op binaryOp, width uint) []ct.Case {
	good := newBatch(sprint("alu/%s%d immediate", op.name, width))
	bad := newBatch(sprint("alu/%s%d immediate past the limits", op.name, width))
	for _, imm := range immediates() {
		b := good
		if op.divides && imm == 0 || op.shifts && (imm < 0 || imm >= int32(width)) {
			b = bad
		}
		for i, x := range b.in {
			b.operand("r1", i)
			b.line("%s %s %d", register(1, width), op.text, imm)
			b.result("r1", op.eval(x, uint64(int64(imm)), width))
		}
	}
	cases := []ct.Case{good.finish()}
	if len(bad.out) > 0 {
		cases = append(cases, unverified(bad.finish(), badImmediate))
	}
	return cases
}

func jumps() []ct.Case {
	var cases []ct.Case
	for _, cond := range conditions() {
		for _, width := range widths() {
			cases = append(cases, jumpRegister(cond, width), jumpImmediate(cond, width))
		}
	}
	return append(cases, gotos(), farGoto(), mayGoto())
}

// jump stores 1 when the jump is taken and 0 otherwise.
func (b *batch) jump(left, op, right string, want uint64) {
	b.line("r3 = 1")
	b.line("if %s %s %s goto +1", left, op, right)
	b.line("r3 = 0")
	b.result("r3", want)
}

func jumpRegister(c condition, width uint) ct.Case {
	b := newBatch(sprint("jump/%s%d register", c.name, width))
	for i, x := range b.in {
		for j, y := range b.in {
			b.operand("r1", i)
			b.operand("r2", j)
			b.jump(register(1, width), c.text, register(2, width), c.eval(x, y, width))
		}
	}
	return b.finish()
}

func jumpImmediate(c condition, width uint) ct.Case {
	b := newBatch(sprint("jump/%s%d immediate", c.name, width))
	for _, imm := range immediates() {
		for i, x := range b.in {
			b.operand("r1", i)
			b.jump(register(1, width), c.text, sprint("%d", imm), c.eval(x, uint64(int64(imm)), width))
		}
	}
	return b.finish()
}

func gotos() ct.Case {
	b := newBatch("jump/goto and gotol")
	for _, jump := range []string{"goto", "gotol"} {
		// Forwards, back, and forwards again: bits 0, 1, 2 in that order.
		b.line("r1 = 0")
		b.line("%s %s_a", jump, jump)
		b.line("%s_b:", jump)
		b.line("r1 *= 10")
		b.line("r1 += 2")
		b.line("%s %s_c", jump, jump)
		b.line("%s_a:", jump)
		b.line("r1 += 1")
		b.line("%s %s_b", jump, jump)
		b.line("%s_c:", jump)
		b.line("r1 *= 10")
		b.line("r1 += 3")
		b.result("r1", 123)
	}
	return b.finish()
}

// farGoto jumps farther than the 16 bits of goto reach.
func farGoto() ct.Case {
	const between = 40000
	b := newBatch("jump/far gotol")
	for pass, operand := range []int{0, 1} {
		b.operand("r1", operand)
		b.line("r2 = 0")
		b.line("if r1 != 0 goto +1")
		b.line("gotol far%d", pass)
		if pass == 1 {
			for range between {
				b.line("r2 += 1")
			}
		}
		b.line("far%d:", pass)
		b.result("r2", uint64(pass*between))
	}
	return b.finish()
}

func mayGoto() ct.Case {
	b := newBatch("jump/may_goto")
	b.line("r1 = 0")
	b.line("loop:")
	b.line("may_goto done")
	b.line("r1 += 1")
	b.line("if r1 < 100 goto loop")
	b.line("done:")
	b.result("r1", 100)
	return b.finish()
}
