package userspace

import (
	"encoding/binary"
	"errors"
	"fmt"
	gomaps "maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/helper"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// loader builds one collection.
type loader struct {
	host    *Host
	opts    Options
	eo      *engine.Options
	spec    *ebpf.CollectionSpec
	coll    *collection
	mapHost *maps.Host
	helpers *helper.Set
	kconfig *load.Kconfig
	types   []*btf.Spec
	judge   *Verifier // nil when programs are not verified
	pins    []string  // new maps to pin
}

// Load implements engine.Engine.
func (e *interpreter) Load(spec *ebpf.CollectionSpec, eo *engine.Options) (engine.Collection, error) {
	l := &loader{host: e.host, opts: e.opts, eo: eo, spec: spec, helpers: e.host.helpers}
	if len(e.opts.Helpers) > 0 {
		l.helpers = l.helpers.With(e.opts.Helpers...)
	}
	l.coll = &collection{host: e.host, opts: e.opts, progs: map[string]*program{}, maps: map[string]*mapHandle{}}
	if err := l.load(); err != nil {
		_ = l.coll.Close()
		return nil, err
	}
	return l.coll, nil
}

func (l *loader) load() error {
	if len(l.spec.Programs) == 0 && len(l.spec.Maps) == 0 {
		return errNoPrograms
	}
	if l.spec.ByteOrder == binary.BigEndian {
		return fmt.Errorf("the object is big-endian; compile it with -target bpfel: %w", linux.EINVAL)
	}
	if err := load.Check(l.spec); err != nil {
		return err
	}
	if err := l.checkNative(); err != nil {
		return err
	}
	for _, step := range []func() error{l.makeCPUs, l.makeMaps, l.linkPrograms, l.populate, l.pin} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) makeCPUs() error {
	if l.eo.CPUs < 1 || l.eo.CPUs > linux.MaxCPUs {
		return fmt.Errorf("%d virtual CPUs: a collection has 1 to %d: %w", l.eo.CPUs, linux.MaxCPUs, linux.EINVAL)
	}
	l.coll.world = world.World{Clock: world.RealClock()}
	if w := l.opts.World; w != nil {
		clock := l.coll.world.Clock
		l.coll.world = *w
		if w.Clock == nil {
			l.coll.world.Clock = clock
		}
	}
	m := l.host.machine
	l.mapHost = &maps.Host{Space: m.Space, Epochs: m.Epochs, Descs: m.Maps, CPUs: l.eo.CPUs,
		Inner: func(desc uint64) maps.Map { inner, _ := m.Maps.Lookup(desc).(maps.Map); return inner }}
	for n := range l.eo.CPUs {
		cpu, err := m.NewCPU(n)
		if err != nil {
			return err
		}
		cpu.SetSeed(seedOf(&l.coll.world))
		if l.opts.StackPattern != nil {
			cpu.FillStack(*l.opts.StackPattern)
		}
		l.coll.cpus = append(l.coll.cpus, cpu)
		l.mapHost.Readers = append(l.mapHost.Readers, cpu.Reader())
	}
	l.coll.pool = newPool(l.coll.cpus)
	l.coll.guards = make([]guard, len(l.coll.cpus))
	return nil
}

// makeMaps creates all maps and fills those whose contents are plain values.
func (l *loader) makeMaps() error {
	if err := l.makeKconfig(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(gomaps.Keys(l.spec.Maps)) {
		spec := l.spec.Maps[name]
		if r := l.eo.MapReplacements[name]; r != nil {
			if err := l.replaceMap(name, spec, r); err != nil {
				return err
			}
			continue
		}
		if err := l.makeMap(name, spec); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) makeMap(name string, spec *ebpf.MapSpec) error {
	ms, err := load.MapSpec(name, spec, l.eo.CPUs)
	if err != nil {
		return err
	}
	if spec.Pinning == ebpf.PinByName {
		if m, err := l.host.LoadPinned(name); err == nil {
			defer m.Close()
			return l.replaceMap(name, spec, m)
		}
	}
	obj, err := l.host.newMapObject(l.mapHost, ms)
	if err != nil {
		return err
	}
	l.coll.maps[name] = adopt(obj)
	if spec.Pinning == ebpf.PinByName {
		l.pins = append(l.pins, name)
	}
	return nil
}

// pin gives the new maps that ask for it their names. It is the last step, because a name stays
// when the collection is closed.
func (l *loader) pin() error {
	for i, name := range l.pins {
		if err := l.coll.maps[name].Pin(name); err != nil {
			for _, done := range l.pins[:i] {
				_ = l.coll.maps[done].Unpin()
			}
			return fmt.Errorf("map %s: %w", name, err)
		}
	}
	return nil
}

// adopt is open for a map that its maker has the first user reference to.
func adopt(o *mapObject) *mapHandle {
	o.Ref()
	return &mapHandle{obj: o}
}

// replaceMap uses a map that exists.
func (l *loader) replaceMap(name string, spec *ebpf.MapSpec, m engine.Map) error {
	h, ok := m.(*mapHandle)
	if !ok {
		return fmt.Errorf("map %s: the replacement was loaded by another engine: %w", name, linux.EINVAL)
	}
	want, err := load.MapSpec(name, spec, l.eo.CPUs)
	if err != nil {
		return err
	}
	have := h.info()
	for _, f := range []struct {
		field      string
		have, want any
	}{
		{"type", have.Type, want.Type}, {"key_size", have.KeySize, want.KeySize},
		{"value_size", have.ValueSize, want.ValueSize}, {"max_entries", have.MaxEntries, want.MaxEntries},
		{"map_flags", have.Flags, want.Flags}, {"virtual CPUs", h.obj.cpus, l.eo.CPUs},
	} {
		if f.have != f.want {
			return fmt.Errorf("map %s: the replacement's %s is %v, the object needs %v: %w", name, f.field, f.have, f.want, ebpf.ErrMapIncompatible)
		}
	}
	clone, err := h.Clone()
	if err != nil {
		return err
	}
	l.coll.maps[name] = clone.(*mapHandle)
	return nil
}

// address is where programs find a map.
func (l *loader) address(name string) (load.MapAddress, bool) {
	h := l.coll.maps[name]
	if h == nil {
		return load.MapAddress{}, false
	}
	a := load.MapAddress{Desc: h.info().Desc}
	if v, ok := h.obj.Map.(interface{ Value() (addr, size uint64) }); ok && h.MaxEntries() == 1 && h.Type() == ebpf.Array {
		a.Value, a.Size = v.Value()
	}
	return a, true
}

func (l *loader) env() *load.Env {
	return &load.Env{
		Map: l.address, Helper: l.helpers.ByID, Kfunc: l.helpers.Kfunc, Types: l.types,
		Kconfig: l.kconfig.Offset, Ksym: load.Ksyms(l.opts.Ksyms), Contexts: l.host.machine.Contexts,
	}
}

func (l *loader) linkPrograms() error {
	l.types = load.Targets(l.spec, l.eo.KernelTypes)
	start := time.Now()
	if err := l.newJudge(); err != nil {
		return err
	}
	l.coll.times.Verify = time.Since(start)
	env := l.env()
	for _, name := range slices.Sorted(gomaps.Keys(l.spec.Programs)) {
		spec := l.spec.Programs[name]
		if spec.Type == ebpf.UnspecifiedProgram {
			continue // cilium/ebpf skips sections that it does not know, too
		}
		linked, err := load.Link(spec, env)
		if err != nil {
			return err
		}
		start := time.Now()
		judged, err := l.verify(name)
		l.coll.times.Verify += time.Since(start)
		if err != nil {
			return err
		}
		if err := l.addProgram(name, spec, linked, judged); err != nil {
			return err
		}
	}
	return nil
}

// addProgram makes the program.
func (l *loader) addProgram(name string, spec *ebpf.ProgramSpec, linked *load.Linked, judged *judgment) error {
	p, err := l.host.machine.NewProgram(linked.Code)
	if err != nil {
		return fmt.Errorf("program %s: %w", name, err)
	}
	o := &progObject{Program: p, cpus: l.eo.CPUs, owner: ownerOf(spec, linked)}
	o.Ref()
	l.coll.progs[name] = &program{obj: o, coll: l.coll, unverified: judged.unverified}
	start := time.Now()
	err = l.compile(o, judged)
	l.coll.times.Compile += time.Since(start)
	if err != nil {
		return err
	}
	if err := l.addStorage(o, linked.Maps); err != nil {
		return fmt.Errorf("program %s: %w", name, err)
	}
	for _, m := range linked.Maps {
		mo := l.coll.maps[m].obj
		mo.Ref()
		o.maps = append(o.maps, mo)
		if array, ok := mo.Map.(*maps.ProgArray); ok {
			if err := array.BindOwner(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// addStorage notes which cgroup storage a program uses; Linux allows one map of each of the two
// types (bpf_cgroup_storage_assign, kernel/bpf/local_storage.c).
func (l *loader) addStorage(o *progObject, names []string) error {
	for _, name := range names {
		s, ok := l.coll.maps[name].obj.Map.(*maps.CgroupStorage)
		if !ok {
			continue
		}
		kind := 0
		if s.Type == ebpf.PerCPUCGroupStorage {
			kind = 1
		}
		cookie := uint64(s.ID)
		switch o.owner.Storage[kind] {
		case cookie:
		case 0:
			o.owner.Storage[kind] = cookie
			o.storage = append(o.storage, s)
		default:
			return fmt.Errorf("map %s: only one cgroup storage of each type is allowed: %w", name, linux.EBUSY)
		}
	}
	return nil
}

// Flags of program load (include/uapi/linux/bpf.h).
const (
	progSleepable = 1 << 4 // BPF_F_SLEEPABLE
	progFrags     = 1 << 5 // BPF_F_XDP_HAS_FRAGS
)

func ownerOf(spec *ebpf.ProgramSpec, linked *load.Linked) linux.Owner {
	return linux.Owner{
		Type: spec.Type, AttachType: spec.AttachType,
		Jited:     true, // as on a Linux whose JIT is on, which is the reference
		Frags:     spec.Flags&progFrags != 0,
		Sleepable: spec.Flags&progSleepable != 0,
		AttachTo:  attachTarget(spec), TailCalls: linked.TailCalls,
	}
}

func attachTarget(spec *ebpf.ProgramSpec) string {
	switch spec.Type {
	case ebpf.Tracing, ebpf.LSM, ebpf.Extension, ebpf.StructOps:
		return spec.AttachTo
	}
	return ""
}

// populate fills maps from the spec, PROG_ARRAYs and maps of maps last, and freezes constants.
func (l *loader) populate() error {
	for _, name := range slices.Sorted(gomaps.Keys(l.spec.Maps)) {
		if l.eo.MapReplacements[name] != nil {
			continue
		}
		spec, h := l.spec.Maps[name], l.coll.maps[name]
		contents, err := load.Contents(name, spec, l.spec.Variables)
		if err != nil {
			return err
		}
		for _, kv := range contents {
			if err := l.put(h, spec, kv); err != nil {
				return fmt.Errorf("map %s: initial contents: key %v: %w", name, kv.Key, err)
			}
		}
		if strings.HasPrefix(name, ".rodata") || name == ".kconfig" {
			if err := h.Freeze(); err != nil && !errors.Is(err, linux.EPERM) {
				return fmt.Errorf("map %s: freeze: %w", name, err)
			}
		}
	}
	return nil
}

func (l *loader) put(h *mapHandle, spec *ebpf.MapSpec, kv ebpf.MapKV) error {
	key, err := load.Bytes(kv.Key, int(h.KeySize()))
	if err != nil {
		return err
	}
	ref, isName := kv.Value.(string)
	switch {
	case spec.Type == ebpf.ProgramArray:
		if index := binary.LittleEndian.Uint32(key); index >= h.MaxEntries() {
			return fmt.Errorf("slot %d of program %v is past max_entries %d; raise max_entries: %w", index, kv.Value, h.MaxEntries(), linux.E2BIG)
		}
		p := l.coll.progs[ref]
		if !isName || p == nil {
			return fmt.Errorf("program %v is not in the collection: %w", kv.Value, linux.ENOENT)
		}
		return h.UpdateProgram(key, p, 0)
	case spec.Type == ebpf.ArrayOfMaps || spec.Type == ebpf.HashOfMaps:
		m := l.coll.maps[ref]
		if !isName || m == nil {
			return fmt.Errorf("map %v is not in the collection: %w", kv.Value, linux.ENOENT)
		}
		return h.UpdateMap(key, m, 0)
	}
	value, err := load.Bytes(kv.Value, h.info().SysValueSize())
	if err != nil {
		return err
	}
	return h.Update(key, value, 0)
}

// makeKconfig makes the map of kernel configuration values that programs refer to.
func (l *loader) makeKconfig() error {
	k, err := load.NewKconfig(l.spec, l.opts.Kconfig)
	if err != nil {
		return err
	}
	l.kconfig = k
	if k == nil {
		return nil
	}
	obj, err := l.host.newMapObject(l.mapHost, &maps.Spec{
		Name: ".kconfig", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(k.Data)), MaxEntries: 1, Flags: linux.MapReadOnlyProg,
	})
	if err != nil {
		return err
	}
	h := adopt(obj)
	l.coll.maps[".kconfig"] = h
	if err := h.Update(make([]byte, 4), k.Data, 0); err != nil {
		return err
	}
	return h.Freeze()
}

func seedOf(w *world.World) uint64 {
	if w.Seed != 0 {
		return w.Seed
	}
	return rand.Uint64()
}
