package jit

import "github.com/carom-bpf/carom/internal/isa"

func (c *compiler) jumps(n int, i isa.Insn) error {
	switch i.Op & 0xf0 {
	case isa.EXIT:
		c.ret()
		return nil
	case isa.CALL:
		return c.calls(n, i)
	}
	target, _ := jumpTarget(n, i)
	to := c.label(target)
	switch i.Op & 0xf0 {
	case isa.JA:
		if target != n+1 {
			c.jump(to)
		}
		return nil
	case isa.JCOND:
		c.mayGoto(to)
		return nil
	}
	switch c.ways(n, i) {
	case always:
		c.jump(to)
		return nil
	case never:
		return nil
	}
	cond, ok := conditionOf(i.Op & 0xf0)
	if !ok {
		return c.unsupported(n, "no such jump")
	}
	if c.fuseZero(n, i, cond, to) {
		return nil
	}
	w := w64
	if i.Class() == isa.ClassJMP32 {
		w = w32
	}
	if i.Op&isa.SrcReg != 0 {
		c.jumpIf(cond, w, reg(i.Dst), reg(i.Src), to)
	} else {
		c.jumpIfImm(cond, w, reg(i.Dst), i.Imm, to)
	}
	return nil
}

// way says where a conditional jump may go.
type way uint8

const (
	either way = iota
	always     // it is taken
	never      // it is not
)

// ways folds jumps as Linux does (opt_hard_wire_dead_code_branches): into code that is never
// executed. That one way of a jump was never found possible is not enough, because Linux 6.18, and
// so the verifier, prunes paths by the values of registers that it should have marked precise
// (those that atomic operations fetch from the stack).
func (c *compiler) ways(n int, i isa.Insn) way {
	target, _ := jumpTarget(n, i)
	switch {
	case n+1 < len(c.insns) && !c.seen(n+1):
		return always
	case !c.seen(target):
		return never
	}
	return either
}

func conditionOf(op uint8) (condition, bool) {
	conds := map[uint8]condition{
		isa.JEQ: condEQ, isa.JNE: condNE, isa.JGT: condGT, isa.JGE: condGE, isa.JLT: condLT, isa.JLE: condLE,
		isa.JSGT: condSGT, isa.JSGE: condSGE, isa.JSLT: condSLT, isa.JSLE: condSLE, isa.JSET: condSET,
	}
	c, ok := conds[op]
	return c, ok
}

func (c *compiler) calls(n int, i isa.Insn) error {
	switch {
	case i.Op&isa.SrcReg != 0:
		return c.unsupported(n, "a call by register")
	case i.Src != isa.CallLocal:
		return c.callHelper(n)
	}
	target := n + 1 + int(i.Imm)
	var saved []reg
	for k := range reg(4) {
		if c.at(target).saved&(1<<k) != 0 {
			saved = append(saved, r6+k)
		}
	}
	c.call(c.label(target), saved)
	return nil
}
