package caromtest

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/world"
)

// ProbePoint is where a probe of user space hits.
type ProbePoint uint8

// Places of probes.
const (
	Uprobe    ProbePoint = iota // an instruction
	Uretprobe                   // the return of a function
)

// Probe is the task that a step's program finds itself in. Linux has no BPF_PROG_TEST_RUN for
// programs at probes and tracepoints, so on the kernel engine a small process is made with these
// registers and this memory, the program is attached, and the process executes the probed
// instruction or the system call once. That needs Linux on amd64; elsewhere the engine is skipped.
//
// A probe has no return value. The engines are compared by their maps and by the records of
// perf event arrays and ring buffers, which must hold no addresses, since those differ.
type Probe struct {
	At ProbePoint // of kprobe programs
	// Event is the tracepoint of other programs, as GROUP:NAME, or NAME for raw ones. It is hit by
	// a system call with the registers below, and what it says is in the step's Context for
	// engines in user space. Other processes hit it too, so programs look at TaskMap.
	Event string
	// Registers have the names of struct pt_regs; those that are not given are 0. The kernel
	// engine cannot set sp at a return probe, nor ip, flags, orig_ax and segments.
	Registers []carom.Register
	// Memory starts at a page boundary; on the kernel engine what follows up to the end of the
	// last page is zero, and nothing is behind that.
	Memory []carom.Memory
	// Comm is the name of the task, up to 15 bytes.
	Comm string
	// TaskMap is an ARRAY of 4 bytes whose first element holds the process number of the task
	// during the run, and 0 after it.
	TaskMap string
	// PIDAt are offsets in bytes of process numbers in records. They are checked against the
	// task's, and 0 in what is compared.
	PIDAt []int
}

// taskNumber is the process of probes in user space.
const taskNumber = 4211

// comm is the task's name.
func (p *Probe) comm() string {
	if p.Comm == "" {
		return "probed"
	}
	return p.Comm
}

// addTo makes the input of engines in user space.
func (p *Probe) addTo(in *carom.Input) {
	in.World = &world.World{Task: world.Task{PID: taskNumber, TGID: taskNumber, Comm: p.comm()}}
	if p.Event == "" {
		in.Registers, in.Memory = p.Registers, p.Memory
	}
}

// probe runs a program in a probed task and returns the task's number.
func (b *bench) probe(p *carom.Program, s *Step, res *carom.Result) (uint32, error) {
	if !b.isKernel() {
		if err := b.announce(s.Probe, taskNumber); err != nil {
			return 0, err
		}
		return taskNumber, errors.Join(b.runOn(p, s, res), b.announce(s.Probe, 0))
	}
	task, err := startTask(s.Probe, p.Type())
	if err != nil {
		return 0, err
	}
	defer task.close()
	if k, ok := b.printed.(*kernelLines); ok {
		own := k.tid
		k.tid = task.pid()
		defer func() { k.tid = own }()
	}
	err = b.announce(s.Probe, uint32(task.pid()))
	if err == nil {
		err = task.hit(p, s.CPU, b.ended)
	}
	return uint32(task.pid()), errors.Join(err, b.announce(s.Probe, 0))
}

// leftovers are closed at the end, at the same time: each takes long, and while one is closed
// other probes wait.
type leftovers struct{ closers []io.Closer }

func (l *leftovers) add(c io.Closer) { l.closers = append(l.closers, c) }

func (l *leftovers) close(t *testing.T) {
	t.Helper()
	errs := make([]error, len(l.closers))
	var all sync.WaitGroup
	for i, c := range l.closers {
		all.Go(func() { errs[i] = c.Close() })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// announce writes the number of the task into the map that asks for it.
func (b *bench) announce(p *Probe, pid uint32) error {
	if p.TaskMap == "" {
		return nil
	}
	m := b.maps[p.TaskMap]
	if m == nil {
		return fmt.Errorf("there is no map %s", p.TaskMap)
	}
	return m.Put(uint32(0), pid)
}
