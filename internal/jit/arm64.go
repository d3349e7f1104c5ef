package jit

import (
	"github.com/carom-bpf/carom/internal/jit/arm64"
	"github.com/carom-bpf/carom/internal/vm"
)

// arm64Backend writes code for AArch64.
//
// R1 to R5 are where the procedure call standard has arguments and R0 behind them, as in Linux;
// R6 to R9 and R10 are in registers that functions keep. X30 holds the return address of the running
// BPF function at all times: who calls keeps his own on the stack, so that a hop is a jump and leaves
// both alone. X18, X28 and X29 stay as Go has them.
type arm64Backend struct {
	a    *arm64.Assembler
	late []func() // code off the straight path
	lse  bool     // the processor has FEAT_LSE

	// The last operation's result, for a comparison with zero right behind it.
	result      arm64.Reg
	resultWidth arm64.Width
}

// Registers that are not BPF's.
const (
	a64Thread = arm64.X26
	a64Budget = arm64.X27
	a64Desc   = arm64.X9 // descriptor of the target of a hop
	a64Tmp    = arm64.X10
	a64Tmp2   = arm64.X11
	a64Status = arm64.X12
	a64Addr   = arm64.X16 // addresses that an instruction cannot hold
	a64Link   = arm64.X17 // what leave keeps as X30
)

func newArm64(reach arm64.Reach, lse bool) *arm64Backend {
	return &arm64Backend{a: arm64.New(reach), lse: lse}
}

func a64Reg(r reg) arm64.Reg {
	return [...]arm64.Reg{arm64.X7, arm64.X0, arm64.X1, arm64.X2, arm64.X3, arm64.X4,
		arm64.X19, arm64.X20, arm64.X21, arm64.X22, arm64.X25}[r]
}

func a64Width(w width) arm64.Width {
	if w == w64 {
		return arm64.W64
	}
	return arm64.W32
}

// a64Size turns bytes into an access size.
func a64Size(bytes int) arm64.Size { return arm64.Size(log2(uint32(bytes))) }

// a64Const is a constant of BPF as an instruction of the width takes it.
func a64Const(w width, v int32) uint64 {
	if w == w64 {
		return uint64(int64(v))
	}
	return uint64(uint32(v))
}

func a64Field(off int64) arm64.Mem { return arm64.Offset(a64Thread, off) }

func (b *arm64Backend) newLabel() label { return label(b.a.NewLabel()) }
func (b *arm64Backend) bind(l label)    { b.a.Bind(arm64.Label(l)) }

func (b *arm64Backend) offset(l label) int {
	off, _ := b.a.LabelOffset(arm64.Label(l))
	return off
}

func (b *arm64Backend) finish() ([]byte, error) {
	for len(b.late) > 0 {
		late := b.late
		b.late = nil
		for _, f := range late {
			f()
		}
	}
	return b.a.Finish()
}

func (b *arm64Backend) move(w width, dst, src reg) {
	b.a.Mov(a64Width(w), a64Reg(dst), a64Reg(src))
}

func (b *arm64Backend) moveImm(dst reg, v uint64) { b.a.MovImm(arm64.W64, a64Reg(dst), v) }

func (b *arm64Backend) moveSX(bits int, w width, dst, src reg) {
	mw, d, s := a64Width(w), a64Reg(dst), a64Reg(src)
	switch bits {
	case 8:
		b.a.Sxtb(mw, d, s)
	case 16:
		b.a.Sxth(mw, d, s)
	case 32:
		b.a.Sxtw(d, s)
	}
}

func (b *arm64Backend) zeroExtend(bits int, dst reg) { b.zeroExtendTo(bits, a64Reg(dst), a64Reg(dst)) }

func (b *arm64Backend) zeroExtendTo(bits int, d, s arm64.Reg) {
	switch bits {
	case 8:
		b.a.Uxtb(d, s)
	case 16:
		b.a.Uxth(d, s)
	case 32:
		b.a.Uxtw(d, s)
	}
}

func (b *arm64Backend) swap(bits int, dst reg) {
	d := a64Reg(dst)
	switch bits {
	case 16:
		b.a.Rev16(arm64.W32, d, d)
		b.a.Uxth(d, d)
	case 32:
		b.a.Rev(arm64.W32, d, d)
	case 64:
		b.a.Rev(arm64.W64, d, d)
	}
}

func (b *arm64Backend) neg(w width, dst reg) {
	b.a.Neg(a64Width(w), a64Reg(dst), arm64.R(a64Reg(dst)))
}

// inc adds one to a word of memory that nobody else writes. It uses a64Tmp.
func (b *arm64Backend) inc(m arm64.Mem) {
	b.a.Ldr(arm64.Size64, a64Tmp, m)
	b.a.Add(arm64.W64, a64Tmp, a64Tmp, arm64.Imm(1))
	b.a.Str(arm64.Size64, a64Tmp, m)
}

func (b *arm64Backend) cpuID() { b.a.Ldr(arm64.Size64, a64Reg(r0), a64Field(vm.ThreadCPU)) }
