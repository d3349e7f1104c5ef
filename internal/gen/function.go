package gen

import (
	"fmt"
)

// regs is a set of registers.
type regs uint16

func (r regs) has(n int) bool { return r>>n&1 != 0 }

const (
	scratch   regs = 0x003f // r0 to r5, lost in calls
	arguments regs = 0x003e // r1 to r5
	kept      regs = 0x0380 // r7 to r9; r6 is the context
)

// fn is a function in the making.
type fn struct {
	*generator
	index   int
	set     regs // registers that hold scalars
	locked  regs // counters of loops around
	stack   int  // bytes of the frame
	depth   int  // of nested bodies
	loops   int  // of these that are loops
	made    int  // loops so far
	budget  int  // operations left
	callees []*callee
	global  bool
}

// callee is a subprogram that can be called: r1 is the context, r2 and r3 are scalars.
type callee struct {
	name   string
	global bool
	memory bool // r4 is the address of 8 bytes
}

// Sizes of frames in bytes. Callers of a subprogram with a tail call may have 256 together.
const (
	mainStack = 120
	subStack  = 56
)

func (g *generator) function(index int, c *callee, callees []*callee) Func {
	f := &fn{generator: g, index: index, callees: callees, set: kept, stack: mainStack, budget: 4 + g.IntN(20)}
	out := Func{Prologue: []string{"r6 = r1"}}
	if c != nil {
		f.stack, f.global = subStack, c.global
		out.Name = c.name
		linkage := "static"
		if c.global {
			linkage = "global"
		}
		out.Header = fmt.Sprintf("%s func %s (struct %s *ctx, u64 a, u64 b%s) u64", linkage, c.name, g.kind.ctx, c.extra())
		out.Prologue = append(out.Prologue, "r7 = r2", "r8 = r3", fmt.Sprintf("r9 = %d", g.imm()))
		out.Prologue = append(out.Prologue, f.borrow(c)...)
	} else {
		out.Name = "main"
		out.Prologue = append(out.Prologue, "r1 = map[in][0] ll",
			f.line("r7 = *(u64 *)(r1 +%d)", 8*g.IntN(inSize/8)),
			f.line("r8 = *(u64 *)(r1 +%d)", 8*g.IntN(inSize/8)),
			f.line("r9 = *(u64 *)(r1 +%d)", 8*g.IntN(inSize/8)))
	}
	for off := 8; off <= f.stack; off += 8 {
		if g.chance(50) {
			out.Prologue = append(out.Prologue, f.line("*(u64 *)(r10 -%d) = %d", off, g.imm()))
		} else {
			out.Prologue = append(out.Prologue, f.line("*(u64 *)(r10 -%d) = r%d", off, 7+g.IntN(3)))
		}
	}
	out.Prologue = append(out.Prologue, f.line("r1 = map[out][0]+%d ll", f.outAt()), "r2 = 1", "lock *(u64 *)(r1 +0) += r2")
	f.set = kept | 1<<2
	for f.budget > 0 {
		out.Ops = append(out.Ops, f.op())
	}
	out.Epilogue = append(f.mix(7), f.mix(8)...)
	out.Epilogue = append(out.Epilogue, f.mix(9)...)
	if g.chance(60) {
		out.Epilogue = append(out.Epilogue, f.line("r0 = r%d", 7+g.IntN(3)))
	} else {
		out.Epilogue = append(out.Epilogue, f.line("w0 = %d", g.IntN(8)))
	}
	out.Epilogue = append(out.Epilogue, "exit")
	return out
}

// extra is the parameter after the context and two numbers.
func (c *callee) extra() string {
	if c.memory {
		return ", u64 *p"
	}
	return ""
}

// borrow changes the caller's memory behind r4.
func (f *fn) borrow(c *callee) []string {
	if !c.memory {
		return nil
	}
	skip := f.label()
	var lines []string
	if c.global { // Linux takes a null pointer into account
		lines = append(lines, "if r4 == 0 goto "+skip)
	}
	lines = append(lines, "r5 = *(u64 *)(r4 +0)", "r9 ^= r5", "r5 += r7", "*(u64 *)(r4 +0) = r5", skip+":", "r4 = 0", "r5 = 0")
	return lines
}

