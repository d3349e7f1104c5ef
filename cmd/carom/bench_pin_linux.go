package main

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// pinThread keeps the calling goroutine on one CPU, so that all engines are measured on the same
// one, until the returned function is called. Where that is refused, it stays where it likes.
func pinThread() func() {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	if unix.SchedGetaffinity(0, &before) != nil {
		return runtime.UnlockOSThread
	}
	for n := range 1024 {
		if before.IsSet(n) {
			one.Zero()
			one.Set(n) // the last one: the first has most interrupts
		}
	}
	if unix.SchedSetaffinity(0, &one) != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		if unix.SchedSetaffinity(0, &before) == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with its goroutine
	}
}
