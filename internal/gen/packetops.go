package gen

// contextRead loads a field of the context.
func (f *fn) contextRead() (Op, bool) {
	at := f.kind.read[f.IntN(len(f.kind.read))]
	dst := f.target()
	f.set |= 1 << dst
	return ops(f.line("r%d = *(u%d *)(r6 +%d)", dst, 8*at[1], at[0]))
}

// contextWrite stores to a field of the context.
func (f *fn) contextWrite() (Op, bool) {
	if len(f.kind.write) == 0 {
		return Op{}, false
	}
	at := f.kind.write[f.IntN(len(f.kind.write))]
	if f.chance(30) {
		return ops(f.line("*(u%d *)(r6 +%d) = %d", 8*at[1], at[0], f.imm()))
	}
	return ops(f.line("*(u%d *)(r6 +%d) = r%d", 8*at[1], at[0], f.any()))
}

// packetAccess reads and writes the packet behind a check of its bounds, at an offset that the
// verifier knows or does not know.
func (f *fn) packetAccess() (Op, bool) {
	if f.kind.end == 0 {
		return Op{}, false
	}
	skip := f.label()
	need := 1 + f.IntN(64)
	head := []string{f.line("r2 = *(u32 *)(r6 +%d)", f.kind.data), f.line("r3 = *(u32 *)(r6 +%d)", f.kind.end)}
	if f.chance(10) && f.kind.ctx == "xdp_md" { // metadata
		head = []string{"r2 = *(u32 *)(r6 +8)", "r3 = *(u32 *)(r6 +0)"}
		need = 1 + f.IntN(8)
	}
	if f.chance(40) {
		head = append(head, f.line("r4 = r%d", f.from(kept)), f.line("r4 &= %d", choose(f.generator, 3, 7, 15, 63)), "r2 += r4")
	}
	head = append(head, "r4 = r2", f.line("r4 += %d", need), "if r4 > r3 goto "+skip)
	op := Op{Head: head, Tail: []string{skip + ":", "r2 = 0", "r3 = 0", "r4 = 0", "r5 = 0"}}
	for range 1 + f.IntN(3) {
		w, n := f.size()
		if n > need {
			w, n = "u8", 1
		}
		at := f.IntN(need - n + 1)
		if f.kind.store && f.chance(45) {
			w, n = f.unsigned()
			if n > need {
				w, n = "u8", 1
			}
			at = f.IntN(need - n + 1)
			op.Body = append(op.Body, Op{Head: []string{f.line("*(%s *)(r2 +%d) = r%d", w, at, f.from(kept))}})
			continue
		}
		op.Body = append(op.Body, Op{Head: []string{
			f.line("r5 = *(%s *)(r2 +%d)", w, at),
			f.line("r%d %s r5", f.from(kept&^f.locked), choose(f.generator, "+=", "^=", "-=")),
		}})
	}
	f.set |= 1<<2 | 1<<3 | 1<<4 | 1<<5
	return op, true
}

// packetLoad is LD_ABS or LD_IND, which end the function with 0 outside the packet.
func (f *fn) packetLoad() (Op, bool) {
	if !f.kind.skb || f.index > 0 {
		return Op{}, false // Linux refuses them in functions that do not return int
	}
	size := choose(f.generator, "u8", "u16", "u32")
	off := f.IntN(40)
	if f.chance(10) {
		off = choose(f.generator, -0x100000, -0x200000, -1, 200, -0x100000+8, -0x200000+3)
	}
	if f.chance(50) {
		f.set = f.set&^scratch | 1
		return ops(f.line("r0 = *(%s *)skb[%d]", size, off))
	}
	src := f.from(kept)
	f.set = f.set&^scratch | 1
	return ops(f.line("r1 = r%d", src), f.line("r1 &= %d", choose(f.generator, 7, 31, 127)),
		f.line("r0 = *(%s *)skb[r1 + %d]", size, off))
}
