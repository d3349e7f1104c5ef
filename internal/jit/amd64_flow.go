package jit

import (
	"github.com/carom-bpf/carom/internal/jit/amd64"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

func machineCond(c condition) amd64.Cond {
	return [...]amd64.Cond{
		condEQ: amd64.CondE, condNE: amd64.CondNE, condGT: amd64.CondA, condGE: amd64.CondAE,
		condLT: amd64.CondB, condLE: amd64.CondBE, condSGT: amd64.CondG, condSGE: amd64.CondGE,
		condSLT: amd64.CondL, condSLE: amd64.CondLE, condSET: amd64.CondNE,
	}[c]
}

func (b *amd64Backend) jump(to label) { b.a.Jmp(amd64.Label(to)) }

func (b *amd64Backend) jumpIf(c condition, w width, dst, src reg, to label) {
	op := amd64.Cmp
	if c == condSET {
		op = amd64.Test
	}
	b.pair(3)
	b.a.OpRR(op, machineWidth(w), machineReg(dst), machineReg(src))
	b.a.Jcc(machineCond(c), amd64.Label(to))
}

func (b *amd64Backend) jumpIfImm(c condition, w width, dst reg, v int32, to label) {
	mw, d := machineWidth(w), machineReg(dst)
	switch {
	case v == 0:
		b.pair(3)
	default:
		b.pair(7)
	}
	switch {
	case c == condSET:
		b.a.OpRI(amd64.Test, mw, d, v)
	case v == 0 && (c == condEQ || c == condNE):
		b.a.OpRR(amd64.Test, mw, d, d)
	default:
		b.a.OpRI(amd64.Cmp, mw, d, v)
	}
	b.a.Jcc(machineCond(c), amd64.Label(to))
}

// loopsLeft is where a function counts the iterations of may_goto: in the gap behind its frame.
func loopsLeft() amd64.Mem { return amd64.At(amd64.RBP, 0) }

func (b *amd64Backend) startLoops(n uint32) { b.a.StoreI(amd64.W32, loopsLeft(), int32(n)) }

func (b *amd64Backend) mayGoto(to label) {
	b.a.OpMI(amd64.Cmp, amd64.W32, loopsLeft(), 0)
	b.a.Jcc(amd64.CondE, amd64.Label(to))
	b.a.UnaryM(amd64.Dec, amd64.W32, loopsLeft())
}

func (b *amd64Backend) loopHead(l loop, program uint32) {
	slow, back := b.a.NewLabel(), b.a.NewLabel()
	b.pair(7)
	b.a.OpRI(amd64.Sub, amd64.W64, budget, int32(min(l.cost, 1<<20)<<vm.BudgetShift))
	b.a.Jcc(amd64.CondS, slow)
	b.a.Bind(back)
	b.late = append(b.late, func() {
		b.a.Bind(slow)
		b.exit(vm.ExitBudget, l.insn, program)
		b.a.Jmp(back)
	})
}

func (b *amd64Backend) call(to label, saved []reg) {
	for _, r := range saved {
		b.a.Push(machineReg(r))
	}
	b.a.OpRI(amd64.Sub, amd64.W64, amd64.RBP, -vm.FrameStride)
	b.a.Call(amd64.Label(to))
	b.a.OpRI(amd64.Sub, amd64.W64, amd64.RBP, vm.FrameStride)
	for i := range saved {
		b.a.Pop(machineReg(saved[len(saved)-1-i]))
	}
}

func (b *amd64Backend) ret() { b.a.Ret() }

func (b *amd64Backend) exit(code, insn int, program uint32) {
	b.a.StoreI(amd64.W64, field(vm.ThreadExit), int32(code|insn<<vm.ExitShift))
	b.a.StoreI(amd64.W64, field(vm.ThreadProg), int32(program))
	b.a.CallM(field(vm.ThreadLeave))
}

func (b *amd64Backend) retIfFlag() {
	on := b.a.NewLabel()
	b.a.OpMI(amd64.Cmp, amd64.W64, field(vm.ThreadFlag), 0)
	b.a.Jcc(amd64.CondE, on)
	b.a.Ret()
	b.a.Bind(on)
}

func (b *amd64Backend) hopStub() {
	b.a.Store(amd64.W64, field(vm.ThreadDesc), tmp)
	b.a.StoreI(amd64.W64, field(vm.ThreadExit), vm.ExitHop)
	b.a.CallM(field(vm.ThreadLeave))
	b.a.Ret()
}

// tailCall jumps to the program in the slot, with its descriptor in tmp. The order of the checks
// does not show: a miss works out its reason.
func (b *amd64Backend) tailCall(s *site, program uint32) {
	const rax, rdx, rsi = amd64.RAX, amd64.RDX, amd64.RSI
	miss := b.a.NewLabel()
	switch {
	case s.slot != 0:
		b.a.MovRI(tmp, s.slot)
		b.a.Load(amd64.W64, tmp, amd64.At(tmp, 0))
	case s.mapPtr != 0:
		b.a.MovRR(amd64.W32, rax, rdx)
		b.a.OpRI(amd64.Cmp, amd64.W32, rax, int32(mem.Load32(s.mapPtr+mem.MapMaxEntries)))
		b.a.Jcc(amd64.CondAE, miss)
		b.a.MovRI(tmp, mem.Load64(s.mapPtr+mem.MapData))
		b.a.Load(amd64.W64, tmp, amd64.Indexed(tmp, rax, 8, 0))
	default:
		b.a.MovRR(amd64.W32, rax, rdx)
		b.a.OpRM(amd64.Cmp, amd64.W32, rax, amd64.At(rsi, mem.MapMaxEntries))
		b.a.Jcc(amd64.CondAE, miss)
		b.a.Load(amd64.W64, tmp, amd64.At(rsi, mem.MapData))
		b.a.Load(amd64.W64, tmp, amd64.Indexed(tmp, rax, 8, 0))
	}
	b.a.OpRR(amd64.Test, amd64.W64, tmp, tmp)
	b.a.Jcc(amd64.CondE, miss)
	b.a.OpRR(amd64.Test, amd64.W8, budget, budget)
	b.a.Jcc(amd64.CondE, miss)
	b.a.UnaryR(amd64.Dec, amd64.W64, budget)
	counted := b.a.NewLabel()
	b.a.OpMI(amd64.Cmp, amd64.W64, field(vm.ThreadSites), 0)
	b.a.Jcc(amd64.CondNE, counted)
	b.a.JmpM(amd64.At(tmp, mem.ProgEntry))
	on := b.a.NewLabel()
	b.a.Bind(on)
	b.late = append(b.late,
		func() { b.missed(s, program, miss, on) },
		func() { b.counted(s, program, counted) })
}

// missed counts a hop that was not taken.
func (b *amd64Backend) missed(s *site, program uint32, from, on amd64.Label) {
	b.a.Bind(from)
	b.a.UnaryM(amd64.Inc, amd64.W64, field(vm.ThreadMisses))
	b.a.OpMI(amd64.Cmp, amd64.W64, field(vm.ThreadSites), 0)
	b.a.Jcc(amd64.CondE, on)
	b.exit(vm.ExitMiss, s.insn, program)
	b.a.Jmp(on)
}

// counted counts a hop that is taken, and makes it. A counter that is not there yet, or that counts
// for another target, is Go's affair.
func (b *amd64Backend) counted(s *site, program uint32, from amd64.Label) {
	const rax = amd64.RAX
	slow := b.a.NewLabel()
	b.a.Bind(from)
	entry := amd64.At(tmp2, int32(vm.CounterSlots+vm.CounterSize*s.key))
	b.a.Load(amd64.W64, tmp2, field(vm.ThreadSites))
	b.a.Load(amd64.W64, tmp2, amd64.At(tmp2, int32(8*program)))
	b.a.OpRR(amd64.Test, amd64.W64, tmp2, tmp2)
	b.a.Jcc(amd64.CondE, slow)
	b.a.Load(amd64.W64, tmp2, amd64.At(tmp2, int32(8*s.number)))
	b.a.OpRR(amd64.Test, amd64.W64, tmp2, tmp2)
	b.a.Jcc(amd64.CondE, slow)
	if s.slot == 0 {
		b.a.ShiftRI(amd64.Shl, amd64.W64, rax, vm.CounterShift)
		b.a.OpRR(amd64.Add, amd64.W64, tmp2, rax)
		entry = amd64.At(tmp2, vm.CounterSlots)
	}
	b.a.Load(amd64.W64, rax, amd64.At(tmp, mem.ProgID))
	b.a.OpRM(amd64.Cmp, amd64.W64, rax, entry.Plus(vm.CounterTarget))
	b.a.Jcc(amd64.CondNE, slow)
	b.a.UnaryM(amd64.Inc, amd64.W64, entry.Plus(vm.CounterTaken))
	b.a.JmpM(amd64.At(tmp, mem.ProgEntry))
	b.a.Bind(slow)
	b.a.Store(amd64.W64, field(vm.ThreadDesc), tmp)
	b.exit(vm.ExitCount, s.insn, program)
	b.a.Load(amd64.W64, tmp, field(vm.ThreadDesc))
	b.a.JmpM(amd64.At(tmp, mem.ProgEntry))
}

// lookup is bpf_map_lookup_elem in an array: R0 = address of the element whose index is at R2, or 0.
func (b *amd64Backend) lookup(m *array) {
	const rax, rsi = amd64.RAX, amd64.RSI
	if m.constant {
		b.a.MovRI(rax, m.data+uint64(m.key)*uint64(m.stride))
		if m.cpuStride != 0 {
			b.copyOffset(m)
			b.a.OpRR(amd64.Add, amd64.W64, rax, tmp)
		}
		return
	}
	null, done := b.a.NewLabel(), b.a.NewLabel()
	key := amd64.At(rsi, 0)
	if m.onStack {
		key = amd64.At(amd64.RBP, m.keyOff)
	}
	b.a.Load(amd64.W32, rax, key)
	b.pair(6)
	b.a.OpRI(amd64.Cmp, amd64.W32, rax, int32(m.entries))
	b.a.Jcc(amd64.CondAE, null)
	b.a.MovRI(tmp2, m.data)
	if m.cpuStride != 0 {
		b.copyOffset(m)
		b.a.OpRR(amd64.Add, amd64.W64, tmp2, tmp)
	}
	if m.stride == 8 {
		b.a.Lea(amd64.W64, rax, amd64.Indexed(tmp2, rax, 8, 0))
	} else {
		if m.stride&(m.stride-1) == 0 {
			b.a.ShiftRI(amd64.Shl, amd64.W64, rax, uint8(log2(m.stride)))
		} else {
			b.a.ImulRRI(amd64.W64, rax, rax, int32(m.stride))
		}
		b.a.OpRR(amd64.Add, amd64.W64, rax, tmp2)
	}
	b.a.Bind(done)
	b.late = append(b.late, func() {
		b.a.Bind(null)
		b.a.Zero(rax)
		if m.null != 0 {
			b.a.Jmp(amd64.Label(m.null))
		} else {
			b.a.Jmp(done)
		}
	})
}

// copyOffset puts into tmp how far this virtual CPU's copy is from the first.
func (b *amd64Backend) copyOffset(m *array) {
	if m.cpuStride <= 1<<31-1 {
		b.a.ImulRMI(amd64.W64, tmp, field(vm.ThreadCPU), int32(m.cpuStride))
		return
	}
	b.a.MovRI(tmp, m.cpuStride)
	b.a.ImulRM(amd64.W64, tmp, field(vm.ThreadCPU))
}

// addTo implements fuser.
func (b *amd64Backend) addTo(dst, src reg, v int32) {
	b.a.Lea(amd64.W64, machineReg(dst), amd64.At(machineReg(src), v))
}

// jumpIfResult implements fuser: these operations set the flags as a comparison with zero does.
func (b *amd64Backend) jumpIfResult(c condition, to label) {
	b.a.Jcc(machineCond(c), amd64.Label(to))
}

// beforeJump implements fuser.
func (b *amd64Backend) beforeJump() { b.pair(7) }

// alignLoop implements fuser. A short loop is best in one cache line: measured on Zen 5, one of 38
// bytes takes 1.7 times as long when it begins in the middle of a line.
func (b *amd64Backend) alignLoop(insns int) {
	const short = 10 // instructions that fit into a line
	if insns <= short {
		b.a.Align(64)
	} else {
		b.a.Align(32)
	}
	b.loops = true
}

// pair announces a comparison of n bytes and the jump behind it, which should not lie in two cache
// lines where they may be in a loop.
func (b *amd64Backend) pair(n int) {
	const jump = 6
	if b.loops {
		b.a.Together(n + jump)
	}
}

func (b *amd64Backend) cpuID() { b.a.Load(amd64.W64, amd64.RAX, field(vm.ThreadCPU)) }
