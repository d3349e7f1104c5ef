package userspace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/trace"
	"github.com/carom-bpf/carom/world"
)

// collection implements engine.Collection.
type collection struct {
	host  *Host
	opts  Options
	world world.World
	pool  *pool
	cpus  []*vm.CPU
	progs map[string]*program
	times engine.LoadTimes
	maps  map[string]*mapHandle

	guards   []guard // by virtual CPU
	sink     atomic.Pointer[trace.Sink]
	counting atomic.Bool

	closed    atomic.Bool
	closeOnce sync.Once
}

func (c *collection) Program(name string) engine.Program {
	if p := c.progs[name]; p != nil {
		return p
	}
	return nil
}

func (c *collection) Map(name string) engine.Map {
	if m := c.maps[name]; m != nil {
		return m
	}
	return nil
}

func (c *collection) ProgramNames() []string { return slices.Sorted(maps.Keys(c.progs)) }
func (c *collection) MapNames() []string     { return slices.Sorted(maps.Keys(c.maps)) }
func (c *collection) CPUs() int              { return len(c.cpus) }

// LoadTimes returns how long verifying and compiling took.
func (c *collection) LoadTimes() engine.LoadTimes { return c.times }

// Pin implements engine.Collection.
func (c *collection) Pin(ctx context.Context, n int) (engine.CPU, error) {
	if n < 0 || n >= len(c.cpus) {
		return nil, fmt.Errorf("virtual CPU %d: the collection has %d; see Options.CPUs: %w", n, len(c.cpus), linux.EINVAL)
	}
	cpu, err := c.pool.wait(ctx, n)
	if err != nil {
		return nil, err
	}
	return &pinned{coll: c, cpu: cpu}, nil
}

// SetCounting implements engine.Collection.
func (c *collection) SetCounting(on bool) error {
	c.counting.Store(on)
	return nil
}

// SetSink implements engine.Collection.
func (c *collection) SetSink(s trace.Sink) error {
	c.sink.Store(&s)
	return nil
}

// observe tells a virtual CPU what the coming run reports.
func (c *collection) observe(cpu *vm.CPU) {
	cpu.SetCounting(c.counting.Load())
	if s := c.sink.Load(); s != nil {
		cpu.SetSink(*s)
	}
}

// Edges implements engine.Collection.
func (c *collection) Edges() ([]engine.Edge, error) {
	sum := vm.Counts{}
	if err := c.between(func(cpu *vm.CPU) { cpu.Edges(sum) }); err != nil {
		return nil, err
	}
	edges := make([]engine.Edge, 0, len(sum))
	for k, n := range sum {
		edges = append(edges, engine.Edge{From: k.From, Insn: k.Insn, File: k.File, Line: k.Line, Source: k.Source,
			Map: k.Map, Index: k.Index, To: k.Target, Reason: k.Reason, Count: n})
	}
	slices.SortFunc(edges, func(a, b engine.Edge) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.Insn, b.Insn), cmp.Compare(a.Map, b.Map),
			cmp.Compare(a.Index, b.Index), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.To, b.To))
	})
	return edges, nil
}

// Close implements engine.Collection. It waits for runs that are under way; a virtual CPU that is
// reserved but idle does not hold it up.
func (c *collection) Close() error {
	c.closeOnce.Do(func() {
		if c.pool != nil {
			c.pool.close()
		}
		c.closed.Store(true)
		for i := range c.guards {
			c.guards[i].lock() // runs that begin after this see closed
			c.guards[i].unlock()
		}
		for _, p := range c.progs {
			_ = p.Close()
		}
		for _, m := range c.maps {
			_ = m.Close()
		}
		for _, cpu := range c.cpus {
			cpu.Close()
		}
		c.host.machine.Epochs.Reclaim()
	})
	return nil
}

var errNoPrograms = errors.New("the object has neither programs nor maps")
