package caromtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// probesMissing says why this system cannot probe a process, or nil.
func probesMissing() error {
	if _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); err != nil {
		return errors.New("the kernel has no uprobes (CONFIG_UPROBE_EVENTS), or /sys is not mounted")
	}
	return nil
}

// task is a process that waits to be probed.
type task struct {
	probe  *Probe
	image  *image
	file   *os.File // memory that holds the executable; it is gone when closed
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	waited bool
}

// startTask starts the process of a probe. It waits until hit.
func startTask(p *Probe, kind ebpf.ProgramType) (*task, error) {
	what := triggerNop
	switch {
	case kind == ebpf.TracePoint || kind == ebpf.RawTracepoint:
		what = triggerSyscall
	case kind != ebpf.Kprobe:
		return nil, fmt.Errorf("%s programs are not for probes", kind)
	case p.At == Uretprobe:
		what = triggerReturn
	}
	img, err := buildImage(p, what)
	if err != nil {
		return nil, err
	}
	t := &task{probe: p, image: img}
	if t.file, err = inMemory(img.file); err != nil {
		return nil, err
	}
	t.cmd = exec.Command(t.path())
	if t.stdin, err = t.cmd.StdinPipe(); err == nil {
		err = t.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the process to probe: %w", err), t.file.Close())
	}
	return t, nil
}

// inMemory makes a file without a name. It is open for reading only: Linux does not execute a file
// that is open for writing.
func inMemory(b []byte) (*os.File, error) {
	// A process that is being started elsewhere would have the file open for writing for a moment.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.MemfdCreate("carom-probed", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	w := os.NewFile(uintptr(fd), "carom-probed")
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Chmod(0o700); err != nil {
		return nil, err
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
}

func (t *task) path() string { return fmt.Sprintf("/proc/self/fd/%d", t.file.Fd()) }

func (t *task) pid() int { return t.cmd.Process.Pid }

// close ends the process if it still waits.
func (t *task) close() {
	if !t.waited {
		_ = t.cmd.Process.Kill()
		_ = t.cmd.Wait()
	}
	_ = t.file.Close()
}

// hit attaches the program, lets the process run to its end on a CPU, and detaches. Linux waits
// for about 100 ms when a uprobe goes, so that is left for the end: the probe belongs to the
// process and cannot hit again.
func (t *task) hit(p *carom.Program, cpu int, ended *leftovers) error {
	var on unix.CPUSet
	on.Set(cpu)
	if err := unix.SchedSetaffinity(t.pid(), &on); err != nil {
		return fmt.Errorf("move the probed process to CPU %d: %w", cpu, err)
	}
	probe, err := t.attach(p)
	if err != nil {
		return err
	}
	err = t.stdin.Close() // the process sees the end of its input
	if err == nil {
		err = t.cmd.Wait()
		t.waited = true
	}
	if p.Type() == ebpf.Kprobe {
		ended.add(probe)
		return err
	}
	return errors.Join(err, probe.Close())
}

func (t *task) attach(p *carom.Program) (io.Closer, error) {
	switch p.Type() {
	case ebpf.TracePoint:
		group, name, _ := strings.Cut(t.probe.Event, ":")
		return kernel.AttachTracepoint(p, group, name)
	case ebpf.RawTracepoint:
		return kernel.AttachRawTracepoint(p, t.probe.Event)
	}
	fd, err := unix.FcntlInt(uintptr(p.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	prog, err := ebpf.NewProgramFromFD(fd)
	if err != nil {
		return nil, err
	}
	defer prog.Close()
	ex, err := link.OpenExecutable(t.path())
	if err != nil {
		return nil, err
	}
	opts := &link.UprobeOptions{Address: t.image.target, PID: t.pid()}
	if t.probe.At == Uretprobe {
		return ex.Uretprobe("", prog, opts)
	}
	return ex.Uprobe("", prog, opts)
}
