package kernel

import (
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel/tracefs"
)

// Printer reads what the programs of a collection print with bpf_trace_printk, and those that
// somebody put into its PROG_ARRAYs. It has a trace instance of its own, so readers of trace_pipe
// lose nothing, and it tells its programs from others by the kernel stack at each call. It must
// not be used concurrently.
type Printer struct {
	f         *tracefs.Follower
	coll      *carom.Collection
	functions []function
	known     map[ebpf.ProgramID]bool
	others    map[string]time.Time // programs that were not in a slot then
	lost      uint64
}

// NewPrinter begins to record. It needs root and Linux 5.2. The collection must stay open.
func NewPrinter(coll *carom.Collection) (*Printer, error) {
	p := &Printer{coll: coll, known: map[ebpf.ProgramID]bool{}, others: map[string]time.Time{}}
	for _, name := range coll.Names() {
		prog, err := handle(coll.Programs[name])
		if err != nil {
			return nil, err
		}
		err = p.add(prog, name)
		_ = prog.Close()
		if err != nil {
			return nil, err
		}
	}
	p.addSlots()
	var err error
	if p.f, err = tracefs.Follow(); err != nil {
		return nil, err
	}
	return p, nil
}

// add notes where the functions of a program are. Without the JIT's addresses, which need
// CAP_SYS_ADMIN or CAP_PERFMON, there are none.
func (p *Printer) add(prog *ebpf.Program, name string) error {
	info, err := prog.Info()
	if err != nil {
		return wrap(err)
	}
	if id, ok := info.ID(); ok {
		p.known[id] = true
	}
	starts, _ := info.JitedKsymAddrs()
	lengths, _ := info.JitedFuncLens()
	for i := range min(len(starts), len(lengths)) {
		start := uint64(starts[i])
		p.functions = append(p.functions, function{start, start + uint64(lengths[i]), name})
	}
	return nil
}

// Read waits at most so long for a line and returns what was printed since the last call.
func (p *Printer) Read(wait time.Duration) ([]Printed, error) {
	b, err := p.f.Read(wait)
	if err != nil {
		return nil, err
	}
	p.lost += b.Lost
	var all []Printed
	for _, e := range b.Entries {
		name, other := origin(p.functions, e.Stack)
		if other != "" && p.lookAtSlots(other) {
			name, other = origin(p.functions, e.Stack)
		}
		if other == "" {
			all = append(all, Printed{e, name})
		}
	}
	return all, nil
}

// lookAtSlots notes programs that were put into slots since the last look, because one printed
// that is not known. It reports whether it found any.
func (p *Printer) lookAtSlots(other string) bool {
	if last, seen := p.others[other]; seen && time.Since(last) < refresh {
		return false
	}
	p.others[other] = time.Now()
	before := len(p.functions)
	p.addSlots()
	return len(p.functions) > before
}

// addSlots notes the programs in the slots. Programs that count tail calls have variants there, with
// the name of the program but an id and functions of their own.
func (p *Printer) addSlots() {
	names := map[ebpf.ProgramID]string{}
	for name, prog := range p.coll.Programs {
		names[prog.ID()] = name
	}
	for _, m := range p.coll.Maps {
		if m.Type() != ebpf.ProgramArray {
			continue
		}
		array, err := mapHandle(m)
		if err != nil {
			continue // it is closed
		}
		for i := range m.MaxEntries() {
			var id, shown ebpf.ProgramID
			if array.Lookup(i, &id) != nil || p.known[id] {
				continue
			}
			prog, err := ebpf.NewProgramFromID(id)
			if err != nil {
				continue // it is gone
			}
			_ = m.Lookup(i, &shown)
			name := names[shown]
			if info, err := prog.Info(); err == nil && name == "" {
				name = info.Name
			}
			_ = p.add(prog, name)
			_ = prog.Close()
		}
		_ = array.Close()
	}
}

// mapHandle is another handle for a map, of the type that cilium/ebpf takes.
func mapHandle(m *carom.Map) (*ebpf.Map, error) {
	fd, err := unix.FcntlInt(uintptr(m.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, wrap(err)
	}
	return ebpf.NewMapFromFD(fd)
}

// Lost is how many events the trace buffer had no room for, of all programs on the machine.
func (p *Printer) Lost() uint64 { return p.lost }

// Close removes the trace instance.
func (p *Printer) Close() error {
	return p.f.Close()
}
