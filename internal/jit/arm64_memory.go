package jit

import (
	"github.com/carom-bpf/carom/internal/jit/arm64"
	"github.com/carom-bpf/carom/internal/vm"
)

// place is the operand of a load or store of bytes at base + off. It may use a64Addr.
func (b *arm64Backend) place(size arm64.Size, base arm64.Reg, off int64) arm64.Mem {
	if arm64.FitsOffset(size, off) {
		return arm64.Offset(base, off)
	}
	b.a.MovImm(arm64.W64, a64Addr, uint64(off))
	return arm64.Index(base, a64Addr)
}

func (b *arm64Backend) load(size int, signed bool, dst reg, from address) {
	s := a64Size(size)
	m := b.place(s, a64Reg(from.base), int64(from.off))
	if signed {
		b.a.Ldrs(s, arm64.W64, a64Reg(dst), m)
		return
	}
	b.a.Ldr(s, a64Reg(dst), m)
}

func (b *arm64Backend) store(size int, to address, src reg) {
	s := a64Size(size)
	b.a.Str(s, a64Reg(src), b.place(s, a64Reg(to.base), int64(to.off)))
}

func (b *arm64Backend) storeImm(size int, to address, v int32) {
	s := a64Size(size)
	u := uint64(int64(v))
	if size < 8 {
		u &= 1<<(8*size) - 1
	}
	from := arm64.XZR
	if u != 0 {
		from = a64Tmp
		b.a.MovImm(arm64.W64, from, u)
	}
	b.a.Str(s, from, b.place(s, a64Reg(to.base), int64(to.off)))
}

func (b *arm64Backend) store16in32(to address, src reg) {
	b.a.Uxth(a64Tmp, a64Reg(src))
	b.a.Str(arm64.Size32, a64Tmp, b.place(arm64.Size32, a64Reg(to.base), int64(to.off)))
}

func (b *arm64Backend) loadThread(size int, dst reg, off int32) {
	b.a.Ldr(a64Size(size), a64Reg(dst), a64Field(int64(off)))
}

func (b *arm64Backend) packetLen(bits, shift int, dst reg) {
	d := a64Reg(dst)
	b.a.Ldr(arm64.Size64, d, a64Field(vm.ThreadPacketEnd))
	b.a.Ldr(arm64.Size64, a64Tmp, a64Field(vm.ThreadPacketData))
	b.a.Sub(arm64.W64, d, d, arm64.R(a64Tmp))
	b.a.Ldr(arm64.Size64, a64Tmp, a64Field(vm.ThreadHidden))
	b.a.Add(arm64.W64, d, d, arm64.R(a64Tmp))
	if shift > 0 {
		b.a.LsrImm(arm64.W64, d, d, uint8(shift))
	}
	b.zeroExtendTo(bits, d, d)
}

// lookup is bpf_map_lookup_elem in an array: R0 = address of the element whose index is at R2, or 0.
func (b *arm64Backend) lookup(m *array) {
	d := a64Reg(r0)
	if m.constant {
		b.a.MovImm(arm64.W64, d, m.data+uint64(m.key)*uint64(m.stride))
		b.addCopyOffset(m, d)
		return
	}
	null, done := b.a.NewLabel(), b.a.NewLabel()
	key := arm64.Base(a64Reg(r2))
	if m.onStack {
		key = b.place(arm64.Size32, a64Reg(r10), int64(m.keyOff))
	}
	b.a.Ldr(arm64.Size32, a64Tmp2, key)
	b.compareImm(arm64.W32, a64Tmp2, int64(m.entries))
	b.a.BCond(arm64.HS, null)
	b.a.MovImm(arm64.W64, d, m.data)
	b.addCopyOffset(m, d)
	if m.stride&(m.stride-1) == 0 && m.stride != 0 {
		b.a.Add(arm64.W64, d, d, arm64.Shifted(a64Tmp2, arm64.LSL, uint8(log2(m.stride))))
	} else {
		b.a.MovImm(arm64.W64, a64Tmp, uint64(m.stride))
		b.a.Madd(arm64.W64, d, a64Tmp2, a64Tmp, d)
	}
	b.a.Bind(done)
	b.late = append(b.late, func() {
		b.a.Bind(null)
		b.a.MovImm(arm64.W64, d, 0)
		if m.null != 0 {
			b.jump(m.null)
		} else {
			b.a.B(done)
		}
	})
}

// addCopyOffset adds to d how far this virtual CPU's copy is from the first.
func (b *arm64Backend) addCopyOffset(m *array, d arm64.Reg) {
	if m.cpuStride == 0 {
		return
	}
	b.a.Ldr(arm64.Size64, a64Tmp, a64Field(vm.ThreadCPU))
	b.a.MovImm(arm64.W64, a64Addr, m.cpuStride)
	b.a.Madd(arm64.W64, d, a64Tmp, a64Addr, d)
}
