package userspace

import (
	"context"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// pool hands out the virtual CPUs of a collection, the lowest free one first.
type pool struct {
	cpus []*vm.CPU

	mu      sync.Mutex
	free    [linux.MaxCPUs / 64]uint64
	waiters []*waiter // first come, first served
	closed  bool
}

// waiter waits for one virtual CPU, or for any when want is -1.
type waiter struct {
	want int
	got  chan *vm.CPU
}

func newPool(cpus []*vm.CPU) *pool {
	p := &pool{cpus: cpus}
	for i := range cpus {
		p.free[i/64] |= 1 << (i % 64)
	}
	return p
}

var errPoolClosed = fmt.Errorf("the collection is closed: %w", os.ErrClosed)

// take removes a free virtual CPU; the caller holds the lock.
func (p *pool) take(want int) *vm.CPU {
	if want >= 0 {
		if p.free[want/64]&(1<<(want%64)) == 0 {
			return nil
		}
	} else {
		for i, word := range p.free {
			if word != 0 {
				want = i*64 + bits.TrailingZeros64(word)
				break
			}
		}
		if want < 0 {
			return nil
		}
	}
	p.free[want/64] &^= 1 << (want % 64)
	return p.cpus[want]
}

// acquire waits for the lowest free virtual CPU.
func (p *pool) acquire(ctx context.Context) (*vm.CPU, error) { return p.wait(ctx, -1) }

func (p *pool) wait(ctx context.Context, want int) (*vm.CPU, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errPoolClosed
	}
	if c := p.take(want); c != nil {
		p.mu.Unlock()
		return c, nil
	}
	w := &waiter{want: want, got: make(chan *vm.CPU, 1)}
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	select {
	case c := <-w.got:
		if c == nil {
			return nil, errPoolClosed
		}
		return c, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, o := range p.waiters {
		if o == w {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			p.mu.Unlock()
			return nil, fmt.Errorf("waiting for a free virtual CPU (%d in all): %w", len(p.cpus), ctx.Err())
		}
	}
	p.mu.Unlock()
	// One was handed over at the same moment.
	if c := <-w.got; c != nil {
		p.release(c)
	}
	return nil, ctx.Err()
}

// release gives a virtual CPU to who waits for it, or makes it free.
func (p *pool) release(c *vm.CPU) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiters {
		if w.want < 0 || w.want == c.ID {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			w.got <- c
			return
		}
	}
	p.free[c.ID/64] |= 1 << (c.ID % 64)
}

// close refuses whoever asks for a virtual CPU from now on, and who waits for one.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.waiters {
		close(w.got)
	}
	p.waiters = nil
}

// guard is what a virtual CPU is doing: running a program for whoever got it from the pool, or
// being looked at between two runs.
type guard struct {
	state atomic.Uint32
	_     [60]byte // no two on one cache line
}

// States of a guard.
const (
	guardIdle = iota
	guardRunning
	guardLooking
)

// lock waits until no run is under way and keeps new ones out.
func (g *guard) lock() {
	for n := 0; !g.state.CompareAndSwap(guardIdle, guardLooking); n++ {
		if n < 100 {
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

func (g *guard) unlock() { g.state.Store(guardIdle) }

// enter starts a run. It fails when one is under way on this virtual CPU, which then is the run
// that the caller is a part of, and when the collection is closed.
func (c *collection) enter(cpu *vm.CPU, prog string) error {
	g := &c.guards[cpu.ID]
	for !g.state.CompareAndSwap(guardIdle, guardRunning) {
		if g.state.Load() == guardRunning {
			return &vm.Error{Code: vm.ErrBusy, Program: prog,
				Reason: fmt.Sprintf("virtual CPU %d is in the middle of a run; use another one", cpu.ID)}
		}
		runtime.Gosched()
	}
	if c.closed.Load() {
		g.unlock()
		return fmt.Errorf("program %s: %w", prog, errPoolClosed)
	}
	return nil
}

func (c *collection) leave(cpu *vm.CPU) { c.guards[cpu.ID].unlock() }

// between calls f with every virtual CPU, each time between two runs.
func (c *collection) between(f func(*vm.CPU)) error {
	for i, cpu := range c.cpus {
		g := &c.guards[i]
		g.lock()
		if c.closed.Load() {
			g.unlock()
			return errPoolClosed
		}
		f(cpu)
		g.unlock()
	}
	return nil
}

// pinned is a reserved virtual CPU. It implements engine.CPU.
type pinned struct {
	coll     *collection
	cpu      *vm.CPU
	released atomic.Bool
}

func (p *pinned) Number() int { return p.cpu.ID }

func (p *pinned) Run(ctx context.Context, prog engine.Program, in *engine.Input, res *engine.Result) error {
	q, err := p.usable(prog)
	if err != nil {
		return err
	}
	return q.runOn(ctx, p.cpu, in, res)
}

// usable returns the program when it can run on this virtual CPU.
func (p *pinned) usable(prog engine.Program) (*program, error) {
	q, ok := prog.(*program)
	if !ok || q.coll != p.coll {
		return nil, fmt.Errorf("program %s is not of the collection that virtual CPU %d belongs to: %w", prog.Name(), p.cpu.ID, linux.EINVAL)
	}
	if p.released.Load() {
		return nil, fmt.Errorf("virtual CPU %d was released; reserve it again: %w", p.cpu.ID, os.ErrClosed)
	}
	return q, nil
}

func (p *pinned) Release() {
	if !p.released.Swap(true) {
		p.coll.pool.release(p.cpu)
	}
}
