package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/trace"
)

func available() error {
	// Only kernels before 5.11 charge maps to RLIMIT_MEMLOCK; cilium/ebpf finds out.
	_ = rlimit.RemoveMemlock()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return explain(err)
	}
	defer m.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return explain(err)
	}
	return p.Close()
}

func (k kernelEngine) Load(spec *ebpf.CollectionSpec, opts *engine.Options) (engine.Collection, error) {
	if spec == nil {
		return nil, errors.New("no collection spec")
	}
	if opts == nil {
		opts = &engine.Options{}
	}
	if len(opts.CustomHelpers) > 0 {
		return nil, unsupported("custom helpers: %s", strings.Join(opts.CustomHelpers, ", "))
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	replacements, err := own(opts.MapReplacements)
	if err != nil {
		return nil, err
	}
	_ = rlimit.RemoveMemlock()
	toLoad, counting, err := k.prepare(spec, cpus)
	if err != nil {
		return nil, err
	}
	coll, err := ebpf.NewCollectionWithOptions(toLoad, ebpf.CollectionOptions{
		Maps: ebpf.MapOptions{PinPath: k.opts.PinPath},
		Programs: ebpf.ProgramOptions{
			LogLevel: k.opts.LogLevel, LogSizeStart: k.opts.LogSizeStart, KernelTypes: opts.KernelTypes,
		},
		MapReplacements: replacements,
	})
	if err != nil {
		known := newOwners(spec, opts.MapReplacements, func(string) uint32 { return 0 })
		return nil, explainLoad(spec, known.explainError(err))
	}
	c := &collection{cpus: cpus, programs: map[string]*program{}, maps: map[string]*kmap{}}
	if counting != nil {
		if c.counts, err = counting.takeMaps(coll); err != nil {
			coll.Close()
			return nil, err
		}
	}
	if err := c.wrap(coll, spec); err != nil {
		coll.Close()
		return nil, errors.Join(err, c.counts.close())
	}
	c.learnOwners(spec, opts.MapReplacements)
	return c, nil
}

// prepare copies a spec, because cilium/ebpf resolves references in the instructions it is given,
// and adds counters where they are asked for.
func (k kernelEngine) prepare(spec *ebpf.CollectionSpec, cpus int) (*ebpf.CollectionSpec, *plan, error) {
	if k.opts.CountEdges == carom.CountOff {
		return spec.Copy(), nil, nil
	}
	p, err := newPlan(spec, cpus)
	if err != nil {
		return nil, nil, err
	}
	counting, err := p.instrument(spec)
	return counting, p, err
}

// learnOwners keeps what the kernel will compare when programs are put into PROG_ARRAYs.
func (c *collection) learnOwners(spec *ebpf.CollectionSpec, replacements map[string]engine.Map) {
	known := newOwners(spec, replacements, func(name string) uint32 {
		if m := c.maps[name]; m != nil {
			return m.id
		}
		return 0
	})
	for name, owner := range known.arrays {
		if m := c.maps[name]; m != nil {
			m.owner = owner
		}
	}
	for name, p := range c.programs {
		p.facts = known.programs[name]
	}
	known.settle(c.maps)
}

// own unwraps maps that are to replace those of a spec.
func own(replacements map[string]engine.Map) (map[string]*ebpf.Map, error) {
	if len(replacements) == 0 {
		return nil, nil
	}
	out := map[string]*ebpf.Map{}
	for name, m := range replacements {
		k, ok := m.(*kmap)
		if !ok {
			return nil, fmt.Errorf("the replacement of map %s is not a map of the kernel engine", name)
		}
		out[name] = k.m
	}
	return out, nil
}

// collection is a loaded collection. Its handles are closed one by one or all together.
type collection struct {
	cpus     int
	programs map[string]*program
	maps     map[string]*kmap
	counts   *edgeCounts // nil when programs do not count
	pins     pinSet      // what PinAll made
}

func (c *collection) wrap(coll *ebpf.Collection, spec *ebpf.CollectionSpec) error {
	aliases := map[uint32]uint32{}
	for name, p := range coll.Programs {
		if strings.HasPrefix(name, targetPrefix) {
			continue
		}
		info, err := p.Info()
		if err != nil {
			return fmt.Errorf("program %s: %w", name, wrap(err))
		}
		id, _ := info.ID()
		k := &program{p: p, name: name, id: uint32(id), attach: spec.Programs[name].AttachType}
		c.programs[name] = k
		if target := coll.Programs[targetPrefix+name]; target != nil {
			if info, err = target.Info(); err != nil {
				return fmt.Errorf("program %s: %w", name, wrap(err))
			}
			id, _ := info.ID()
			k.target, aliases[uint32(id)] = target, k.id
		}
	}
	for name, m := range coll.Maps {
		w, err := newMap(m, name)
		if err != nil {
			return err
		}
		if w.Type() == ebpf.ProgramArray {
			w.aliases = aliases
		}
		c.maps[name] = w
	}
	return nil
}

func (c *collection) Program(name string) engine.Program {
	if p := c.programs[name]; p != nil {
		return p
	}
	return nil
}

func (c *collection) Map(name string) engine.Map {
	if m := c.maps[name]; m != nil {
		return m
	}
	return nil
}

func (c *collection) ProgramNames() []string { return slices.Sorted(maps.Keys(c.programs)) }
func (c *collection) MapNames() []string     { return slices.Sorted(maps.Keys(c.maps)) }
func (c *collection) CPUs() int              { return c.cpus }

// Pin returns a CPU on which runs take place. Linux has no exclusive reservation: other tasks run
// there as well.
func (c *collection) Pin(ctx context.Context, n int) (engine.CPU, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n < 0 || n >= c.cpus {
		return nil, fmt.Errorf("there is no CPU %d, the kernel has %d", n, c.cpus)
	}
	return cpu(n), nil
}

func (c *collection) SetCounting(on bool) error {
	switch {
	case on && c.counts == nil:
		return unsupported("counters in a collection that is loaded already; set kernel.Options.CountEdges")
	case !on && c.counts != nil:
		return unsupported("way to stop the counters of a loaded collection")
	}
	return nil
}

func (c *collection) SetSink(s trace.Sink) error {
	if s == nil {
		return nil
	}
	return unsupported("events of tail calls; package kernel/tracefs reads what programs print")
}

func (c *collection) Edges() ([]engine.Edge, error) {
	if c.counts == nil {
		return nil, unsupported("counters of tail-call sites unless kernel.Options.CountEdges is set")
	}
	return c.counts.read(c.foreign)
}

func (c *collection) Close() error {
	errs := []error{c.counts.close()}
	for _, name := range c.ProgramNames() {
		errs = append(errs, c.programs[name].Close())
	}
	for _, name := range c.MapNames() {
		errs = append(errs, c.maps[name].Close())
	}
	return errors.Join(errs...)
}
