package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/carom-bpf/carom/internal/engine"
)

// ReplaceAll loads a whole new generation of a chain, with PROG_ARRAYs of its own, and then
// switches the link from the old entry program to the new one in one step. A slot that the spec
// does not fill gets the new program with the name of the one that the old array has there. On an
// error nothing has changed.
func ReplaceAll(spec *ebpf.CollectionSpec, entry string, opts ReplaceOptions) (*Replacement, error) {
	if spec.Programs[entry] == nil {
		return nil, fmt.Errorf("the object has no program %q", entry)
	}
	l, old, err := findLink(spec.Programs[entry], entry, opts.Link)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	r := &replacing{spec: spec.Copy(), opts: opts, old: old, shared: map[string]engine.Map{}, arrays: map[string]*ArrayInfo{}}
	defer r.close()
	if err := r.lookAround(); err != nil {
		return nil, err
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	if err := r.pin(); err != nil {
		return nil, err
	}
	if err := l.Update(r.coll.Program(entry).(*program).p); err != nil {
		return nil, fmt.Errorf("switch the link to the new %s: %w", entry, wrap(err))
	}
	return r.finish()
}

// updatable are the kinds of links whose program can be replaced (update_prog of their operations).
var updatable = []link.Type{link.CgroupType, link.XDPType, link.NetNsType, link.TCXType, link.NetkitType}

// findLink finds the link of a program by its id, or by the name and type of the program.
func findLink(spec *ebpf.ProgramSpec, name string, id link.ID) (link.Link, ebpf.ProgramID, error) {
	programs, err := ListPrograms()
	if err != nil {
		return nil, 0, err
	}
	var found []LinkCandidate
	var loose []string // where a program of the name is attached without a link that can be switched
	for _, pid := range slices.Sorted(maps.Keys(programs.all)) {
		p := programs.all[pid]
		if id == 0 && (p.Type != spec.Type || !sameName(p.Name, name)) {
			continue
		}
		for _, at := range p.Attached {
			switch {
			case at.Link == 0 && id == 0:
				loose = append(loose, at.String())
			case at.Link != 0 && (id == 0 || at.Link == id):
				found = append(found, LinkCandidate{ID: at.Link, Place: at, Program: p})
			}
		}
	}
	for i := range found {
		if found[i].Type, err = linkTypeOf(found[i].ID); err != nil {
			return nil, 0, err
		}
	}
	switch {
	case len(found) > 1:
		slices.SortFunc(found, func(a, b LinkCandidate) int { return cmp.Compare(a.ID, b.ID) })
		return nil, 0, &AmbiguousLinkError{Program: name, Candidates: found}
	case len(found) == 1:
		return openLink(found[0])
	case id != 0:
		return nil, 0, fmt.Errorf("there is no link with id %d: %w", id, os.ErrNotExist)
	case len(loose) > 0:
		return nil, 0, fmt.Errorf("program %s is attached without a bpf_link (%s), and only links can be switched in one step: %w",
			name, strings.Join(loose, "; "), os.ErrNotExist)
	}
	return nil, 0, fmt.Errorf("no bpf_link attaches a %s program named %s, and only links can be switched in one step: %w", spec.Type, name, os.ErrNotExist)
}

// sameName compares a name of a spec with one of the kernel, which keeps 15 bytes, or all when the
// program has BTF.
func sameName(live, name string) bool { return live == name || live == kernelName(name) }

func linkTypeOf(id link.ID) (string, error) {
	l, err := link.NewFromID(id)
	if err != nil {
		return "", fmt.Errorf("link %d: %w", id, wrap(err))
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return "", fmt.Errorf("link %d: %w", id, wrap(err))
	}
	return linkType(info.Type), nil
}

// openLink opens a link that can be switched, and says which program it has now.
func openLink(c LinkCandidate) (link.Link, ebpf.ProgramID, error) {
	l, err := link.NewFromID(c.ID)
	if err != nil {
		return nil, 0, fmt.Errorf("link %d: %w", c.ID, wrap(err))
	}
	info, err := l.Info()
	if err == nil && !slices.Contains(updatable, info.Type) {
		err = fmt.Errorf("%s is a link of type %s, whose program Linux cannot replace: %w", c.Place, linkType(info.Type), engine.ErrUnsupported)
	}
	if err != nil {
		return nil, 0, errors.Join(wrap(err), l.Close())
	}
	return l, info.Program, nil
}

// replacing is a ReplaceAll under way.
type replacing struct {
	spec   *ebpf.CollectionSpec
	opts   ReplaceOptions
	old    ebpf.ProgramID
	shared map[string]engine.Map
	arrays map[string]*ArrayInfo // of the old generation, by name
	coll   engine.Collection
	pins   []string // temporary names
	// Maps that were opened to look at them stay open until the end: see Live.
	looked []*kmap
	result Replacement
}

func (r *replacing) close() {
	for _, path := range r.pins {
		_ = os.Remove(path)
	}
	for _, m := range r.shared {
		_ = m.Close()
	}
	for _, m := range r.looked {
		_ = m.Close()
	}
	if r.coll != nil {
		_ = r.coll.Close()
	}
}

// lookAround finds the arrays of the old generation, and the maps that the new one goes on with.
func (r *replacing) lookAround() error {
	programs, err := ListPrograms()
	if err != nil {
		return err
	}
	for _, id := range programs.maps[r.old] {
		a, err := OpenArray(id)
		if err != nil {
			continue // not a PROG_ARRAY
		}
		r.looked = append(r.looked, a.m)
		info, err := a.Info(programs)
		if err != nil {
			return err
		}
		r.arrays[info.Name] = info
		if err := r.share(a); err != nil {
			return err
		}
	}
	if len(r.arrays) == 0 {
		return fmt.Errorf("program %s uses no PROG_ARRAY", programs.all[r.old])
	}
	// A program that was found by its name must look like the one that the object replaces.
	return r.checkArrays(programs.all[r.old])
}

func (r *replacing) checkArrays(old LiveProgram) error {
	if r.opts.Link != 0 {
		return nil
	}
	for name, m := range r.spec.Maps {
		if m.Type == ebpf.ProgramArray && r.arrays[kernelName(name)] != nil {
			return nil
		}
	}
	return fmt.Errorf("program %s uses the program arrays %s, of which the object has none; if it is the right one, choose its link by the id",
		old, strings.Join(slices.Sorted(maps.Keys(r.arrays)), ", "))
}

// share keeps the maps of the programs around an array that the spec has as well.
func (r *replacing) share(a *Array) error {
	around, err := a.around()
	if err != nil {
		return err
	}
	for _, m := range around {
		name := ""
		for n, ms := range r.spec.Maps {
			own := ms.Type == ebpf.ProgramArray || strings.HasPrefix(n, ".") || slices.Contains(r.opts.Fresh, n)
			if !own && kernelName(n) == m.name && fits(ms, m.m) && r.shared[n] == nil {
				name = n
			}
		}
		if name == "" {
			r.looked = append(r.looked, m)
			continue
		}
		r.shared[name] = m
		r.spec.Maps[name].Contents = nil
	}
	return nil
}

// load makes the new generation and fills its arrays.
func (r *replacing) load() error {
	coll, err := kernelEngine{}.Load(r.spec, &engine.Options{MapReplacements: r.shared})
	if err != nil {
		return err
	}
	r.coll = coll
	for _, name := range slices.Sorted(maps.Keys(r.spec.Maps)) {
		old := r.arrays[kernelName(name)]
		if old == nil || r.spec.Maps[name].Type != ebpf.ProgramArray {
			continue
		}
		filled := map[uint32]bool{}
		for _, kv := range r.spec.Maps[name].Contents {
			if index, ok := kv.Key.(uint32); ok {
				filled[index] = true
			}
		}
		for _, s := range old.Slots {
			if filled[s.Index] {
				continue
			}
			if err := r.fill(name, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill puts the new program of the same name into a slot.
func (r *replacing) fill(array string, s Slot) error {
	for _, name := range r.coll.ProgramNames() {
		if sameName(s.Program.Name, name) {
			a := &Array{r.coll.Map(array).(*kmap)}
			return slotError(a, s.Index, a.m.UpdateProgram(indexKey(s.Index), r.coll.Program(name), 0))
		}
	}
	return fmt.Errorf("slot %d of map %s holds program %s, which the object does not have; fill the slot in the object or clear it first",
		s.Index, array, s.Program.Name)
}

// pin gives the new arrays names beside those that they will get.
func (r *replacing) pin() error {
	for _, name := range slices.Sorted(maps.Keys(r.spec.Maps)) {
		if r.spec.Maps[name].Type != ebpf.ProgramArray {
			continue
		}
		path := filepath.Join(r.opts.PinDir, fmt.Sprintf("%s_new_%d", name, os.Getpid()))
		// The pin is renamed later, which cilium/ebpf need not know of.
		clone, err := r.coll.Map(name).Clone()
		if err != nil {
			return err
		}
		err = clone.Pin(path)
		if err := errors.Join(err, clone.Close()); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
		r.pins = append(r.pins, path)
		r.result.Pins = append(r.result.Pins, filepath.Join(r.opts.PinDir, name))
	}
	return nil
}

// finish gives the pins of the new arrays their names. The chain is switched already.
func (r *replacing) finish() (*Replacement, error) {
	pins := r.pins
	r.pins = nil
	for i, path := range pins {
		if err := os.Rename(path, r.result.Pins[i]); err != nil {
			return nil, fmt.Errorf("the chain is switched, its array is pinned at %s: %w", path, err)
		}
	}
	r.result.Shared = slices.Sorted(maps.Keys(r.shared))
	return &r.result, nil
}
