//go:build !linux

package tracefs

import "time"

// Follower reads a trace instance as a stream; there are none on this system.
type Follower struct{}

// Follow reports that the system has no tracefs.
func Follow() (*Follower, error) {
	_, err := Open()
	return nil, err
}

// Read returns nothing.
func (*Follower) Read(time.Duration) (Batch, error) { return Batch{}, nil }

// Close does nothing.
func (*Follower) Close() error { return nil }
