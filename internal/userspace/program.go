package userspace

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
)

// progObject is a loaded program and the count of what keeps it: its handle and slots. It
// implements maps.ProgRef.
type progObject struct {
	*vm.Program
	maps []*mapObject // that it uses, each with a reference
	// storage are those of maps that give each run a value of its own.
	storage []*maps.CgroupStorage
	owner   linux.Owner
	cpus    int
	refs    atomic.Int64
}

// Desc implements maps.ProgRef.
func (o *progObject) Desc() uint64 { return o.Program.Desc }

// ID implements maps.ProgRef.
func (o *progObject) ID() uint32 { return o.Program.ID }

// Name implements maps.ProgRef.
func (o *progObject) Name() string { return o.Program.Name }

// Owner implements maps.ProgRef.
func (o *progObject) Owner() linux.Owner { return o.owner }

// TailCalls implements maps.ProgRef.
func (o *progObject) TailCalls() bool { return o.owner.TailCalls }

// Ref implements maps.ProgRef.
func (o *progObject) Ref() { o.refs.Add(1) }

// tryRef takes a reference unless the last one is gone.
func (o *progObject) tryRef() bool {
	for {
		n := o.refs.Load()
		if n == 0 {
			return false
		}
		if o.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Unref implements maps.ProgRef. The last one releases the program and what it uses.
func (o *progObject) Unref() {
	if o.refs.Add(-1) != 0 {
		return
	}
	o.Release()
	for _, m := range o.maps {
		m.Unref()
	}
}

// beginStorage gives a run fresh cgroup storage, once for all repetitions as bpf_test_run does.
func (o *progObject) beginStorage(c *vm.CPU) error {
	for _, s := range o.storage {
		if err := s.Begin(c); err != nil {
			return err
		}
	}
	return nil
}

func (o *progObject) endStorage(c *vm.CPU) {
	for _, s := range o.storage {
		s.End(c)
	}
}

// program is the handle of a program. It implements engine.Program.
type program struct {
	obj    *progObject
	coll   *collection
	closed atomic.Bool
	// unverified is why the verifier has not accepted the program, nil when it has.
	unverified error
}

func (p *program) Name() string                { return p.obj.Name() }
func (p *program) ID() uint32                  { return p.obj.ID() }
func (p *program) Type() ebpf.ProgramType      { return p.obj.Type }
func (p *program) AttachType() ebpf.AttachType { return p.obj.AttachType }
func (p *program) FD() int                     { return -1 }
func (p *program) Unverified() error           { return p.unverified }

func (p *program) Close() error {
	if !p.closed.Swap(true) {
		p.obj.Unref()
	}
	return nil
}

// Run implements engine.Program.
func (p *program) Run(ctx context.Context, in *engine.Input, res *engine.Result) error {
	c, err := p.coll.pool.acquire(ctx)
	if err != nil {
		return fmt.Errorf("program %s: %w", p.Name(), err)
	}
	err = p.runOn(ctx, c, in, res)
	p.coll.pool.release(c)
	return err
}

// runOn runs the program on a virtual CPU that the caller holds.
func (p *program) runOn(ctx context.Context, c *vm.CPU, in *engine.Input, res *engine.Result) error {
	if in == nil {
		in = &engine.Input{}
	}
	if err := p.coll.enter(c, p.Name()); err != nil {
		return err
	}
	defer p.coll.leave(c)
	p.coll.observe(c)
	if err := c.Begin(ctx); err != nil {
		return err
	}
	defer c.End()
	return p.runBegun(c, in, res)
}

// runBegun is one run on a virtual CPU, after Begin.
func (p *program) runBegun(c *vm.CPU, in *engine.Input, res *engine.Result) error {
	// After Begin: a Close that is not seen here waits for the end of this run before it frees.
	if p.closed.Load() {
		return fmt.Errorf("program %s: %w", p.Name(), os.ErrClosed)
	}
	c.World = p.coll.worldOf(in)
	if in.World != nil && in.World.Seed != 0 {
		c.SetSeed(in.World.Seed)
	}
	defer p.obj.endStorage(c)
	if err := p.obj.beginStorage(c); err != nil {
		return fmt.Errorf("program %s: %w", p.Name(), err)
	}
	r1, err := prepare(c, p.obj.Program, in)
	if err != nil {
		return fmt.Errorf("program %s: %w", p.Name(), err)
	}
	if err := p.repeat(c, r1, in, res); err != nil {
		return err
	}
	collect(c, p.obj.Program, in, res)
	return nil
}

// repeat runs the program as often as the input asks, always on the same packet, as
// BPF_PROG_TEST_RUN does.
func (p *program) repeat(c *vm.CPU, r1 uint64, in *engine.Input, res *engine.Result) error {
	limits := vm.Limits{Budget: in.Budget}
	if limits.Budget == 0 {
		limits.Budget = p.coll.opts.Budget
	}
	var out vm.Result
	n := max(in.Repeat, 1)
	res.Instructions, res.UnwoundBy, res.Duration = 0, "", 0
	var start time.Time
	if in.Repeat > 0 { // two looks at the clock cost as much as a short program
		start = time.Now()
	}
	for range n {
		if err := c.Run(p.obj.Program, r1, 0, limits, &out); err != nil {
			return err
		}
		res.Instructions += out.Instructions
	}
	if in.Repeat > 0 {
		res.Duration = time.Since(start) / time.Duration(n)
	}
	res.Return, res.CPU = out.R0, c.ID
	res.TailCalls, res.Misses = out.TailCalls, out.Misses
	if out.Unwound != nil {
		res.UnwoundBy = out.Unwound.Name
	}
	res.Redirect = engine.Redirect{
		Set: c.Redirect.Set, Ifindex: c.Redirect.Ifindex, Map: c.Redirect.Map, Key: c.Redirect.Key, Flags: c.Redirect.Flags,
	}
	return nil
}

// worldOf is the environment of a run.
func (c *collection) worldOf(in *engine.Input) *world.World {
	if in.World == nil {
		return &c.world
	}
	if in.World.Clock != nil {
		return in.World
	}
	w := *in.World
	w.Clock = c.world.Clock
	return &w
}

// Pin implements engine.Program. There is no bpffs in user space.
func (p *program) Pin(string) error {
	return fmt.Errorf("programs in user space have no pins: %w", engine.ErrUnsupported)
}

// Unpin implements engine.Program.
func (p *program) Unpin() error { return nil }

// IsPinned implements engine.Program.
func (p *program) IsPinned() bool { return false }
