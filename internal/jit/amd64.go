package jit

import (
	"math/bits"

	"github.com/carom-bpf/carom/internal/jit/amd64"
	"github.com/carom-bpf/carom/internal/vm"
)

// amd64Backend writes code for x86-64.
//
// R0 to R5 are where System V's calls have results and arguments, R6 to R9 in registers that its
// functions keep, R10 in RBP; R12 holds the thread block, R9 the budget word, and R10 and R11 are
// scratch.
type amd64Backend struct {
	a     *amd64.Assembler
	late  []func() // code off the straight path
	loops bool     // what comes may be in a loop
	bmi2  bool
}

const (
	thread = amd64.R12
	budget = amd64.R9
	tmp    = amd64.R10
	tmp2   = amd64.R11
)

func machineReg(r reg) amd64.Reg {
	return [...]amd64.Reg{amd64.RAX, amd64.RDI, amd64.RSI, amd64.RDX, amd64.RCX, amd64.R8,
		amd64.RBX, amd64.R13, amd64.R14, amd64.R15, amd64.RBP}[r]
}

func machineWidth(w width) amd64.Width {
	if w == w64 {
		return amd64.W64
	}
	return amd64.W32
}

func (a address) mem() amd64.Mem { return amd64.At(machineReg(a.base), a.off) }

func field(off int32) amd64.Mem { return amd64.At(thread, off) }

func (b *amd64Backend) newLabel() label    { return label(b.a.NewLabel()) }
func (b *amd64Backend) bind(l label)       { b.a.Bind(amd64.Label(l)) }
func (b *amd64Backend) offset(l label) int { return b.a.Offset(amd64.Label(l)) }

func (b *amd64Backend) finish() ([]byte, error) {
	for len(b.late) > 0 {
		late := b.late
		b.late = nil
		for _, f := range late {
			f()
		}
	}
	return b.a.Finish(nil)
}

func (b *amd64Backend) move(w width, dst, src reg) {
	b.a.MovRR(machineWidth(w), machineReg(dst), machineReg(src))
}

func (b *amd64Backend) moveImm(dst reg, v uint64) {
	if v == 0 {
		b.a.Zero(machineReg(dst))
		return
	}
	b.a.MovRI(machineReg(dst), v)
}

func (b *amd64Backend) moveSX(bits int, w width, dst, src reg) {
	b.a.MovSX(amd64.Width(bits/8), machineWidth(w), machineReg(dst), machineReg(src))
}

func (b *amd64Backend) zeroExtend(bits int, dst reg) {
	b.a.MovZX(amd64.Width(bits/8), machineReg(dst), machineReg(dst))
}

func (b *amd64Backend) swap(bits int, dst reg) {
	d := machineReg(dst)
	switch bits {
	case 16:
		b.a.ShiftRI(amd64.Rol, amd64.W16, d, 8)
		b.a.MovZX(amd64.W16, d, d)
	case 32:
		b.a.Bswap(amd64.W32, d)
	case 64:
		b.a.Bswap(amd64.W64, d)
	}
}

func (b *amd64Backend) neg(w width, dst reg) {
	b.a.UnaryR(amd64.Neg, machineWidth(w), machineReg(dst))
}

func (b *amd64Backend) load(size int, signed bool, dst reg, from address) {
	if signed {
		b.a.LoadSX(amd64.Width(size), amd64.W64, machineReg(dst), from.mem())
		return
	}
	b.a.Load(amd64.Width(size), machineReg(dst), from.mem())
}

func (b *amd64Backend) store(size int, to address, src reg) {
	b.a.Store(amd64.Width(size), to.mem(), machineReg(src))
}

func (b *amd64Backend) storeImm(size int, to address, v int32) {
	switch size {
	case 1:
		v = int32(int8(v))
	case 2:
		v = int32(int16(v))
	}
	b.a.StoreI(amd64.Width(size), to.mem(), v)
}

func (b *amd64Backend) store16in32(to address, src reg) {
	b.a.MovZX(amd64.W16, tmp, machineReg(src))
	b.a.Store(amd64.W32, to.mem(), tmp)
}

func (b *amd64Backend) loadThread(size int, dst reg, off int32) {
	b.a.Load(amd64.Width(size), machineReg(dst), field(off))
}

func (b *amd64Backend) packetLen(bits, shift int, dst reg) {
	d := machineReg(dst)
	b.a.Load(amd64.W64, d, field(vm.ThreadPacketEnd))
	b.a.OpRM(amd64.Sub, amd64.W64, d, field(vm.ThreadPacketData))
	b.a.OpRM(amd64.Add, amd64.W64, d, field(vm.ThreadHidden))
	if shift > 0 {
		b.a.ShiftRI(amd64.Shr, amd64.W64, d, uint8(shift))
	}
	if bits < 64 {
		b.a.MovZX(amd64.Width(bits/8), d, d)
	}
}

func log2(v uint32) int { return bits.Len32(v) - 1 }
