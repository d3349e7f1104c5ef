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

// Holders lists who keeps the array's slots besides this process: processes with a file descriptor
// of it and pins, as far as this process may see them.
func (a *Array) Holders() ([]Holder, error) {
	holders, err := processes(a.ID())
	if err != nil {
		return nil, err
	}
	mounts, err := bpffs()
	if err != nil {
		return nil, err
	}
	for _, dir := range mounts {
		holders = append(holders, pins(dir, a.ID())...)
	}
	return holders, nil
}

// processes looks for file descriptors in /proc.
func processes(id ebpf.MapID) ([]Holder, error) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []Holder
	line := fmt.Sprintf("\nmap_id:\t%d\n", id)
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		infos, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
		if err != nil {
			return nil, err
		}
		for _, path := range infos {
			b, err := os.ReadFile(path)
			if err != nil || !strings.Contains(string(b), line) {
				continue // other files, and processes that ended
			}
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			all = append(all, Holder{PID: pid, Comm: strings.TrimSpace(string(comm))})
			break
		}
	}
	return all, nil
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

// pins looks for the map below a directory of bpffs.
func pins(dir string, id ebpf.MapID) []Holder {
	var all []Holder
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
			if pinned, ok := info.ID(); ok && pinned == id {
				all = append(all, Holder{Pin: path})
			}
		}
		return nil
	})
	return all
}
