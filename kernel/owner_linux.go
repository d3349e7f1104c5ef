package kernel

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	progarray "github.com/carom-bpf/carom/internal/maps"
)

// Flags of program load (include/uapi/linux/bpf.h).
const (
	progSleepable = 1 << 4 // BPF_F_SLEEPABLE
	progFrags     = 1 << 5 // BPF_F_XDP_HAS_FRAGS
	progDevBound  = 1 << 6 // BPF_F_XDP_DEV_BOUND_ONLY
)

// facts are what Linux compares when a program meets a PROG_ARRAY. The kernel does not tell them of
// a loaded program or map, so they are taken from the spec.
type facts struct {
	linux.Owner
	storage map[string]string // name of the map by how linux.FieldDiff shows its cookie
}

// factsOf reads a spec. id gives the kernel's number of a map, 0 when it is not loaded.
func factsOf(spec *ebpf.ProgramSpec, types map[string]*ebpf.MapSpec, id func(name string) uint32) facts {
	f := facts{Owner: linux.Owner{
		Type: spec.Type, AttachType: spec.AttachType, Jited: true,
		Frags: spec.Flags&progFrags != 0, Sleepable: spec.Flags&progSleepable != 0,
		DevBound: spec.Flags&progDevBound != 0, Extension: spec.Type == ebpf.Extension,
	}, storage: map[string]string{}}
	switch spec.Type {
	case ebpf.Tracing, ebpf.LSM, ebpf.Extension, ebpf.StructOps:
		f.AttachTo = spec.AttachTo
	}
	for i := range spec.Instructions {
		ins := &spec.Instructions[i]
		switch {
		case ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnTailCall:
			f.TailCalls = true
		case ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnOverrideReturn:
			f.Override = true
		case ins.IsLoadFromMap() && types[ins.Reference()] != nil:
			f.useStorage(ins.Reference(), types[ins.Reference()].Type, id)
		}
	}
	return f
}

func (f *facts) useStorage(name string, t ebpf.MapType, id func(string) uint32) {
	kind := 0
	switch t {
	case ebpf.CGroupStorage:
	case ebpf.PerCPUCGroupStorage:
		kind = 1
	default:
		return
	}
	cookie := uint64(id(name))
	if cookie == 0 { // not in the kernel: the name tells it from others of the spec
		h := fnv.New64()
		h.Write([]byte(name))
		cookie = h.Sum64()
	}
	f.Storage[kind] = cookie
	f.storage[fmt.Sprintf("map #%d", cookie)] = name
}

// diff lists what keeps p out of an array whose owner is o.
func (o *facts) diff(p *facts) []linux.FieldDiff {
	diffs := o.Diff(p.Owner, profile())
	for i := range diffs {
		for _, v := range []*string{&diffs[i].Have, &diffs[i].Want} {
			for _, names := range []map[string]string{p.storage, o.storage} {
				if name := names[*v]; name != "" {
					*v = "map " + name
				}
			}
		}
	}
	return diffs
}

// profile is what the running kernel compares.
func profile() linux.Profile {
	p := linux.Linux618()
	if v, err := features.LinuxVersionCode(); err == nil && v >= 7<<16 {
		p.SleepableInOwner = true
	}
	return p
}

// arrayOwner is what is known of the owner of a PROG_ARRAY. All handles of the map share it.
type arrayOwner struct {
	mu    sync.Mutex
	facts *facts // nil while unknown
}

func (a *arrayOwner) get() *facts {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.facts
}

// settle notes that a program was accepted: it is the owner, or agrees with it.
func (a *arrayOwner) settle(f *facts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.facts == nil {
		a.facts = f
	}
}

// ownerError is a refusal by the kernel with the reason that it did not give.
type ownerError struct {
	reason *progarray.OwnerError
	err    error
}

func (e *ownerError) Error() string { return e.reason.Error() }

func (e *ownerError) Unwrap() []error { return []error{e.reason, wrap(e.err)} }

// explainInsert says why a program was refused by a PROG_ARRAY with EINVAL.
func (m *kmap) explainInsert(key []byte, p *program, err error) error {
	if m.m.Type() != ebpf.ProgramArray || len(key) != 4 || p.facts == nil || !errors.Is(err, linux.EINVAL) {
		return err
	}
	diffs := p.facts.Refused()
	if owner := m.owner.get(); len(diffs) == 0 && owner != nil {
		diffs = owner.diff(p.facts)
	} else if len(diffs) == 0 {
		diffs = p.facts.diffShown(m.FD())
	}
	if len(diffs) == 0 {
		return err
	}
	return &ownerError{&progarray.OwnerError{
		Map: m.name, Slot: int64(binary.NativeEndian.Uint32(key)), Prog: p.name, Diffs: diffs,
	}, err}
}

// diffShown compares with what Linux shows of a map that other processes gave its owner: program
// type and jited (bpf_map_show_fdinfo).
func (f *facts) diffShown(fd int) []linux.FieldDiff {
	typ, jited, ok := shownOwner(fd)
	if !ok {
		return nil
	}
	o := f.Owner
	o.Type, o.Jited = typ, jited
	return o.Diff(f.Owner, profile())
}

// shownOwner reads a map's owner from its file descriptor; it is false when there is none yet.
func shownOwner(fd int) (typ ebpf.ProgramType, jited, ok bool) {
	f, err := os.Open("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return 0, false, false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		n, err := strconv.ParseUint(strings.TrimSpace(value), 0, 32)
		switch {
		case err != nil:
		case name == "owner_prog_type":
			typ, ok = ebpf.ProgramType(n), true
		case name == "owner_jited":
			jited = n != 0
		}
	}
	return typ, jited, ok
}

