package carom

import (
	"fmt"
	"path"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// DisasmLine is one instruction of a disassembled program.
type DisasmLine struct {
	Insn int    // index of the instruction, counted in slots of 8 bytes
	Text string // opcode and instruction as bpftool prog dump xlated prints them
	Func string // name of the function that starts here, empty elsewhere
	// Source position from BTF, where a line of source begins; Line is 0 elsewhere.
	File   string // without its folder
	Line   int
	Column int
	Source string
}

// Disassemble returns a program of an object in the syntax of bpftool prog dump xlated, with its
// subprograms behind it. Maps, helpers and functions have names; nothing is loaded, so it works
// for programs that no engine runs. CO-RE relocations are resolved against the object's own BTF.
func Disassemble(spec *ebpf.CollectionSpec, program string) ([]DisasmLine, error) {
	if spec == nil || spec.Programs[program] == nil {
		return nil, &LoadError{Kind: "program", Name: program, Err: fmt.Errorf("the object has no program of this name")}
	}
	linked, err := load.Link(spec.Programs[program], anyEnv(spec))
	if err != nil {
		return nil, err
	}
	p := vm.Program{Code: linked.Code}
	starts := map[int]string{}
	for _, f := range p.Funcs {
		starts[f.Start] = f.Name
	}
	lines := map[int]*vm.Line{}
	for i := range p.Lines {
		lines[p.Lines[i].Insn] = &p.Lines[i]
	}
	var out []DisasmLine
	for insn := 0; insn < len(p.Insns); insn++ {
		d := DisasmLine{Insn: insn, Text: p.Disassemble(insn), Func: starts[insn]}
		if l := lines[insn]; l != nil {
			d.File, d.Line, d.Column, d.Source = path.Base(l.File), l.Line, l.Col, l.Text
		}
		out = append(out, d)
		if p.Insns[insn].IsWide() {
			insn++
		}
	}
	return out, nil
}

// anyEnv links against maps, helpers and symbols that need not exist.
func anyEnv(spec *ebpf.CollectionSpec) *load.Env {
	named := func(id uint32, name string) *vm.Helper {
		return &vm.Helper{Proto: linux.Proto{ID: id, Name: name}}
	}
	env := &load.Env{
		Map:      func(string) (load.MapAddress, bool) { return load.MapAddress{Size: 1 << 32}, true },
		Helper:   func(id uint32) *vm.Helper { return named(id, isa.HelperName(int32(id))) },
		Kfunc:    func(name string) *vm.Helper { return named(0, name) },
		Ksym:     func(string) (uint64, bool) { return 0, true },
		Contexts: linux.NewContexts(),
	}
	if spec.Types != nil {
		env.Types = []*btf.Spec{spec.Types}
	}
	return env
}
