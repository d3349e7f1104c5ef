package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/cilium/ebpf"
)

// Live is what the running kernel has in PROG_ARRAYs and programs, at one time.
//
// It opens an array at most once and keeps it open until Close. When nobody else holds an array,
// closing it has Linux empty it in the background, and closing it again before that is done leaks
// the array (kernel/bpf/arraymap.c, prog_array_map_clear).
type Live struct {
	programs *Programs
	holders  *holders
	open     map[ebpf.MapID]*Array // nil for maps that are no PROG_ARRAYs
	paths    map[ebpf.MapID][]Path
}

// Look reads the programs of the running kernel, where they are attached, and who holds which map.
// It needs CAP_SYS_ADMIN.
func Look() (*Live, error) {
	programs, err := ListPrograms()
	if err != nil {
		return nil, err
	}
	h, err := findHolders()
	if err != nil {
		return nil, err
	}
	return &Live{programs: programs, holders: h, open: map[ebpf.MapID]*Array{}}, nil
}

// Close gives all arrays up.
func (l *Live) Close() error {
	var all []error
	for _, a := range l.open {
		if a != nil {
			all = append(all, a.Close())
		}
	}
	l.open = map[ebpf.MapID]*Array{}
	return errors.Join(all...)
}

// Open opens the PROG_ARRAY with an id. It belongs to l, which closes it.
func (l *Live) Open(id ebpf.MapID) (*Array, error) {
	if a := l.open[id]; a != nil {
		return a, nil
	}
	a, err := OpenArray(id)
	if err == nil {
		l.open[id] = a
	}
	return a, err
}

// OpenPinned opens the PROG_ARRAY that is pinned at a path. It belongs to l, which closes it.
func (l *Live) OpenPinned(path string) (*Array, error) {
	a, err := OpenPinnedArray(path)
	if err != nil {
		return nil, err
	}
	if before := l.open[a.ID()]; before != nil {
		return before, a.Close()
	}
	l.open[a.ID()] = a
	return a, nil
}

// All opens all PROG_ARRAYs, by id.
func (l *Live) All() ([]*Array, error) {
	var ids []ebpf.MapID
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return l.arrays(ids)
		}
		if err != nil {
			return nil, explain(err)
		}
		id = next
		ids = append(ids, id)
	}
}

// Named opens the PROG_ARRAYs of a name, of which 15 bytes count: those that a program uses or a
// process or pin holds, and only when there are none, others.
func (l *Live) Named(name string) ([]*Array, error) {
	named := func(all []*Array, err error) ([]*Array, error) {
		return slices.DeleteFunc(all, func(a *Array) bool { return a.Name() != kernelName(name) }), err
	}
	used := slices.Sorted(maps.Keys(l.programs.users))
	found, err := named(l.arrays(slices.Compact(slices.Sorted(slices.Values(append(used, l.holders.arrays()...))))))
	if err != nil || len(found) > 0 {
		return found, err
	}
	return named(l.All())
}

// One opens the PROG_ARRAY of a name. Among several, see Named, the error is an
// AmbiguousArrayError; it wraps os.ErrNotExist when there is none.
func (l *Live) One(name string) (*Array, error) {
	all, err := l.Named(name)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, fmt.Errorf("the kernel has no program array named %q: %w", name, os.ErrNotExist)
	case len(all) == 1:
		return all[0], nil
	}
	e := &AmbiguousArrayError{Name: name}
	for _, a := range all {
		info, err := l.Info(a)
		if err != nil {
			return nil, err
		}
		e.Candidates = append(e.Candidates, info)
		e.InUse = e.InUse || len(info.Users) > 0 || l.holders.held(a.ID())
	}
	return nil, e
}

// arrays opens those of the maps that are PROG_ARRAYs and still there.
func (l *Live) arrays(ids []ebpf.MapID) ([]*Array, error) {
	var all []*Array
	for _, id := range ids {
		a, known := l.open[id]
		if t, ok := l.holders.types[id]; !known && ok && t != ebpf.ProgramArray {
			continue
		}
		if !known {
			var err error
			if a, err = openIfArray(id); err != nil {
				return nil, err
			}
			l.open[id] = a
		}
		if a != nil {
			all = append(all, a)
		}
	}
	return all, nil
}

// openIfArray returns nil for other maps, and for those that went meanwhile.
func openIfArray(id ebpf.MapID) (*Array, error) {
	m, err := ebpf.NewMapFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	if m.Type() != ebpf.ProgramArray {
		return nil, m.Close()
	}
	return newArray(m)
}

// Info reads an array, with who holds it and what reaches it.
func (l *Live) Info(a *Array) (*ArrayInfo, error) {
	info, err := a.Info(l.programs)
	if err != nil {
		return nil, err
	}
	if l.paths == nil {
		if err := l.follow(); err != nil {
			return nil, err
		}
	}
	info.Holders, info.Reached = l.holders.by[info.ID], l.paths[info.ID]
	return info, nil
}

// follow goes from each attached program along the filled slots. Arrays that nobody holds are
// empty, so those that are not open yet stay closed.
func (l *Live) follow() error {
	l.paths = map[ebpf.MapID][]Path{}
	if _, err := l.arrays(l.holders.arrays()); err != nil {
		return err
	}
	slots := map[ebpf.MapID]*ArrayInfo{}
	for id, a := range l.open {
		if a == nil || len(l.programs.users[id]) == 0 {
			continue
		}
		info, err := a.Info(l.programs)
		if err != nil {
			return err
		}
		slots[id] = info
	}
	for _, id := range slices.Sorted(maps.Keys(l.programs.all)) {
		if entry := l.programs.all[id]; len(entry.Attached) > 0 {
			for array, path := range l.from(entry, slots) {
				l.paths[array] = append(l.paths[array], path)
			}
		}
	}
	for _, list := range l.paths {
		slices.SortFunc(list, func(a, b Path) int { return cmp.Compare(a.Entry.ID, b.Entry.ID) })
	}
	return nil
}

// from finds the shortest way from a program to each array.
func (l *Live) from(entry LiveProgram, slots map[ebpf.MapID]*ArrayInfo) map[ebpf.MapID]Path {
	type at struct {
		program ebpf.ProgramID
		via     []Hop
	}
	found := map[ebpf.MapID]Path{}
	seen := map[ebpf.ProgramID]bool{entry.ID: true}
	for next := []at{{program: entry.ID}}; len(next) > 0; next = next[1:] {
		for _, array := range l.programs.maps[next[0].program] {
			info := slots[array]
			if _, ok := found[array]; ok || info == nil {
				continue
			}
			found[array] = Path{entry, next[0].via}
			for _, s := range info.Slots {
				if !seen[s.Program.ID] {
					seen[s.Program.ID] = true
					hop := Hop{array, info.Name, s.Index}
					next = append(next, at{s.Program.ID, append(slices.Clone(next[0].via), hop)})
				}
			}
		}
	}
	return found
}
