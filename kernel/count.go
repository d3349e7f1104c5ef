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

// Counting tail calls takes an instrumented copy of each program, in two variants: the one that is
// run and attached, and the one that goes into slots. A program cannot find out whether it was
// tail-called; which variant runs says it. Instructions are added at three places:
//
//   - In front of a call, the edge (site and slot) is stored in the run's frame: it is pending. An
//     index past the end is counted at once.
//   - At the start of a variant for slots, the pending edge is counted for this program, and the
//     run has one more hop. At the start of a variant that is run, a run begins.
//   - Behind a call, which was not taken, the edge is counted as a miss: the limit is the reason
//     when the run had all its hops, an empty slot otherwise.
//
// A program without counters, which somebody else put into the slot, leaves the edge pending. The
// next call of the run, if the program returned into a caller with counters, or whatever uses the
// frame next, finds it and counts a hop to a foreign program. Reading the counts does the same for
// edges that are pending then.
//
// Each CPU has a few frames. A run is known by its context, whose address is the same in the whole
// chain and that no other run on the CPU has meanwhile, so runs that interrupt each other do not
// mix. What is exact and what is not is said at Options.CountEdges.

// Names of the maps that counting adds, and of the variants for slots.
const (
	cellsName    = ".carom.cells"
	countsName   = ".carom.counts"
	targetPrefix = ".carom.target."
)

const (
	frames     = 4  // runs on one CPU: in a task, a softirq, a hard interrupt, an NMI
	frameSize  = 32 // bytes
	frameKey   = 0  // u64, the context's address minus that of the cells
	frameEdge  = 8  // u64, number of the edge plus 1 while it is pending
	frameHops  = 16 // u64, tail calls taken in this run
	cellHand   = 24 // u64, in the first frame: the frame to give away next
	cellStride = frames * frameSize
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
// program that may be a target, one for foreign programs, one for empty slots, one for the limit,
// then two words for each site: how often the index was past the end, and the last such index.
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
	if size := total * counter * uint64(len(p.programs)+3); size > maxCounts {
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
func (p *plan) foreignRow() uint32  { return p.row(len(p.programs)) }
func (p *plan) emptyRow() uint32    { return p.row(len(p.programs) + 1) }
func (p *plan) limitRow() uint32    { return p.row(len(p.programs) + 2) }
func (p *plan) past(n int) uint32   { return p.row(len(p.programs)+3) + uint32(n)*2*counter }
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
	if len(p.sites) == 0 {
		return out, nil
	}
	for n, name := range p.programs {
		target := out.Programs[name].Copy()
		for v, prog := range map[variant]*ebpf.ProgramSpec{runs: out.Programs[name], isTarget: target} {
			insns, err := p.rewrite(prog.Instructions, n, v)
			if err != nil {
				return nil, unsupported("counters for program %s: %v", name, err)
			}
			prog.Instructions = insns
		}
		out.Programs[targetPrefix+name] = target
	}
	for _, m := range out.Maps {
		if m.Type != ebpf.ProgramArray {
			continue
		}
		m.Contents = slices.Clone(m.Contents)
		for i, kv := range m.Contents {
			if name, ok := kv.Value.(string); ok && slices.Contains(p.programs, name) {
				m.Contents[i].Value = targetPrefix + name
			}
		}
	}
	return out, nil
}

// variant says how a copy of a program comes to run.
type variant uint8

const (
	runs     variant = iota // as the first program of a run
	isTarget                // through a tail call
)

// rewrite adds the counting instructions to program number n.
func (p *plan) rewrite(insns asm.Instructions, n int, v variant) (asm.Instructions, error) {
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
			start := p.atStart
			if v == isTarget {
				start = func() asm.Instructions { return p.atTarget(n) }
			}
			r.prologue(start(), ins)
		case isSite:
			r.before(i, p.beforeCall(no, depths[i]), ins)
			r.after(p.behindCall(depths[i]))
		default:
			r.keep(i, ins)
		}
	}
	return r.finish()
}

// read turns the counts into edges. foreign names what a slot holds that has no counters.
func (p *plan) read(counts []uint64, foreign func(array string, index uint32) string) []engine.Edge {
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
			if n := word(p.foreignRow() + at); n > 0 {
				add(i, foreign(s.array, i), trace.Taken, n)
			}
			add(i, "", trace.Limit, word(p.limitRow()+at))
			add(i, "", trace.Empty, word(p.emptyRow()+at))
		}
		add(uint32(word(p.past(no)+counter)), "", trace.OutOfRange, word(p.past(no)))
	}
	return all
}
