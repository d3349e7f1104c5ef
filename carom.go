// Package carom runs eBPF programs that chain each other with bpf_tail_call, from the same
// unmodified clang objects, in user space and in the Linux kernel.
//
// The input is cilium/ebpf's CollectionSpec, so what ebpf.LoadCollectionSpec or a loader made by
// bpf2go returns can be used as it is, and names and semantics are those of cilium/ebpf:
//
//	spec, err := ebpf.LoadCollectionSpec("xdp_dispatch.o")
//	coll, err := carom.NewCollection(spec, nil)
//	defer coll.Close()
//	err = coll.Maps["prog_array"].Put(uint32(0), coll.Programs["port22_prog"])
//	verdict, out, err := coll.Programs["xdp_dispatch"].Test(packet)
//
// Handles are the same for every engine; Options.Engine chooses one as a driver name chooses a
// database. A run in full takes a context, an Input and a Result of the caller's, and does not
// allocate.
//
// A collection has a fixed number of virtual CPUs. One run occupies one of them, so as many
// programs run at once as there are virtual CPUs, and per-CPU maps have a value for each.
package carom

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/trace"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Engine runs programs. The values are those of this package and what kernel.Engine returns.
type Engine = engine.Engine

// Types of runs and their results; see the fields for meaning and units.
type (
	Input    = engine.Input
	Result   = engine.Result
	Register = engine.Register
	Memory   = engine.Memory
	Pointer  = engine.Pointer
	Redirect = engine.Redirect
	Edge     = engine.Edge

	MachineCode = engine.MachineCode
	CodeLine    = engine.CodeLine
	LoadTimes   = engine.LoadTimes
)

// Errors that wrap what engines report. Lookups and updates of maps wrap ebpf.ErrKeyNotExist,
// ebpf.ErrKeyExist and linux.Errno values as well.
var (
	// ErrUnsupported says that the engine, or the system, does not have what was asked for.
	ErrUnsupported = engine.ErrUnsupported
	// ErrClosed says that a handle was used after Close. It is os.ErrClosed.
	ErrClosed = os.ErrClosed
)

// RuntimeError is why a run in user space ended without a result: an invalid memory access, an
// exhausted budget, a bad instruction. It names program, instruction and source line.
type RuntimeError = vm.Error

// Options say how a collection is loaded and run. The zero value is useful.
type Options struct {
	// Engine runs the programs; Auto when nil.
	Engine Engine
	// CPUs is the number of virtual CPUs, 1 to 256; runtime.NumCPU when 0. The kernel engine
	// takes the kernel's.
	CPUs int
	// KernelTypes is the BTF for CO-RE relocations. When nil it is the running kernel's, or
	// the object's own where there is none.
	KernelTypes *btf.Spec
	// MapReplacements are used instead of new maps of the same name. The caller keeps its
	// handles.
	MapReplacements map[string]*Map
	// Helpers are added to, or override, the built-in ones. User-space engines only.
	Helpers []Helper
	// World is the environment of all runs whose Input names none.
	World *world.World
	// Kconfig answers CONFIG_ variables (extern __kconfig); the running kernel's configuration
	// when nil.
	Kconfig map[string]string
	// Ksyms answers kernel symbols (extern __ksym).
	Ksyms map[string]uint64
	// Budget limits the instructions of one run; 2^32 when 0.
	Budget int64
	// StackPattern, when not nil, is what every stack byte holds before the first run, to make
	// reads of uninitialised memory visible.
	StackPattern *byte
	// Verify says whether programs are verified before anything runs. User-space engines only; the
	// kernel always verifies.
	Verify VerifyMode
	// Sink is told about every hop, every miss and every printed line; see Collection.SetSink.
	Sink trace.Sink
	// CountEdges switches the counters behind Collection.Edges on.
	CountEdges Counting
}

// Counting says whether tail-call sites are counted.
type Counting uint8

// Values of Options.CountEdges.
const (
	CountOff Counting = iota
	CountOn
)

// LoadError says which program or map of a collection could not be loaded.
type LoadError struct {
	Kind string // program or map
	Name string
	Err  error
}

func (e *LoadError) Error() string {
	what, why := e.Kind+" "+e.Name, e.Err.Error()
	if strings.HasPrefix(why, what+":") {
		return "load " + why
	}
	return "load " + what + ": " + why
}

// Unwrap returns the cause.
func (e *LoadError) Unwrap() error { return e.Err }

