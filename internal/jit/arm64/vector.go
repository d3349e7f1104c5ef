package arm64

// Lane is the size of the elements of a 16-byte vector.
type Lane uint8

// The lanes: 16 of 8 bits, 8 of 16, 4 of 32, 2 of 64.
const (
	LaneB Lane = iota
	LaneH
	LaneS
	LaneD
)

const logSizeQ = 4

func (a *Assembler) lane(insn string, l, top Lane) uint32 {
	if l > top {
		a.fail(insn, "the lane %d is not possible", l)
	}
	return uint32(l & 3)
}

// LdrQ emits ldr qt, m: a load of 16 bytes.
func (a *Assembler) LdrQ(vt VReg, m Mem) {
	a.address("ldr q", 0x04c00000|a.vec("ldr q", vt), logSizeQ, m)
}

// StrQ emits str qt, m: a store of 16 bytes.
func (a *Assembler) StrQ(vt VReg, m Mem) {
	a.address("str q", 0x04800000|a.vec("str q", vt), logSizeQ, m)
}

// LdpQ emits ldp qt, qt2, m: a load of 32 bytes; the offset is a multiple of 16 from -1024 to 1008.
func (a *Assembler) LdpQ(vt, vt2 VReg, m Mem) {
	if vt == vt2 {
		a.fail("ldp q", "%v is loaded twice", vt)
	}
	a.pairAddress("ldp q", 0x84400000|a.vec("ldp q", vt2)<<10|a.vec("ldp q", vt), logSizeQ, m)
}

// StpQ emits stp qt, qt2, m: a store of 32 bytes, with offsets as [Assembler.LdpQ].
func (a *Assembler) StpQ(vt, vt2 VReg, m Mem) {
	a.pairAddress("stp q", 0x84000000|a.vec("stp q", vt2)<<10|a.vec("stp q", vt), logSizeQ, m)
}

func (a *Assembler) vec3(insn string, op uint32, vd, vn, vm VReg) {
	a.emit(op | a.vec(insn, vm)<<16 | a.vec(insn, vn)<<5 | a.vec(insn, vd))
}

// AndV emits and vd.16b, vn.16b, vm.16b.
func (a *Assembler) AndV(vd, vn, vm VReg) { a.vec3("and v", 0x4e201c00, vd, vn, vm) }

// OrrV emits orr vd.16b, vn.16b, vm.16b; with vn equal to vm it is a move.
func (a *Assembler) OrrV(vd, vn, vm VReg) { a.vec3("orr v", 0x4ea01c00, vd, vn, vm) }

// EorV emits eor vd.16b, vn.16b, vm.16b.
func (a *Assembler) EorV(vd, vn, vm VReg) { a.vec3("eor v", 0x6e201c00, vd, vn, vm) }

// CmeqV emits cmeq of two vectors: all ones in each lane that is equal, zero elsewhere.
func (a *Assembler) CmeqV(l Lane, vd, vn, vm VReg) {
	a.vec3("cmeq v", 0x6e208c00|a.lane("cmeq v", l, LaneD)<<22, vd, vn, vm)
}

// UmaxpV emits umaxp: the larger of each pair of neighbouring lanes of vn, then of vm.
func (a *Assembler) UmaxpV(l Lane, vd, vn, vm VReg) {
	a.vec3("umaxp v", 0x6e20a400|a.lane("umaxp v", l, LaneS)<<22, vd, vn, vm)
}

// UmaxvV emits umaxv: the largest lane of vn into the lowest lane of vd, all else zero.
func (a *Assembler) UmaxvV(l Lane, vd, vn VReg) {
	a.emit(0x6e30a800 | a.lane("umaxv", l, LaneS)<<22 | a.vec("umaxv", vn)<<5 | a.vec("umaxv", vd))
}

// UminvV emits uminv: the smallest lane of vn into the lowest lane of vd, all else zero.
func (a *Assembler) UminvV(l Lane, vd, vn VReg) {
	a.emit(0x6e31a800 | a.lane("uminv", l, LaneS)<<22 | a.vec("uminv", vn)<<5 | a.vec("uminv", vd))
}

// ZeroV emits movi vd.2d, #0.
func (a *Assembler) ZeroV(vd VReg) { a.emit(0x6f00e400 | a.vec("movi", vd)) }

// Umov emits umov rd, vn.lane[i]: one lane, zero-extended to 64 bits.
func (a *Assembler) Umov(l Lane, rd Reg, vn VReg, i uint8) {
	lane := a.lane("umov", l, LaneD)
	if int(i) >= 16>>lane {
		a.fail("umov", "there is no lane %d", i)
	}
	word := uint32(0x0e003c00)
	if l == LaneD {
		word |= 1 << 30
	}
	a.emit(word | (uint32(i&15)<<(lane+1)|1<<lane)&31<<16 | a.vec("umov", vn)<<5 | a.gp("umov", rd))
}

// FmovToGP emits fmov rd, sn or dn: the low 32 or 64 bits of a vector into a general register.
func (a *Assembler) FmovToGP(w Width, rd Reg, vn VReg) {
	a.emit(fmovWidth(w) | a.width("fmov", w) | 0x1e260000 | a.vec("fmov", vn)<<5 | a.gp("fmov", rd))
}

// FmovFromGP emits fmov sd or dd, rn: a general register into the low bits of a vector, all else zero.
func (a *Assembler) FmovFromGP(w Width, vd VReg, rn Reg) {
	a.emit(fmovWidth(w) | a.width("fmov", w) | 0x1e270000 | a.gp("fmov", rn)<<5 | a.vec("fmov", vd))
}

// fmovWidth is the floating-point type field: single for W32 and double for W64.
func fmovWidth(w Width) uint32 { return uint32(w&1) << 22 }
