//go:build !amd64 && !arm64

package vm

// No program has native code on this platform, so that nothing enters it.
func enter(*CPU, uint64) {}

func initThread(*CPU, uint64) {}