// host is the memory that all user-space collections of a process share. Programs hold real
// addresses, of which a process has one set; sharing it lets collections share maps and put each
// other's programs into PROG_ARRAYs, as in one kernel.
var host = sync.OnceValues(userspace.NewHost)

// Auto is the best engine for this system and collection: programs that the verifier has accepted
// run as machine code where the system is one of those that JIT knows, and all others in the
// interpreter. Chains may be mixed.
var Auto Engine = userEngine{userspace.NativeAuto}

// Interpreter checks every memory access while a program runs. It works on every system.
var Interpreter Engine = userEngine{userspace.NativeNever}

// JIT compiles programs that the verifier has accepted to machine code. Programs that are not
// verified, or that use what the compiler does not know, run in the interpreter; see
// Program.Jited. On systems other than Linux on amd64 and arm64, loading fails with
// ErrUnsupported.
var JIT Engine = userEngine{userspace.NativeAlways}

// userEngine stands for the engine that NewCollection makes with the options at hand.
type userEngine struct{ native userspace.NativeMode }

func (e userEngine) Name() string {
	if e.native == userspace.NativeAlways {
		return userspace.JITName
	}
	return userspace.InterpreterName
}

func (e userEngine) Load(spec *ebpf.CollectionSpec, opts *engine.Options) (engine.Collection, error) {
	return loadUserspace(spec, &Options{Engine: e}, opts)
}

func loadUserspace(spec *ebpf.CollectionSpec, o *Options, eo *engine.Options) (engine.Collection, error) {
	native := userspace.NativeAuto
	if e, ok := o.Engine.(userEngine); ok {
		native = e.native
	}
	h, err := host()
	if err != nil {
		return nil, err
	}
	c, err := h.Engine(userspace.Options{
		Helpers: o.Helpers, World: o.World, Kconfig: o.Kconfig, Ksyms: o.Ksyms,
		Budget: o.Budget, StackPattern: o.StackPattern, Verify: o.Verify, Native: native,
	}).Load(spec, eo)
	if err != nil {
		return nil, rejection(err)
	}
	return c, nil
}

// Collection is a set of loaded programs and maps. Its maps are referenced until Close, so a
// PROG_ARRAY keeps its slots until then.
type Collection struct {
	Programs  map[string]*Program
	Maps      map[string]*Map
	Variables map[string]*Variable

	core   engine.Collection
	closed atomic.Bool
}

var errNoSpec = errors.New("no collection spec")

