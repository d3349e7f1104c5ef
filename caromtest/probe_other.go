//go:build !linux || !amd64

package caromtest

import (
	"errors"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// probesMissing says why this system cannot probe a process.
func probesMissing() error {
	return errors.New("probing a process needs Linux on amd64")
}

// task does not exist on this system.
type task struct{}

func startTask(*Probe, ebpf.ProgramType) (*task, error) { return nil, probesMissing() }

func (*task) pid() int                                  { return 0 }
func (*task) close()                                    {}
func (*task) hit(*carom.Program, int, *leftovers) error { return probesMissing() }
