package kernel

import (
	"fmt"
	"maps"
	"math/bits"
	"path"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/trace"
)

// Counting tail calls takes a copy of each program with instructions added at three places:
//
//   - In front of a call, the edge (site and slot) is stored in a cell of the CPU. An index past
//     the end is counted at once.
//   - At the start of a program, a cell that is set says that a tail call led here: the edge is
//     counted for this program, and the run has one more hop. A cell that is not set says that a
//     run begins.
//   - Behind a call, which was not taken, the edge is counted as a miss: the limit is the reason
//     when the run had all its hops, an empty slot otherwise.
//
// Programs run with migration disabled, so the cell belongs to the run. What can spoil it is a
// program with counters that interrupts another one between the call and its target, and a slot
// with a program that has none.

// Names of the maps that counting adds.
const (
	cellsName  = ".carom.cells"
	countsName = ".carom.counts"
)

const (
	cellStride = 64 // one cache line for each CPU
	cellEdge   = 0  // u64, number of the edge plus 1 while a tail call is under way
	cellHops   = 8  // u64, tail calls taken in this run
	counter    = 8  // bytes
	maxHops    = 33 // MAX_TAIL_CALL_CNT
	// maxCounts bounds the memory for counters, in bytes.
	maxCounts = 256 << 20
)

// site is a tail call.
type site struct {
	program string
	at      int // index in the instructions of the spec
	insn    int // in units of 8 bytes, as user space and the verifier count
	source  *btf.Line
	array   string
	slots   uint32
	first   uint32 // number of the edge to slot 0
}

// plan is where the counters of a collection lie. The counts have one row of edges for each
// program that may be a target, one for empty slots, one for the limit, then two words for each
// site: how often the index was past the end, and the last such index.
type plan struct {
	cpus     int
	sites    []site
	edges    uint32
	programs []string
}

// newPlan finds all tail calls of a spec.
func newPlan(spec *ebpf.CollectionSpec, cpus int) (*plan, error) {
	p := &plan{cpus: cpus}
	total := uint64(0)
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		prog := spec.Programs[name]
		if prog.Type == ebpf.UnspecifiedProgram || len(prog.Instructions) == 0 {
			continue
		}
		p.programs = append(p.programs, name)
		raw, targets := 0, jumpTargets(prog.Instructions)
		for i := range prog.Instructions {
			ins := &prog.Instructions[i]
			if isTailCall(ins) {
				array, err := arrayOf(spec, prog.Instructions, targets, i)
				if err != nil {
					return nil, unsupported("counters for program %s: the tail call at instruction %d cannot be counted, %v", name, raw, err)
				}
				s := site{program: name, at: i, insn: raw, array: array, slots: spec.Maps[array].MaxEntries, first: uint32(total)}
				s.source = lineAt(prog.Instructions, i)
				p.sites = append(p.sites, s)
				total += uint64(s.slots)
			}
			raw += int(ins.Width())
		}
	}
	if size := total * counter * uint64(len(p.programs)+2); size > maxCounts {
		return nil, unsupported("counters for %d edges between %d programs, they take %d MiB", total, len(p.programs), size>>20)
	}
	p.edges = uint32(total)
	return p, nil
}

func isTailCall(ins *asm.Instruction) bool {
	return ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnTailCall
}

// lineAt is the source line that an instruction belongs to. Code inlined from libbpf's headers,
// bpf_tail_call_static above all, counts as the line that uses it.
func lineAt(insns asm.Instructions, i int) *btf.Line {
	var nearest *btf.Line
	for ; i >= 0; i-- {
		if l, ok := insns[i].Source().(*btf.Line); ok {
			base := path.Base(l.FileName())
			if !strings.HasPrefix(base, "bpf_") || !strings.HasSuffix(base, ".h") {
				return l
			}
			if nearest == nil {
				nearest = l
			}
		}
		if btf.FuncMetadata(&insns[i]) != nil {
			break
		}
	}
	return nearest
}

