// Package e2e has no code: its tests run carom attach and the kernel's engine on real interfaces,
// cgroups and processes, which they make and remove. They need root on Linux.
package e2e
