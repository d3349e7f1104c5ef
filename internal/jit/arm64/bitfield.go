package arm64

const (
	opSbfm = 0x13000000
	opBfm  = 0x33000000
	opUbfm = 0x53000000
)

// bitfield emits sbfm, bfm or ubfm rd, rn, #immr, #imms.
func (a *Assembler) bitfield(insn string, op uint32, w Width, rd, rn Reg, immr, imms uint8) {
	if int(immr) >= w.Bits() || int(imms) >= w.Bits() {
		a.fail(insn, "the bits exceed the register")
	}
	word := a.width(insn, w) | op | uint32(w&1)<<22 | uint32(immr&63)<<16 | uint32(imms&63)<<10
	a.emit(word | a.gp(insn, rn)<<5 | a.gp(insn, rd))
}

// shiftable checks the amount of a shift by a constant.
func (a *Assembler) shiftable(insn string, w Width, n uint8) bool {
	if int(n) < w.Bits() {
		return true
	}
	a.fail(insn, "a shift by %d exceeds the register", n)
	return false
}

// LslImm emits lsl rd, rn, #n for n below the width.
func (a *Assembler) LslImm(w Width, rd, rn Reg, n uint8) {
	if a.shiftable("lsl", w, n) {
		bits := uint8(w.Bits())
		a.bitfield("lsl", opUbfm, w, rd, rn, (bits-n)%bits, bits-1-n)
	}
}

// LsrImm emits lsr rd, rn, #n for n below the width.
func (a *Assembler) LsrImm(w Width, rd, rn Reg, n uint8) {
	a.bitfield("lsr", opUbfm, w, rd, rn, n, uint8(w.Bits()-1))
}

// AsrImm emits asr rd, rn, #n for n below the width.
func (a *Assembler) AsrImm(w Width, rd, rn Reg, n uint8) {
	a.bitfield("asr", opSbfm, w, rd, rn, n, uint8(w.Bits()-1))
}

// RorImm emits ror rd, rn, #n for n below the width.
func (a *Assembler) RorImm(w Width, rd, rn Reg, n uint8) { a.Extr(w, rd, rn, rn, n) }

// Extr emits extr rd, rn, rm, #lsb: a register's worth of bits of rn:rm from bit lsb of rm.
func (a *Assembler) Extr(w Width, rd, rn, rm Reg, lsb uint8) {
	if a.shiftable("extr", w, lsb) {
		a.three("extr", 0x13800000|uint32(w&1)<<22|uint32(lsb)<<10, w, rd, rn, rm)
	}
}

// field checks a bit field of width bits (at least one) from bit lsb.
func (a *Assembler) field(insn string, w Width, lsb, width uint8) bool {
	if width >= 1 && int(lsb)+int(width) <= w.Bits() {
		return true
	}
	a.fail(insn, "%d bits from bit %d exceed the register", width, lsb)
	return false
}

// extract emits a move of a bit field down to bit 0.
func (a *Assembler) extract(insn string, op uint32, w Width, rd, rn Reg, lsb, width uint8) {
	if a.field(insn, w, lsb, width) {
		a.bitfield(insn, op, w, rd, rn, lsb, lsb+width-1)
	}
}

// insert emits a move of the low bits up to bit lsb.
func (a *Assembler) insert(insn string, op uint32, w Width, rd, rn Reg, lsb, width uint8) {
	if a.field(insn, w, lsb, width) {
		bits := uint8(w.Bits())
		a.bitfield(insn, op, w, rd, rn, (bits-lsb)%bits, width-1)
	}
}

// Ubfx emits ubfx rd, rn, #lsb, #width: the field of rn, zero-extended.
func (a *Assembler) Ubfx(w Width, rd, rn Reg, lsb, width uint8) {
	a.extract("ubfx", opUbfm, w, rd, rn, lsb, width)
}

// Sbfx emits sbfx rd, rn, #lsb, #width: the field of rn, sign-extended.
func (a *Assembler) Sbfx(w Width, rd, rn Reg, lsb, width uint8) {
	a.extract("sbfx", opSbfm, w, rd, rn, lsb, width)
}

// Bfxil emits bfxil rd, rn, #lsb, #width: the field of rn into the low bits of rd; the others stay.
func (a *Assembler) Bfxil(w Width, rd, rn Reg, lsb, width uint8) {
	a.extract("bfxil", opBfm, w, rd, rn, lsb, width)
}

// Bfi emits bfi rd, rn, #lsb, #width: the low bits of rn into the field of rd; the others stay.
func (a *Assembler) Bfi(w Width, rd, rn Reg, lsb, width uint8) {
	a.insert("bfi", opBfm, w, rd, rn, lsb, width)
}

// Ubfiz emits ubfiz rd, rn, #lsb, #width: the low bits of rn at bit lsb, all others zero.
func (a *Assembler) Ubfiz(w Width, rd, rn Reg, lsb, width uint8) {
	a.insert("ubfiz", opUbfm, w, rd, rn, lsb, width)
}

// Sbfiz emits sbfiz rd, rn, #lsb, #width: the low bits of rn at bit lsb, sign-extended upward.
func (a *Assembler) Sbfiz(w Width, rd, rn Reg, lsb, width uint8) {
	a.insert("sbfiz", opSbfm, w, rd, rn, lsb, width)
}

// Uxtb emits uxtb rd, rn: the low 8 bits, zero-extended to 64.
func (a *Assembler) Uxtb(rd, rn Reg) { a.bitfield("uxtb", opUbfm, W32, rd, rn, 0, 7) }

// Uxth emits uxth rd, rn: the low 16 bits, zero-extended to 64.
func (a *Assembler) Uxth(rd, rn Reg) { a.bitfield("uxth", opUbfm, W32, rd, rn, 0, 15) }

// Uxtw emits mov wd, wn: the low 32 bits, zero-extended to 64.
func (a *Assembler) Uxtw(rd, rn Reg) { a.Orr(W32, rd, XZR, R(rn)) }

// Sxtb emits sxtb rd, rn: the low 8 bits, sign-extended to the width.
func (a *Assembler) Sxtb(w Width, rd, rn Reg) { a.bitfield("sxtb", opSbfm, w, rd, rn, 0, 7) }

// Sxth emits sxth rd, rn: the low 16 bits, sign-extended to the width.
func (a *Assembler) Sxth(w Width, rd, rn Reg) { a.bitfield("sxth", opSbfm, w, rd, rn, 0, 15) }

// Sxtw emits sxtw rd, rn: the low 32 bits, sign-extended to 64.
func (a *Assembler) Sxtw(rd, rn Reg) { a.bitfield("sxtw", opSbfm, W64, rd, rn, 0, 31) }
