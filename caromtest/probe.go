package caromtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
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

func wantsProbe(c *Case) bool {
	return slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Probe != nil })
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
	if b.engine.Name() != kernel.Name {
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

// records are what programs sent, by map.
type records map[string][][]byte

// recordReader takes records of one map until there are none.
type recordReader interface {
	SetDeadline(time.Time)
	Close() error
}

const perfBuffer = 64 << 10 // bytes for each CPU

// openReaders opens all maps that programs send records to.
func (b *bench) openReaders() error {
	b.readers = map[string]recordReader{}
	for name, m := range b.maps {
		var r recordReader
		var err error
		switch m.Type() {
		case ebpf.PerfEventArray:
			r, err = carom.NewPerfReader(m, perfBuffer)
		case ebpf.RingBuf:
			r, err = carom.NewRingbufReader(m)
		default:
			continue
		}
		if err != nil {
			return err
		}
		b.readers[name] = r
	}
	return nil
}

// closeReaders ends all reading.
func (b *bench) closeReaders() error {
	var errs []error
	for _, r := range b.readers {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// drain takes all records that are there.
func (b *bench) drain() (records, error) {
	out := records{}
	for name, r := range b.readers {
		r.SetDeadline(time.Unix(1, 0))
		for {
			raw, err := readRecord(r)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("map %s: %w", name, err)
			}
			out[name] = append(out[name], raw)
		}
	}
	return out, nil
}

func readRecord(r recordReader) ([]byte, error) {
	if r, ok := r.(carom.PerfReader); ok {
		rec, err := r.Read()
		if err == nil && rec.LostSamples != 0 {
			err = fmt.Errorf("%d samples lost", rec.LostSamples)
		}
		return bytes.Clone(rec.RawSample), err
	}
	rec, err := r.(carom.RingbufReader).Read()
	return bytes.Clone(rec.RawSample), err
}

// collect takes the records of a step and checks those that are expected.
func (b *bench) collect(name string, s *Step, pid uint32) records {
	got, err := b.drain()
	if err != nil {
		b.problem("%s: %v", name, err)
	}
	for m, list := range got {
		for i, r := range list {
			b.hidePID(fmt.Sprintf("%s: record %d of %s", name, i, m), s.Probe, r, pid)
		}
	}
	for m, want := range s.Want.Records {
		if !slices.EqualFunc(got[m], want, bytes.Equal) {
			b.problem("%s: records of %s are\n\t% x, want\n\t% x", name, m, got[m], want)
		}
	}
	return got
}

// hidePID replaces the number of the task, which differs between the engines, by 0.
func (b *bench) hidePID(where string, p *Probe, record []byte, pid uint32) {
	for _, off := range p.PIDAt {
		if off+4 > len(record) {
			b.problem("%s: %d bytes, want a process number at %d", where, len(record), off)
			continue
		}
		want, _ := encode(pid)
		if !bytes.Equal(record[off:off+4], want) {
			b.problem("%s: process number % x at %d, want % x", where, record[off:off+4], off, want)
		}
		clear(record[off : off+4])
	}
}

// equal compares records of two engines, map by map.
func (r records) equal(other records) bool {
	if len(r) != len(other) {
		return false
	}
	for m, list := range r {
		if !slices.EqualFunc(list, other[m], bytes.Equal) {
			return false
		}
	}
	return true
}
