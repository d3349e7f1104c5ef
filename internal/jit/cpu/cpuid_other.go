//go:build !amd64

package cpu

import "github.com/carom-bpf/carom/internal/jit/amd64"

func cpuid(_, _ uint32) amd64.CPUID { return amd64.CPUID{} }
