package main

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// threadID is the number of the calling thread, which programs get from bpf_get_current_pid_tgid.
func threadID() int { return unix.Gettid() }

// monotonic is CLOCK_MONOTONIC in nanoseconds.
func monotonic() uint64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return uint64(t.Nano())
}

// comm is the name of the calling thread, which programs get from bpf_get_current_comm.
func comm() string {
	b, err := os.ReadFile("/proc/thread-self/comm")
	if err != nil {
		return "carom"
	}
	return strings.TrimSuffix(string(b), "\n")
}
