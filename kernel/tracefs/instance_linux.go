package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Instance is a trace instance that records bpf_trace_printk of all programs from Open to Close.
type Instance struct {
	fs   *os.File // a mount of tracefs without a place in the file system
	dir  string
	pipe int
	buf  []byte
}

// prefix of the names of instances; the rest is the process and a number.
const prefix = "carom-"

// Open makes a trace instance. It needs root. Instances that processes left behind which were
// killed are removed.
func Open() (*Instance, error) {
	fs, err := mount()
	if err != nil {
		return nil, fmt.Errorf("mount tracefs (it needs CAP_SYS_ADMIN and Linux 5.2): %w", err)
	}
	i := &Instance{fs: fs, pipe: -1, buf: make([]byte, 64<<10)}
	if err := i.open(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

// mount makes a mount that goes away with its file descriptor.
func mount() (*os.File, error) {
	ctx, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ctx)
	if err := unix.FsconfigCreate(ctx); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tracefs"), nil
}

func (i *Instance) open() error {
	instances := fmt.Sprintf("/proc/self/fd/%d/instances", i.fs.Fd())
	if err := sweep(instances); err != nil {
		return err
	}
	dir, err := makeDir(instances)
	if err != nil {
		return err
	}
	i.dir = dir
	if err := os.WriteFile(filepath.Join(dir, "events/bpf_trace/bpf_trace_printk/enable"), []byte("1"), 0); err != nil {
		return err
	}
	i.pipe, err = unix.Open(filepath.Join(dir, "trace_pipe"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	return err
}

// EventID is the number of a tracepoint, which perf_event_open(2) takes as config. It wraps
// os.ErrNotExist when the kernel has no such tracepoint.
func EventID(group, name string) (uint64, error) {
	if strings.ContainsAny(group+name, "/.") || group == "" || name == "" {
		return 0, fmt.Errorf("tracepoint %s:%s: %w", group, name, os.ErrNotExist)
	}
	fs, err := mount()
	if err != nil {
		return 0, fmt.Errorf("mount tracefs (it needs CAP_SYS_ADMIN and Linux 5.2): %w", err)
	}
	defer fs.Close()
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/events/%s/%s/id", fs.Fd(), group, name))
	if err != nil {
		return 0, fmt.Errorf("tracepoint %s:%s: %w", group, name, err)
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// makeDir makes a directory with a free name.
func makeDir(instances string) (string, error) {
	for n := range 1000 {
		dir := filepath.Join(instances, fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), n))
		switch err := os.Mkdir(dir, 0o700); {
		case err == nil:
			return dir, nil
		case !errors.Is(err, os.ErrExist):
			return "", err
		}
	}
	return "", errors.New("no free name for a trace instance")
}

// sweep removes instances of processes that no longer exist.
func sweep(instances string) error {
	entries, err := os.ReadDir(instances)
	if err != nil {
		return err
	}
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), prefix)
		pid, _, _ := strings.Cut(rest, "-")
		n, err := strconv.Atoi(pid)
		if !ours || err != nil {
			continue
		}
		if errors.Is(unix.Kill(n, 0), unix.ESRCH) {
			_ = os.Remove(filepath.Join(instances, e.Name()))
		}
	}
	return nil
}

// Lines returns what was printed since the last call, by anyone; it does not wait.
func (i *Instance) Lines() ([]Line, error) {
	var text strings.Builder
	for {
		n, err := unix.Read(i.pipe, i.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN), err == nil && n == 0:
			return parse(text.String()), nil
		case err != nil:
			return nil, fmt.Errorf("read trace_pipe: %w", err)
		}
		text.Write(i.buf[:n])
	}
}

// Close removes the instance.
func (i *Instance) Close() error {
	var errs []error
	if i.pipe >= 0 {
		errs = append(errs, unix.Close(i.pipe))
		i.pipe = -1
	}
	if i.dir != "" {
		errs = append(errs, os.Remove(i.dir))
		i.dir = ""
	}
	if i.fs != nil {
		errs = append(errs, i.fs.Close())
		i.fs = nil
	}
	return errors.Join(errs...)
}
