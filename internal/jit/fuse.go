package jit

import "github.com/carom-bpf/carom/internal/isa"

// fuser is a backend that can do several instructions in one.
type fuser interface {
	// addTo is dst = src + v.
	addTo(dst, src reg, v int32)
	// jumpIfResult jumps on whether the result of the operation right before, an addition,
	// subtraction or bitwise operation, is zero.
	jumpIfResult(c condition, to label)
	// beforeJump announces an operation that jumpIfResult follows.
	beforeJump()
	// alignLoop makes a loop of so many instructions start where the processor fetches well.
	alignLoop(insns int)
}

// alone reports whether control reaches an instruction from the one before it only.
func (c *compiler) alone(n int) bool {
	_, target := c.labels[n]
	return n < len(c.insns) && !target && c.seen(n)
}

// fuseAdd is "dst = src; dst += v" as one instruction.
func (c *compiler) fuseAdd(n int, i isa.Insn) bool {
	if c.fuse == nil || i.Op != isa.ClassALU64|isa.MOV|isa.SrcReg || i.Off != 0 || i.Dst == i.Src || !c.alone(n+1) {
		return false
	}
	next := c.insns[n+1]
	v := next.Imm
	switch {
	case next.Dst != i.Dst:
		return false
	case next.Op == isa.ClassALU64|isa.SUB && v != -1<<31:
		v = -v
	case next.Op != isa.ClassALU64|isa.ADD:
		return false
	}
	c.fuse.addTo(reg(i.Dst), reg(i.Src), v)
	c.fused = n + 1
	return true
}

// leadsToJump reports whether the result of an operation is what the next instruction compares
// with zero.
func (c *compiler) leadsToJump(n int) bool {
	if c.fuse == nil || !c.alone(n+1) {
		return false
	}
	next := c.insns[n+1]
	cond, ok := conditionOf(next.Op & 0xf0)
	class := next.Class()
	return ok && (class == isa.ClassJMP || class == isa.ClassJMP32) && next.Op&isa.SrcReg == 0 && next.Imm == 0 &&
		next.Dst == c.insns[n].Dst && (cond == condEQ || cond == condNE)
}

// fuseZero is a comparison with zero of what the instruction before has computed.
func (c *compiler) fuseZero(n int, i isa.Insn, cond condition, to label) bool {
	if c.fuse == nil || n == 0 || c.flags != n-1 || i.Op&isa.SrcReg != 0 || i.Imm != 0 || cond != condEQ && cond != condNE || !c.alone(n) {
		return false
	}
	before := c.insns[n-1]
	if before.Dst != i.Dst || before.Class() == isa.ClassALU64 && i.Class() == isa.ClassJMP32 {
		return false
	}
	c.fuse.jumpIfResult(cond, to)
	return true
}

// fuseNull lets a lookup jump itself where the next instruction compares its result with NULL.
func (c *compiler) fuseNull(n int, a *array) bool {
	if c.fuse == nil || !c.alone(n+1) {
		return false
	}
	next := c.insns[n+1]
	cond, ok := conditionOf(next.Op & 0xf0)
	if !ok || next.Class() != isa.ClassJMP || next.Op&isa.SrcReg != 0 || next.Dst != 0 || next.Imm != 0 ||
		cond != condEQ && cond != condNE {
		return false
	}
	target, _ := jumpTarget(n+1, next)
	to := c.label(target)
	c.fused = n + 1
	if cond == condEQ {
		a.null = to
		c.lookup(a)
		return true
	}
	fall := c.newLabel()
	a.null = fall
	c.lookup(a)
	c.jump(to)
	c.bind(fall)
	return true
}
