package arm64

// Mov emits mov rd, rm; either may be SP, or either XZR.
func (a *Assembler) Mov(w Width, rd, rm Reg) {
	if rd == SP || rm == SP {
		a.Add(w, rd, rm, Imm(0))
		return
	}
	a.Orr(w, rd, XZR, R(rm))
}

// Movz emits movz rd, #imm, lsl #shift: all other bits are zero.
func (a *Assembler) Movz(w Width, rd Reg, imm uint16, shift uint8) {
	a.moveWide("movz", 0x52800000, w, rd, imm, shift)
}

// Movn emits movn rd, #imm, lsl #shift: the complement of the shifted constant.
func (a *Assembler) Movn(w Width, rd Reg, imm uint16, shift uint8) {
	a.moveWide("movn", 0x12800000, w, rd, imm, shift)
}

// Movk emits movk rd, #imm, lsl #shift: all other bits stay.
func (a *Assembler) Movk(w Width, rd Reg, imm uint16, shift uint8) {
	a.moveWide("movk", 0x72800000, w, rd, imm, shift)
}

func (a *Assembler) moveWide(insn string, op uint32, w Width, rd Reg, imm uint16, shift uint8) {
	if shift%16 != 0 || int(shift) >= w.Bits() {
		a.fail(insn, "there is no shift by %d", shift)
	}
	a.emit(a.width(insn, w) | op | uint32(shift>>4&3)<<21 | uint32(imm)<<5 | a.gp(insn, rd))
}

// MovImm puts a constant into rd with as few instructions as possible: one movz, movn or orr, then
// movk for each 16 bits that are still wrong. For W32 bits 63 to 32 of v must be zero. A 64-bit
// constant below 1<<32 may be made with 32-bit instructions, which clear the upper half.
func (a *Assembler) MovImm(w Width, rd Reg, v uint64) {
	if w == W32 && v>>32 != 0 {
		a.fail("mov", "the constant %#x exceeds 32 bits", v)
		return
	}
	if rd > X30 {
		a.fail("mov", "%v cannot take a constant", rd)
		return
	}
	start, patch := planMov(w, v)
	start.emit(a, rd)
	for i := range uint8(4) {
		if patch>>i&1 != 0 {
			a.Movk(w, rd, chunk(v, i), 16*i)
		}
	}
}

// MovImmLen is the number of instructions that MovImm emits.
func MovImmLen(w Width, v uint64) int {
	_, patch := planMov(w, v)
	n := 1
	for ; patch != 0; patch &= patch - 1 {
		n++
	}
	return n
}

func chunk(v uint64, i uint8) uint16 { return uint16(v >> (16 * i)) }

type movKind uint8

const (
	movZero movKind = iota
	movNot
	movMask
)

// movStart is the first instruction of a constant.
type movStart struct {
	value uint64 // the constant of orr
	kind  movKind
	width Width
	imm   uint16
	shift uint8
}

func (s movStart) emit(a *Assembler, rd Reg) {
	switch s.kind {
	case movZero:
		a.Movz(s.width, rd, s.imm, s.shift)
	case movNot:
		a.Movn(s.width, rd, s.imm, s.shift)
	default:
		a.Orr(s.width, rd, XZR, Imm(s.value))
	}
}

// planMov finds the first instruction and the set of 16-bit chunks, as bits, to be patched by movk.
func planMov(w Width, v uint64) (movStart, uint8) {
	for count := 0; count <= 2; count++ {
		for patch := range uint8(16) {
			if ones4(patch) != count {
				continue
			}
			if s, ok := wideStart(w, v, patch); ok {
				return s, patch
			}
		}
		for patch := range uint8(16) {
			if ones4(patch) != count {
				continue
			}
			if s, ok := maskStart(w, v, patch); ok {
				return s, patch
			}
		}
	}
	return movStart{kind: movZero, width: w, imm: chunk(v, 0)}, 0b1110
}

func ones4(x uint8) int { return int(x&1 + x>>1&1 + x>>2&1 + x>>3&1) }

// wideStart looks for a movz or movn that gives v outside the chunks to be patched.
func wideStart(w Width, v uint64, patch uint8) (movStart, bool) {
	forms := [...]struct {
		kind  movKind
		width Width
		rest  uint64 // the chunks that the instruction does not set
	}{
		{movZero, w, 0},
		{movNot, w, ^uint64(0) >> (64 - uint(w.Bits()))},
		{movNot, W32, 0xffffffff},
	}
	for _, f := range forms {
		differ, at := 0, uint8(0)
		for i := range uint8(4) {
			if patch>>i&1 == 0 && chunk(v, i) != chunk(f.rest, i) {
				differ, at = differ+1, i
			}
		}
		if differ > 1 || 16*int(at) >= f.width.Bits() {
			continue
		}
		s := movStart{kind: f.kind, width: f.width, shift: 16 * at}
		if differ == 1 {
			s.imm = chunk(v, at)
			if f.kind == movNot {
				s.imm = ^s.imm
			}
		}
		return s, true
	}
	return movStart{}, false
}

// maskStart looks for an orr that gives v outside the chunks to be patched. A chunk to be patched
// may hold anything first; all zeros, all ones and the other chunks are the choices that can
// complete a bit mask where movz and movn do not help already.
func maskStart(w Width, v uint64, patch uint8) (movStart, bool) {
	fills := [...]uint16{0, 0xffff, chunk(v, 0), chunk(v, 1), chunk(v, 2), chunk(v, 3)}
	var free []uint8
	for i := range uint8(4) {
		if patch>>i&1 != 0 {
			free = append(free, i)
		}
	}
	total := 1
	for range free {
		total *= len(fills)
	}
	for n := range total {
		try := v
		for _, i := range free {
			try = try&^(0xffff<<(16*i)) | uint64(fills[n%len(fills)])<<(16*i)
			n /= len(fills)
		}
		if FitsLogical(w, try) {
			return movStart{kind: movMask, width: w, value: try}, true
		}
		if FitsLogical(W32, try) {
			return movStart{kind: movMask, width: W32, value: try}, true
		}
	}
	return movStart{}, false
}
