package jit

import (
	"math/bits"

	"github.com/carom-bpf/carom/internal/jit/amd64"
)

// simple are the operations that are one instruction with any two operands.
func simple(op operation) (amd64.ALU, bool) {
	switch op {
	case opAdd:
		return amd64.Add, true
	case opSub:
		return amd64.Sub, true
	case opOr:
		return amd64.Or, true
	case opAnd:
		return amd64.And, true
	case opXor:
		return amd64.Xor, true
	}
	return 0, false
}

func shiftOf(op operation) (amd64.Shift, bool) {
	switch op {
	case opLsh:
		return amd64.Shl, true
	case opRsh:
		return amd64.Shr, true
	case opArsh:
		return amd64.Sar, true
	}
	return 0, false
}

func (b *amd64Backend) alu(op operation, w width, dst, src reg) {
	mw, d, s := machineWidth(w), machineReg(dst), machineReg(src)
	if o, ok := simple(op); ok {
		b.a.OpRR(o, mw, d, s)
		return
	}
	if o, ok := shiftOf(op); ok {
		b.shift(o, mw, d, s)
		return
	}
	if op == opMul {
		b.a.ImulRR(mw, d, s)
		return
	}
	b.divide(op, mw, d, func() { b.a.MovRR(mw, tmp2, s) }, true)
}

func (b *amd64Backend) aluImm(op operation, w width, dst reg, v int32) {
	mw, d := machineWidth(w), machineReg(dst)
	if o, ok := simple(op); ok {
		b.a.OpRI(o, mw, d, v)
		return
	}
	if o, ok := shiftOf(op); ok {
		n := uint8(v) & 31
		if w == w64 {
			n = uint8(v) & 63
		}
		if n == 0 {
			if w == w32 {
				b.a.MovRR(amd64.W32, d, d)
			}
			return
		}
		b.a.ShiftRI(o, mw, d, n)
		return
	}
	if op == opMul {
		b.a.ImulRRI(mw, d, d, v)
		return
	}
	b.divideImm(op, w, d, v)
}

// shift shifts by a register; the count is taken modulo the width, as BPF has it.
func (b *amd64Backend) shift(op amd64.Shift, w amd64.Width, d, s amd64.Reg) {
	if b.bmi2 {
		b.a.ShiftXRR(op, w, d, d, s)
		return
	}
	const rcx = amd64.RCX
	switch {
	case s == rcx && d != rcx:
		b.a.ShiftCL(op, w, d)
	case d == rcx:
		b.a.MovRR(amd64.W64, tmp, d)
		if s != rcx {
			b.a.MovRR(amd64.W64, rcx, s)
		}
		b.a.ShiftCL(op, w, tmp)
		b.a.MovRR(amd64.W64, rcx, tmp)
	default:
		b.a.MovRR(amd64.W64, tmp, rcx)
		b.a.MovRR(amd64.W64, rcx, s)
		b.a.ShiftCL(op, w, d)
		b.a.MovRR(amd64.W64, rcx, tmp)
	}
}

// divideImm divides by a constant.
func (b *amd64Backend) divideImm(op operation, w width, d amd64.Reg, v int32) {
	mw := machineWidth(w)
	u := uint64(uint32(v))
	if w == w64 {
		u = uint64(int64(v))
	}
	switch {
	case u == 0: // division by zero gives 0, the remainder is the dividend
		if op == opDiv || op == opSDiv {
			b.a.Zero(d)
		} else if w == w32 {
			b.a.MovRR(amd64.W32, d, d)
		}
		return
	case op == opDiv && bits.OnesCount64(u) == 1:
		if n := bits.TrailingZeros64(u); n > 0 {
			b.a.ShiftRI(amd64.Shr, mw, d, uint8(n))
		} else if w == w32 {
			b.a.MovRR(amd64.W32, d, d)
		}
		return
	case op == opMod && bits.OnesCount64(u) == 1 && u <= 1<<31:
		b.a.OpRI(amd64.And, amd64.W32, d, int32(u-1))
		return
	}
	b.divide(op, mw, d, func() { b.a.MovRI(tmp2, u) }, u == ^uint64(0) || w == w32 && v == -1)
}

// divide divides by what divisor puts into tmp2. With check, the divisor may be 0 or -1.
//
// RAX and RDX are those of the instruction; what BPF has in them is kept aside.
func (b *amd64Backend) divide(op operation, w amd64.Width, d amd64.Reg, divisor func(), check bool) {
	signed, mod := op == opSDiv || op == opSMod, op == opMod || op == opSMod
	done, special := b.a.NewLabel(), b.a.NewLabel()
	divisor()
	if check {
		b.a.OpRR(amd64.Test, w, tmp2, tmp2)
		b.a.Jcc(amd64.CondE, special)
		b.late = append(b.late, func() { b.divideByZero(w, d, mod, special, done) })
	}
	if signed && check {
		minus := b.a.NewLabel()
		b.a.OpRI(amd64.Cmp, w, tmp2, -1)
		b.a.Jcc(amd64.CondE, minus)
		b.late = append(b.late, func() { b.divideByMinusOne(w, d, mod, minus, done) })
	}
	if d != amd64.RAX {
		b.a.MovRR(amd64.W64, tmp, amd64.RAX)
		b.a.MovRR(w, amd64.RAX, d)
	}
	if d != amd64.RDX {
		b.a.Push(amd64.RDX)
	}
	if signed {
		if w == amd64.W64 {
			b.a.Cqo()
		} else {
			b.a.Cdq()
		}
		b.a.UnaryR(amd64.Idiv, w, tmp2)
	} else {
		b.a.Zero(amd64.RDX)
		b.a.UnaryR(amd64.Div, w, tmp2)
	}
	result := amd64.RAX
	if mod {
		result = amd64.RDX
	}
	b.a.MovRR(w, tmp2, result)
	if d != amd64.RDX {
		b.a.Pop(amd64.RDX)
	}
	if d != amd64.RAX {
		b.a.MovRR(amd64.W64, amd64.RAX, tmp)
	}
	b.a.MovRR(amd64.W64, d, tmp2)
	b.a.Bind(done)
}

func (b *amd64Backend) divideByZero(w amd64.Width, d amd64.Reg, mod bool, from, done amd64.Label) {
	b.a.Bind(from)
	if !mod {
		b.a.Zero(d)
	} else if w == amd64.W32 {
		b.a.MovRR(amd64.W32, d, d)
	}
	b.a.Jmp(done)
}

// divideByMinusOne negates: the instruction would trap for the smallest number.
func (b *amd64Backend) divideByMinusOne(w amd64.Width, d amd64.Reg, mod bool, from, done amd64.Label) {
	b.a.Bind(from)
	if mod {
		b.a.Zero(d)
	} else {
		b.a.UnaryR(amd64.Neg, w, d)
	}
	b.a.Jmp(done)
}
