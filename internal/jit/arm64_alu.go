package jit

import (
	"math/bits"

	"github.com/carom-bpf/carom/internal/jit/arm64"
)

func (b *arm64Backend) alu(op operation, w width, dst, src reg) {
	b.result, b.resultWidth = a64Reg(dst), a64Width(w)
	b.aluReg(op, b.resultWidth, b.result, a64Reg(src))
}

// aluReg is an operation whose operand is in a register. Shifts take their count modulo the width,
// and a division by zero gives zero: both as BPF has it. So does the smallest number divided by -1,
// which gives itself, with remainder zero.
func (b *arm64Backend) aluReg(op operation, w arm64.Width, d, s arm64.Reg) {
	switch op {
	case opAdd:
		b.a.Add(w, d, d, arm64.R(s))
	case opSub:
		b.a.Sub(w, d, d, arm64.R(s))
	case opMul:
		b.a.Mul(w, d, d, s)
	case opOr:
		b.a.Orr(w, d, d, arm64.R(s))
	case opAnd:
		b.a.And(w, d, d, arm64.R(s))
	case opXor:
		b.a.Eor(w, d, d, arm64.R(s))
	case opLsh:
		b.a.Lsl(w, d, d, s)
	case opRsh:
		b.a.Lsr(w, d, d, s)
	case opArsh:
		b.a.Asr(w, d, d, s)
	case opDiv:
		b.a.Udiv(w, d, d, s)
	case opSDiv:
		b.a.Sdiv(w, d, d, s)
	case opMod: // the remainder of a division by zero is the dividend
		b.a.Udiv(w, a64Tmp2, d, s)
		b.a.Msub(w, d, a64Tmp2, s, d)
	case opSMod:
		b.a.Sdiv(w, a64Tmp2, d, s)
		b.a.Msub(w, d, a64Tmp2, s, d)
	}
}

func (b *arm64Backend) aluImm(op operation, w width, dst reg, v int32) {
	mw, d := a64Width(w), a64Reg(dst)
	b.result, b.resultWidth = d, mw
	u := a64Const(w, v)
	switch op {
	case opAdd:
		b.addImm(mw, d, d, int64(v))
		return
	case opSub:
		b.addImm(mw, d, d, -int64(v))
		return
	case opLsh, opRsh, opArsh:
		b.shiftImm(op, mw, d, uint8(v))
		return
	case opAnd, opOr, opXor:
		if arm64.FitsLogical(mw, u) {
			b.logicImm(op, mw, d, u)
			return
		}
	case opMul, opDiv, opMod:
		if bits.OnesCount64(u) == 1 {
			b.powerOfTwo(op, mw, d, uint8(bits.TrailingZeros64(u)))
			return
		}
	}
	b.a.MovImm(mw, a64Tmp, u)
	b.aluReg(op, mw, d, a64Tmp)
}

// addTo implements fuser.
func (b *arm64Backend) addTo(dst, src reg, v int32) {
	b.addImm(arm64.W64, a64Reg(dst), a64Reg(src), int64(v))
}

// addImm emits d = s + v. It may use a64Tmp.
func (b *arm64Backend) addImm(w arm64.Width, d, s arm64.Reg, v int64) {
	switch {
	case v >= 0 && arm64.FitsAddSub(uint64(v)):
		b.a.Add(w, d, s, arm64.Imm(uint64(v)))
	case v < 0 && arm64.FitsAddSub(uint64(-v)):
		b.a.Sub(w, d, s, arm64.Imm(uint64(-v)))
	case w == arm64.W32:
		b.a.MovImm(w, a64Tmp, uint64(uint32(v)))
		b.a.Add(w, d, s, arm64.R(a64Tmp))
	default:
		b.a.MovImm(w, a64Tmp, uint64(v))
		b.a.Add(w, d, s, arm64.R(a64Tmp))
	}
}

func (b *arm64Backend) logicImm(op operation, w arm64.Width, d arm64.Reg, u uint64) {
	switch op {
	case opAnd:
		b.a.And(w, d, d, arm64.Imm(u))
	case opOr:
		b.a.Orr(w, d, d, arm64.Imm(u))
	case opXor:
		b.a.Eor(w, d, d, arm64.Imm(u))
	}
}

// shiftImm shifts by a constant, taken modulo the width. In 32 bits a shift by 0 still clears the
// upper half.
func (b *arm64Backend) shiftImm(op operation, w arm64.Width, d arm64.Reg, n uint8) {
	n &= uint8(w.Bits() - 1)
	switch {
	case n == 0 && w == arm64.W64:
	case op == opLsh:
		b.a.LslImm(w, d, d, n)
	case op == opRsh:
		b.a.LsrImm(w, d, d, n)
	default:
		b.a.AsrImm(w, d, d, n)
	}
}

// powerOfTwo multiplies or divides by 1 << n, without sign.
func (b *arm64Backend) powerOfTwo(op operation, w arm64.Width, d arm64.Reg, n uint8) {
	switch {
	case op == opMul:
		b.shiftImm(opLsh, w, d, n)
	case op == opDiv:
		b.shiftImm(opRsh, w, d, n)
	case n == 0:
		b.a.MovImm(w, d, 0)
	default:
		b.a.And(w, d, d, arm64.Imm(1<<n-1))
	}
}
