package main

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/kernel/tracefs"
	"github.com/carom-bpf/carom/trace"
	"github.com/cilium/ebpf"
)

// Values of --engine.
const (
	engineAuto   = "auto"
	engineInterp = "interp"
	engineJIT    = "jit"
	engineKernel = "kernel"
	engineBoth   = "both"
)

var engineNames = []string{engineAuto, engineInterp, engineJIT, engineKernel, engineBoth}

// checkEngine finds flags that mean nothing for the engine.
func (f *runFlags) checkEngine() error {
	if !slices.Contains(engineNames, f.engine) {
		return usagef("--engine %s: use auto, interp, jit, kernel or both", f.engine)
	}
	if f.engine != engineKernel {
		if f.countEdges && f.engine != engineBoth {
			return usagef("--count-edges goes with --engine kernel or both; user space always counts")
		}
		return nil
	}
	for _, b := range []struct {
		given bool
		flag  string
	}{
		{f.noVerify, "--no-verify"}, {f.trace, "--trace"}, {f.clock != "real", "--clock"}, {f.seed != 0, "--seed"}, {f.budget != 0, "--budget"},
	} {
		if b.given {
			return usagef("%s is for user space, the kernel has nothing like it; leave it out or use --engine interp", b.flag)
		}
	}
	return nil
}

// usesKernel says that programs are loaded into the kernel.
func (f *runFlags) usesKernel() bool { return f.engine == engineKernel || f.engine == engineBoth }

// unavailable is why the kernel engine cannot be used.
type unavailable struct{ err error }

func (e *unavailable) Error() string {
	return "the kernel engine is not available: " + e.err.Error()
}

func (e *unavailable) Unwrap() []error { return []error{e.err, carom.ErrUnsupported} }

// kernelSide is what a run in the kernel needs besides a collection.
type kernelSide struct {
	pipe *tracefs.Instance // nil when no program prints
	tid  int
}

// openKernel checks that programs can be loaded, and listens to what they print. The calling
// goroutine keeps its thread until close, because printed lines are told apart by it.
func openKernel(spec *ebpf.CollectionSpec, entry *ebpf.ProgramSpec) (*kernelSide, error) {
	switch entry.Type {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent:
		return nil, fmt.Errorf("Linux runs a %s program such as %s only where it is attached, BPF_PROG_TEST_RUN does not take it: %w; use --engine interp",
			entry.Type, entry.Name, carom.ErrUnsupported)
	}
	if err := kernel.Available(); err != nil {
		return nil, &unavailable{err}
	}
	runtime.LockOSThread()
	k := &kernelSide{tid: threadID()}
	if !prints(spec) {
		return k, nil
	}
	pipe, err := tracefs.Open()
	if err != nil {
		runtime.UnlockOSThread()
		return nil, &unavailable{fmt.Errorf("what programs print cannot be read: %w", err)}
	}
	k.pipe = pipe
	return k, nil
}

func (k *kernelSide) close() error {
	var err error
	if k.pipe != nil {
		err = k.pipe.Close()
	}
	runtime.UnlockOSThread()
	return err
}

// printed returns the lines of the programs that this thread ran since the last call.
func (k *kernelSide) printed() ([]tracefs.Line, error) {
	if k == nil || k.pipe == nil {
		return nil, nil
	}
	all, err := k.pipe.Lines()
	return slices.DeleteFunc(all, func(l tracefs.Line) bool { return l.TID != k.tid }), err
}

// show passes printed lines on as user space does with its own.
func (k *kernelSide) show(sink trace.Sink) error {
	lines, err := k.printed()
	for _, l := range lines {
		sink.Event(&trace.Event{
			Kind: trace.Printk, Time: monotonic(),
			CPU: l.CPU, PID: uint32(l.TID), Comm: comm(), Text: []byte(l.Text),
		})
	}
	return err
}

// prints reports whether a program calls bpf_trace_printk or bpf_trace_vprintk.
func prints(spec *ebpf.CollectionSpec) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			if ins.IsBuiltinCall() && (ins.Constant == fnTracePrintk || ins.Constant == fnTraceVprintk) {
				return true
			}
		}
	}
	return false
}

// Numbers of helpers that print (include/uapi/linux/bpf.h).
const (
	fnTracePrintk  = 6
	fnTraceVprintk = 177
)

// kernelOptions are those of a collection in the kernel.
func (f *runFlags) kernelOptions() *carom.Options {
	opts := kernel.Options{}
	if f.countEdges {
		opts.CountEdges = carom.CountOn
	}
	return &carom.Options{Engine: kernel.Engine(opts)}
}
