package vm

import "context"

// Step is what a stepped program reports before an instruction.
type Step struct {
	CPU   *CPU
	Prog  *Program
	Insn  int
	Depth int // of the frame, 0 for the first one of the run
	Regs  [16]uint64
}

type stepKey struct{}

// WithStep returns a context in which runs of stepped programs report to f. f must not change
// anything.
func WithStep(ctx context.Context, f func(*Step)) context.Context {
	return context.WithValue(ctx, stepKey{}, f)
}

// MakeStepped makes the program report each instruction, for tests that look into a run. It must be
// called before the program runs. Other programs are not slowed down: each op is replaced by one
// that reports, and stands behind all of them.
func (p *Program) MakeStepped() {
	ops := make([]op, 0, 2*len(p.ops))
	for _, o := range p.ops {
		o.code = opStep
		ops = append(ops, o)
	}
	p.ops = append(ops, p.ops...)
}

// step reports an instruction.
func (c *CPU) step(p *Program, insn int, regs [16]uint64) {
	if c.goctx == nil {
		return
	}
	if f, ok := c.goctx.Value(stepKey{}).(func(*Step)); ok {
		f(&Step{CPU: c, Prog: p, Insn: insn, Depth: c.depth, Regs: regs})
	}
}
