//go:build !linux

package main

import "runtime"

// pinThread keeps the calling goroutine on one thread until the returned function is called.
func pinThread() func() {
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
