//go:build !linux

package tracefs

import (
	"fmt"
	"runtime"

	"github.com/carom-bpf/carom/internal/engine"
)

// Instance is a trace instance; there are none on this system.
type Instance struct{}

// Open reports that the system has no tracefs.
func Open() (*Instance, error) {
	return nil, fmt.Errorf("tracefs needs Linux, this is %s: %w", runtime.GOOS, engine.ErrUnsupported)
}

// Lines returns nothing.
func (*Instance) Lines() ([]Line, error) { return nil, nil }

// Close does nothing.
func (*Instance) Close() error { return nil }
