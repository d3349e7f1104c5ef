// Package cpu tells the abilities of the processor that the program runs on.
package cpu

import "github.com/carom-bpf/carom/internal/jit/amd64"

// AMD64 returns the features of this processor. They are empty on other architectures.
func AMD64() amd64.Feature { return amd64.Detect(cpuid) }
