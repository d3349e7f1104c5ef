package vm

import (
	"path"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// Helper is a function that programs call by id, or a kfunc that they call by name.
type Helper struct {
	linux.Proto
	// UnwindOnZero ends the whole run, from any depth and with R0 = 0, when Func returns 0.
	UnwindOnZero bool
	// Func does the work. It returns the new R0.
	Func func(*Call) uint64
}

// Func is one function of a program: the main program or a subprogram.
type Func struct {
	Name       string
	Start, End int // instructions, End exclusive
}

// Line is the source position from which an instruction and those after it come.
type Line struct {
	Insn int
	File string
	Line int
	Col  int
	Text string
}

// Code is a linked program as the loader hands it over.
type Code struct {
	Name       string
	Type       ebpf.ProgramType
	AttachType ebpf.AttachType
	Insns      []isa.Insn
	Funcs      []Func // sorted; the first one is the entry
	Lines      []Line // sorted by Insn
	// Helpers[insn] is what a call instruction calls; calls that are not in it go to a
	// subprogram.
	Helpers map[int]*Helper
	// ByID finds helpers for calls by register.
	ByID func(id uint32) *Helper
	// Wide[insn] is what a wide load puts into its register, where that is not its immediate:
	// the address of a map or of a value in one.
	Wide map[int]uint64
	// FuncLoads[insn] is the first instruction of the callback whose address a wide load takes.
	FuncLoads map[int]int
	// ExceptionCallback is the subprogram that handles bpf_throw, -1 for the default.
	ExceptionCallback int
	Names             isa.Names // for disassembly in errors
	Context           *linux.Context
}

// Program is a decoded program. It is immutable and safe for concurrent use.
type Program struct {
	*Code
	ID   uint32
	Desc uint64 // address of the program's descriptor

	native   *Native
	machine  *Machine
	released atomic.Bool
	index    uint32
	ops      []op
	sites    []int     // instructions that make tail calls
	calls    []*Helper // by instruction
}

// NewProgram decodes code and gives it a descriptor and an id. It never fails because of what
// the instructions are: those that make no sense report it when they run.
func (m *Machine) NewProgram(code *Code) (*Program, error) {
	p := &Program{Code: code, machine: m}
	p.ops, p.sites = decode(code)
	p.calls = make([]*Helper, len(code.Insns))
	for insn, h := range code.Helpers {
		p.calls[insn] = h
	}
	desc, index, err := m.Progs.Add(p)
	if err != nil {
		return nil, err
	}
	p.Desc, p.index = desc, index
	p.ID = m.lastProgID.Add(1)
	mem.Store32(desc+mem.ProgIndex, index)
	mem.Store64(desc+mem.ProgID, uint64(p.ID))
	if m.stub != nil {
		mem.Store64(desc+mem.ProgEntry, m.stub.Base)
	}
	for insn, v := range code.Wide {
		p.ops[insn].imm = v
	}
	for insn, target := range code.FuncLoads {
		p.ops[insn].imm = p.funcPointer(target)
	}
	m.Progs.Publish()
	return p, nil
}

// Release gives up the descriptor once no run can hold it. Nothing may start the program any
// more. A second call has no effect.
func (p *Program) Release() {
	if p.released.Swap(true) {
		return
	}
	p.machine.Epochs.Retire(func() {
		p.machine.Progs.Remove(p.index)
		if p.native != nil {
			p.native.Code.Free()
		}
	})
}

// TailCallSites returns the instructions that make tail calls.
func (p *Program) TailCallSites() []int { return p.sites }

// LineOf returns the source position of an instruction, nil where there is none. Code inlined
// from libbpf's headers, bpf_tail_call_static above all, counts as the line that uses it.
func (p *Program) LineOf(insn int) *Line {
	i := sort.Search(len(p.Lines), func(i int) bool { return p.Lines[i].Insn > insn }) - 1
	if i < 0 {
		return nil
	}
	f := p.FuncOf(insn)
	for n := i; n >= 0 && (f == nil || p.Lines[n].Insn >= f.Start); n-- {
		if !isLibbpf(p.Lines[n].File) {
			return &p.Lines[n]
		}
	}
	return &p.Lines[i]
}

// isLibbpf reports whether a file is one of libbpf's headers for programs.
func isLibbpf(file string) bool {
	base := path.Base(file)
	return strings.HasPrefix(base, "bpf_") && strings.HasSuffix(base, ".h")
}

// FuncOf returns the function that an instruction belongs to, nil where there is none.
func (p *Program) FuncOf(insn int) *Func {
	i := sort.Search(len(p.Funcs), func(i int) bool { return p.Funcs[i].Start > insn })
	if i == 0 {
		return nil
	}
	return &p.Funcs[i-1]
}

// Disassemble returns the text of one instruction, empty when there is none.
func (p *Program) Disassemble(insn int) string {
	if insn < 0 || insn >= len(p.Insns) {
		return ""
	}
	var next isa.Insn
	if insn+1 < len(p.Insns) {
		next = p.Insns[insn+1]
	}
	names := p.Names
	names.PC = insn
	return isa.Disassemble(p.Insns[insn], next, names)
}

// A function pointer in a register carries a tag that no address has, the program's index and
// the instruction.
const (
	funcTag   = 0xfc << 56
	funcShift = 32
)

func (p *Program) funcPointer(insn int) uint64 {
	return funcTag | uint64(p.index)<<funcShift | uint64(uint32(insn))
}

func isFuncPointer(v uint64) bool { return v>>56 == funcTag>>56 }

// funcOf splits a function pointer.
func (m *Machine) funcOf(v uint64) (p *Program, insn int, ok bool) {
	if !isFuncPointer(v) {
		return nil, 0, false
	}
	p, ok = m.Progs.Object(uint32(v >> funcShift & 0xffffff)).(*Program)
	insn = int(uint32(v))
	return p, insn, ok && insn < len(p.Insns)
}
