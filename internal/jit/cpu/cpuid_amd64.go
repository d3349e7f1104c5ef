package cpu

import "github.com/carom-bpf/carom/internal/jit/amd64"

// cpuidAsm executes cpuid.
//
//go:noescape
func cpuidAsm(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

func cpuid(leaf, subleaf uint32) amd64.CPUID {
	a, b, c, d := cpuidAsm(leaf, subleaf)
	return amd64.CPUID{a, b, c, d}
}
