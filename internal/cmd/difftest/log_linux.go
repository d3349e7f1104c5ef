package main

import (
	"errors"
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
		for _, word := range []string{"WARNING:", "BUG:", "Oops", "general protection", "stall", "KASAN", "Call Trace", "verifier bug"} {
			if strings.Contains(line, word) {
				out = append(out, line)
				break
			}
		}
	}
}
