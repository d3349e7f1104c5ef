package kernel

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/pin"

	"github.com/carom-bpf/carom"
)

func unheld(coll *carom.Collection) ([]UnheldArray, error) {
	if err := available(); err != nil {
		return nil, err
	}
	holders, err := ListHolders()
	if err != nil {
		return nil, err
	}
	stay, err := pinnedPrograms()
	if err != nil {
		return nil, err
	}
	uses, err := mapsOf(coll)
	if err != nil {
		return nil, err
	}
	arrays := map[string]*carom.Map{}
	for name, m := range coll.Maps {
		if m.Type() == ebpf.ProgramArray {
			arrays[name] = m
		}
	}
	if err := follow(arrays, holders, stay); err != nil {
		return nil, err
	}
	var out []UnheldArray
	for name, m := range arrays {
		if len(holders[m.ID()]) > 0 {
			continue
		}
		u := UnheldArray{Map: name, ID: m.ID()}
		for prog, p := range coll.Programs {
			if stay[p.ID()] && slices.Contains(uses[prog], m.ID()) {
				u.Programs = append(u.Programs, prog)
			}
		}
		if len(u.Programs) > 0 {
			slices.Sort(u.Programs)
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b UnheldArray) int { return strings.Compare(a.Map, b.Map) })
	return out, nil
}

// follow adds the programs in the slots of arrays that somebody holds to those that stay.
func follow(arrays map[string]*carom.Map, holders map[ebpf.MapID][]Holder, stay map[ebpf.ProgramID]bool) error {
	for _, m := range arrays {
		if len(holders[m.ID()]) == 0 {
			continue
		}
		for i := range m.MaxEntries() {
			var id ebpf.ProgramID
			err := m.Lookup(i, &id)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			stay[id] = true
		}
	}
	return nil
}

// mapsOf lists the maps that programs use.
func mapsOf(coll *carom.Collection) (map[string][]ebpf.MapID, error) {
	uses := map[string][]ebpf.MapID{}
	for name, p := range coll.Programs {
		prog, err := handle(p)
		if err != nil {
			return nil, err
		}
		info, err := prog.Info()
		_ = prog.Close()
		if err != nil {
			return nil, wrap(err)
		}
		uses[name], _ = info.MapIDs()
	}
	return uses, nil
}

// pinnedPrograms lists the programs that have a pin, or an attachment that has one.
func pinnedPrograms() (map[ebpf.ProgramID]bool, error) {
	all := map[ebpf.ProgramID]bool{}
	mounts, err := bpffs()
	if err != nil {
		return nil, err
	}
	for _, dir := range mounts {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			o, err := pin.Load(path, &ebpf.LoadPinOptions{})
			if err != nil {
				return nil // not of bpf(2), as maps.debug
			}
			defer o.Close()
			switch o := o.(type) {
			case *ebpf.Program:
				if info, err := o.Info(); err == nil {
					if id, ok := info.ID(); ok {
						all[id] = true
					}
				}
			case link.Link:
				if info, err := o.Info(); err == nil {
					all[info.Program] = true
				}
			}
			return nil
		})
	}
	return all, nil
}
