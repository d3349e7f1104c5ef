package gen

// alu is arithmetic of both widths between scalars.
func (f *fn) alu() (Op, bool) {
	dst := f.writable()
	width := choose(f.generator, "r", "w")
	op := choose(f.generator, "+=", "-=", "*=", "/=", "%=", "s/=", "s%=", "|=", "&=", "^=", "<<=", ">>=", "s>>=")
	if f.chance(60) {
		return ops(f.line("%s%d %s %s%d", width, dst, op, width, f.any()))
	}
	imm := f.imm()
	switch op {
	case "/=", "%=", "s/=", "s%=":
		if imm == 0 {
			imm = 3
		}
	case "<<=", ">>=", "s>>=":
		imm &= 63
		if width == "w" {
			imm &= 31
		}
	}
	return ops(f.line("%s%d %s %d", width, dst, op, imm))
}

func (f *fn) move() (Op, bool) {
	src, dst := f.any(), f.target()
	f.set |= 1 << dst
	switch f.IntN(6) {
	case 0:
		return ops(f.line("r%d = %d", dst, f.imm()))
	case 1:
		return ops(f.line("w%d = %d", dst, f.imm()))
	case 2:
		return ops(f.line("r%d = %d ll", dst, f.value()))
	case 3:
		return ops(f.line("w%d = w%d", dst, src))
	case 4:
		width := choose(f.generator, "r", "w")
		size := choose(f.generator, "s8", "s16", "s32")
		if width == "w" {
			size = choose(f.generator, "s8", "s16")
		}
		return ops(f.line("%s%d = (%s)%s%d", width, dst, size, width, src))
	}
	return ops(f.line("r%d = r%d", dst, src))
}

func (f *fn) unary() (Op, bool) {
	dst := f.writable()
	what := choose(f.generator, "-", "-w", "be16", "be32", "be64", "le16", "le32", "le64", "bswap16", "bswap32", "bswap64")
	switch what {
	case "-":
		return ops(f.line("r%d = -r%d", dst, dst))
	case "-w":
		return ops(f.line("w%d = -w%d", dst, dst))
	}
	return ops(f.line("r%d = %s r%d", dst, what, dst))
}

// input loads a number that the verifier does not know.
func (f *fn) input() (Op, bool) {
	dst := f.target()
	f.set |= 1 << dst
	size, n := f.size()
	return ops(f.line("r%d = map[in][0]+%d ll", dst, n*f.IntN(inSize/n)), f.line("r%d = *(%s *)(r%d +0)", dst, size, dst))
}

// size is any width of a load, and its bytes.
func (f *fn) size() (string, int) {
	i := f.IntN(7)
	return [...]string{"u8", "u16", "u32", "u64", "s8", "s16", "s32"}[i], [...]int{1, 2, 4, 8, 1, 2, 4}[i]
}

// unsigned is any width of a store, and its bytes.
func (f *fn) unsigned() (string, int) {
	i := f.IntN(4)
	return [...]string{"u8", "u16", "u32", "u64"}[i], 1 << i
}

// observe adds a register to the result.
func (f *fn) observe() (Op, bool) {
	reg := f.any()
	if reg == 1 {
		return Op{}, false
	}
	lines := f.mix(reg)
	f.set |= 1 << 1
	if reg == 2 {
		f.set |= 1 << 3
	} else {
		f.set |= 1 << 2
	}
	return ops(lines...)
}

// stackAccess writes or reads part of the frame.
func (f *fn) stackAccess() (Op, bool) {
	switch f.IntN(5) {
	case 0:
		size, n := f.unsigned()
		return ops(f.line("*(%s *)(r10 %d) = %d", size, -n*(1+f.IntN(f.stack/n)), f.imm()))
	case 1:
		size, n := f.unsigned()
		return ops(f.line("*(%s *)(r10 %d) = r%d", size, -n*(1+f.IntN(f.stack/n)), f.any()))
	case 2: // a spill
		return ops(f.line("*(u64 *)(r10 %d) = r%d", f.area(8), f.any()))
	}
	size, n := f.size()
	dst := f.target()
	f.set |= 1 << dst
	return ops(f.line("r%d = *(%s *)(r10 %d)", dst, size, -n*(1+f.IntN(f.stack/n))))
}

// stackVariable reads or writes the frame at an offset that the verifier does not know.
func (f *fn) stackVariable() (Op, bool) {
	src := f.any()
	if src == 1 || src == 2 {
		return Op{}, false
	}
	at := -f.stack + 8*f.IntN(2)
	lines := []string{f.line("r1 = r%d", src), "r1 &= 24", "r2 = r10", f.line("r2 += %d", at), "r2 += r1"}
	if f.chance(50) {
		size, _ := f.size()
		lines = append(lines, f.line("r1 = *(%s *)(r2 +0)", size), "r2 = r1")
	} else {
		size, _ := f.unsigned()
		lines = append(lines, f.line("*(%s *)(r2 +0) = r%d", size, f.from(kept)), "r2 = 0", "r1 = 0")
	}
	f.set |= 1<<1 | 1<<2
	return ops(lines...)
}

// atomic is an atomic operation on the frame.
func (f *fn) atomic() (Op, bool) {
	wide := f.chance(50)
	n, size := 4, "u32"
	if wide {
		n, size = 8, "u64"
	}
	at := -n * (1 + f.IntN(f.stack/n))
	line, result := f.atomicAt("r10", at, size)
	f.set |= result
	return ops(line)
}

// atomicAt is one operation at a place, with the registers that it writes.
func (f *fn) atomicAt(base string, at int, size string) (string, regs) {
	prefix, width := "atomic_", "w"
	if size == "u64" {
		prefix, width = "atomic64_", "r"
	}
	place := f.line("(%s *)(%s %+d)", size, base, at)
	switch f.IntN(5) {
	case 0:
		return f.line("lock *%s %s %s%d", place, choose(f.generator, "+=", "|=", "&=", "^="), width, f.any()), 0
	case 1:
		if f.set.has(0) {
			return f.line("%s0 = %scmpxchg(%s, %s0, %s%d)", width, prefix, place, width, width, f.any()), 1
		}
	case 2:
		dst := f.target()
		return f.line("%s%d = load_acquire(%s)", width, dst, place), 1 << dst
	case 3:
		return f.line("store_release(%s, %s%d)", place, width, f.any()), 0
	}
	dst := f.writable()
	return f.line("%s%d = %s%s(%s, %s%d)", width, dst, prefix,
		choose(f.generator, "fetch_add", "fetch_or", "fetch_and", "fetch_xor", "xchg"), place, width, dst), 1 << dst
}
