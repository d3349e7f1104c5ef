//go:build !linux

package main

// threadID is the number of the calling thread; only Linux runs programs in the kernel.
func threadID() int { return 0 }

// monotonic is the time since the system was started; only Linux has it here.
func monotonic() uint64 { return 0 }

// comm is the name of the calling thread.
func comm() string { return "carom" }
