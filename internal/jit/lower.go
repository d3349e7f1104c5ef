package jit

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/facts"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// compiler is the compilation of one program.
type compiler struct {
	backend
	in     *Input
	p      *vm.Program
	insns  []isa.Insn
	labels map[int]label // by instruction
	loops  map[int]int   // cost of a round, by the instruction that is jumped back to
	funcs  []function
	sites  map[int]int // numbers of tail-call sites, by instruction
	index  uint32      // of the program

	fuse    fuser          // the backend, nil if it does not fuse
	lookups map[int]*array // lookups in arrays, by instruction
	live    []regs         // registers that are used after each instruction
	fused   int            // instruction that is part of the one before it
	flags   int            // last instruction whose result is in the flags, too
	marks   []mark
}

// mark is where the code of an instruction begins, -1 for what lies behind all of them.
type mark struct {
	insn  int
	label label
}

func (c *compiler) mark(insn int) {
	m := mark{insn, c.newLabel()}
	c.bind(m.label)
	c.marks = append(c.marks, m)
}

// function is the main program, a subprogram or a callback.
type function struct {
	start, end int
	calls      []int // first instructions of what it calls
	saved      uint8 // of R6 to R9, those that it changes: bit n for R6+n
	mayGoto    bool
}

func assemble(in *Input, b backend) (*image, error) {
	if len(in.Facts.Insns) != len(in.Program.Insns) {
		return nil, fmt.Errorf("facts of %d instructions for %d: %w", len(in.Facts.Insns), len(in.Program.Insns), ErrUnsupported)
	}
	c := &compiler{
		backend: b, in: in, p: in.Program, insns: in.Program.Insns,
		labels: map[int]label{}, loops: map[int]int{}, sites: map[int]int{}, index: in.Program.Index(),
		lookups: map[int]*array{}, fused: -1, flags: -1,
	}
	c.fuse, _ = b.(fuser)
	for n, insn := range c.p.TailCallSites() {
		c.sites[insn] = n
	}
	if err := c.survey(); err != nil {
		return nil, err
	}
	c.findLookups()
	c.liveness()
	entry := c.newLabel()
	c.bind(entry)
	c.checkContext()
	for i := range c.funcs {
		if err := c.function(&c.funcs[i]); err != nil {
			return nil, err
		}
	}
	c.mark(-1)
	code, err := b.finish()
	if err != nil {
		return nil, err
	}
	img := &image{code: code, entry: b.offset(entry), funcs: map[int]int{}}
	for _, m := range c.marks {
		img.lines = append(img.lines, vm.NativeLine{Offset: b.offset(m.label), Insn: m.insn})
	}
	img.sites = make([]vm.NativeSite, len(c.sites))
	for n, number := range c.sites {
		s := c.siteAt(n)
		img.sites[number] = vm.NativeSite{Map: s.mapPtr, Index: s.key, Constant: s.slot != 0}
	}
	for _, target := range c.p.FuncLoads {
		if c.seen(target) {
			img.funcs[target] = b.offset(c.labels[target])
		}
	}
	return img, nil
}

// checkContext gives a program to the interpreter whose context may be too short for it. Only those
// of plain bytes differ in length; the interpreter says where that shows.
func (c *compiler) checkContext() {
	if l := c.p.Context; c.in.Facts.MaxContext == 0 || l != nil && len(l.Fields) > 0 {
		return
	}
	enough := c.newLabel()
	c.loadThread(8, r0, vm.ThreadContext)
	c.jumpIfImm(condGE, w64, r0, int32(c.in.Facts.MaxContext), enough)
	c.exit(vm.ExitRefuse, 0, c.index)
	c.ret()
	c.bind(enough)
}

func (c *compiler) seen(insn int) bool { return c.in.Facts.Insns[insn].Seen }

// unsupported is why an instruction has no native code.
func (c *compiler) unsupported(insn int, why string) error {
	return fmt.Errorf("instruction %d: %s: %w", insn, why, ErrUnsupported)
}

// slots is how many slots an instruction takes.
func slots(i isa.Insn) int {
	if i.IsWide() {
		return 2
	}
	return 1
}

// jumpTarget returns where a jump goes.
func jumpTarget(n int, i isa.Insn) (target int, ok bool) {
	class := i.Class()
	if class != isa.ClassJMP && class != isa.ClassJMP32 {
		return 0, false
	}
	switch i.Op & 0xf0 {
	case isa.CALL, isa.EXIT:
		return 0, false
	case isa.JA:
		if class == isa.ClassJMP32 {
			return n + 1 + int(i.Imm), true
		}
	}
	return n + 1 + int(i.Off), true
}

