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
	"github.com/cilium/ebpf/btf"
)

// object gives every program of an object file to both sides.
func (d *differ) object(path string) error {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	v, err := userspace.NewVerifier(spec, userspace.VerifyOptions{CPUs: d.cpus, Kernel: d.kernel})
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
	externs := d.externs(spec)
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		p := spec.Programs[name]
		if p.Type == ebpf.UnspecifiedProgram {
			continue
		}
		d.compare(path+":"+name, d.askKernel(p, held, externs), askCarom(v, name))
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
func (d *differ) askKernel(spec *ebpf.ProgramSpec, held map[string]*ebpf.Map, externs map[string]btf.TypeID) answer {
	p := spec.Copy()
	p.Instructions = slices.Clone(spec.Instructions)
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		if id, ok := externs[ins.Reference()]; ok && ins.OpCode.IsDWordLoad() {
			p.Instructions[i] = loadExtern(ins, id)
			continue
		}
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

// externs are the kernel's variables that an object declares with a type, by name. The library
// resolves only their addresses; libbpf gives the verifier their types.
func (d *differ) externs(spec *ebpf.CollectionSpec) map[string]btf.TypeID {
	var section *btf.Datasec
	kernel, err := d.kernel.Spec()
	if err != nil || spec.Types == nil || spec.Types.TypeByName(".ksyms", &section) != nil {
		return nil
	}
	ids := map[string]btf.TypeID{}
	for _, s := range section.Vars {
		v, ok := s.Type.(*btf.Var)
		if !ok {
			continue
		}
		var variable *btf.Var
		if _, void := btf.UnderlyingType(v.Type).(*btf.Void); void || kernel.TypeByName(v.Name, &variable) != nil {
			continue
		}
		if id, err := kernel.TypeID(variable); err == nil {
			ids[v.Name] = id
		}
	}
	return ids
}

// loadExtern is the load of a variable of the kernel by its type (BPF_PSEUDO_BTF_ID).
func loadExtern(ins *asm.Instruction, id btf.TypeID) asm.Instruction {
	const pseudoBTFID = 3
	out := asm.Instruction{OpCode: ins.OpCode, Dst: ins.Dst, Src: pseudoBTFID, Constant: int64(id)}
	if s := ins.Symbol(); s != "" {
		out = out.WithSymbol(s)
	}
	return out.WithSource(ins.Source())
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
