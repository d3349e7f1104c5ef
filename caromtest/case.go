package caromtest

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/linux"
)

// Errno is a Linux error number, the same on all systems.
type Errno = linux.Errno

// Error numbers of map operations, loading and BPF_PROG_TEST_RUN.
const (
	EPERM   = linux.EPERM
	ENOENT  = linux.ENOENT
	E2BIG   = linux.E2BIG
	EBADF   = linux.EBADF
	EACCES  = linux.EACCES
	EBUSY   = linux.EBUSY
	EEXIST  = linux.EEXIST
	EINVAL  = linux.EINVAL
	ENOSPC  = linux.ENOSPC
	ENOTSUP = linux.ENOTSUPP
)

// Case is programs and maps, what is done with them, and what must come out. Exactly one of
// Object, Asm and Spec is set. Cases are not changed by running them.
type Case struct {
	// Name of the subtest.
	Name string

	// Object is the path of an ELF object, relative to the folder of the test.
	Object string
	// Asm holds the text of programs by name, in the syntax of the verifier log and of bpftool
	// prog dump xlated; map[name] refers to Maps. Type, Attach and Maps belong to it.
	Asm    map[string]string
	Type   ebpf.ProgramType // of Asm programs; SchedCLS when not set
	Attach ebpf.AttachType  // of Asm programs
	Maps   map[string]*ebpf.MapSpec
	// Spec returns a new spec each time, as the loaders do that bpf2go writes.
	Spec func() (*ebpf.CollectionSpec, error)

	// Prepare changes the spec before it is loaded, to set constants for example.
	Prepare func(*ebpf.CollectionSpec) error
	// Load names the programs to load at first; all when empty. Step.Load loads others.
	Load []string
	// Refused, when set, says that the collection cannot be loaded.
	Refused *Refusal

	// Prog is the program that steps run when they name none.
	Prog string
	// Data and Context are those of steps that have none.
	Data    []byte
	Context []byte
	// CPUs is the number of virtual CPUs in user space; that of the system when 0. All runs
	// take place on CPU 0 unless Step.CPU says otherwise.
	CPUs  int
	Steps []Step

	// Skip holds the reasons why engines cannot take the case, by engine name, or by EdgeCounts. The
	// case is tried there all the same and must fail, so that no reason outlives its cause.
	Skip map[string]string
	// Verify says whether engines in user space verify the programs, as the kernel always does.
	// Programs that Linux rejects run with carom.VerifySkip only.
	Verify carom.VerifyMode
	// Unsafe is the reason why the case must never be given to a kernel. It is not tried there.
	Unsafe string
	// Unread names perf event arrays and ring buffers without a reader: programs get -ENOENT from
	// the first, and the second fill up.
	Unread []string
	// Ignore names maps whose contents the engines may disagree about.
	Ignore []string
}

// Refusal is why something cannot be loaded.
type Refusal struct {
	Errno Errno
	// Text is part of the kernel's log, or of the error where there is no log. Engines in user
	// space are asked for it where their verifier refuses.
	Text string
}

// Step happens in the order of its fields.
type Step struct {
	Name string // for messages; the number of the step when empty

	// Load loads more programs of the case's object. They share all maps with those there are.
	Load *Load
	// Set gives variables (.data, .bss) values of their size.
	Set map[string]any
	// Do is what user space does with maps.
	Do []Op

	// Prog runs, on CPU, Data and Context, Repeat times; see the fields of Case and
	// carom.Input. Nothing runs when Want is nil.
	Prog       string
	Data       []byte
	Context    []byte
	ContextOut bool
	Repeat     int
	CPU        int
	Budget     int64 // instructions of the run, in user space; the default when 0
	// Probe is set for programs at probes and tracepoints, which are hit and not run.
	Probe *Probe
	Want  *Want
}

// Load is a later load of further programs.
type Load struct {
	Programs []string
	Refused  *Refusal // when they must not load
}

// Want is what a run leaves behind. What is not set is not expected to have a literal value; the
// engines must agree on it all the same.
type Want struct {
	// Return is the program's return value, always checked unless AnyReturn is set.
	Return    uint32
	AnyReturn bool
	// Errno says that BPF_PROG_TEST_RUN refuses the input; nothing else is checked then.
	Errno Errno
	// Fault is part of the error that ends the run on engines in user space. The kernel would
	// not have loaded such a program; skip it.
	Fault string

	Data    []byte // packet
	Context []byte // needs ContextOut
	// Vars are variables with values of their size.
	Vars map[string]any
	// Entries are elements of maps.
	Entries []Entry
	// Trace is what bpf_trace_printk printed, without the newline at the end.
	Trace []string
	// Records are what was sent to perf event arrays and ring buffers, by map. Samples of perf event
	// arrays have the padding that Linux adds: their length is 4 past a multiple of 8.
	Records map[string][][]byte

	// TailCalls and Misses count tail calls taken and not taken in the last repetition. The kernel
	// counts all repetitions, and is asked in steps that have one.
	TailCalls, Misses *int
}

