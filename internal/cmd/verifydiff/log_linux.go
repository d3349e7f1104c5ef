package main

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelLog reads what the kernel logs from now on.
type kernelLog struct{ fd int }

func openLog() (*kernelLog, error) {
	fd, err := unix.Open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &kernelLog{fd}, nil
}

func (k *kernelLog) close() { _ = unix.Close(k.fd) }

// warnings are the lines that report a fault of the kernel.
func (k *kernelLog) warnings() ([]string, error) {
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
