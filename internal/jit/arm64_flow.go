package jit

import (
	"github.com/carom-bpf/carom/internal/jit/arm64"
	"github.com/carom-bpf/carom/internal/vm"
)

func a64Cond(c condition) arm64.Cond {
	return [...]arm64.Cond{
		condEQ: arm64.EQ, condNE: arm64.NE, condGT: arm64.HI, condGE: arm64.HS,
		condLT: arm64.LO, condLE: arm64.LS, condSGT: arm64.GT, condSGE: arm64.GE,
		condSLT: arm64.LT, condSLE: arm64.LE, condSET: arm64.NE,
	}[c]
}

func (b *arm64Backend) jump(to label) { b.a.B(arm64.Label(to)) }

func (b *arm64Backend) jumpIf(c condition, w width, dst, src reg, to label) {
	mw, d, s := a64Width(w), a64Reg(dst), a64Reg(src)
	if c == condSET {
		b.a.Tst(mw, d, arm64.R(s))
	} else {
		b.a.Cmp(mw, d, arm64.R(s))
	}
	b.a.BCond(a64Cond(c), arm64.Label(to))
}

func (b *arm64Backend) jumpIfImm(c condition, w width, dst reg, v int32, to label) {
	mw, d, l := a64Width(w), a64Reg(dst), arm64.Label(to)
	switch {
	case c == condEQ && v == 0:
		b.a.Cbz(mw, d, l)
		return
	case c == condNE && v == 0:
		b.a.Cbnz(mw, d, l)
		return
	case c != condSET:
		b.compareImm(mw, d, int64(v))
	case arm64.FitsLogical(mw, a64Const(w, v)):
		b.a.Tst(mw, d, arm64.Imm(a64Const(w, v)))
	default:
		b.a.MovImm(mw, a64Tmp, a64Const(w, v))
		b.a.Tst(mw, d, arm64.R(a64Tmp))
	}
	b.a.BCond(a64Cond(c), l)
}

// jumpIfResult implements fuser: one instruction compares with zero and branches.
func (b *arm64Backend) jumpIfResult(c condition, to label) {
	if c == condEQ {
		b.a.Cbz(b.resultWidth, b.result, arm64.Label(to))
	} else {
		b.a.Cbnz(b.resultWidth, b.result, arm64.Label(to))
	}
}

// beforeJump implements fuser: the branch looks at the register, so nothing needs to be close to it.
func (b *arm64Backend) beforeJump() {}

// alignLoop implements fuser.
func (b *arm64Backend) alignLoop(int) { b.a.Align(16) }

// compareImm sets the flags of d - v. It may use a64Tmp.
func (b *arm64Backend) compareImm(w arm64.Width, d arm64.Reg, v int64) {
	switch {
	case v >= 0 && arm64.FitsAddSub(uint64(v)):
		b.a.Cmp(w, d, arm64.Imm(uint64(v)))
	case v < 0 && arm64.FitsAddSub(uint64(-v)):
		b.a.Cmn(w, d, arm64.Imm(uint64(-v)))
	default:
		u := uint64(v)
		if w == arm64.W32 {
			u = uint64(uint32(v))
		}
		b.a.MovImm(w, a64Tmp, u)
		b.a.Cmp(w, d, arm64.R(a64Tmp))
	}
}

// a64LoopsLeft is where a function counts the iterations of may_goto: in the gap behind its frame.
func a64LoopsLeft() arm64.Mem { return arm64.Base(a64Reg(r10)) }

func (b *arm64Backend) startLoops(n uint32) {
	b.a.MovImm(arm64.W32, a64Tmp, uint64(n))
	b.a.Str(arm64.Size32, a64Tmp, a64LoopsLeft())
}

func (b *arm64Backend) mayGoto(to label) {
	b.a.Ldr(arm64.Size32, a64Tmp, a64LoopsLeft())
	b.a.Cbz(arm64.W32, a64Tmp, arm64.Label(to))
	b.a.Sub(arm64.W32, a64Tmp, a64Tmp, arm64.Imm(1))
	b.a.Str(arm64.Size32, a64Tmp, a64LoopsLeft())
}

