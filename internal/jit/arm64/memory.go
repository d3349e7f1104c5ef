package arm64

// Ldr emits ldrb, ldrh or ldr of the given size; bits above the size become zero.
func (a *Assembler) Ldr(s Size, rt Reg, m Mem) {
	a.access("ldr", a.size("ldr", s)|1<<22, uint(s), rt, m)
}

// Ldrs emits ldrsb, ldrsh or ldrsw: a load of 8, 16 or 32 bits, sign-extended to the width. With
// W32 the upper half becomes zero, and 32 bits are refused: they need no extension.
func (a *Assembler) Ldrs(s Size, w Width, rt Reg, m Mem) {
	if s > Size32 || s == Size32 && w == W32 {
		a.fail("ldrs", "%d bytes cannot be extended to %d bits", s.Bytes(), w.Bits())
		return
	}
	opc := 3 - uint32(w&1)
	a.access("ldrs", a.size("ldrs", s)|opc<<22, uint(s), rt, m)
}

// Str emits strb, strh or str of the low bits of rt.
func (a *Assembler) Str(s Size, rt Reg, m Mem) { a.access("str", a.size("str", s), uint(s), rt, m) }

// access emits a load or store of a general register.
func (a *Assembler) access(insn string, op uint32, log2 uint, rt Reg, m Mem) {
	if (m.mode == modePre || m.mode == modePost) && rt == m.base {
		a.fail(insn, "%v is both transferred and written back", rt)
	}
	a.address(insn, op|a.gp(insn, rt), log2, m)
}

// address adds the address to a load or store of 1<<log2 bytes and emits it.
func (a *Assembler) address(insn string, op uint32, log2 uint, m Mem) {
	op |= 0x38000000 | a.gpSP(insn, m.base)<<5
	switch m.mode {
	case modeIndex, modeScaled:
		if m.ext&2 == 0 || m.ext > SXTX {
			a.fail(insn, "an index takes uxtw, sxtw, uxtx or sxtx")
		}
		op |= 0x00200800 | a.gp(insn, m.index)<<16 | uint32(m.ext&7)<<13
		if m.mode == modeScaled && log2 > 0 {
			op |= 1 << 12
		}
		a.emit(op)
		return
	case modePre:
		op |= 0xc00
	case modePost:
		op |= 0x400
	default:
		if fitsScaled(log2, m.off) {
			a.emit(op | 1<<24 | uint32(m.off>>log2)<<10)
			return
		}
	}
	if !fitsUnscaled(m.off) {
		a.fail(insn, "the offset %d is out of range", m.off)
	}
	a.emit(op | uint32(m.off)&0x1ff<<12)
}

// Ldp emits ldp rt, rt2, m: two neighbouring registers of the width. The address is [Base],
// [Offset], [PreIndex] or [PostIndex] with an offset that [FitsPair].
func (a *Assembler) Ldp(w Width, rt, rt2 Reg, m Mem) {
	if rt == rt2 {
		a.fail("ldp", "%v is loaded twice", rt)
	}
	a.pair("ldp", 1<<22, w, rt, rt2, m)
}

// Stp emits stp rt, rt2, m, under the rules of [Assembler.Ldp].
func (a *Assembler) Stp(w Width, rt, rt2 Reg, m Mem) { a.pair("stp", 0, w, rt, rt2, m) }

func (a *Assembler) pair(insn string, op uint32, w Width, rt, rt2 Reg, m Mem) {
	if (m.mode == modePre || m.mode == modePost) && (rt == m.base || rt2 == m.base) {
		a.fail(insn, "%v is both transferred and written back", m.base)
	}
	op |= a.width(insn, w) | a.gp(insn, rt2)<<10 | a.gp(insn, rt)
	a.pairAddress(insn, op, 2+uint(w&1), m)
}

func (a *Assembler) pairAddress(insn string, op uint32, log2 uint, m Mem) {
	switch m.mode {
	case modeOffset:
		op |= 2 << 23
	case modePre:
		op |= 3 << 23
	case modePost:
		op |= 1 << 23
	default:
		a.fail(insn, "a pair takes no index register")
	}
	if !fitsPair(log2, m.off) {
		a.fail(insn, "the offset %d is out of range", m.off)
	}
	a.emit(op | 0x28000000 | a.gpSP(insn, m.base)<<5 | uint32(m.off>>log2)&0x7f<<15)
}

// LdrLit emits ldr rt, label: a load of 4 or 8 bytes from within 1 MiB of the instruction.
func (a *Assembler) LdrLit(w Width, rt Reg, l Label) {
	a.emitTo("ldr", fixImm19, 0x18000000|a.width("ldr", w)>>1|a.gp("ldr", rt), l)
}

// LdrswLit emits ldrsw rt, label: a load of 4 bytes, sign-extended to 64 bits.
func (a *Assembler) LdrswLit(rt Reg, l Label) {
	a.emitTo("ldrsw", fixImm19, 0x98000000|a.gp("ldrsw", rt), l)
}