// owners are the facts of a spec that is being loaded.
type owners struct {
	spec     *ebpf.CollectionSpec
	programs map[string]*facts
	arrays   map[string]*arrayOwner // of maps that exist already
}

func newOwners(spec *ebpf.CollectionSpec, replacements map[string]engine.Map, id func(string) uint32) *owners {
	o := &owners{spec: spec, programs: map[string]*facts{}, arrays: map[string]*arrayOwner{}}
	for name, p := range spec.Programs {
		f := factsOf(p, spec.Maps, id)
		o.programs[name] = &f
	}
	for name, m := range replacements {
		if k, ok := m.(*kmap); ok {
			o.arrays[name] = k.owner
		}
	}
	return o
}

// users lists the programs that tail-call through an array, sorted.
func (o *owners) users(array string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(o.programs)) {
		insns := o.spec.Programs[name].Instructions
		if slices.ContainsFunc(insns, func(i asm.Instruction) bool { return i.IsLoadFromMap() && i.Reference() == array }) {
			all = append(all, name)
		}
	}
	return all
}

// members lists the programs that the spec puts into an array, with their slots.
func (o *owners) members(array string) (names []string, slots []int64) {
	for _, kv := range o.spec.Maps[array].Contents {
		name, ok := kv.Value.(string)
		if p, isProgram := kv.Value.(*ebpf.ProgramSpec); isProgram {
			name, ok = p.Name, true
		}
		slot, isIndex := kv.Key.(uint32)
		if ok && isIndex && o.programs[name] != nil {
			names, slots = append(names, name), append(slots, int64(slot))
		}
	}
	return names, slots
}

// explain says which program of a spec does not fit which PROG_ARRAY, nil when that is not why
// the load failed. refused is the program that the kernel did not load, empty when all were.
func (o *owners) explain(refused string) *progarray.OwnerError {
	for _, array := range slices.Sorted(maps.Keys(o.spec.Maps)) {
		if o.spec.Maps[array].Type != ebpf.ProgramArray {
			continue
		}
		owner := (*facts)(nil)
		if a := o.arrays[array]; a != nil {
			owner = a.get()
		}
		users := o.users(array)
		if refused != "" {
			if e := o.explainLoad(array, refused, users, owner); e != nil {
				return e
			}
			continue
		}
		if owner == nil && len(users) > 0 {
			owner = o.programs[users[0]]
		}
		if e := o.explainMembers(array, owner); e != nil {
			return e
		}
	}
	return nil
}

// explainLoad compares a program that was not loaded with the array's owner, or with the other
// programs that use the array, any of which may have been loaded before it.
func (o *owners) explainLoad(array, refused string, users []string, owner *facts) *progarray.OwnerError {
	if !slices.Contains(users, refused) {
		return nil
	}
	before := []*facts{owner}
	if owner == nil {
		before = nil
		for _, name := range users {
			before = append(before, o.programs[name])
		}
	}
	for _, b := range before {
		if diffs := b.diff(o.programs[refused]); len(diffs) > 0 {
			return &progarray.OwnerError{Map: array, Slot: -1, Prog: refused, Diffs: diffs}
		}
	}
	return nil
}

func (o *owners) explainMembers(array string, owner *facts) *progarray.OwnerError {
	names, slots := o.members(array)
	for i, name := range names {
		p := o.programs[name]
		diffs := p.Refused()
		if len(diffs) == 0 && owner != nil {
			diffs = owner.diff(p)
		}
		if len(diffs) > 0 {
			return &progarray.OwnerError{Map: array, Slot: slots[i], Prog: name, Diffs: diffs}
		}
		if owner == nil {
			owner = p
		}
	}
	return nil
}

// explainError adds the reason to an error of a load that Linux gave none for.
func (o *owners) explainError(err error) error {
	if !errors.Is(wrap(err), linux.EINVAL) {
		return err
	}
	var v *ebpf.VerifierError
	refused := ""
	if errors.As(err, &v) {
		if !silent(v) {
			return err
		}
		for name := range o.programs {
			if strings.HasPrefix(err.Error(), "program "+name+": ") {
				refused = name
			}
		}
		if refused == "" {
			return err
		}
	}
	if reason := o.explain(refused); reason != nil {
		return &ownerError{reason, err}
	}
	return err
}

// silent reports whether the verifier's log names no reason, as when a PROG_ARRAY has another owner:
// it then holds statistics only (print_verification_stats of kernel/bpf/verifier.c).
func silent(v *ebpf.VerifierError) bool {
	for _, line := range v.Log {
		line = strings.TrimSpace(line)
		known := line == ""
		for _, statistic := range [...]string{"processed ", "verification time ", "stack depth "} {
			known = known || strings.HasPrefix(line, statistic)
		}
		if !known {
			return false
		}
	}
	return true
}

// settle notes the owners after a load.
func (o *owners) settle(loaded map[string]*kmap) {
	for name, m := range loaded {
		if o.spec.Maps[name] == nil || m.m.Type() != ebpf.ProgramArray {
			continue
		}
		names, _ := o.members(name)
		for _, p := range append(o.users(name), names...) {
			m.owner.settle(o.programs[p])
		}
	}
}
