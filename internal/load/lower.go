package load

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Lowered is a program as bpf(2) takes it: relocations are applied, wide loads of maps hold an
// index into Maps, calls of kernel functions one into Kfuncs.
type Lowered struct {
	Insns  []isa.Insn
	Maps   []string // in order of first use
	Kfuncs []string
	// Ksyms names what wide loads of kernel symbols refer to, by their slot.
	Ksyms map[int]string
	// Types are the program's types by the ids that relocations put into instructions.
	Types map[btf.TypeID]btf.Type
	Funcs []FuncInfo // func_info, by slot; empty without BTF
	Lines []vm.Line  // line_info, by slot
}

// FuncInfo says which function starts at an instruction slot.
type FuncInfo struct {
	Insn int
	Name string
	Type *btf.Func
}

// Lower resolves a program without giving maps, helpers and symbols an address. Only Types, Map
// and Kconfig of the environment are used, and of a map no more than that it is there.
func Lower(spec *ebpf.ProgramSpec, env *Env) (*Lowered, error) {
	l := newLinker(spec, env)
	l.lower = &Lowered{Ksyms: map[int]string{}}
	if err := l.run(); err != nil {
		return nil, err
	}
	l.lines()
	out := l.lower
	out.Insns, out.Maps, out.Lines = l.code.Insns, l.out.Maps, l.code.Lines
	for n := range l.insns {
		if fn := btf.FuncMetadata(&l.insns[n]); fn != nil {
			out.Funcs = append(out.Funcs, FuncInfo{Insn: l.at[n], Name: fn.Name, Type: fn})
		}
	}
	return out, nil
}

// kfunc notes the name of a kernel function.
func (o *Lowered) kfunc(code *vm.Code, slot int, name string) {
	for i, k := range o.Kfuncs {
		if k == name {
			code.Insns[slot].Imm = int32(i)
			return
		}
	}
	code.Insns[slot].Imm = int32(len(o.Kfuncs))
	o.Kfuncs = append(o.Kfuncs, name)
}
