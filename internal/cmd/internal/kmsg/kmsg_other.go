//go:build !linux

package kmsg

import "errors"

// Log is the kernel's log; there is none here.
type Log struct{}

// Open fails.
func Open() (*Log, error) { return nil, errors.New("there is none on this system") }

// Close does nothing.
func (*Log) Close() {}

// Warnings returns none.
func (*Log) Warnings() ([]string, error) { return nil, nil }
