package kernel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

type program struct {
	p      *ebpf.Program
	name   string
	id     uint32
	attach ebpf.AttachType
	facts  *facts      // nil when the spec is not known
	pinned atomic.Bool // with its collection
	// target is the variant for slots of a program that counts; nil for others.
	target *ebpf.Program
}

func (p *program) Name() string                { return p.name }
func (p *program) ID() uint32                  { return p.id }
func (p *program) Type() ebpf.ProgramType      { return p.p.Type() }
func (p *program) AttachType() ebpf.AttachType { return p.attach }
func (p *program) FD() int                     { return p.p.FD() }
func (p *program) Pin(path string) error       { return wrap(p.p.Pin(path)) }
func (p *program) Unpin() error                { return wrap(p.p.Unpin()) }
func (p *program) IsPinned() bool              { return p.p.IsPinned() || p.pinned.Load() }

// Close also closes the variant for slots.
func (p *program) Close() error {
	return errors.Join(wrap(p.p.Close()), wrap(p.target.Close()))
}

// forSlot is what goes into slots.
func (p *program) forSlot() *ebpf.Program {
	if p.target != nil {
		return p.target
	}
	return p.p
}

// growth is how many bytes a program may add to a packet before BPF_PROG_TEST_RUN reports ENOSPC.
const growth = 4096

// Run runs the program through BPF_PROG_TEST_RUN on the CPU that the caller is on. ctx is looked
// at before the run only: bpf(2) cannot be interrupted between two repetitions without losing
// their count. Result.CPU is -1, Result.Duration is measured around the system call.
func (p *program) Run(ctx context.Context, in *engine.Input, res *engine.Result) error {
	if in == nil {
		in = &engine.Input{}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(in.Registers) > 0 || len(in.Memory) > 0 {
		return unsupported("registers and memory of a probed task")
	}
	if in.Repeat < 0 {
		return fmt.Errorf("repeat %d: %w", in.Repeat, linux.EINVAL)
	}
	opts := ebpf.RunOptions{Data: in.Data, Repeat: uint32(in.Repeat)}
	if len(in.Data) > 0 && !in.DiscardData {
		n := len(in.Data) + growth
		opts.DataOut = slices.Grow(res.Data[:0], n)[:n]
	}
	if len(in.Context) > 0 {
		opts.Context = in.Context
	}
	if n := p.contextSize(in); in.ContextOut && n > 0 {
		opts.ContextOut = slices.Grow(res.Context[:0], n)[:n]
	}
	start := time.Now()
	ret, err := p.p.Run(&opts)
	elapsed := time.Since(start)
	if err != nil {
		return fmt.Errorf("program %s: %w", p.name, wrap(err))
	}
	data, context := opts.DataOut, res.Context[:0]
	if b, ok := opts.ContextOut.([]byte); ok {
		context = b
	}
	if data == nil {
		data = res.Data[:0]
	}
	*res = engine.Result{
		Return: uint64(ret), Data: data, Context: context, CPU: -1,
		Duration: elapsed / time.Duration(max(in.Repeat, 1)),
	}
	return nil
}

// contextSize is the length in bytes of the context that BPF_PROG_TEST_RUN gives back
// (net/bpf/test_run.c), 0 for types that give none.
func (p *program) contextSize(in *engine.Input) int {
	switch p.p.Type() {
	case ebpf.XDP:
		return linux.XDPMDSize
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.CGroupSKB,
		ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local:
		return linux.SKBSize
	case ebpf.Syscall:
		return len(in.Context)
	}
	return 0
}

// cpu runs programs on one CPU by moving the calling thread there for the time of the run.
type cpu int

func (c cpu) Number() int { return int(c) }
func (c cpu) Release()    {}

func (c cpu) Run(ctx context.Context, p engine.Program, in *engine.Input, res *engine.Result) (err error) {
	k, ok := p.(*program)
	if !ok {
		return errors.New("the program is not one of the kernel engine")
	}
	runtime.LockOSThread()
	var before, here unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		runtime.UnlockOSThread()
		return wrap(err)
	}
	here.Set(int(c))
	if err := unix.SchedSetaffinity(0, &here); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("move to CPU %d: %w", int(c), wrap(err))
	}
	defer func() {
		// A thread that cannot go back stays locked and ends with its goroutine.
		if e := unix.SchedSetaffinity(0, &before); e != nil {
			err = errors.Join(err, fmt.Errorf("restore the CPUs of the thread: %w", wrap(e)))
			return
		}
		runtime.UnlockOSThread()
	}()
	if err := k.Run(ctx, in, res); err != nil {
		return err
	}
	res.CPU = int(c)
	return nil
}
