package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// Array is an open PROG_ARRAY of the running kernel. While it is open the array keeps its slots.
type Array struct{ m *kmap }

// OpenArray opens a PROG_ARRAY by its id.
func OpenArray(id ebpf.MapID) (*Array, error) {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return nil, fmt.Errorf("map with id %d: %w", id, explain(err))
	}
	return newArray(m)
}

// OpenPinnedArray opens a PROG_ARRAY by its pin.
func OpenPinnedArray(path string) (*Array, error) {
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		return nil, fmt.Errorf("pin %s: %w", path, explain(err))
	}
	return newArray(m)
}

func newArray(m *ebpf.Map) (*Array, error) {
	info, err := m.Info()
	if err == nil && info.Type != ebpf.ProgramArray {
		err = fmt.Errorf("map %s is a %s, slots are those of a ProgramArray", info.Name, info.Type)
	}
	var k *kmap
	if err == nil {
		k, err = newMap(m, info.Name)
	}
	if err != nil {
		return nil, errors.Join(wrap(err), m.Close())
	}
	return &Array{k}, nil
}

// Close gives the array up.
func (a *Array) Close() error { return a.m.Close() }

// Name is the array's name, as the kernel keeps it.
func (a *Array) Name() string { return a.m.name }

// ID is the array's id.
func (a *Array) ID() ebpf.MapID { return ebpf.MapID(a.m.id) }

// Pin gives the array a file on bpffs, which keeps its slots.
func (a *Array) Pin(path string) error { return a.m.Pin(path) }

// Info reads the array. programs are those of the kernel, see Programs.
func (a *Array) Info(programs *Programs) (*ArrayInfo, error) {
	i, err := a.m.m.Info()
	if err != nil {
		return nil, wrap(err)
	}
	out := &ArrayInfo{ID: a.ID(), Name: i.Name, MaxEntries: i.MaxEntries, Frozen: i.Frozen(), Users: programs.users[a.ID()]}
	out.Owner, out.Jited, out.Owned = shownOwner(a.m.FD())
	for index := range i.MaxEntries {
		var id uint32
		err := a.m.m.Lookup(index, &id)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("map %s[%d]: %w", i.Name, index, wrap(err))
		}
		p, ok := programs.all[ebpf.ProgramID(id)]
		if !ok {
			p = LiveProgram{ID: ebpf.ProgramID(id)} // put in since the programs were listed
		}
		out.Slots = append(out.Slots, Slot{index, p})
	}
	return out, nil
}

// Programs are the programs of the running kernel at one time.
type Programs struct {
	all   map[ebpf.ProgramID]LiveProgram
	maps  map[ebpf.ProgramID][]ebpf.MapID
	users map[ebpf.MapID][]LiveProgram
}

// ListPrograms lists the programs of the running kernel. It needs CAP_SYS_ADMIN.
func ListPrograms() (*Programs, error) {
	out := &Programs{map[ebpf.ProgramID]LiveProgram{}, map[ebpf.ProgramID][]ebpf.MapID{}, map[ebpf.MapID][]LiveProgram{}}
	boot := bootTime()
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			out.place()
			return out, nil
		}
		if err != nil {
			return nil, explain(err)
		}
		id = next
		if err := out.read(id, boot); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("program with id %d: %w", id, explain(err))
		}
	}
}

func (l *Programs) read(id ebpf.ProgramID, boot time.Time) error {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return err
	}
	live := LiveProgram{ID: id, Name: info.Name, Tag: info.Tag, Type: info.Type}
	if since, ok := info.LoadTime(); ok {
		live.Loaded = boot.Add(since)
	}
	l.all[id] = live
	l.maps[id], _ = info.MapIDs()
	return nil
}

// place adds where the programs are attached, and lists those that use a map.
func (l *Programs) place() {
	types := map[ebpf.ProgramType]bool{}
	for _, p := range l.all {
		types[p.Type] = true
	}
	attached := attachments(types)
	for _, id := range slices.Sorted(maps.Keys(l.all)) {
		p := l.all[id]
		p.Attached = attached[id]
		l.all[id] = p
		for _, m := range l.maps[id] {
			l.users[m] = append(l.users[m], p)
		}
	}
}

// bootTime is when the system was started; load times are relative to it.
func bootTime() time.Time {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(t.Nano()))
}

// Clear empties a slot. It wraps ebpf.ErrKeyNotExist when the slot is empty.
func (a *Array) Clear(index uint32) error {
	return slotError(a, index, a.m.Delete(indexKey(index)))
}

// SetID puts a loaded program into a slot. A slot that is filled is replaced in one step.
func (a *Array) SetID(index uint32, id ebpf.ProgramID) error {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return fmt.Errorf("program with id %d: %w", id, explain(err))
	}
	return a.set(index, p)
}

// SetPinned is SetID for a program with a file on bpffs.
func (a *Array) SetPinned(index uint32, path string) error {
	p, err := ebpf.LoadPinnedProgram(path, nil)
	if err != nil {
		return fmt.Errorf("pin %s: %w", path, explain(err))
	}
	return a.set(index, p)
}