// survey finds functions, jump targets and loops, and what functions change.
func (c *compiler) survey() error {
	starts := map[int]bool{0: true}
	for n := 0; n < len(c.insns); n += slots(c.insns[n]) {
		i := c.insns[n]
		if !c.seen(n) {
			continue
		}
		if i.Op == isa.ClassJMP|isa.CALL && i.Src == isa.CallLocal {
			starts[n+1+int(i.Imm)] = true
		}
		if target, ok := c.p.FuncLoads[n]; ok && i.IsWide() {
			starts[target] = true
		}
		if target, ok := jumpTarget(n, i); ok {
			if target < 0 || target >= len(c.insns) {
				return c.unsupported(n, "the jump leaves the program")
			}
			c.label(target)
			if target <= n {
				c.loops[target] = max(c.loops[target], n-target+1)
			}
		}
	}
	for s := range starts {
		if s < 0 || s >= len(c.insns) {
			return c.unsupported(s, "the call leaves the program")
		}
		c.label(s)
		c.funcs = append(c.funcs, function{start: s})
	}
	slices.SortFunc(c.funcs, func(a, b function) int { return a.start - b.start })
	for i := range c.funcs {
		c.funcs[i].end = len(c.insns)
		if i+1 < len(c.funcs) {
			c.funcs[i].end = c.funcs[i+1].start
		}
		c.surveyFunction(&c.funcs[i])
	}
	c.spreadSaved()
	return nil
}

func (c *compiler) label(insn int) label {
	l, ok := c.labels[insn]
	if !ok {
		l = c.newLabel()
		c.labels[insn] = l
	}
	return l
}

// surveyFunction notes what one function does itself.
func (c *compiler) surveyFunction(f *function) {
	for n := f.start; n < f.end; n += slots(c.insns[n]) {
		if !c.seen(n) {
			continue
		}
		i := c.insns[n]
		if d, ok := written(i); ok && d >= 6 && d <= 9 {
			f.saved |= 1 << (d - 6)
		}
		switch {
		case i.Class() != isa.ClassJMP:
		case i.Op&0xf0 == isa.JCOND:
			f.mayGoto = true
		case i.Op == isa.ClassJMP|isa.CALL && i.Src == isa.CallLocal:
			f.calls = append(f.calls, n+1+int(i.Imm))
		}
		if _, ok := c.sites[n]; ok {
			f.saved = 0xf // whatever the target changes
		}
	}
}

// written returns the register that an instruction writes, other than R0 to R5 of calls.
func written(i isa.Insn) (uint8, bool) {
	switch i.Class() {
	case isa.ClassALU, isa.ClassALU64, isa.ClassLDX:
		return i.Dst, true
	case isa.ClassLD:
		return i.Dst, i.IsWide()
	case isa.ClassSTX:
		if i.Op&0xe0 != isa.ModeATOMIC {
			return 0, false
		}
		if i.Imm == isa.AtomicLoadAcq {
			return i.Dst, true
		}
		return i.Src, i.Imm&isa.AtomicFetch != 0 && i.Imm != isa.AtomicCMPXCHG
	}
	return 0, false
}

// spreadSaved adds to each function what those that it calls change: a caller keeps only what it
// is told of.
func (c *compiler) spreadSaved() {
	for changed := true; changed; {
		changed = false
		for i := range c.funcs {
			f := &c.funcs[i]
			for _, start := range f.calls {
				if s := f.saved | c.at(start).saved; s != f.saved {
					f.saved, changed = s, true
				}
			}
		}
	}
}

func (c *compiler) at(start int) *function {
	i, _ := slices.BinarySearchFunc(c.funcs, start, func(f function, s int) int { return f.start - s })
	return &c.funcs[i]
}

