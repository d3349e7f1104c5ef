package userspace

import (
	"fmt"
	"io"
	gomaps "maps"
	"slices"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// VerifyOptions say what programs are verified against.
type VerifyOptions struct {
	KernelTypes *btf.Spec // as in engine.Options; nil for the running kernel's
	// Kernel has the types that pointers are checked against, to share them between verifiers;
	// nil for KernelTypes.
	Kernel  *verifier.KernelTypes
	Kconfig map[string]string // answers CONFIG_ variables
	Helpers []vm.Helper       // custom helpers
	Profile *linux.Profile    // nil for the reference
	Log     io.Writer         // nil for none
	CPUs    int               // of per-CPU maps whose size depends on it; 0 for 1
	Object  io.ReaderAt       // the object file, for names of local variables; nil for none
}

// Verifier verifies the programs of one collection spec. It is not safe for concurrent use.
type Verifier struct {
	spec    *ebpf.CollectionSpec
	opts    VerifyOptions
	env     *load.Env
	kconfig *load.Kconfig
	locals  map[string][]verifier.Variable
	maps    map[string]*verifier.Map
	kernel  *verifier.KernelTypes
	externs map[string]bool // kernel symbols that have a type
}

// NewVerifier prepares the maps of a spec, which it does not change.
func NewVerifier(spec *ebpf.CollectionSpec, opts VerifyOptions) (*Verifier, error) {
	if err := load.Check(spec); err != nil {
		return nil, err
	}
	kconfig, err := load.NewKconfig(spec, opts.Kconfig)
	if err != nil {
		return nil, err
	}
	return newVerifier(spec, opts, kconfig, load.Targets(spec, opts.KernelTypes))
}

// newVerifier is NewVerifier for a loader that has checked the spec and knows what it refers to.
func newVerifier(spec *ebpf.CollectionSpec, opts VerifyOptions, kconfig *load.Kconfig, types []*btf.Spec) (*Verifier, error) {
	v := &Verifier{spec: spec, opts: opts, kconfig: kconfig, maps: map[string]*verifier.Map{}}
	v.kernel = opts.Kernel
	if v.kernel == nil {
		v.kernel = kernelTypes(spec, opts.KernelTypes, types)
	}
	v.externs = typedExterns(spec.Types)
	if opts.Object != nil {
		// Without them explanations name functions only.
		v.locals, _ = verifier.ReadLocals(opts.Object)
	}
	for i, name := range slices.Sorted(gomaps.Keys(spec.Maps)) {
		if err := v.addMap(name); err != nil {
			return nil, err
		}
		v.maps[name].Cookie = uint64(i) + 1
	}
	if kconfig != nil {
		v.maps[".kconfig"] = &verifier.Map{
			Name: ".kconfig", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(kconfig.Data)), MaxEntries: 1,
			Flags: linux.MapReadOnlyProg, Frozen: true, Data: kconfig.Data,
		}
	}
	v.env = &load.Env{
		Types:   types,
		Kconfig: kconfig.Offset,
		Map: func(name string) (load.MapAddress, bool) {
			_, ok := v.maps[name]
			return load.MapAddress{}, ok
		},
	}
	return v, nil
}

// addMap converts the definition of a map and what is constant in it.
func (v *Verifier) addMap(name string) error {
	spec := v.spec.Maps[name]
	m, err := convertMap(name, spec, max(v.opts.CPUs, 1))
	if err != nil {
		return err
	}
	if m.Flags&linux.MapReadOnlyProg != 0 {
		contents, err := load.Contents(name, spec, v.spec.Variables)
		if err != nil {
			return err
		}
		m.Frozen = len(contents) > 0
		if m.Frozen && m.Type == ebpf.Array && m.MaxEntries == 1 {
			if m.Data, err = load.Bytes(contents[0].Value, int(m.ValueSize)); err != nil {
				return fmt.Errorf("map %s: initial contents: %w", name, err)
			}
		}
	}
	v.maps[name] = m
	return nil
}

