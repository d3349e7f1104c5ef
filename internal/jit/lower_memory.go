package jit

import (
	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// sizeOf returns the bytes of an access.
func sizeOf(opcode uint8) int {
	return [...]int{isa.SizeW >> 3: 4, isa.SizeH >> 3: 2, isa.SizeB >> 3: 1, isa.SizeDW >> 3: 8}[opcode&0x18>>3]
}

// memory is a load, a store or an atomic operation.
func (c *compiler) memory(n int, i isa.Insn) error {
	switch access := c.in.Facts.Insns[n].Access; {
	case access == facts.Context && c.p.Context != nil && len(c.p.Context.Fields) > 0:
		c.context(n, i)
		return nil
	case access == facts.Unknown || access == facts.Kernel:
		c.exit(vm.ExitAccess, n, c.index)
		return nil
	}
	size := sizeOf(i.Op)
	to, from := address{reg(i.Dst), int32(i.Off)}, address{reg(i.Src), int32(i.Off)}
	switch {
	case i.Class() == isa.ClassLDX:
		c.load(size, i.Op&0xe0 == isa.ModeMEMSX, reg(i.Dst), from)
	case i.Class() == isa.ClassST:
		c.storeImm(size, to, i.Imm)
	case i.Op&0xe0 != isa.ModeATOMIC:
		c.store(size, to, reg(i.Src))
	case i.Imm == isa.AtomicLoadAcq:
		c.loadAcquire(size, reg(i.Dst), from)
	case i.Imm == isa.AtomicStoreRel:
		c.storeRelease(size, to, reg(i.Src))
	default:
		c.atomic(i.Imm, size == 8, to, reg(i.Src))
	}
	return nil
}

// context is an access to a context with a table of fields. What is rare leaves to Go.
func (c *compiler) context(n int, i isa.Insn) {
	size := sizeOf(i.Op)
	off := uint32(i.Off)
	write := i.Class() != isa.ClassLDX
	f := c.p.Context.Field(off, uint32(size), write)
	if f == nil || i.Op&0xe0 != isa.ModeMEM {
		c.exit(vm.ExitAccess, n, c.index)
		return
	}
	if write {
		c.storeContext(n, i, f, size)
		return
	}
	dst := reg(i.Dst)
	shift := f.Shift(off, uint32(size))
	switch f.Kind {
	case linux.FieldPacketData:
		c.loadThread(8, dst, vm.ThreadPacketData)
	case linux.FieldPacketEnd:
		c.loadThread(8, dst, vm.ThreadPacketEnd)
	case linux.FieldPacketMeta:
		c.loadThread(8, dst, vm.ThreadPacketMeta)
	case linux.FieldPacketLen:
		c.packetLen(8*size, int(8*shift), dst)
	default:
		if f.Kind == linux.FieldPointer && size == 4 {
			size = 8
		}
		c.load(size, false, dst, address{reg(i.Src), int32(f.Back + shift)})
	}
}

func (c *compiler) storeContext(n int, i isa.Insn, f *linux.ContextField, size int) {
	to := address{reg(i.Dst), int32(f.Back) + int32(i.Off) - int32(f.Off)}
	switch {
	case f.Kind == linux.FieldQueue, f.Kind == linux.FieldShort && size != 4:
		c.exit(vm.ExitAccess, n, c.index)
	case f.Kind == linux.FieldShort && i.Class() == isa.ClassST:
		c.storeImm(4, to, int32(uint16(i.Imm)))
	case f.Kind == linux.FieldShort:
		c.store16in32(to, reg(i.Src))
	case i.Class() == isa.ClassST:
		c.storeImm(size, to, i.Imm)
	default:
		c.store(size, to, reg(i.Src))
	}
}
