package userspace

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

const (
	perfEventTail = 16        // sample_period and addr behind the registers
	maxRawArgs    = 12 * 8    // MAX_BPF_FUNC_ARGS of 8 bytes
	maxBytes      = 1<<16 - 1 // U16_MAX, for syscall programs
)

// prepareProbe sets up contexts of plain bytes and the memory of the probed task. Raw tracepoint
// and syscall programs follow net/bpf/test_run.c; Linux cannot run the other types on their own.
func prepareProbe(c *vm.CPU, p *vm.Program, in *engine.Input, s shape) error {
	if err := checkProbe(p, in, s); err != nil {
		return err
	}
	size := probeSize(c, p, in, s)
	b := c.ContextBytes()[:size]
	clear(b[copy(b, in.Context):])
	addrs, err := placeMemory(c, in.Memory)
	if err != nil {
		return err
	}
	if len(in.Registers) > 0 {
		regs, err := registersOf(c, in, s)
		if err != nil {
			return err
		}
		for _, r := range in.Registers {
			v := r.Value
			if r.Ref != "" {
				base, ok := addrs[r.Ref]
				if !ok {
					return invalid("register %s refers to memory %q, which the input does not have", r.Name, r.Ref)
				}
				v += base
			}
			off, _ := regs.Register(r.Name)
			binary.LittleEndian.PutUint64(b[off:], v)
		}
	}
	c.UseContext(p, uint32(size))
	return nil
}

func checkProbe(p *vm.Program, in *engine.Input, s shape) error {
	limit := maxBytes
	if s == shapeArgs {
		limit = maxRawArgs
	}
	// Linux knows no repeat and no context output for these two; a context that syscall programs
	// change comes back in the buffer that it was given in.
	tested := p.Type == ebpf.RawTracepoint || p.Type == ebpf.Syscall
	switch {
	case len(in.Context) > limit:
		return invalid("a context of %d bytes is longer than the %d that %s programs take", len(in.Context), limit, p.Type)
	case tested && in.Repeat > 1:
		return invalid("%s programs cannot be repeated", p.Type)
	case p.Type == ebpf.RawTracepoint && in.ContextOut:
		return invalid("%s programs have no context output", p.Type)
	case s == shapeBytes && len(in.Registers) > 0:
		return invalid("%s programs take context bytes, not registers", p.Type)
	}
	return nil
}

// probeSize is how long the context is, in bytes.
func probeSize(c *vm.CPU, p *vm.Program, in *engine.Input, s shape) int {
	n := len(in.Context)
	switch {
	case s == shapeArgs && len(in.Registers) > 0:
		n = maxRawArgs
	case s == shapeRegs:
		regs, err := registersOf(c, in, s)
		if err != nil {
			return n
		}
		size := int(regs.RegsSize)
		if p.Type == ebpf.PerfEvent {
			size += perfEventTail
		}
		n = max(n, size)
	}
	return n
}

// registersOf finds the machine whose registers the input names; x86-64 when all names fit.
func registersOf(c *vm.CPU, in *engine.Input, s shape) (*linux.Arch, error) {
	known := c.Machine().Contexts
	if s == shapeArgs {
		return known.RawArgs, unknownRegister(known.RawArgs, in.Registers)
	}
	err := unknownRegister(known.AMD64, in.Registers)
	if err == nil {
		return known.AMD64, nil
	}
	if unknownRegister(known.ARM64, in.Registers) == nil {
		return known.ARM64, nil
	}
	return nil, err
}

func unknownRegister(a *linux.Arch, registers []engine.Register) error {
	for _, r := range registers {
		if _, ok := a.Register(r.Name); !ok {
			return invalid("%s has no register %q", a.Name, r.Name)
		}
	}
	return nil
}

// placeMemory gives the run the pieces of memory, connects their pointers and returns their
// addresses.
func placeMemory(c *vm.CPU, pieces []engine.Memory) (map[string]uint64, error) {
	if len(pieces) == 0 {
		return nil, nil
	}
	addrs := make(map[string]uint64, len(pieces))
	for _, m := range pieces {
		if _, ok := addrs[m.Name]; ok {
			return nil, invalid("two pieces of memory have the name %q", m.Name)
		}
		addr, err := c.AddMemory(m.Name, m.Data, mem.PermRW)
		if err != nil {
			return nil, fmt.Errorf("memory %q: %w", m.Name, err)
		}
		addrs[m.Name] = addr
	}
	for _, m := range pieces {
		for _, ptr := range m.Pointers {
			to, ok := addrs[ptr.Ref]
			if !ok {
				return nil, invalid("a pointer in memory %q refers to %q, which the input does not have", m.Name, ptr.Ref)
			}
			if ptr.Offset < 0 || ptr.Offset > len(m.Data)-8 {
				return nil, invalid("a pointer at offset %d does not fit memory %q of %d bytes", ptr.Offset, m.Name, len(m.Data))
			}
			mem.Store64(addrs[m.Name]+uint64(ptr.Offset), to)
		}
	}
	return addrs, nil
}
