package kernel

import (
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
	l, old, err := findLink(kernelName(entry), opts.Link)
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

// findLink finds the link of a program by its id, or by the name of the program.
func findLink(name string, id link.ID) (found link.Link, prog ebpf.ProgramID, err error) {
	programs, err := ListPrograms()
	if err != nil {
		return nil, 0, err
	}
	var ids []string
	all := new(link.Iterator)
	defer all.Close()
	for all.Next() {
		info, err := all.Link.Info()
		if err != nil || id != 0 && info.ID != id || id == 0 && programs.all[info.Program].Name != name {
			continue
		}
		if ids = append(ids, fmt.Sprint(info.ID)); len(ids) == 1 {
			found, prog = all.Take(), info.Program
		}
	}
	if len(ids) == 1 {
		return found, prog, nil
	}
	if found != nil {
		_ = found.Close()
		return nil, 0, fmt.Errorf("program %s is attached by the links %s; choose one", name, strings.Join(ids, ", "))
	}
	if id != 0 {
		return nil, 0, fmt.Errorf("there is no link with id %d: %w", id, os.ErrNotExist)
	}
	return nil, 0, fmt.Errorf("no bpf_link attaches a program named %s, and only links can be switched in one step: %w", name, os.ErrNotExist)
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
	result Replacement
}

func (r *replacing) close() {
	for _, path := range r.pins {
		_ = os.Remove(path)
	}
	for _, m := range r.shared {
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
		info, err := a.Info(programs)
		if err == nil {
			r.arrays[info.Name] = info
			err = r.share(a)
		}
		if err := errors.Join(err, a.Close()); err != nil {
			return err
		}
	}
	if len(r.arrays) == 0 {
		return fmt.Errorf("program %s (id %d) uses no PROG_ARRAY", programs.all[r.old].Name, r.old)
	}
	return nil
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
			_ = m.Close()
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
		if kernelName(name) == s.Program.Name {
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