func (f *fn) line(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// outAt is where the function leaves its results in the map out.
func (f *fn) outAt() int { return (f.prog*5 + f.index) * slotLen % outSize }

// mix adds a register to a sum that depends on the order. It uses r1 and r2, or r3 for r2.
func (f *fn) mix(reg int) []string {
	tmp := 2
	if reg == tmp {
		tmp = 3
	}
	return []string{
		f.line("r1 = map[out][0]+%d ll", f.outAt()+8),
		f.line("r%d = *(u64 *)(r1 +0)", tmp),
		f.line("r%d *= 31", tmp),
		f.line("r%d += r%d", tmp, reg),
		f.line("*(u64 *)(r1 +0) = r%d", tmp),
		"r1 = 0",
	}
}

// any returns a register that holds a scalar; some always do.
func (f *fn) any() int { return f.from(f.set) }

func (f *fn) from(s regs) int {
	for {
		if n := f.IntN(10); s.has(n) {
			return n
		}
	}
}

// writable returns a register that holds a scalar and is not the counter of a loop.
func (f *fn) writable() int { return f.from(f.set &^ f.locked) }

// target returns a register that may be written, whatever it holds.
func (f *fn) target() int { return f.from((scratch | kept) &^ f.locked) }

// clobber says that a call took place.
func (f *fn) clobber() { f.set = f.set&^scratch | 1 }

// area returns the offset of n bytes of the frame, a multiple of 8.
func (f *fn) area(n int) int {
	words := (n + 7) / 8
	return -8 * (words + f.IntN(f.stack/8-words+1))
}

// body makes a few operations for a branch or loop.
func (f *fn) body() []Op {
	f.depth++
	defer func() { f.depth-- }()
	var ops []Op
	most := 4
	if f.loops > 0 {
		most = 2 // the verifier walks through all rounds and branches
	}
	for range 1 + f.IntN(most) {
		if f.budget <= 0 && len(ops) > 0 {
			break
		}
		ops = append(ops, f.op())
	}
	return ops
}

// maker makes an operation, or reports that it has none here.
type maker struct {
	weight int
	make   func(*fn) (Op, bool)
}

// makers is a function because some makers contain others.
func makers() []maker {
	return []maker{
		{30, (*fn).alu}, {8, (*fn).move}, {5, (*fn).unary}, {8, (*fn).input}, {4, (*fn).observe},
		{12, (*fn).stackAccess}, {3, (*fn).stackVariable}, {6, (*fn).atomic},
		{12, (*fn).branch}, {5, (*fn).loop}, {1, (*fn).earlyExit},
		{12, (*fn).mapOp}, {6, (*fn).contextRead}, {5, (*fn).contextWrite},
		{10, (*fn).packetAccess}, {4, (*fn).packetLoad},
		{12, (*fn).helperOp}, {12, (*fn).tailCall}, {10, (*fn).callOp}, {3, (*fn).visit}, {3, (*fn).nestedMap}, {6, (*fn).ringBuffer},
	}
}

func (f *fn) op() Op {
	f.budget--
	all := makers()
	weights := make([]int, len(all))
	for i, m := range all {
		weights[i] = m.weight
	}
	for {
		if op, ok := all[pick(f.generator, weights)].make(f); ok {
			return op
		}
	}
}

func ops(lines ...string) (Op, bool) { return Op{Head: lines}, true }

// branch is a conditional body with or without an alternative.
func (f *fn) branch() (Op, bool) {
	if f.depth >= 3 {
		return Op{}, false
	}
	skip := f.label()
	op := Op{Head: []string{f.condition() + " goto " + skip}}
	before := f.set
	op.Body = f.body()
	after := f.set
	if f.chance(40) {
		end := f.label()
		op.Mid = []string{"goto " + end, skip + ":"}
		f.set = before
		op.Else = f.body()
		f.set &= after
		op.Tail = []string{end + ":"}
	} else {
		f.set = before & after
		op.Tail = []string{skip + ":"}
	}
	return op, true
}

func (f *fn) condition() string {
	width := choose(f.generator, "r", "r", "w")
	cmp := choose(f.generator, "==", "!=", ">", ">=", "<", "<=", "s>", "s>=", "s<", "s<=", "&")
	a, b := f.any(), f.any()
	// Linux 6.18 logs "REG INVARIANTS VIOLATION" when a register is compared with itself.
	if a != b {
		return f.line("if %s%d %s %s%d", width, a, cmp, width, b)
	}
	return f.line("if %s%d %s %d", width, f.any(), cmp, f.imm())
}

// loop repeats a body a few times. Registers that a call in the body loses are not used in it.
func (f *fn) loop() (Op, bool) {
	if f.depth >= 2 || (kept&^f.locked)&(kept&^f.locked-1) == 0 {
		return Op{}, false
	}
	counter := f.from(kept &^ f.locked)
	again := f.label()
	op := Op{Head: []string{f.line("r%d = %d", counter, 2+f.IntN(5-2*f.loops)), again + ":"}}
	f.set &= kept
	f.locked |= 1 << counter
	f.loops++
	f.made++
	made := f.made
	op.Body = f.body()
	f.loops--
	f.locked &^= 1 << counter
	f.set &= kept
	kinds := 3
	if f.index > 0 || len(f.callees) > 0 || f.loops > 0 || f.made > made {
		// The verifier takes long for may_goto in nested loops, and Linux 6.18 logs "verifier bug:
		// backtracking call unexpected regs" for some programs with may_goto and subprograms.
		kinds = 2
	}
	switch f.IntN(kinds) {
	case 0:
		op.Tail = []string{f.line("r%d += -1", counter), f.line("if r%d != 0 goto %s", counter, again)}
	case 1:
		op.Tail = []string{f.line("w%d -= 1", counter), f.line("if w%d s> 0 goto %s", counter, again)}
	case 2:
		end := f.label()
		op.Head = []string{op.Head[0], again + ":", "may_goto " + end}
		op.Tail = []string{f.line("r%d += -1", counter), f.line("if r%d != 0 goto %s", counter, again), end + ":"}
	}
	return op, true
}

// earlyExit ends the function under a condition.
func (f *fn) earlyExit() (Op, bool) {
	skip := f.label()
	return ops(f.condition()+" goto "+skip, f.line("r0 = r%d", f.from(kept)), "exit", skip+":")
}
