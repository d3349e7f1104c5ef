package main

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

// budget ends programs that loop for ever, after about a minute.
const budget = 1 << 33

func codeOf(program []byte, isELF bool) (*vm.Code, error) {
	all := helpers()
	byID := func(id uint32) *vm.Helper { return all[id] }
	if isELF {
		return elfCode(program, byID)
	}
	return rawCode("program", program, byID)
}

// rawCode makes code of plain instructions, which nobody has relocated.
func rawCode(name string, program []byte, byID func(uint32) *vm.Helper) (*vm.Code, error) {
	insns, err := isa.Decode(program)
	if err != nil {
		return nil, fmt.Errorf("%w; give whole instructions of %d bytes", err, isa.InsnSize)
	}
	c := &vm.Code{
		Name: name, Insns: insns, Helpers: map[int]*vm.Helper{}, FuncLoads: map[int]int{}, Wide: map[int]uint64{},
		ByID: byID, ExceptionCallback: -1,
	}
	starts := map[int]string{0: name}
	for pc := 0; pc < len(insns); pc++ {
		switch i := insns[pc]; {
		case i.IsWide():
			if i.Src == isa.PseudoFunc {
				c.FuncLoads[pc] = pc + 1 + int(i.Imm)
			}
			pc++
		case i.Op != isa.ClassJMP|isa.CALL:
		case i.Src == isa.CallLocal:
			if target := pc + 1 + int(i.Imm); target > 0 && target < len(insns) {
				starts[target] = fmt.Sprintf("sub_%d", target)
			}
		case i.Src == isa.CallHelper:
			h := byID(uint32(i.Imm))
			if h == nil {
				return nil, fmt.Errorf("insn %d calls helper %d; the suite has 0 to 5", pc, i.Imm)
			}
			c.Helpers[pc] = h
		default:
			return nil, fmt.Errorf("insn %d calls something of kind %d; there are helpers (0) and subprograms (1)", pc, i.Src)
		}
	}
	for pc, target := range c.FuncLoads {
		if target < 0 || target >= len(insns) {
			return nil, fmt.Errorf("insn %d takes the address of insn %d, which is not there", pc, target)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(starts)) {
		if n := len(c.Funcs); n > 0 {
			c.Funcs[n-1].End = s
		}
		c.Funcs = append(c.Funcs, vm.Func{Name: starts[s], Start: s, End: len(insns)})
	}
	c.Names = isa.Names{
		Func: func(pc int) string { return starts[pc] },
		Helper: func(id int32) string {
			if h := byID(uint32(id)); h != nil {
				return h.Name
			}
			return ""
		},
	}
	return c, nil
}

// elfCode takes the program out of an object. The suite writes objects with one section and no
// relocations; those of compilers are linked.
func elfCode(object []byte, byID func(uint32) *vm.Helper) (*vm.Code, error) {
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("not a BPF object: %w; without --elf the program is plain instructions", err)
	}
	if f.Machine != elf.EM_BPF || f.ByteOrder.String() != "LittleEndian" {
		return nil, fmt.Errorf("the object is for %v, %v; it must be little-endian BPF", f.Machine, f.ByteOrder)
	}
	var text []*elf.Section
	linked := false
	for _, s := range f.Sections {
		if s.Type == elf.SHT_PROGBITS && s.Flags&elf.SHF_EXECINSTR != 0 && s.Size > 0 {
			text = append(text, s)
		}
		if s.Type == elf.SHT_REL && s.Size > 0 && int(s.Info) < len(f.Sections) {
			linked = linked || f.Sections[s.Info].Flags&elf.SHF_EXECINSTR != 0
		}
	}
	if len(text) == 0 {
		return nil, errors.New("the object has no program; it needs a section with instructions")
	}
	if len(text) > 1 || linked {
		return linkedCode(object, byID)
	}
	b, err := text[0].Data()
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", text[0].Name, err)
	}
	return rawCode(text[0].Name, b, byID)
}

// linkedCode lets the loader join the functions of an object. The program is the only one, or
// the one named main or xdp_prog.
func linkedCode(object []byte, byID func(uint32) *vm.Helper) (*vm.Code, error) {
	spec, err := load.Object("object", object)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(spec.Programs))
	name := names[0]
	for _, n := range names {
		if n == "main" || n == "xdp_prog" {
			name = n
		}
	}
	p := *spec.Programs[name]
	if p.Type == ebpf.UnspecifiedProgram {
		p.Type = ebpf.SocketFilter // the type does not matter here
	}
	l, err := load.Link(&p, &load.Env{
		Map:    func(string) (load.MapAddress, bool) { return load.MapAddress{}, false },
		Helper: byID, Kfunc: func(string) *vm.Helper { return nil }, Contexts: linux.NewContexts(),
	})
	if err != nil {
		return nil, err
	}
	return l.Code, nil
}

func printCode(w io.Writer, c *vm.Code) {
	p := vm.Program{Code: c}
	for pc := 0; pc < len(c.Insns); pc++ {
		fmt.Fprintf(w, "%4d: %s\n", pc, p.Disassemble(pc))
		if c.Insns[pc].IsWide() {
			pc++
		}
	}
}

// interpret runs code on memory.
func interpret(ctx context.Context, code *vm.Code, memory []byte) (uint64, error) {
	machine, err := vm.NewMachine()
	if err != nil {
		return 0, err
	}
	defer machine.Close()
	cpu, err := machine.NewCPU(0)
	if err != nil {
		return 0, err
	}
	defer cpu.Close()
	// Memory is not a context here: r1 points at plain bytes.
	code.Context = nil
	p, err := machine.NewProgram(code)
	if err != nil {
		return 0, err
	}
	if err := cpu.Begin(ctx); err != nil {
		return 0, err
	}
	defer cpu.End()
	addr := uint64(0)
	if len(memory) > 0 {
		if addr, err = cpu.AddMemory("memory", memory, mem.PermRead|mem.PermWrite); err != nil {
			return 0, err
		}
	}
	var res vm.Result
	if err := cpu.Run(p, addr, uint64(len(memory)), vm.Limits{Budget: budget}, &res); err != nil {
		return 0, err
	}
	return res.R0, nil
}
