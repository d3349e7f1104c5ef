package gen

import "strconv"

// tailCall jumps through a PROG_ARRAY with an index that the verifier knows or does not know.
func (f *fn) tailCall() (Op, bool) {
	if f.chance(40) {
		return Op{}, false
	}
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
	lines := []string{"r1 = r6", f.line("r2 = r%d", f.from(kept)), f.line("r3 = r%d", f.from(kept)), "call " + c.name}
	f.clobber()
	if f.chance(50) {
		lines = append(lines, f.line("r%d ^= r0", f.from(kept&^f.locked)))
	}
	return ops(lines...)
}
