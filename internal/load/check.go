package load

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// Check refuses a spec with parts that are nil.
func Check(spec *ebpf.CollectionSpec) error {
	for name, m := range spec.Maps {
		if m == nil {
			return fmt.Errorf("map %s: its spec is nil: %w", name, linux.EINVAL)
		}
	}
	for name, p := range spec.Programs {
		if p == nil {
			return fmt.Errorf("program %s: its spec is nil: %w", name, linux.EINVAL)
		}
	}
	for name, v := range spec.Variables {
		if v == nil {
			return fmt.Errorf("variable %s: its spec is nil: %w", name, linux.EINVAL)
		}
	}
	return nil
}