// set puts p into a slot and closes it.
func (a *Array) set(index uint32, p *ebpf.Program) error {
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return wrap(err)
	}
	id, _ := info.ID()
	// Of a program that others loaded, the type is all that is known of what Linux compares.
	f := &facts{Owner: linux.Owner{Type: info.Type, Jited: true, Extension: info.Type == ebpf.Extension}}
	k := &program{p: p, name: info.Name, id: uint32(id), facts: f}
	key := indexKey(index)
	return slotError(a, index, a.m.explainInsert(key, k, wrap(a.m.m.Put(key, p))))
}

// Set loads a program of a spec and puts it into a slot. It returns the names of the maps that the
// program shares with those around the array.
func (a *Array) Set(index uint32, spec *ebpf.CollectionSpec, prog string, opts SetOptions) (shared []string, err error) {
	if spec.Programs[prog] == nil {
		return nil, fmt.Errorf("the object has no program %q", prog)
	}
	one := only(spec, prog)
	around, err := a.around()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, m := range around {
			_ = m.Close()
		}
	}()
	replacements := map[string]engine.Map{}
	for name, ms := range one.Maps {
		if strings.HasPrefix(name, ".") || slices.Contains(opts.Fresh, name) {
			continue
		}
		for _, m := range around {
			if m.name == kernelName(name) && fits(ms, m.m) {
				replacements[name] = m
				shared = append(shared, name)
				ms.Contents = nil
				break
			}
		}
	}
	coll, err := kernelEngine{}.Load(one, &engine.Options{MapReplacements: replacements})
	if err != nil {
		return nil, err
	}
	defer coll.Close()
	key := indexKey(index)
	if err := a.m.UpdateProgram(key, coll.Program(prog), 0); err != nil {
		return nil, slotError(a, index, err)
	}
	slices.Sort(shared)
	return shared, nil
}

// only is the spec of one program and the maps that it uses.
func only(spec *ebpf.CollectionSpec, prog string) *ebpf.CollectionSpec {
	out := spec.Copy()
	out.Programs = map[string]*ebpf.ProgramSpec{prog: out.Programs[prog]}
	used := map[string]*ebpf.MapSpec{}
	for i := range out.Programs[prog].Instructions {
		ins := &out.Programs[prog].Instructions[i]
		if m := out.Maps[ins.Reference()]; ins.IsLoadFromMap() && m != nil {
			used[ins.Reference()] = m
		}
	}
	for _, m := range used {
		if m.Type == ebpf.ProgramArray {
			m.Contents = nil // the other programs are not loaded
		}
	}
	out.Maps = used
	for name, v := range out.Variables {
		if used[v.SectionName] == nil {
			delete(out.Variables, name)
		}
	}
	return out
}

// around opens the array and the maps of the programs that use it or are in it.
func (a *Array) around() ([]*kmap, error) {
	programs, err := ListPrograms()
	if err != nil {
		return nil, err
	}
	info, err := a.Info(programs)
	if err != nil {
		return nil, err
	}
	ids := []ebpf.MapID{a.ID()}
	near := slices.Clone(info.Users)
	for _, s := range info.Slots {
		near = append(near, s.Program)
	}
	for _, p := range near {
		ids = append(ids, programs.maps[p.ID]...)
	}
	var all []*kmap
	for _, id := range ids {
		if slices.ContainsFunc(all, func(m *kmap) bool { return m.id == uint32(id) }) {
			continue
		}
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue // it went meanwhile
		}
		info, err := m.Info()
		if err != nil {
			_ = m.Close()
			continue
		}
		k, err := newMap(m, info.Name)
		if err != nil {
			_ = m.Close()
			continue
		}
		all = append(all, k)
	}
	return all, nil
}

// fits says that a map can be used in place of what a spec describes.
func fits(spec *ebpf.MapSpec, m *ebpf.Map) bool {
	return spec.Type == m.Type() && spec.KeySize == m.KeySize() && spec.ValueSize == m.ValueSize() &&
		spec.MaxEntries == m.MaxEntries() && spec.Flags == m.Flags()
}

// kernelName is what the kernel keeps of a name (BPF_OBJ_NAME_LEN).
func kernelName(name string) string { return name[:min(len(name), unix.BPF_OBJ_NAME_LEN-1)] }

func indexKey(index uint32) []byte { return binary.NativeEndian.AppendUint32(nil, index) }

// slotError names the slot.
func slotError(a *Array, index uint32, err error) error {
	if err == nil || errors.As(err, new(*ownerError)) {
		return err
	}
	if errors.Is(err, linux.E2BIG) {
		return fmt.Errorf("map %s has %d slots, there is no slot %d: %w", a.m.name, a.m.MaxEntries(), index, err)
	}
	if errors.Is(err, linux.ENOENT) {
		return fmt.Errorf("map %s[%d] is empty: %w", a.m.name, index, err)
	}
	if errors.Is(err, linux.EINVAL) {
		err = &hintError{"the program differs from the array's owner in what Linux compares but does not show " +
			"(expected_attach_type, xdp_has_frags, attach target, cgroup storage)", err}
	}
	return fmt.Errorf("map %s[%d]: %w", a.m.name, index, err)
}
