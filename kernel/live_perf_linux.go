package kernel

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Hooks by enum bpf_task_fd_type. A raw tracepoint, which is 0, has a link.
var taskFDHooks = map[uint32]string{1: "tracepoint", 2: "kprobe", 3: "kretprobe", 4: "uprobe", 5: "uretprobe"}

func perfKey(program ebpf.ProgramID, place Place) string {
	return fmt.Sprint("perf ", program, place.Hook, " ", place.Target)
}

// probe is a place in a function or file.
func probe(hook, name string, offset uint64) Place {
	switch {
	case strings.HasPrefix(hook, "u"):
		name = fmt.Sprintf("%s+%#x", name, offset)
	case offset != 0 && hook != "tracepoint":
		name = fmt.Sprintf("%s+%#x", name, offset)
	}
	return Place{Hook: hook, Target: name}
}

// perfPlace is the place of a link of a perf event.
func perfPlace(x *link.PerfEventInfo) Place {
	hook := map[any]string{
		link.PerfEventUprobe: "uprobe", link.PerfEventUretprobe: "uretprobe", link.PerfEventKprobe: "kprobe",
		link.PerfEventKretprobe: "kretprobe",
	}[x.Type]
	if u := x.Uprobe(); u != nil {
		return probe(hook, u.File, uint64(u.Offset))
	}
	if k := x.Kprobe(); k != nil {
		return probe(hook, k.Function, uint64(k.Offset))
	}
	if t := x.Tracepoint(); t != nil {
		return probe("tracepoint", t.Tracepoint, 0)
	}
	return Place{Hook: "perf event"}
}

// lookAtPerfEvents asks for the programs of the perf events that processes have open. The kernel
// tells those of tracepoints and probes, and not those of other events.
func (p *places) lookAtPerfEvents() {
	if !p.any(ebpf.Kprobe, ebpf.TracePoint) {
		return
	}
	query, err := newTaskFDQuery()
	if err != nil {
		return
	}
	defer query.close()
	files, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, path := range files {
		if target, err := os.Readlink(path); err != nil || target != "anon_inode:[perf_event]" {
			continue
		}
		parts := strings.Split(path, "/")
		pid, _ := strconv.ParseUint(parts[2], 10, 32)
		fd, _ := strconv.ParseUint(parts[4], 10, 32)
		program, place, ok := query.ask(uint32(pid), uint32(fd))
		if !ok {
			continue
		}
		place.By = "perf event of " + process(parts[2])
		p.add(perfKey(ebpf.ProgramID(program), place), program, place)
	}
}

// taskFDQuery asks with BPF_TASK_FD_QUERY, which cilium/ebpf does not have. Attributes and name are
// in memory of the kernel's, not of Go's, so that their address may be given as a number.
type taskFDQuery struct {
	memory []byte
	base   uintptr
}

const (
	taskFDAttr = 48   // bytes of the attributes, before the name
	taskFDName = 4096 // bytes for the name
)

func newTaskFDQuery() (*taskFDQuery, error) {
	b, err := unix.Mmap(-1, 0, taskFDAttr+taskFDName, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	return &taskFDQuery{b, reflect.ValueOf(b).Pointer()}, nil
}

func (q *taskFDQuery) close() { _ = unix.Munmap(q.memory) }

// ask returns the program of a file descriptor and where it runs.
func (q *taskFDQuery) ask(pid, fd uint32) (program uint32, place Place, ok bool) {
	// struct { pid, fd, flags, buf_len u32; buf u64; prog_id, fd_type u32; probe_offset, probe_addr u64 }
	clear(q.memory)
	order := binary.NativeEndian
	order.PutUint32(q.memory, pid)
	order.PutUint32(q.memory[4:], fd)
	order.PutUint32(q.memory[12:], taskFDName)
	order.PutUint64(q.memory[16:], uint64(q.base)+taskFDAttr)
	if _, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_TASK_FD_QUERY, q.base, taskFDAttr); errno != 0 {
		return 0, Place{}, false
	}
	hook, ok := taskFDHooks[order.Uint32(q.memory[28:])]
	if !ok {
		return 0, Place{}, false
	}
	name := unix.ByteSliceToString(q.memory[taskFDAttr:])
	return order.Uint32(q.memory[24:]), probe(hook, name, order.Uint64(q.memory[32:])), true
}
