package kernel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/kernel/tracefs"
)

// handle is another handle for a program, of the type that cilium/ebpf takes.
func handle(p *carom.Program) (*ebpf.Program, error) {
	fd, err := unix.FcntlInt(uintptr(p.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, wrap(err)
	}
	return ebpf.NewProgramFromFD(fd)
}

// bpfLink is a bpf_link, or what cilium/ebpf has in its place on older kernels.
type bpfLink struct{ link.Link }

func (l bpfLink) update(p *carom.Program) error {
	prog, err := handle(p)
	if err != nil {
		return err
	}
	defer prog.Close()
	err = l.Update(prog)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("this hook cannot replace its program, attach again: %w", engine.ErrUnsupported)
	}
	return wrap(err)
}

func (l bpfLink) pin(path string) error {
	err := l.Pin(path)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("this kernel cannot pin it: %w", engine.ErrUnsupported)
	}
	if err != nil {
		if e := onBPFFS(filepath.Dir(path)); e != nil {
			return e
		}
	}
	return pinReason(wrap(err))
}

func (l bpfLink) unpin() error { return wrap(l.Unpin()) }

// create attaches through cilium/ebpf. The kernel keeps the program from then on.
func create(p *carom.Program, do func(*ebpf.Program) (link.Link, error)) (attached, error) {
	prog, err := handle(p)
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	l, err := do(prog)
	if err != nil {
		return nil, err
	}
	return bpfLink{l}, nil
}

// failed puts the reason in front of what the kernel reported. Without a reason it says what bpf(2)
// needs where that was refused.
func failed(err error, reasons map[error]string) error {
	if errors.Is(err, unix.EPERM) {
		return explain(err)
	}
	for cause, reason := range reasons {
		if errors.Is(err, cause) {
			return wrap(&hintError{reason, err})
		}
	}
	return wrap(err)
}

// missing says that the kernel lacks what a hook needs.
func missing(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), engine.ErrUnsupported)
}

func findInterface(name string) (*net.Interface, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, &hintError{"there is no such interface in this network namespace; see ip link", err}
	}
	return i, nil
}

func attachXDP(p *carom.Program, iface string, mode XDPMode) (attached, error) {
	i, err := findInterface(iface)
	if err != nil {
		return nil, err
	}
	flags := map[XDPMode]link.XDPAttachFlags{XDPGeneric: link.XDPGenericMode, XDPNative: link.XDPDriverMode}[mode]
	l, err := create(p, func(prog *ebpf.Program) (link.Link, error) {
		return link.AttachXDP(link.XDPOptions{Program: prog, Interface: i.Index, Flags: flags})
	})
	if errors.Is(err, ebpf.ErrNotSupported) && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, missing("links of XDP programs need Linux 5.9")
	}
	return l, failed(err, map[error]string{
		unix.EBUSY:      "the interface has another XDP program; detach it first, see ip link",
		unix.EEXIST:     "the interface has an XDP program of the other mode; detach it first, see ip link",
		unix.EOPNOTSUPP: "its driver has no native XDP; use generic mode",
	})
}

// attachTC attaches through tcx and, where the kernel has none, through a filter of clsact.
func attachTC(p *carom.Program, iface string, dir Direction) (attached, error) {
	i, err := findInterface(iface)
	if err != nil {
		return nil, err
	}
	l, err := attachTCX(p, i.Index, dir)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return attachClsact(p, i.Index, dir)
	}
	return l, failed(err, map[error]string{
		unix.EINVAL: fmt.Sprintf("it was loaded for %s", p.AttachType()),
	})
}

func attachTCX(p *carom.Program, index int, dir Direction) (attached, error) {
	at := ebpf.AttachTCXIngress
	if dir == Egress {
		at = ebpf.AttachTCXEgress
	}
	return create(p, func(prog *ebpf.Program) (link.Link, error) {
		return link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: at})
	})
}

func attachCgroup(p *carom.Program, path string) (attached, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return nil, wrap(&hintError{"there is no such cgroup", err})
	}
	if int64(fs.Type) != unix.CGROUP2_SUPER_MAGIC {
		return nil, errors.New("it is not a directory of a cgroup v2 file system; see mount -t cgroup2")
	}
	l, err := create(p, func(prog *ebpf.Program) (link.Link, error) {
		return link.AttachCgroup(link.CgroupOptions{Path: path, Attach: p.AttachType(), Program: prog})
	})
	if errors.Is(err, ebpf.ErrNotSupported) {
		return nil, missing("programs of cgroups need CONFIG_CGROUP_BPF")
	}
	return l, failed(err, map[error]string{
		unix.EBADF: "it is not the directory of a cgroup",
	})
}

