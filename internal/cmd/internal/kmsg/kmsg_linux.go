// Package kmsg reads warnings from the kernel's log, for tools that give programs to the kernel.
package kmsg

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// Log is the kernel's log from where it was opened.
type Log struct{ fd int }

// Open opens the log at its end.
func Open() (*Log, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &Log{fd}, nil
}

// Close gives the log up.
func (k *Log) Close() { _ = unix.Close(k.fd) }

// Warnings are the lines that report a fault of the kernel.
func (k *Log) Warnings() ([]string, error) {
	var out []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.Read(k.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return out, nil
		case errors.Is(err, unix.EPIPE):
			continue // lines were overwritten before they were read
		case err != nil:
			return out, err
		}
		_, line, _ := strings.Cut(string(buf[:n]), ";")
		line, _, _ = strings.Cut(line, "\n")
		if fault(line) && !another(line) {
			out = append(out, line)
		}
	}
}

func fault(line string) bool {
	for _, word := range []string{"WARNING:", "BUG:", "Oops", "general protection fault", "KASAN", "verifier bug"} {
		if strings.Contains(line, word) {
			return true
		}
	}
	return false
}

var thread = regexp.MustCompile(`PID: (\d+)|:(\d+)\]$`)

// another reports whether the line is about a process other than this one.
func another(line string) bool {
	m := thread.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	pid := m[1] + m[2]
	if _, err := os.Stat("/proc/self/task/" + pid); err == nil {
		return false
	}
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	return err == nil && !strings.HasPrefix(string(name), "kworker")
}
