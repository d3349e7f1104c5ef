package vm

import "github.com/carom-bpf/carom/internal/mem"

// enter runs native code from ThreadEntry until that returns, or until nativeExit ends the run.
func enter(c *CPU, thread uint64)

// initThread writes what enter and native code need of each other into a new thread block.
func initThread(c *CPU, thread uint64) {
	mem.Store64(thread+ThreadHandler, 0)
	enter(c, thread)
}
