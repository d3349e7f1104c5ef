package userspace

import (
	"context"
	"fmt"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// RunBatch implements engine.Batcher.
func (p *pinned) RunBatch(ctx context.Context, prog engine.Program, in []engine.Input, res []engine.Result) (int, error) {
	q, err := p.usable(prog)
	if err != nil {
		return 0, err
	}
	if len(res) < len(in) {
		return 0, fmt.Errorf("program %s: %d results for %d inputs: %w", q.Name(), len(res), len(in), linux.EINVAL)
	}
	return q.runBatch(ctx, p.cpu, in, res)
}

// runBatch is runOn for many inputs: the virtual CPU is entered once. Each run is one of its own
// for the epochs, so that what it has unlinked is free for the next one.
func (p *program) runBatch(ctx context.Context, c *vm.CPU, in []engine.Input, res []engine.Result) (int, error) {
	if err := p.coll.enter(c, p.Name()); err != nil {
		return 0, err
	}
	defer p.coll.leave(c)
	p.coll.observe(c)
	if err := c.Begin(ctx); err != nil {
		return 0, err
	}
	defer c.End()
	for i := range in {
		if i > 0 {
			c.Again()
		}
		if err := p.runBegun(c, &in[i], &res[i]); err != nil {
			return i, err
		}
	}
	return len(in), nil
}
