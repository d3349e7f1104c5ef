package arm64

// B emits b label. It reaches 128 MiB.
func (a *Assembler) B(l Label) { a.emitTo("b", fixBranch26, 0x14000000, l) }

// Bl emits bl label: X30 gets the address of the next instruction. It reaches 128 MiB.
func (a *Assembler) Bl(l Label) { a.emitTo("bl", fixBranch26, 0x94000000, l) }

// Br emits br rn: a jump to the address in rn.
func (a *Assembler) Br(rn Reg) { a.emit(0xd61f0000 | a.gp("br", rn)<<5) }

// Blr emits blr rn: a call of the address in rn; X30 gets the address of the next instruction.
func (a *Assembler) Blr(rn Reg) { a.emit(0xd63f0000 | a.gp("blr", rn)<<5) }

// Ret emits ret: a return to the address in X30.
func (a *Assembler) Ret() { a.RetTo(X30) }

// RetTo emits ret rn: a return to the address in rn.
func (a *Assembler) RetTo(rn Reg) { a.emit(0xd65f0000 | a.gp("ret", rn)<<5) }

// BCond emits b.c label. It reaches 1 MiB, and 128 MiB in an assembler made with [Far].
func (a *Assembler) BCond(c Cond, l Label) {
	a.branch("b."+c.String(), fixImm19, 0x54000000|a.cond("b.cond", c), 1, l)
}

// Cbz emits cbz rt, label: branch if rt is zero. Reach as [Assembler.BCond].
func (a *Assembler) Cbz(w Width, rt Reg, l Label) {
	a.branch("cbz", fixImm19, 0x34000000|a.width("cbz", w)|a.gp("cbz", rt), 1<<24, l)
}

// Cbnz emits cbnz rt, label: branch if rt is not zero. Reach as [Assembler.BCond].
func (a *Assembler) Cbnz(w Width, rt Reg, l Label) {
	a.branch("cbnz", fixImm19, 0x35000000|a.width("cbnz", w)|a.gp("cbnz", rt), 1<<24, l)
}

// Tbz emits tbz rt, #bit, label: branch if the bit is zero. It reaches 32 KiB, and 128 MiB in an
// assembler made with [Far].
func (a *Assembler) Tbz(rt Reg, bit uint8, l Label) { a.testBranch("tbz", 0x36000000, rt, bit, l) }

// Tbnz emits tbnz rt, #bit, label: branch if the bit is one. Reach as [Assembler.Tbz].
func (a *Assembler) Tbnz(rt Reg, bit uint8, l Label) { a.testBranch("tbnz", 0x37000000, rt, bit, l) }

func (a *Assembler) testBranch(insn string, op uint32, rt Reg, bit uint8, l Label) {
	if bit > 63 {
		a.fail(insn, "there is no bit %d", bit)
	}
	a.branch(insn, fixImm14, op|uint32(bit>>5&1)<<31|uint32(bit&31)<<19|a.gp(insn, rt), 1<<24, l)
}

// branch emits a conditional branch; flipping the bit invert turns it into its opposite.
func (a *Assembler) branch(insn string, kind fixupKind, word, invert uint32, l Label) {
	if a.inReach(kind, l) {
		a.emitTo(insn, kind, word, l)
		return
	}
	const skip = 2 // words: over itself and the b
	a.emit(word ^ invert | skip<<5)
	a.B(l)
}

// Adr emits adr rd, label: the address of a label within 1 MiB.
func (a *Assembler) Adr(rd Reg, l Label) { a.emitTo("adr", fixAdr, 0x10000000|a.gp("adr", rd), l) }

// Adrp emits adrp rd, #pages*4096: the address of the 4 KiB page of this instruction plus that many
// pages, -1<<20 to 1<<20-1. What it gives depends on where the code is placed.
func (a *Assembler) Adrp(rd Reg, pages int32) {
	if pages < -1<<20 || pages >= 1<<20 {
		a.fail("adrp", "%d pages are out of range", pages)
	}
	p := uint32(pages) & 0x1fffff
	a.emit(0x90000000 | p&3<<29 | p>>2<<5 | a.gp("adrp", rd))
}