// NewCollection loads all maps and programs of a spec, fills PROG_ARRAYs that have static slots
// and freezes read-only data. The spec is not changed. On an error nothing is left behind.
//
// User-space engines verify every program as Linux does, unless Options.Verify says otherwise; one
// that Linux would reject is a LoadError around a *VerifierError.
func NewCollection(spec *ebpf.CollectionSpec, opts *Options) (*Collection, error) {
	if spec == nil {
		return nil, errNoSpec
	}
	if opts == nil {
		opts = &Options{}
	}
	core, err := loadCore(spec, opts)
	if err != nil {
		return nil, err
	}
	c := &Collection{
		Programs: map[string]*Program{}, Maps: map[string]*Map{}, Variables: map[string]*Variable{}, core: core,
	}
	for _, name := range core.ProgramNames() {
		c.Programs[name] = &Program{core: core.Program(name), coll: core}
	}
	for _, name := range core.MapNames() {
		c.Maps[name] = newMap(core.Map(name), spec.Maps[name])
	}
	for name, v := range spec.Variables {
		if m := c.Maps[v.SectionName]; m != nil {
			c.Variables[name] = &Variable{name: name, m: m, offset: v.Offset, size: v.Size(), typ: v.Type}
		}
	}
	for _, v := range c.Variables {
		if err := v.outside(); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	if err := c.configure(opts); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

func loadCore(spec *ebpf.CollectionSpec, opts *Options) (engine.Collection, error) {
	eo := &engine.Options{CPUs: opts.CPUs, KernelTypes: opts.KernelTypes}
	if eo.CPUs == 0 {
		eo.CPUs = runtime.NumCPU()
	}
	for _, h := range opts.Helpers {
		eo.CustomHelpers = append(eo.CustomHelpers, h.Name)
	}
	if len(opts.MapReplacements) > 0 {
		eo.MapReplacements = map[string]engine.Map{}
		for name, m := range opts.MapReplacements {
			if spec.Maps[name] == nil {
				return nil, &LoadError{Kind: "map", Name: name, Err: errors.New("MapReplacements names a map that is not in the collection")}
			}
			if m == nil {
				return nil, &LoadError{Kind: "map", Name: name, Err: errors.New("its entry in MapReplacements is nil; remove it, or load the map first")}
			}
			eo.MapReplacements[name] = m.core
		}
	}
	if _, user := opts.Engine.(userEngine); user || opts.Engine == nil {
		return loadUserspace(spec, opts, eo)
	}
	return opts.Engine.Load(spec, eo)
}

func (c *Collection) configure(opts *Options) error {
	if opts.Sink != nil {
		if err := c.core.SetSink(opts.Sink); err != nil {
			return err
		}
	}
	if opts.CountEdges == CountOn {
		return c.core.SetCounting(true)
	}
	return nil
}

// LoadAndAssign loads the parts of a spec that the struct to points at asks for by its fields'
// `ebpf:"name"` tags, which are *carom.Program, *carom.Map or *carom.Variable, and what those
// need. Structs may be nested. The caller closes what was assigned; maps that were not assigned
// live until the last assigned handle is closed.
func LoadAndAssign(spec *ebpf.CollectionSpec, to any, opts *Options) error {
	fields, err := assignable(to)
	if err != nil {
		return err
	}
	sub, err := subset(spec, fields)
	if err != nil {
		return err
	}
	c, err := NewCollection(sub, opts)
	if err != nil {
		return err
	}
	shared := &sharedCollection{core: c.core}
	for _, f := range fields {
		if err := f.assign(c, shared); err != nil {
			_ = c.Close()
			return err
		}
	}
	return nil
}

// Close releases all programs and maps. A PROG_ARRAY that nobody else references is emptied. Close
// waits for runs that are under way, so it must not be called from inside one; later ones fail.
func (c *Collection) Close() error {
	if c == nil || c.closed.Swap(true) {
		return nil
	}
	return c.core.Close()
}

// open returns an error after Close.
func (c *Collection) open() error {
	if c.closed.Load() {
		return fmt.Errorf("the collection is closed: %w", ErrClosed)
	}
	return nil
}

// CPUs is the number of virtual CPUs, or of CPUs in the kernel.
func (c *Collection) CPUs() int { return c.core.CPUs() }

// CPU reserves a virtual CPU for the caller, waiting for it under ctx. Repeated runs on it skip
// the search for a free one.
func (c *Collection) CPU(ctx context.Context, n int) (*CPU, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	core, err := c.core.Pin(ctx, n)
	if err != nil {
		return nil, err
	}
	return &CPU{core: core}, nil
}

// SetSink chooses who is told about hops, misses and printed lines, from the next run on; nil
// for nobody.
func (c *Collection) SetSink(s trace.Sink) error {
	if err := c.open(); err != nil {
		return err
	}
	return c.core.SetSink(s)
}

// SetCounting switches the counters behind Edges, from the next run on.
func (c *Collection) SetCounting(on Counting) error {
	if err := c.open(); err != nil {
		return err
	}
	return c.core.SetCounting(on == CountOn)
}

// Edges returns how often each tail-call site was taken to each target, or not taken and why,
// sorted by program, instruction, index and reason. Counting must be on. It waits for runs that are
// under way, so it must not be called from inside one.
func (c *Collection) Edges() ([]Edge, error) {
	if err := c.open(); err != nil {
		return nil, err
	}
	return c.core.Edges()
}

// LoadTimes returns how long verifying and compiling the programs took. It is zero for the kernel
// engine, which does both inside bpf(2).
func (c *Collection) LoadTimes() LoadTimes {
	if t, ok := c.core.(interface{ LoadTimes() LoadTimes }); ok {
		return t.LoadTimes()
	}
	return LoadTimes{}
}

// Names returns the sorted names of all programs.
func (c *Collection) Names() []string { return slices.Sorted(maps.Keys(c.Programs)) }

// CPU is a reserved virtual CPU. It must not be used concurrently.
type CPU struct{ core engine.CPU }

// Number is the virtual CPU's number, which programs get from bpf_get_smp_processor_id.
func (c *CPU) Number() int { return c.core.Number() }

// Run is Program.RunInput on this virtual CPU. A helper that calls it for the virtual CPU it runs
// on gets a RuntimeError with CodeBusy. After the collection is closed, runs fail.
func (c *CPU) Run(ctx context.Context, p *Program, in *Input, res *Result) error {
	return c.core.Run(ctx, p.core, in, res)
}

// Release gives the virtual CPU back.
func (c *CPU) Release() { c.core.Release() }
