// Package kernel runs collections in the Linux kernel, through bpf(2) and cilium/ebpf, behind the
// same handles as the engines in user space:
//
//	coll, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{})})
//
// Programs run through BPF_PROG_TEST_RUN, so what comes out is what Linux says. It needs root, or
// CAP_BPF with CAP_PERFMON and CAP_NET_ADMIN. What only exists in user space (custom helpers,
// events of single hops, registers and memory of a probed task) is refused with an error that wraps
// carom.ErrUnsupported. Tail calls are counted by instrumented copies, see Options.CountEdges.
//
// On other systems than Linux the package builds, and everything is unsupported.
package kernel

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/engine"
)

// Name is the engine's name.
const Name = "kernel"

// Options say how collections are loaded. The zero value is useful.
type Options struct {
	// PinPath is the bpffs directory of maps that are pinned by name (LIBBPF_PIN_BY_NAME).
	PinPath string
	// LogLevel asks for the verifier's log also of programs that it accepts.
	LogLevel ebpf.LogLevel
	// LogSizeStart is the size in bytes of the first buffer for the verifier's log.
	LogSizeStart uint32
	// CountEdges loads an instrumented copy of each program, which counts for Collection.Edges
	// what user space counts. Counting costs some dozens of instructions at every tail call and
	// at the start of every program, and 16 bytes of stack around a tail call. Loading fails with
	// carom.ErrUnsupported where a program has no room for that. Each program is loaded twice,
	// for runs and for slots: what Maps of this collection say of slots are the ids of the
	// former, what bpftool and carom slots say those of the latter. It needs CAP_PERFMON.
	//
	// Exact are hops between programs of the collection, and misses and their reasons, also when
	// runs interrupt each other, up to four on one CPU. Hops to programs without counters, which
	// others put into slots, are exact in number; Edge.To says which program the slot holds when
	// Edges is called. What such a program does is not seen: if it tail-calls on into a program
	// of the collection, that one counts as the target of the call before, and a miss after 33
	// hops of which it made some has "empty" as its reason. While programs run, Edges may
	// count a hop that is just under way as one to a program without counters, once.
	CountEdges carom.Counting
}

// Engine returns the engine that runs programs in the Linux kernel.
func Engine(opts Options) carom.Engine { return kernelEngine{opts} }

// Available returns nil when this process may load programs into the kernel, and otherwise an
// error that says what is missing. It creates a map and a program and removes them again.
func Available() error { return available() }

type kernelEngine struct{ opts Options }

func (kernelEngine) Name() string { return Name }

func unsupported(format string, args ...any) error {
	return fmt.Errorf("the kernel engine has no %s: %w", fmt.Sprintf(format, args...), engine.ErrUnsupported)
}
