//go:build !linux

package kernel

import (
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
)

func available() error {
	return fmt.Errorf("the kernel engine needs Linux, this is %s: %w", runtime.GOOS, engine.ErrUnsupported)
}

func (kernelEngine) Load(*ebpf.CollectionSpec, *engine.Options) (engine.Collection, error) {
	return nil, available()
}
