package carom

import (
	"context"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/cilium/ebpf"
)

// Program is a loaded program. It is safe for concurrent use.
type Program struct {
	core   engine.Program
	coll   engine.Collection
	handle handle
}

// Name is the program's name, which is that of its function.
func (p *Program) Name() string { return p.core.Name() }

// ID identifies the program while it is loaded; lookups in a PROG_ARRAY return it.
func (p *Program) ID() ebpf.ProgramID { return ebpf.ProgramID(p.core.ID()) }

// Type is the program's type.
func (p *Program) Type() ebpf.ProgramType { return p.core.Type() }

// AttachType is the attach type that the program was loaded with.
func (p *Program) AttachType() ebpf.AttachType { return p.core.AttachType() }

// FD is the file descriptor of a program in the kernel, -1 of one in user space.
func (p *Program) FD() int { return p.core.FD() }

// Jited reports whether the program runs as machine code, JIT's or that of the kernel that runs it.
// A run whose hops are reported to a sink is interpreted all the same.
func (p *Program) Jited() bool {
	if j, ok := p.core.(interface{ Jited() bool }); ok {
		return j.Jited()
	}
	return p.core.FD() >= 0
}

// MachineCode returns a copy of the machine code that JIT made of the program, nil when the program
// has none or is that of another engine.
func (p *Program) MachineCode() *MachineCode {
	if m, ok := p.core.(interface{ MachineCode() *MachineCode }); ok {
		return m.MachineCode()
	}
	return nil
}

// RunInput runs the program on the lowest free virtual CPU, waiting for one under ctx, and fills
// res, which belongs to the caller. ctx also ends a run that takes too long. It does not
// allocate once res has room for the packet.
//
// Errors are *RuntimeError when the program went wrong, and wrap the errno of
// BPF_PROG_TEST_RUN when the input was refused.
func (p *Program) RunInput(ctx context.Context, in *Input, res *Result) error {
	return p.core.Run(ctx, in, res)
}

// Run is cilium/ebpf's Program.Run: the return value, with packet and context after the run in
// opts.DataOut and opts.ContextOut as far as they have room.
func (p *Program) Run(opts *ebpf.RunOptions) (uint32, error) {
	if opts == nil {
		opts = &ebpf.RunOptions{}
	}
	in := Input{Data: opts.Data, Repeat: int(opts.Repeat)}
	if opts.Context != nil {
		b, err := load.Bytes(opts.Context, -1)
		if err != nil {
			return 0, err
		}
		in.Context = b
	}
	in.ContextOut = opts.ContextOut != nil
	var res Result
	if err := p.RunInput(context.Background(), &in, &res); err != nil {
		return 0, err
	}
	if opts.DataOut != nil {
		n := copy(opts.DataOut, res.Data)
		opts.DataOut = opts.DataOut[:n]
	}
	if opts.ContextOut != nil {
		if err := unmarshal(opts.ContextOut, res.Context); err != nil {
			return 0, err
		}
	}
	return uint32(res.Return), nil
}

// Test is cilium/ebpf's Program.Test: it runs the program once on a packet and returns its return
// value and the packet afterwards.
func (p *Program) Test(in []byte) (uint32, []byte, error) {
	var res Result
	if err := p.RunInput(context.Background(), &Input{Data: in}, &res); err != nil {
		return 0, nil, err
	}
	return uint32(res.Return), res.Data, nil
}

// Close releases the program. It lives on in the slots that hold it.
func (p *Program) Close() error {
	if p == nil {
		return nil
	}
	err := p.core.Close()
	p.handle.release()
	return err
}