func attachUprobe(p *carom.Program, at Probe, when moment) (attached, error) {
	if _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); err != nil {
		return nil, missing("this kernel has no uprobes (CONFIG_UPROBE_EVENTS), or /sys is not mounted")
	}
	if at.PID != 0 && errors.Is(unix.Kill(at.PID, 0), unix.ESRCH) {
		return nil, wrap(&hintError{fmt.Sprintf("there is no process %d", at.PID), unix.ESRCH})
	}
	if _, err := os.Stat(at.Binary); err != nil {
		return nil, wrap(&hintError{"give the path of a program or library", err})
	}
	ex, err := link.OpenExecutable(at.Binary)
	if err != nil {
		return nil, wrap(err)
	}
	opts := &link.UprobeOptions{Offset: at.Offset, PID: at.PID}
	do := ex.Uprobe
	switch {
	case when == onReturn && at.Offset != 0:
		return nil, errors.New("a return probe belongs to a function; leave out the offset")
	case when == onReturn:
		do = ex.Uretprobe
	}
	l, err := create(p, func(prog *ebpf.Program) (link.Link, error) {
		if p.AttachType() == ebpf.AttachTraceUprobeMulti {
			return attachUprobeMulti(ex, prog, at, when)
		}
		return do(at.Symbol, prog, opts)
	})
	if errors.Is(err, link.ErrNoSymbol) {
		return nil, fmt.Errorf("%s has no function %s; see nm -D %s: %w", at.Binary, at.Symbol, at.Binary, err)
	}
	return l, failed(err, nil)
}

func attachUprobeMulti(ex *link.Executable, prog *ebpf.Program, at Probe, when moment) (link.Link, error) {
	opts := &link.UprobeMultiOptions{PID: uint32(at.PID)}
	if at.Offset != 0 {
		opts.Offsets = []uint64{at.Offset}
	}
	if when == onReturn {
		return ex.UretprobeMulti([]string{at.Symbol}, prog, opts)
	}
	return ex.UprobeMulti([]string{at.Symbol}, prog, opts)
}

func attachKprobe(p *carom.Program, symbol string, when moment) (attached, error) {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe/type"); err != nil {
		return nil, missing("this kernel has no kprobes (CONFIG_KPROBES), or /sys is not mounted; a tracepoint may do")
	}
	do := link.Kprobe
	if when == onReturn {
		do = link.Kretprobe
	}
	l, err := create(p, func(prog *ebpf.Program) (link.Link, error) {
		if p.AttachType() != ebpf.AttachTraceKprobeMulti {
			return do(symbol, prog, nil)
		}
		opts := link.KprobeMultiOptions{Symbols: []string{symbol}}
		if when == onReturn {
			return link.KretprobeMulti(prog, opts)
		}
		return link.KprobeMulti(prog, opts)
	})
	return l, failed(err, map[error]string{
		os.ErrNotExist: "the kernel has no such function; see /proc/kallsyms",
		unix.EINVAL:    "the kernel has no such function, or it must not be probed",
	})
}

func attachRawTracepoint(p *carom.Program, name string) (attached, error) {
	l, err := create(p, func(prog *ebpf.Program) (link.Link, error) {
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: prog})
	})
	return l, failed(err, map[error]string{
		unix.ENOENT: "the kernel has no such tracepoint; the directories below events of tracefs are their groups",
		unix.EINVAL: "the program reads more arguments than the tracepoint has",
	})
}

// perfLink is a program on a perf event.
type perfLink struct {
	bpfLink
	event int
}

func (l perfLink) Close() error {
	return errors.Join(l.bpfLink.Close(), wrap(unix.Close(l.event)))
}

// attachTracepoint makes the perf event itself, because cilium/ebpf finds tracepoints only where
// tracefs is mounted. The link of a perf event needs Linux 5.15.
func attachTracepoint(p *carom.Program, group, name string) (attached, error) {
	id, err := tracefs.EventID(group, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, wrap(&hintError{"the kernel has no such tracepoint; write it as GROUP:NAME, for example sched:sched_process_exec", err})
	}
	if err != nil {
		return nil, failed(err, nil)
	}
	attr := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Config: id, Sample_type: unix.PERF_SAMPLE_RAW, Sample: 1, Wakeup: 1,
	}
	// The program runs on every CPU; the event has to belong to one.
	event, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, failed(fmt.Errorf("perf_event_open: %w", err), nil)
	}
	l, err := create(p, func(prog *ebpf.Program) (link.Link, error) {
		return link.AttachRawLink(link.RawLinkOptions{Target: event, Program: prog, Attach: ebpf.AttachPerfEvent})
	})
	if err == nil {
		err = unix.IoctlSetInt(event, unix.PERF_EVENT_IOC_ENABLE, 0)
		if err != nil {
			_ = l.Close()
		}
	}
	if err != nil {
		_ = unix.Close(event)
		return nil, failed(err, map[error]string{
			unix.EINVAL: "the program reads more than the tracepoint has, or Linux is older than 5.15",
			unix.EACCES: "the program reads more than the tracepoint has",
		})
	}
	return perfLink{l.(bpfLink), event}, nil
}
