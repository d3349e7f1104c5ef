package jit

import (
	"github.com/carom-bpf/carom/internal/jit/arm64"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// tailCall jumps to the program in the slot, with its descriptor in a64Desc. The order of the checks
// does not show: a miss works out its reason.
//
// The descriptor is read through the address that the slot held, which orders the two loads.
func (b *arm64Backend) tailCall(s *site, program uint32) {
	miss, counted, on := b.a.NewLabel(), b.a.NewLabel(), b.a.NewLabel()
	b.loadSlot(s, miss)
	b.a.Cbz(arm64.W64, a64Desc, miss)
	b.a.Tst(arm64.W64, a64Budget, arm64.Imm(1<<vm.BudgetShift-1))
	b.a.BCond(arm64.EQ, miss)
	b.a.Sub(arm64.W64, a64Budget, a64Budget, arm64.Imm(1))
	b.a.Ldr(arm64.Size64, a64Addr, a64Field(vm.ThreadSites))
	b.a.Cbnz(arm64.W64, a64Addr, counted)
	b.hop()
	b.a.Bind(on)
	b.late = append(b.late,
		func() { b.missed(s, program, miss, on) },
		func() { b.counted(s, program, counted) })
}

// loadSlot puts what the slot holds into a64Desc.
func (b *arm64Backend) loadSlot(s *site, miss arm64.Label) {
	index := a64Reg(r3)
	switch {
	case s.slot != 0:
		b.a.MovImm(arm64.W64, a64Desc, s.slot)
		b.a.Ldr(arm64.Size64, a64Desc, arm64.Base(a64Desc))
		return
	case s.mapPtr != 0:
		b.compareImm(arm64.W32, index, int64(mem.Load32(s.mapPtr+mem.MapMaxEntries)))
		b.a.BCond(arm64.HS, miss)
		b.a.MovImm(arm64.W64, a64Desc, mem.Load64(s.mapPtr+mem.MapData))
	default:
		b.a.Ldr(arm64.Size32, a64Tmp, arm64.Offset(a64Reg(r2), mem.MapMaxEntries))
		b.a.Cmp(arm64.W32, index, arm64.R(a64Tmp))
		b.a.BCond(arm64.HS, miss)
		b.a.Ldr(arm64.Size64, a64Desc, arm64.Offset(a64Reg(r2), mem.MapData))
	}
	b.a.Ldr(arm64.Size64, a64Desc, arm64.ScaledExt(a64Desc, index, arm64.UXTW))
}

// hop jumps to the program of a64Desc.
func (b *arm64Backend) hop() {
	b.a.Ldr(arm64.Size64, a64Addr, arm64.Offset(a64Desc, mem.ProgEntry))
	b.a.Br(a64Addr)
}

// missed counts a hop that was not taken.
func (b *arm64Backend) missed(s *site, program uint32, from, on arm64.Label) {
	b.a.Bind(from)
	b.inc(a64Field(vm.ThreadMisses))
	b.a.Ldr(arm64.Size64, a64Tmp, a64Field(vm.ThreadSites))
	b.a.Cbz(arm64.W64, a64Tmp, on)
	b.exit(vm.ExitMiss, s.insn, program)
	b.a.B(on)
}

// counted counts a hop that is taken, and makes it; a64Addr holds the table of counters. A counter
// that is not there yet, or that counts for another target, is Go's affair.
func (b *arm64Backend) counted(s *site, program uint32, from arm64.Label) {
	const table = a64Status
	slow := b.a.NewLabel()
	b.a.Bind(from)
	b.a.Mov(arm64.W64, table, a64Addr)
	b.a.Ldr(arm64.Size64, table, b.place(arm64.Size64, table, 8*int64(program)))
	b.a.Cbz(arm64.W64, table, slow)
	b.a.Ldr(arm64.Size64, table, b.place(arm64.Size64, table, 8*int64(s.number)))
	b.a.Cbz(arm64.W64, table, slow)
	if s.slot != 0 {
		b.addImm(arm64.W64, table, table, int64(s.key)<<vm.CounterShift)
	} else {
		b.a.Ubfiz(arm64.W64, a64Tmp, a64Reg(r3), vm.CounterShift, 32)
		b.a.Add(arm64.W64, table, table, arm64.R(a64Tmp))
	}
	b.a.Ldr(arm64.Size64, a64Tmp, arm64.Offset(a64Desc, mem.ProgID))
	b.a.Ldr(arm64.Size64, a64Tmp2, arm64.Offset(table, vm.CounterSlots+vm.CounterTarget))
	b.a.Cmp(arm64.W64, a64Tmp, arm64.R(a64Tmp2))
	b.a.BCond(arm64.NE, slow)
	b.inc(arm64.Offset(table, vm.CounterSlots+vm.CounterTaken))
	b.hop()
	b.a.Bind(slow)
	b.a.Str(arm64.Size64, a64Desc, a64Field(vm.ThreadDesc))
	b.exit(vm.ExitCount, s.insn, program)
	b.a.Ldr(arm64.Size64, a64Desc, a64Field(vm.ThreadDesc))
	b.hop()
}
