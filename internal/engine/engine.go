// Package engine holds what every engine implements and what a run takes and gives. The public
// handles of package carom wrap these interfaces, so the same program works on all engines.
package engine

import (
	"context"
	"errors"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/trace"
	"github.com/carom-bpf/carom/world"
)

// ErrUnsupported says that an engine, or the system it runs on, does not have what was asked for.
var ErrUnsupported = errors.New("not supported")

// Engine loads collections.
type Engine interface {
	// Name is interpreter, jit or kernel.
	Name() string
	// Load makes maps and programs of a spec, which it does not change. On an error nothing is
	// left behind.
	Load(spec *ebpf.CollectionSpec, opts *Options) (Collection, error)
}

// Options are what all engines understand.
type Options struct {
	// CPUs is how many virtual CPUs a collection has; the kernel engine has as many as the
	// kernel.
	CPUs int
	// KernelTypes is the BTF that CO-RE relocations and kfuncs are resolved against.
	KernelTypes *btf.Spec
	// MapReplacements are used instead of new maps of the same name.
	MapReplacements map[string]Map
	// CustomHelpers names the helpers that the caller supplied, for engines that have to refuse
	// them.
	CustomHelpers []string
}

// Collection is what Load made. It holds a reference to every map, so a PROG_ARRAY keeps its
// slots until Close.
type Collection interface {
	// Program returns the program of that name, nil when there is none.
	Program(name string) Program
	// Map returns the map of that name, nil when there is none.
	Map(name string) Map
	// ProgramNames and MapNames are sorted.
	ProgramNames() []string
	MapNames() []string
	// CPUs is the number of CPUs that a program may find itself on.
	CPUs() int
	// Pin reserves a CPU for the caller until it is released.
	Pin(ctx context.Context, cpu int) (CPU, error)
	// SetCounting switches the counters behind Edges.
	SetCounting(on bool) error
	// SetSink chooses who is told about hops, misses and printed lines; nil for nobody.
	SetSink(trace.Sink) error
	// Edges returns the counters that are not zero, added up over all CPUs and sorted.
	Edges() ([]Edge, error)
	Close() error
}

// LoadTimes says how long parts of loading a collection took, for all its programs together.
type LoadTimes struct {
	Verify  time.Duration
	Compile time.Duration // to machine code
}

// CPU is a reserved virtual CPU.
type CPU interface {
	Number() int
	Run(ctx context.Context, p Program, in *Input, res *Result) error
	Release()
}

// Batcher is a CPU that runs a program on many inputs faster than one at a time. It returns how many
// runs succeeded; the error is that of the run behind them.
type Batcher interface {
	RunBatch(ctx context.Context, p Program, in []Input, res []Result) (int, error)
}

// Program is a loaded program.
type Program interface {
	Name() string
	ID() uint32
	Type() ebpf.ProgramType
	AttachType() ebpf.AttachType
	// Run runs the program on the lowest free CPU and waits for one under ctx.
	Run(ctx context.Context, in *Input, res *Result) error
	// Pin gives the program a file on bpffs and Unpin takes it away. Engines without bpffs
	// return an error that wraps ErrUnsupported.
	Pin(path string) error
	Unpin() error
	IsPinned() bool
	// FD is the program's file descriptor, -1 outside the kernel.
	FD() int
	Close() error
}

// MachineCode is what the JIT made of a program.
type MachineCode struct {
	Arch  string // as in GOARCH
	Addr  uint64 // of the first byte
	Code  []byte
	Lines []CodeLine // by offset
}

// CodeLine says that the code from an offset on is that of an instruction of the program, or, when
// Insn is -1, code behind all instructions for what happens rarely.
type CodeLine struct {
	Offset int
	Insn   int
}

// Map is a map with keys and values in bpf(2)'s layout. Errors are linux.Errno or wrap one.
type Map interface {
	Name() string
	ID() uint32
	Type() ebpf.MapType
	KeySize() uint32
	ValueSize() uint32
	MaxEntries() uint32
	Flags() uint32
	// Copies is how many values a per-CPU map has for each key; 1 for other types.
	Copies() int

	Lookup(key, value []byte, flags uint64) error
	LookupAndDelete(key, value []byte, flags uint64) error
	Update(key, value []byte, flags uint64) error
	Delete(key []byte) error
	// NextKey writes the key after key to next; a nil key asks for the first.
	NextKey(key, next []byte) error
	Freeze() error
	// UpdateProgram stores a program in a PROG_ARRAY.
	UpdateProgram(key []byte, p Program, flags uint64) error
	// UpdateMap stores a map in a map of maps.
	UpdateMap(key []byte, m Map, flags uint64) error

	// Pin gives the map a name that keeps it, as a bpffs pin does, and Unpin takes it away.
	Pin(path string) error
	Unpin() error
	IsPinned() bool
	// Clone returns another user reference to the same map.
	Clone() (Map, error)

	PerfReader(perCPUBuffer int, opts PerfOptions) (PerfReader, error)
	RingbufReader() (RingbufReader, error)
	// FD is the map's file descriptor, -1 outside the kernel.
	FD() int
	Close() error
}