// Entry is one element of a map. A nil Value says that there is no such key.
type Entry struct {
	Map        string
	Key, Value any
}

// Op is one operation on a map by user space.
type Op struct {
	kind  opKind
	m     string
	key   any
	value any
	flags ebpf.MapUpdateFlags
	errno Errno
}

type opKind uint8

const (
	opPut opKind = iota
	opPutProg
	opPutMap
	opDelete
	opLookup
)

// Put stores a value.
func Put(mapName string, key, value any) Op {
	return Op{kind: opPut, m: mapName, key: key, value: value}
}

// PutProg stores a program in a slot of a PROG_ARRAY.
func PutProg(mapName string, slot uint32, prog string) Op {
	return Op{kind: opPutProg, m: mapName, key: slot, value: prog}
}

// PutMap stores a map in a map of maps.
func PutMap(mapName string, key any, inner string) Op {
	return Op{kind: opPutMap, m: mapName, key: key, value: inner}
}

// Delete removes a key.
func Delete(mapName string, key any) Op { return Op{kind: opDelete, m: mapName, key: key} }

// Lookup expects a value; nil for any.
func Lookup(mapName string, key, value any) Op {
	return Op{kind: opLookup, m: mapName, key: key, value: value}
}

// Flags gives the operation flags such as ebpf.UpdateNoExist.
func (o Op) Flags(flags ebpf.MapUpdateFlags) Op {
	o.flags = flags
	return o
}

// Fails says which error number the operation must report.
func (o Op) Fails(errno Errno) Op {
	o.errno = errno
	return o
}

// String describes the operation in messages.
func (o Op) String() string {
	verb := [...]string{"put", "put program", "put map", "delete", "look up"}[o.kind]
	if o.value == nil {
		return fmt.Sprintf("%s %s[%v]", verb, o.m, o.key)
	}
	return fmt.Sprintf("%s %s[%v] %v", verb, o.m, o.key, o.value)
}

// spec makes a new spec of the case.
func (c *Case) spec() (*ebpf.CollectionSpec, error) {
	var spec *ebpf.CollectionSpec
	var err error
	switch {
	case c.Spec != nil:
		spec, err = c.Spec()
	case c.Object != "":
		spec, err = ebpf.LoadCollectionSpec(c.Object)
	case c.Asm != nil:
		spec, err = c.assemble()
	default:
		err = errors.New("the case has no Object, Asm or Spec")
	}
	if err == nil && c.Prepare != nil {
		err = c.Prepare(spec)
	}
	return spec, err
}

func (c *Case) assemble() (*ebpf.CollectionSpec, error) {
	spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{}}
	for name, m := range c.Maps {
		spec.Maps[name] = m.Copy()
		spec.Maps[name].Name = name
	}
	kind := c.Type
	if kind == ebpf.UnspecifiedProgram {
		kind = ebpf.SchedCLS
	}
	for name, text := range c.Asm {
		insns, err := asm.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("program %s: %w", name, err)
		}
		spec.Programs[name] = &ebpf.ProgramSpec{
			Name: name, Type: kind, AttachType: c.Attach, License: "GPL", Instructions: insns,
		}
	}
	return spec, nil
}

// only drops programs that are not named, and the static slots that would hold them.
func only(spec *ebpf.CollectionSpec, names []string) error {
	keep := map[string]*ebpf.ProgramSpec{}
	for _, n := range names {
		p := spec.Programs[n]
		if p == nil {
			return fmt.Errorf("the object has no program %s", n)
		}
		keep[n] = p
	}
	spec.Programs = keep
	for _, m := range spec.Maps {
		if m.Type != ebpf.ProgramArray {
			continue
		}
		var slots []ebpf.MapKV
		for _, kv := range m.Contents {
			if n, ok := kv.Value.(string); !ok || keep[n] != nil {
				slots = append(slots, kv)
			}
		}
		m.Contents = slots
	}
	return nil
}

// input is what a step gives to its program.
func (c *Case) input(s *Step) *carom.Input {
	in := &carom.Input{Data: c.Data, Context: c.Context, ContextOut: s.ContextOut, Repeat: s.Repeat, Budget: s.Budget}
	if s.Data != nil {
		in.Data = s.Data
	}
	if s.Context != nil {
		in.Context = s.Context
	}
	if s.Probe != nil {
		s.Probe.addTo(in)
	}
	return in
}
