package kernel

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
)

// Holders lists who keeps the array's slots besides this process.
func (a *Array) Holders() ([]Holder, error) {
	all, err := ListHolders()
	return all[a.ID()], err
}

// ListHolders lists, for all maps, the processes that have them open, without this one, and their
// pins, as far as this process may see them.
func ListHolders() (map[ebpf.MapID][]Holder, error) {
	h, err := findHolders()
	if err != nil {
		return nil, err
	}
	return h.by, nil
}

// holders are who holds which map.
type holders struct {
	by    map[ebpf.MapID][]Holder // without this process
	types map[ebpf.MapID]ebpf.MapType
	own   map[ebpf.MapID]bool // open in this process
}

func findHolders() (*holders, error) {
	h := &holders{map[ebpf.MapID][]Holder{}, map[ebpf.MapID]ebpf.MapType{}, map[ebpf.MapID]bool{}}
	if err := h.processes(); err != nil {
		return nil, err
	}
	mounts, err := bpffs()
	if err != nil {
		return nil, err
	}
	for _, dir := range mounts {
		h.pins(dir)
	}
	return h, nil
}

func (h *holders) held(id ebpf.MapID) bool { return h.own[id] || len(h.by[id]) > 0 }

// arrays are the PROG_ARRAYs that somebody holds.
func (h *holders) arrays() []ebpf.MapID {
	ids := slices.Sorted(maps.Keys(h.types))
	return slices.DeleteFunc(ids, func(id ebpf.MapID) bool { return h.types[id] != ebpf.ProgramArray })
}

// processes looks for file descriptors in /proc.
func (h *holders) processes() error {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		infos, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
		if err != nil {
			return err
		}
		seen := map[ebpf.MapID]bool{}
		for _, path := range infos {
			b, err := os.ReadFile(path)
			n, ok := fdNumber(b, "map_id")
			id := ebpf.MapID(n)
			if err != nil || !ok || seen[id] {
				continue // other files, and processes that ended
			}
			seen[id] = true
			if t, ok := fdNumber(b, "map_type"); ok {
				h.types[id] = ebpf.MapType(t)
			}
			if pid == os.Getpid() {
				h.own[id] = true
				continue
			}
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			h.by[id] = append(h.by[id], Holder{PID: pid, Comm: strings.TrimSpace(string(comm))})
		}
	}
	return nil
}

// fdNumber reads a line of /proc/PID/fdinfo/FD.
func fdNumber(info []byte, name string) (uint32, bool) {
	_, after, ok := strings.Cut("\n"+string(info), "\n"+name+":\t")
	if !ok {
		return 0, false
	}
	text, _, _ := strings.Cut(after, "\n")
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil
}

// bpffs lists where bpf file systems are mounted.
func bpffs() ([]string, error) {
	var all []string
	err := eachMount("bpf", func(_, path string) { all = append(all, path) })
	return all, err
}

// pins looks for maps below a directory of bpffs.
func (h *holders) pins(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return nil // a program or a link
		}
		defer m.Close()
		if info, err := m.Info(); err == nil {
			if id, ok := info.ID(); ok {
				h.by[id] = append(h.by[id], Holder{Pin: path})
				h.types[id] = m.Type()
			}
		}
		return nil
	})
}
