package main

import (
	"context"
	"errors"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
)

const (
	// benchSlice is how long one engine runs before it is the next one's turn.
	benchSlice = 500 * time.Microsecond
	// benchRounds is how many times each program takes. A round has as many slices as fit.
	benchRounds = 20
	maxRepeat   = 1 << 22
)

// errNoMachineCode says that the JIT left a program to the interpreter.
var errNoMachineCode = errors.New("interpreted: the compiler does not know all of it")

// benchRunner runs one program on one engine.
type benchRunner struct {
	column  *benchColumn
	program string
	inputs  []carom.Input
	prog    *carom.Program
	kernel  *ebpf.Program // the same program, to ask for the kernel's own times
	res     carom.Result
	repeat  int // runs on each input in one slice
	returns []uint64
	insns   float64   // in one run, 0 when the engine does not count
	rounds  []float64 // nanoseconds for a run
}

// start runs each input once and finds out how many runs a slice takes.
func (r *benchRunner) start(ctx context.Context) error {
	c := r.column
	if c.native == nil {
		r.prog = c.coll.Programs[r.program]
		if c.name == engineJIT && !r.prog.Jited() {
			return errNoMachineCode
		}
		for i := range r.inputs {
			if err := r.once(ctx, &r.inputs[i]); err != nil {
				return err
			}
		}
	}
	if c.name == engineKernel {
		// Not every kernel lets us have it; then the clock around the system call must do.
		r.kernel, _ = ebpf.NewProgramFromID(r.prog.ID())
	}
	for r.repeat = 1; r.repeat < maxRepeat; r.repeat *= 2 {
		each, err := r.slice(ctx)
		if err != nil {
			return err
		}
		if each*float64(r.repeat*len(r.inputs)) >= float64(benchSlice) {
			break
		}
	}
	return nil
}

func (r *benchRunner) once(ctx context.Context, in *carom.Input) error {
	in.Repeat = 1
	if err := r.run(ctx, in); err != nil {
		return err
	}
	r.returns = append(r.returns, uint64(uint32(r.res.Return)))
	// The first run may fill maps.
	if err := r.run(ctx, in); err != nil {
		return err
	}
	r.insns += float64(r.res.Instructions) / float64(len(r.inputs))
	return nil
}

func (r *benchRunner) run(ctx context.Context, in *carom.Input) error {
	if r.column.cpu != nil {
		return r.column.cpu.Run(ctx, r.prog, in, &r.res)
	}
	return r.prog.RunInput(ctx, in, &r.res)
}

// slice runs every input repeat times and returns the nanoseconds for one run.
func (r *benchRunner) slice(ctx context.Context) (float64, error) {
	total := 0.0
	for i := range r.inputs {
		in := &r.inputs[i]
		in.Repeat = r.repeat
		each, err := r.measure(ctx, in)
		if err != nil {
			return 0, err
		}
		total += each
	}
	return total / float64(len(r.inputs)), nil
}

func (r *benchRunner) measure(ctx context.Context, in *carom.Input) (float64, error) {
	if r.column.native != nil {
		return r.column.native.measure(r.program, r.repeat, in.Data)
	}
	start := time.Now()
	if r.kernel != nil && len(in.Context) == 0 && len(in.Data) > 0 {
		_, own, err := r.kernel.Benchmark(in.Data, r.repeat, nil)
		return within(float64(time.Since(start))/float64(r.repeat), float64(own)), err
	}
	err := r.run(ctx, in)
	return float64(time.Since(start)) / float64(r.repeat), err
}

// within returns what the clock says as far as the kernel's own time allows, which is that of one
// run in whole nanoseconds, without the way into the kernel and back.
func within(clock, own float64) float64 { return max(own, min(clock, own+1)) }

func (r *benchRunner) close() {
	if r.kernel != nil {
		_ = r.kernel.Close()
	}
}

// measureRounds lets the runners run in turn. What a runner takes in a round is the least of its
// slices: what is longer was disturbed.
func measureRounds(ctx context.Context, runners []*benchRunner, each time.Duration) error {
	for range benchRounds {
		least := make([]float64, len(runners))
		for began := time.Now(); ; {
			for i, r := range runners {
				if err := ctx.Err(); err != nil {
					return err
				}
				ns, err := r.slice(ctx)
				if err != nil {
					return err
				}
				if least[i] == 0 || ns < least[i] {
					least[i] = ns
				}
			}
			if time.Since(began) >= each/benchRounds*time.Duration(len(runners)) {
				break
			}
		}
		for i, r := range runners {
			r.rounds = append(r.rounds, least[i])
		}
	}
	return nil
}
