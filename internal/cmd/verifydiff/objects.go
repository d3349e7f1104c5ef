package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// object gives every program of an object file to both sides.
func (d *differ) object(path string) error {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	v, err := userspace.NewVerifier(spec, userspace.VerifyOptions{CPUs: d.cpus})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	held, err := createMaps(spec)
	defer func() {
		for _, m := range held {
			m.Close()
		}
	}()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		p := spec.Programs[name]
		if p.Type == ebpf.UnspecifiedProgram {
			continue
		}
		d.compare(path+":"+name, askKernel(p, held), askCarom(v, name))
	}
	return nil
}

// createMaps makes the maps of a spec, without programs in them.
func createMaps(spec *ebpf.CollectionSpec) (map[string]*ebpf.Map, error) {
	held := map[string]*ebpf.Map{}
	for name, m := range spec.Maps {
		m = m.Copy()
		m.Pinning = ebpf.PinNone
		if m.Type == ebpf.ProgramArray || m.Type == ebpf.ArrayOfMaps || m.Type == ebpf.HashOfMaps {
			m.Contents = nil
		}
		kernelMap, err := ebpf.NewMap(m)
		if err != nil {
			return held, fmt.Errorf("map %s: %w", name, err)
		}
		held[name] = kernelMap
	}
	return held, nil
}

// askKernel loads a program with maps that exist. A program in which a callback may reach a tail
// call is not given to the kernel.
func askKernel(spec *ebpf.ProgramSpec, held map[string]*ebpf.Map) answer {
	p := spec.Copy()
	p.Instructions = slices.Clone(spec.Instructions)
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		if m := held[ins.Reference()]; m != nil && ins.IsLoadFromMap() {
			if err := ins.AssociateMap(m); err != nil {
				return answer{err: err, reason: err.Error()}
			}
		}
	}
	start := time.Now()
	prog, err := ebpf.NewProgramWithOptions(p, ebpf.ProgramOptions{LogLevel: logLevel, LogSizeStart: 1 << 20})
	return answerOf(prog, err, time.Since(start))
}

// dangerous says that a program has both callbacks and tail calls: Linux 6.18 runs into an internal
// error there, so it is never loaded.
func dangerous(insns asm.Instructions) bool {
	callback, tail := false, false
	for _, i := range insns {
		callback = callback || i.OpCode.IsDWordLoad() && i.Src == asm.PseudoFunc
		tail = tail || i.IsBuiltinCall() && i.Constant == int64(asm.FnTailCall)
	}
	return callback && tail
}

// short cuts a name for a table.
func short(s string, n int) string {
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		s = s[i+1:]
	}
	if len(s) > n {
		return s[:n]
	}
	return s
}
