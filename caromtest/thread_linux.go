package caromtest

import "golang.org/x/sys/unix"

// threadID is how the kernel names the calling thread.
func threadID() int { return unix.Gettid() }
