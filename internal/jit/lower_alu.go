package jit

import "github.com/carom-bpf/carom/internal/isa"

func (c *compiler) alu(n int, i isa.Insn) error {
	w := w32
	if i.Class() == isa.ClassALU64 {
		w = w64
	}
	dst, src, byReg := reg(i.Dst), reg(i.Src), i.Op&isa.SrcReg != 0
	switch i.Op & 0xf0 {
	case isa.END:
		return c.end(n, i, w)
	case isa.NEG:
		c.neg(w, dst)
		return nil
	case isa.MOV:
		if c.fuseAdd(n, i) {
			return nil
		}
		c.mov(w, dst, src, byReg, i)
		return nil
	}
	op, ok := aluOperation(i)
	if !ok {
		return c.unsupported(n, "no such operation")
	}
	switch op {
	case opAdd, opSub, opAnd, opOr, opXor:
		c.flags = n
		if c.leadsToJump(n) {
			c.fuse.beforeJump()
		}
	}
	if byReg {
		c.backend.alu(op, w, dst, src)
	} else {
		c.aluImm(op, w, dst, i.Imm)
	}
	return nil
}

func aluOperation(i isa.Insn) (operation, bool) {
	ops := map[uint8]operation{
		isa.ADD: opAdd, isa.SUB: opSub, isa.MUL: opMul, isa.OR: opOr, isa.AND: opAnd, isa.XOR: opXor,
		isa.LSH: opLsh, isa.RSH: opRsh, isa.ARSH: opArsh, isa.DIV: opDiv, isa.MOD: opMod,
	}
	op, ok := ops[i.Op&0xf0]
	if i.Off == 1 {
		switch op {
		case opDiv:
			return opSDiv, true
		case opMod:
			return opSMod, true
		}
	}
	return op, ok && i.Off == 0
}

func (c *compiler) mov(w width, dst, src reg, byReg bool, i isa.Insn) {
	switch {
	case !byReg && w == w64:
		c.moveImm(dst, uint64(int64(i.Imm)))
	case !byReg:
		c.moveImm(dst, uint64(uint32(i.Imm)))
	case i.Off != 0:
		c.moveSX(int(i.Off), w, dst, src)
	case w == w64 && dst == src:
	default:
		c.move(w, dst, src)
	}
}

// end is the conversion of byte order, for a little-endian machine.
func (c *compiler) end(n int, i isa.Insn, w width) error {
	switch {
	case i.Imm != 16 && i.Imm != 32 && i.Imm != 64:
		return c.unsupported(n, "no such width")
	case w == w64 || i.Op&isa.SrcReg != 0:
		c.swap(int(i.Imm), reg(i.Dst))
	case i.Imm == 32:
		c.move(w32, reg(i.Dst), reg(i.Dst))
	case i.Imm == 16:
		c.zeroExtend(16, reg(i.Dst))
	}
	return nil
}
