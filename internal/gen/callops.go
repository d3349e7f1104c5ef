package gen

import "strconv"

// tailCall jumps through a PROG_ARRAY with an index that the verifier knows or does not know.
func (f *fn) tailCall() (Op, bool) {
	table := f.tables[f.IntN(len(f.tables))]
	lines := []string{"r1 = r6", f.line("r2 = map[%s] ll", table)}
	n := int(f.c.Maps[table].MaxEntries)
	switch f.IntN(5) {
	case 0, 1:
		lines = append(lines, f.line("r3 = %d", f.IntN(n)))
	case 2:
		lines = append(lines, f.line("r3 = %s ll",
			choose(f.generator, "-1", "0x100000000", "0xffffffff", strconv.Itoa(n), "0x100000001", "0x7fffffff")))
	case 3:
		lines = append(lines, f.line("r3 = r%d", f.from(kept)))
	case 4:
		lines = append(lines, f.line("r3 = r%d", f.from(kept)), "r3 &= "+choose(f.generator, "1", "3", "7"))
	}
	lines = append(lines, "call bpf_tail_call", f.line("r0 = %d", f.imm()))
	cond := f.condition()
	f.clobber()
	if f.chance(50) {
		skip := f.label()
		f.set &^= 1 // not set where the condition holds
		return ops(append(append([]string{cond + " goto " + skip}, lines...), skip+":")...)
	}
	return ops(lines...)
}

// callOp calls a subprogram.
func (f *fn) callOp() (Op, bool) {
	if len(f.callees) == 0 {
		return Op{}, false
	}
	c := f.callees[f.IntN(len(f.callees))]
	if f.loops > 0 && !c.global {
		return Op{}, false // the verifier would walk through it in each round
	}
	lines := []string{"r1 = r6", f.line("r2 = r%d", f.from(kept)), f.line("r3 = r%d", f.from(kept))}
	if c.memory {
		lines = append(lines, f.ptr(4, 8)...)
	}
	lines = append(lines, "call "+c.name)
	f.clobber()
	if f.chance(50) {
		lines = append(lines, f.line("r%d ^= r0", f.from(kept&^f.locked)))
	}
	return ops(lines...)
}

// visitor is the callback of bpf_loop in every program that uses one. It calls nothing, so that no
// tail call can be reached from it.
func (g *generator) visitor() Func {
	f := &fn{generator: g, set: 1<<1 | 1<<3, locked: kept | 1<<0 | 1<<2 | 1<<4 | 1<<5}
	out := Func{
		Name: "visitor", Header: "static func visitor (u64 i, void *sum) int",
		Prologue: []string{"r3 = *(u64 *)(r2 +0)"},
		Epilogue: []string{
			"r3 *= 3", "r3 += r1", "*(u64 *)(r2 +0) = r3", "r0 = r3", f.line("r0 &= %d", g.IntN(2)), "exit",
		},
	}
	for range g.IntN(4) {
		if op, ok := choose(g, (*fn).alu, (*fn).unary)(f); ok {
			out.Ops = append(out.Ops, op)
		}
	}
	return out
}

// visit calls bpf_loop with the visitor and a number in the frame.
func (f *fn) visit() (Op, bool) {
	if f.loops > 0 {
		return Op{}, false // the verifier takes long
	}
	// Linux 6.18 logs "No program to jit" when all loops of a program have 0 rounds.
	lines := []string{f.line("r1 = %d", 1+f.IntN(8)), "r2 = func[visitor] ll"}
	lines = append(lines, f.ptr(3, 8)...)
	lines = append(lines, f.line("r4 = %d", choose(f.generator, 0, 0, 0, 0, 1)), "call bpf_loop")
	f.clobber()
	return ops(lines...)
}
