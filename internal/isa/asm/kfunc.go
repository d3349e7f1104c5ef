package asm

import (
	"fmt"

	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// ResolveKfuncs returns a copy of the instructions in which every call of a kernel function by
// name has the BTF id of that function, as Linux wants it. cilium/ebpf resolves such calls only
// in programs that it has read from ELF. A name that the BTF lacks gives an error that wraps
// btf.ErrNotFound. Functions of kernel modules need a file descriptor too and are not found.
func ResolveKfuncs(insns ebpfasm.Instructions, kernel *btf.Spec) (ebpfasm.Instructions, error) {
	out := append(ebpfasm.Instructions(nil), insns...)
	for n := range out {
		ins := &out[n]
		if !ins.IsKfuncCall() || ins.Reference() == "" {
			continue
		}
		var fn *btf.Func
		if err := kernel.TypeByName(ins.Reference(), &fn); err != nil {
			return nil, fmt.Errorf("kernel function %s: %w", ins.Reference(), err)
		}
		id, err := kernel.TypeID(fn)
		if err != nil {
			return nil, fmt.Errorf("kernel function %s: %w", ins.Reference(), err)
		}
		ins.Constant = int64(id)
	}
	return out, nil
}