// arrayOf finds the PROG_ARRAY of a tail call: the one that the instructions before it load into
// R2 whatever way they are reached, or the only one that the program uses.
func arrayOf(spec *ebpf.CollectionSpec, insns asm.Instructions, targets map[int]bool, at int) (string, error) {
	isArray := func(i *asm.Instruction) bool {
		m := spec.Maps[i.Reference()]
		return i.IsLoadFromMap() && m != nil && m.Type == ebpf.ProgramArray
	}
	for i := at - 1; i >= 0 && !targets[i+1]; i-- {
		ins := &insns[i]
		if ins.Dst == asm.R2 && isArray(ins) {
			return ins.Reference(), nil
		}
		if ins.Dst == asm.R2 && (ins.OpCode.Class().IsALU() || ins.OpCode.Class().IsLoad()) {
			break
		}
	}
	only := ""
	for i := range insns {
		if isArray(&insns[i]) && insns[i].Reference() != only {
			if only != "" {
				return "", fmt.Errorf("it may use map %s or %s", only, insns[i].Reference())
			}
			only = insns[i].Reference()
		}
	}
	if only == "" {
		return "", fmt.Errorf("its map is not known")
	}
	return only, nil
}

// Offsets into the counts.
func (p *plan) row(n int) uint32    { return uint32(n) * p.edges * counter }
func (p *plan) emptyRow() uint32    { return p.row(len(p.programs)) }
func (p *plan) limitRow() uint32    { return p.row(len(p.programs) + 1) }
func (p *plan) past(n int) uint32   { return p.row(len(p.programs)+2) + uint32(n)*2*counter }
func (p *plan) countsSize() uint32  { return max(p.past(len(p.sites)), counter) }
func (p *plan) cells() uint32       { return 1 << bits.Len(uint(p.cpus-1)) } // the next power of 2
func (p *plan) cellsSize() uint32   { return p.cells() * cellStride }
func (p *plan) isOwn(m string) bool { return m == cellsName || m == countsName }

// instrument returns a copy of a spec whose programs count.
func (p *plan) instrument(spec *ebpf.CollectionSpec) (*ebpf.CollectionSpec, error) {
	out := spec.Copy()
	if out.Maps == nil {
		out.Maps = map[string]*ebpf.MapSpec{}
	}
	for name, size := range map[string]uint32{cellsName: p.cellsSize(), countsName: p.countsSize()} {
		out.Maps[name] = &ebpf.MapSpec{Name: name[1:], Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1}
	}
	for n, name := range p.programs {
		insns, err := p.rewrite(out.Programs[name].Instructions, n)
		if err != nil {
			return nil, unsupported("counters for program %s: %v", name, err)
		}
		out.Programs[name].Instructions = insns
	}
	return out, nil
}

// rewrite adds the counting instructions to program number n.
func (p *plan) rewrite(insns asm.Instructions, n int) (asm.Instructions, error) {
	sites := map[int]int{}
	for i, s := range p.sites {
		if s.program == p.programs[n] {
			sites[s.at] = i
		}
	}
	depths, err := stackDepths(insns, sites)
	if err != nil {
		return nil, err
	}
	r := newRewriter(insns)
	for i, ins := range insns {
		no, isSite := sites[i]
		switch {
		case i == 0 && isSite:
			return nil, fmt.Errorf("it begins with a tail call")
		case i == 0:
			r.prologue(p.atStart(n), ins)
		case isSite:
			r.before(i, p.beforeCall(no, depths[i]), ins)
			r.after(p.behindCall())
		default:
			r.keep(i, ins)
		}
	}
	return r.finish()
}

// cell leaves the address of the CPU's cell in R0. It uses R1 to R5 as every call does.
func (p *plan) cell(address asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.FnGetSmpProcessorId.Call(),
		asm.And.Imm32(asm.R0, int32(p.cells()-1)),
		asm.LSh.Imm(asm.R0, int32(bits.TrailingZeros(cellStride))),
		mapValue(address, cellsName, 0),
		asm.Add.Reg(address, asm.R0),
	}
}

func mapValue(dst asm.Register, name string, offset uint32) asm.Instruction {
	return asm.LoadMapValue(dst, 0, offset).WithReference(name)
}

func storeZero(at asm.Register, offset int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.StoreImmOp(asm.DWord), Dst: at, Offset: offset}
}

func addOne(counterAt asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R5, 1),
		asm.AddAtomic.Mem(counterAt, asm.R5, asm.DWord, 0),
	}
}

// atStart counts a hop to program n, or begins a run. R1 is the context; all other registers are
// unused here.
func (p *plan) atStart(n int) asm.Instructions {
	b := &block{}
	b.add(asm.Mov.Reg(asm.R6, asm.R1))
	b.add(p.cell(asm.R1)...)
	b.add(asm.LoadMem(asm.R2, asm.R1, cellEdge, asm.DWord))
	b.jump(asm.JNE.Imm(asm.R2, 0, ""), "hop")
	b.add(storeZero(asm.R1, cellHops))
	b.jump(asm.Ja.Label(""), "end")
	b.label("hop")
	b.add(storeZero(asm.R1, cellEdge))
	b.add(asm.LoadMem(asm.R3, asm.R1, cellHops, asm.DWord), asm.Add.Imm(asm.R3, 1), asm.StoreMem(asm.R1, cellHops, asm.R3, asm.DWord))
	b.add(mapValue(asm.R4, countsName, p.row(n)))
	p.countEdge(b)
	b.label("end")
	b.add(asm.Mov.Reg(asm.R1, asm.R6))
	return b.finish()
}