func (c *compiler) function(f *function) error {
	for n := f.start; n < f.end; n += slots(c.insns[n]) {
		l, bound := c.labels[n]
		if !c.seen(n) {
			if bound {
				c.bind(l)
				c.exit(vm.ExitBad, n, c.index)
			}
			continue
		}
		cost, looped := c.loops[n]
		if looped && c.fuse != nil {
			c.fuse.alignLoop(cost)
		}
		if bound && n != f.start {
			c.bind(l)
		} else if bound {
			c.bind(l)
			// A jump back to the first instruction of a function would start it anew.
			if looped && f.mayGoto {
				return c.unsupported(n, "a loop to the start of a function with may_goto")
			}
			if f.mayGoto {
				c.startLoops(linux.MaxLoops)
			}
		}
		c.mark(n)
		if looped {
			c.loopHead(loop{insn: n, cost: cost}, c.index)
		}
		if e := c.effect(n); n == c.fused || e.pure && e.defines&c.live[n] == 0 {
			continue
		}
		if err := c.insn(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) insn(n int) error {
	i := c.insns[n]
	if i.Dst > isa.FP || i.Src > isa.FP && !i.IsWide() {
		return c.unsupported(n, "no such register")
	}
	switch i.Class() {
	case isa.ClassALU, isa.ClassALU64:
		return c.alu(n, i)
	case isa.ClassJMP, isa.ClassJMP32:
		return c.jumps(n, i)
	case isa.ClassLD:
		return c.wide(n, i)
	}
	return c.memory(n, i)
}

// wide is the load of 64 bits, and the loads from the packet of classic BPF.
func (c *compiler) wide(n int, i isa.Insn) error {
	if !i.IsWide() {
		c.exit(vm.ExitPacket, n, c.index)
		c.retIfFlag()
		return nil
	}
	v := i.Imm64(c.insns[n+1])
	if w, ok := c.p.Wide[n]; ok {
		v = w
	}
	if target, ok := c.p.FuncLoads[n]; ok {
		v = c.p.FuncPointer(target)
	}
	c.moveImm(reg(i.Dst), v)
	return nil
}

// mapOf returns the address of the map that a call uses, 0 when it is not known.
func (c *compiler) mapOf(f *facts.Insn) uint64 {
	if n := int(f.Map) - 1; n >= 0 && n < len(c.in.Maps) {
		return c.in.Maps[n]
	}
	return 0
}

func (c *compiler) callHelper(n int) error {
	h := c.p.Helpers[n]
	if _, ok := c.sites[n]; ok {
		c.tailCall(c.siteAt(n), c.index)
		return nil
	}
	switch {
	case h == nil:
		return c.unsupported(n, "a call of nothing")
	case c.insns[n].Src == isa.CallKfunc && h.Name == "bpf_throw":
		return c.unsupported(n, "exceptions")
	case c.lookups[n] != nil:
		if a := *c.lookups[n]; !c.fuseNull(n, &a) {
			c.lookup(&a)
		}
		return nil
	case c.builtin(h, linux.FuncGetSmpProcessorID):
		c.cpuID()
		return nil
	}
	c.exit(vm.ExitHelper, n, c.index)
	return nil
}

// siteAt describes the tail call at an instruction.
func (c *compiler) siteAt(n int) *site {
	f := &c.in.Facts.Insns[n]
	s := &site{insn: n, number: c.sites[n], mapPtr: c.mapOf(f), key: f.Key}
	if s.mapPtr != 0 && f.HasKey && f.Key < mem.Load32(s.mapPtr+mem.MapMaxEntries) && f.Key < maxConstantSlot {
		s.slot = mem.Load64(s.mapPtr+mem.MapData) + uint64(f.Key)*8
	}
	return s
}

// builtin reports whether a helper is Linux's, not one that the embedder has put in its place.
func (c *compiler) builtin(h *vm.Helper, id uint32) bool {
	return h != nil && h.ID == id && c.in.Builtin != nil && c.in.Builtin(id) == h
}

// maxConstantSlot bounds what is added to the address of counters.
const maxConstantSlot = 1 << 20

// arrayOf returns the array that a lookup uses, nil when it is not known or not an array.
func (c *compiler) arrayOf(f *facts.Insn) *array {
	m := c.mapOf(f)
	if m == 0 {
		return nil
	}
	switch ebpf.MapType(mem.Load32(m + mem.MapType)) {
	case ebpf.Array, ebpf.PerCPUArray:
		a := &array{
			data: mem.Load64(m + mem.MapData), entries: mem.Load32(m + mem.MapMaxEntries),
			stride: mem.Load32(m + mem.MapStride), cpuStride: mem.Load64(m + mem.MapCPUStride),
		}
		if f.HasKey && f.Key < a.entries {
			a.constant, a.key = true, f.Key
		}
		return a
	}
	return nil
}
