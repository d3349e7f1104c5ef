package carom

import (
	"context"
	"fmt"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// RunBatch runs p on each input in turn on this virtual CPU and fills the result of the same index:
// what Run does for each of them, in less time for each, because the virtual CPU is entered once.
// It returns how many runs succeeded. When that is less than len(in), the error is that of in[n],
// whose result is not set; a refused packet is left out by going on with in[n+1:] and res[n+1:].
//
// res must be at least as long as in and belongs to the caller: its slices are overwritten, and
// reused where they are large enough. A batch whose results have room does not allocate. Who needs
// verdicts only sets Input.DiscardData, which saves copying packets.
//
// The sink and the counting of the collection are looked at when the batch starts, and
// Collection.Edges waits for its end.
func (c *CPU) RunBatch(ctx context.Context, p *Program, in []Input, res []Result) (n int, err error) {
	if b, ok := c.core.(engine.Batcher); ok {
		return b.RunBatch(ctx, p.core, in, res)
	}
	if len(res) < len(in) {
		return 0, fmt.Errorf("program %s: %d results for %d inputs: %w", p.Name(), len(res), len(in), linux.EINVAL)
	}
	for i := range in {
		if err := c.core.Run(ctx, p.core, &in[i], &res[i]); err != nil {
			return i, err
		}
	}
	return len(in), nil
}