// countEdge counts the edge of R2 in the row that R4 points to, and jumps to end if R2 is not one.
func (p *plan) countEdge(b *block) {
	b.add(asm.Add.Imm(asm.R2, -1))
	b.jump(asm.JGE.Imm(asm.R2, int32(p.edges), ""), "end")
	b.add(asm.LSh.Imm(asm.R2, 3), asm.Add.Reg(asm.R4, asm.R2))
	b.add(addOne(asm.R4)...)
}

// beforeCall notes the edge. R1 and R3, the arguments of the call, are kept on the stack below
// what the function uses; R2 is loaded again.
func (p *plan) beforeCall(no, depth int) asm.Instructions {
	s := &p.sites[no]
	keepR1, keepR3 := int16(-depth-8), int16(-depth-16)
	b := &block{}
	b.add(asm.StoreMem(asm.R10, keepR1, asm.R1, asm.DWord), asm.StoreMem(asm.R10, keepR3, asm.R3, asm.DWord))
	b.add(p.cell(asm.R4)...)
	b.add(asm.LoadMem(asm.R3, asm.R10, keepR3, asm.DWord), asm.LoadMem(asm.R1, asm.R10, keepR1, asm.DWord))
	b.add(asm.Mov.Reg32(asm.R5, asm.R3))
	b.jump(asm.JGE.Imm32(asm.R5, int32(s.slots), ""), "past")
	b.add(asm.Add.Imm(asm.R5, int32(s.first+1)), asm.StoreMem(asm.R4, cellEdge, asm.R5, asm.DWord))
	b.jump(asm.Ja.Label(""), "end")
	b.label("past")
	b.add(storeZero(asm.R4, cellEdge))
	b.add(mapValue(asm.R4, countsName, p.past(no)), asm.StoreMem(asm.R4, counter, asm.R5, asm.DWord))
	b.add(addOne(asm.R4)...)
	b.label("end")
	b.add(asm.LoadMapPtr(asm.R2, 0).WithReference(s.array))
	return b.finish()
}

// behindCall counts a miss. R0 to R5 are unreadable behind a call.
func (p *plan) behindCall() asm.Instructions {
	b := &block{}
	b.add(p.cell(asm.R1)...)
	b.add(asm.LoadMem(asm.R2, asm.R1, cellEdge, asm.DWord))
	b.jump(asm.JEq.Imm(asm.R2, 0, ""), "end")
	b.add(storeZero(asm.R1, cellEdge))
	b.add(asm.LoadMem(asm.R3, asm.R1, cellHops, asm.DWord))
	b.add(mapValue(asm.R4, countsName, p.emptyRow()))
	b.jump(asm.JLT.Imm(asm.R3, maxHops, ""), "count")
	b.add(mapValue(asm.R4, countsName, p.limitRow()))
	b.label("count")
	p.countEdge(b)
	b.label("end")
	return b.finish()
}

// read turns the counts into edges.
func (p *plan) read(counts []uint64) []engine.Edge {
	all := []engine.Edge{}
	word := func(offset uint32) uint64 { return counts[offset/counter] }
	for no := range p.sites {
		s := &p.sites[no]
		e := engine.Edge{From: s.program, Insn: s.insn, Map: s.array}
		if s.source != nil {
			e.File, e.Line, e.Source = s.source.FileName(), int(s.source.LineNumber()), strings.TrimSpace(s.source.Line())
		}
		add := func(index uint32, to string, why trace.Reason, n uint64) {
			if n > 0 {
				e.Index, e.To, e.Reason, e.Count = index, to, why, n
				all = append(all, e)
			}
		}
		for i := range s.slots {
			at := (s.first + i) * counter
			for n, name := range p.programs {
				add(i, name, trace.Taken, word(p.row(n)+at))
			}
			add(i, "", trace.Limit, word(p.limitRow()+at))
			add(i, "", trace.Empty, word(p.emptyRow()+at))
		}
		add(uint32(word(p.past(no)+counter)), "", trace.OutOfRange, word(p.past(no)))
	}
	return all
}