func convertMap(name string, spec *ebpf.MapSpec, cpus int) (*verifier.Map, error) {
	s, err := load.MapSpec(name, spec, cpus)
	if err != nil {
		return nil, err
	}
	m := &verifier.Map{
		Name: name, Type: s.Type, KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: s.MaxEntries,
		Flags: s.Flags, Key: spec.Key, Value: spec.Value, Fields: verifier.Fields(spec.Value),
	}
	if spec.InnerMap != nil {
		if m.Inner, err = convertMap(name+" (inner)", spec.InnerMap, cpus); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// kernelTypes are the types that pointers are checked against: those given, those that relocations
// were resolved with, or the running kernel's, which are read when they are needed.
func kernelTypes(spec *ebpf.CollectionSpec, given *btf.Spec, targets []*btf.Spec) *verifier.KernelTypes {
	if given == nil && len(targets) > 0 && targets[0] != spec.Types {
		given = targets[0]
	}
	if given != nil {
		return verifier.NewKernelTypes(func() (*btf.Spec, error) { return given, nil })
	}
	return verifier.NewKernelTypes(btf.LoadKernelSpec)
}

// typedExterns are the kernel symbols (extern … __ksym) that an object declares with a type other
// than void.
func typedExterns(types *btf.Spec) map[string]bool {
	if types == nil {
		return nil
	}
	var section *btf.Datasec
	if err := types.TypeByName(".ksyms", &section); err != nil {
		return nil
	}
	typed := map[string]bool{}
	for _, s := range section.Vars {
		switch t := s.Type.(type) {
		case *btf.Var:
			_, void := btf.UnderlyingType(t.Type).(*btf.Void)
			typed[t.Name] = !void
		case *btf.Func:
			typed[t.Name] = true
		}
	}
	return typed
}

// kernelFunc returns the name that a function of the kernel has, whose declaration may have a
// flavour ("___" and more behind the name). That of one which does not fit is left as it is.
func (v *Verifier) kernelFunc(name string) string {
	i := strings.LastIndex(name, "___")
	if i <= 0 || v.spec.Types == nil {
		return name
	}
	kernel, err := v.kernel.Spec()
	if err != nil {
		return name
	}
	var section *btf.Datasec
	var have *btf.Func
	if v.spec.Types.TypeByName(".ksyms", &section) != nil || kernel.TypeByName(name[:i], &have) != nil {
		return name
	}
	for _, s := range section.Vars {
		if f, ok := s.Type.(*btf.Func); ok && f.Name == name && btf.CheckTypeCompatibility(f.Type, have.Type) == nil {
			return name[:i]
		}
	}
	return name
}

// Program converts one program.
func (v *Verifier) Program(name string) (*verifier.Program, error) {
	spec := v.spec.Programs[name]
	if spec == nil {
		return nil, fmt.Errorf("program %s is not in the object: %w", name, linux.ENOENT)
	}
	low, err := load.Lower(spec, v.env)
	if err != nil {
		return nil, err
	}
	p := &verifier.Program{
		Name: spec.Name, Type: spec.Type, AttachType: spec.AttachType, Flags: spec.Flags,
		GPL: gplCompatible(spec.License), Insns: low.Insns, Kfuncs: map[int32]string{},
		AttachTo: attachTarget(spec), Helper: v.custom(), Kernel: v.kernel, Locals: v.locals,
	}
	for i, k := range low.Kfuncs {
		p.Kfuncs[int32(i)] = v.kernelFunc(k)
	}
	for _, m := range low.Maps {
		p.Maps = append(p.Maps, v.maps[m])
	}
	p.Types, p.Struct = low.Types, v.structNamed
	p.Ksyms = map[int]verifier.Ksym{}
	for slot, name := range low.Ksyms {
		p.Ksyms[slot] = verifier.Ksym{Name: v.kernelFunc(name), Typed: v.externs[name]}
	}
	for _, f := range low.Funcs {
		p.Funcs = append(p.Funcs, verifier.Func{Insn: f.Insn, Name: f.Name, Type: f.Type})
	}
	for _, l := range low.Lines {
		p.Lines = append(p.Lines, verifier.Line{Insn: l.Insn, File: l.File, Line: l.Line, Col: l.Col, Text: strings.TrimSpace(l.Text)})
	}
	return p, nil
}

// structNamed returns the object's structure of a name, nil where there is none.
func (v *Verifier) structNamed(name string) *btf.Struct {
	if v.spec.Types == nil {
		return nil
	}
	var s *btf.Struct
	if err := v.spec.Types.TypeByName(name, &s); err != nil {
		return nil
	}
	return s
}

// Load verifies a program that is loaded behind those that were loaded before: when it is
// accepted, it owns the PROG_ARRAYs that it uses and that have no owner yet.
func (v *Verifier) Load(name string) (*verifier.Verdict, error) {
	p, err := v.Program(name)
	if err != nil {
		return nil, err
	}
	verdict, err := v.verify(p)
	if err != nil {
		return nil, err
	}
	for _, m := range p.Maps {
		if m.Type == ebpf.ProgramArray && m.Owner == nil {
			owner := verifier.OwnerOf(p)
			m.Owner = &owner
		}
	}
	return verdict, nil
}

// Verify verifies one program.
func (v *Verifier) Verify(name string) (*verifier.Verdict, error) {
	p, err := v.Program(name)
	if err != nil {
		return nil, err
	}
	return v.verify(p)
}

func (v *Verifier) verify(p *verifier.Program) (*verifier.Verdict, error) {
	return verifier.Verify(p, &verifier.Options{Profile: v.opts.Profile, CPUs: v.opts.CPUs, Log: v.opts.Log})
}

// custom finds the prototypes of custom helpers.
func (v *Verifier) custom() func(id uint32) *verifier.Custom {
	if len(v.opts.Helpers) == 0 {
		return nil
	}
	byID := map[uint32]*verifier.Custom{}
	for _, h := range v.opts.Helpers {
		byID[h.ID] = &verifier.Custom{Proto: h.Proto, UnwindOnZero: h.UnwindOnZero}
	}
	return func(id uint32) *verifier.Custom { return byID[id] }
}

// gplCompatible is license_is_gpl_compatible (include/linux/license.h).
func gplCompatible(license string) bool {
	switch license {
	case "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL":
		return true
	}
	return false
}
