package kernel

import (
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/isa"
)

// Check says whether Linux can run the programs of a spec at all: the error wraps
// carom.ErrUnsupported and names the first program that calls a helper which Linux does not have.
func Check(spec *ebpf.CollectionSpec) error {
	if spec == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		for i := range spec.Programs[name].Instructions {
			ins := &spec.Programs[name].Instructions[i]
			if ins.IsBuiltinCall() && isa.HelperName(int32(ins.Constant)) == "" {
				return unsupported("custom helpers, and program %s calls helper %d, which Linux does not have", name, ins.Constant)
			}
		}
	}
	return nil
}
