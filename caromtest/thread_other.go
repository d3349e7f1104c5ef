//go:build !linux

package caromtest

// threadID is of use on Linux only.
func threadID() int { return 0 }