func (b *arm64Backend) loopHead(l loop, program uint32) {
	slow, back := b.a.NewLabel(), b.a.NewLabel()
	cost := uint64(min(l.cost, 1<<20)) << vm.BudgetShift
	if arm64.FitsAddSub(cost) {
		b.a.Subs(arm64.W64, a64Budget, a64Budget, arm64.Imm(cost))
	} else {
		b.a.MovImm(arm64.W64, a64Tmp, cost)
		b.a.Subs(arm64.W64, a64Budget, a64Budget, arm64.R(a64Tmp))
	}
	b.a.BCond(arm64.MI, slow)
	b.a.Bind(back)
	b.late = append(b.late, func() {
		b.a.Bind(slow)
		b.exit(vm.ExitBudget, l.insn, program)
		b.a.B(back)
	})
}

// call keeps the return address and the caller's registers on the native stack, which moves in
// steps of 16 bytes.
func (b *arm64Backend) call(to label, saved []reg) {
	regs := []arm64.Reg{arm64.X30}
	for _, r := range saved {
		regs = append(regs, a64Reg(r))
	}
	size := int64(len(regs)+1) / 2 * 16
	b.a.Str(arm64.Size64, regs[0], arm64.PreIndex(arm64.SP, -size))
	b.savedPairs(regs[1:], b.a.Stp, b.a.Str)
	b.a.Add(arm64.W64, a64Reg(r10), a64Reg(r10), arm64.Imm(vm.FrameStride))
	b.a.Bl(arm64.Label(to))
	b.a.Sub(arm64.W64, a64Reg(r10), a64Reg(r10), arm64.Imm(vm.FrameStride))
	b.savedPairs(regs[1:], b.a.Ldp, b.a.Ldr)
	b.a.Ldr(arm64.Size64, regs[0], arm64.PostIndex(arm64.SP, size))
}

// savedPairs moves registers to or from the stack, from the second word on.
func (b *arm64Backend) savedPairs(regs []arm64.Reg,
	pair func(arm64.Width, arm64.Reg, arm64.Reg, arm64.Mem), single func(arm64.Size, arm64.Reg, arm64.Mem)) {
	off := int64(8)
	for ; len(regs) > 1; regs = regs[2:] {
		pair(arm64.W64, regs[0], regs[1], arm64.Offset(arm64.SP, off))
		off += 16
	}
	if len(regs) > 0 {
		single(arm64.Size64, regs[0], arm64.Offset(arm64.SP, off))
	}
}

func (b *arm64Backend) ret() { b.a.Ret() }

func (b *arm64Backend) exit(code, insn int, program uint32) {
	b.a.MovImm(arm64.W64, a64Addr, uint64(code|insn<<vm.ExitShift))
	b.a.MovImm(arm64.W64, a64Link, uint64(program))
	b.a.Stp(arm64.W64, a64Addr, a64Link, a64Field(vm.ThreadExit)) // and ThreadProg
	b.leave()
}

// leave calls what ThreadLeave points at, which keeps the return address of the running function.
func (b *arm64Backend) leave() {
	b.a.Ldr(arm64.Size64, a64Addr, a64Field(vm.ThreadLeave))
	b.a.Mov(arm64.W64, a64Link, arm64.X30)
	b.a.Blr(a64Addr)
}

func (b *arm64Backend) retIfFlag() {
	on := b.a.NewLabel()
	b.a.Ldr(arm64.Size64, a64Tmp, a64Field(vm.ThreadFlag))
	b.a.Cbz(arm64.W64, a64Tmp, on)
	b.a.Ret()
	b.a.Bind(on)
}

func (b *arm64Backend) hopStub() {
	b.a.Str(arm64.Size64, a64Desc, a64Field(vm.ThreadDesc))
	b.exit(vm.ExitHop, 0, 0)
	b.a.Ret()
}