// PerfOptions are cilium/ebpf's perf.ReaderOptions.
type PerfOptions struct {
	Watermark    int // bytes to wait for before a reader wakes
	Overwritable bool
}

// PerfRecord is one sample, or a count of lost ones.
type PerfRecord struct {
	CPU         int
	RawSample   []byte
	LostSamples uint64
	Remaining   int
}

// PerfReader reads a PERF_EVENT_ARRAY, as cilium/ebpf's perf.Reader does.
type PerfReader interface {
	Read() (PerfRecord, error)
	ReadInto(*PerfRecord) error
	SetDeadline(time.Time)
	Pause() error
	Resume() error
	Flush() error
	BufferSize() int
	Close() error
}

// RingbufRecord is one record of a ring buffer.
type RingbufRecord struct {
	RawSample []byte
	Remaining int // bytes waiting behind this record
}

// RingbufReader reads a RINGBUF, as cilium/ebpf's ringbuf.Reader does.
type RingbufReader interface {
	Read() (RingbufRecord, error)
	ReadInto(*RingbufRecord) error
	SetDeadline(time.Time)
	Flush() error
	BufferSize() int
	AvailableBytes() int
	Close() error
}

// Edge is how often one tail-call site did one thing.
type Edge struct {
	From   string // program
	Insn   int
	File   string // source position of the call, if the object has one
	Line   int
	Source string
	Map    string
	Index  uint32 // the last one, for trace.OutOfRange
	To     string // program that ran next; empty for a miss
	Reason trace.Reason
	Count  uint64
}

// Input is what a run gets. The zero value is a run without packet or context.
type Input struct {
	// Data is the packet as BPF_PROG_TEST_RUN takes it: with its link header, at least 14
	// bytes for packet programs.
	Data []byte
	// Context is the context structure as user space sees it (ctx_in of BPF_PROG_TEST_RUN), or
	// the raw record of tracepoint, raw tracepoint and syscall programs.
	Context []byte
	// ContextOut asks for the context after the run in Result.Context.
	ContextOut bool
	// DiscardData leaves Result.Data empty, which saves copying the packet after the run.
	DiscardData bool
	// Registers are those of the probed task, for kprobe and uprobe programs. A name is that of
	// struct pt_regs (ax, di, …, or x0, … for arm64); several names of one register are known.
	Registers []Register
	// Memory is what the probed task has in memory during the run.
	Memory []Memory
	// Repeat runs the program so many times on the same packet, as BPF_PROG_TEST_RUN does;
	// 0 means once.
	Repeat int
	// World is the environment; nil for the default.
	World *world.World
	// Budget limits the instructions of one run; 0 for the default.
	Budget int64
}

// Register is one register of a probed task.
type Register struct {
	Name  string
	Value uint64
	// Ref, when set, is the name of a Memory whose address plus Value the register holds.
	Ref string
}

// Memory is a piece of memory of a probed task.
type Memory struct {
	Name string
	Data []byte
	// Pointers are places in Data that hold addresses of other pieces.
	Pointers []Pointer
}

// Pointer says that the 8 bytes at Offset hold the address of the piece named Ref.
type Pointer struct {
	Offset int
	Ref    string
}

// Result is what a run left behind. It belongs to the caller: its slices are overwritten by the
// next run that is given the same Result, and reused where they are large enough.
type Result struct {
	Return       uint64 // R0; packet programs use the low 32 bits
	Data         []byte // packet after the run
	Context      []byte // context after the run, when Input.ContextOut is set
	CPU          int
	TailCalls    int           // taken, in the last repetition
	Misses       int           // not taken, in the last repetition
	Instructions int64         // executed in all repetitions; 0 of machine code, which does not count
	Duration     time.Duration // of one repetition on average; measured when Input.Repeat is set
	Redirect     Redirect
	// UnwoundBy is the name of the helper that ended the run by returning 0, empty otherwise.
	UnwoundBy string
}

// Redirect is what bpf_redirect or bpf_redirect_map asked for last.
type Redirect struct {
	Set     bool
	Ifindex uint32
	Map     string // empty for bpf_redirect
	Key     uint64
	Flags   uint64
}
