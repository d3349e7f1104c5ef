package kernel

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	all := map[ebpf.MapID][]Holder{}
	if err := processes(all); err != nil {
		return nil, err
	}
	mounts, err := bpffs()
	if err != nil {
		return nil, err
	}
	for _, dir := range mounts {
		pins(dir, all)
	}
	return all, nil
}

// processes looks for file descriptors in /proc.
func processes(all map[ebpf.MapID][]Holder) error {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		infos, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
		if err != nil {
			return err
		}
		seen := map[ebpf.MapID]bool{}
		for _, path := range infos {
			b, err := os.ReadFile(path)
			_, after, ok := strings.Cut(string(b), "\nmap_id:\t")
			if err != nil || !ok {
				continue // other files, and processes that ended
			}
			number, _, _ := strings.Cut(after, "\n")
			n, err := strconv.ParseUint(number, 10, 32)
			id := ebpf.MapID(n)
			if err != nil || seen[id] {
				continue
			}
			seen[id] = true
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			all[id] = append(all[id], Holder{PID: pid, Comm: strings.TrimSpace(string(comm))})
		}
	}
	return nil
}

// bpffs lists where bpf file systems are mounted.
func bpffs() ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) > 4 && strings.HasPrefix(after, "bpf ") {
			all = append(all, strings.ReplaceAll(fields[4], `\040`, " "))
		}
	}
	return all, lines.Err()
}

// pins looks for maps below a directory of bpffs.
func pins(dir string, all map[ebpf.MapID][]Holder) {
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
				all[id] = append(all[id], Holder{Pin: path})
			}
		}
		return nil
	})
}
