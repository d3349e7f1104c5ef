package arm64

// lse emits an atomic of the Large System Extensions (FEAT_LSE, Armv8.1).
func (a *Assembler) lse(insn string, op uint32, s Size, o Order, rs, rt, rn Reg) {
	if o > AcquireRelease {
		a.fail(insn, "there is no ordering %d", o)
	}
	word := a.size(insn, s) | 0x38200000 | op | uint32(o&3)<<22
	a.emit(word | a.gp(insn, rs)<<16 | a.gpSP(insn, rn)<<5 | a.gp(insn, rt))
}

// Ldadd emits ldadd rs, rt, [rn]: adds rs to memory; rt gets the old value. Needs FEAT_LSE, as do
// [Assembler.Ldclr], [Assembler.Ldeor], [Assembler.Ldset], [Assembler.Swp] and [Assembler.Cas].
func (a *Assembler) Ldadd(s Size, o Order, rs, rt, rn Reg) { a.lse("ldadd", 0, s, o, rs, rt, rn) }

// Ldclr emits ldclr rs, rt, [rn]: clears the bits of rs in memory; rt gets the old value.
func (a *Assembler) Ldclr(s Size, o Order, rs, rt, rn Reg) {
	a.lse("ldclr", 1<<12, s, o, rs, rt, rn)
}

// Ldeor emits ldeor rs, rt, [rn]: flips the bits of rs in memory; rt gets the old value.
func (a *Assembler) Ldeor(s Size, o Order, rs, rt, rn Reg) {
	a.lse("ldeor", 2<<12, s, o, rs, rt, rn)
}

// Ldset emits ldset rs, rt, [rn]: sets the bits of rs in memory; rt gets the old value.
func (a *Assembler) Ldset(s Size, o Order, rs, rt, rn Reg) {
	a.lse("ldset", 3<<12, s, o, rs, rt, rn)
}

// Swp emits swp rs, rt, [rn]: stores rs; rt gets the old value.
func (a *Assembler) Swp(s Size, o Order, rs, rt, rn Reg) { a.lse("swp", 8<<12, s, o, rs, rt, rn) }

// Cas emits cas rs, rt, [rn]: stores rt if memory equals rs; rs gets the old value.
func (a *Assembler) Cas(s Size, o Order, rs, rt, rn Reg) {
	if o > AcquireRelease {
		a.fail("cas", "there is no ordering %d", o)
	}
	acquire, release := uint32(o>>1&1), uint32(o&1)
	a.exclusive("cas", 0x08a00000|acquire<<22|release<<15, s, rs, rt, rn)
}

// exclusive emits an instruction of the exclusive and ordered group, which has an address without
// offset and a second transfer field that is 31.
func (a *Assembler) exclusive(insn string, op uint32, s Size, rs, rt, rn Reg) {
	word := a.size(insn, s) | op | 0x7c00
	a.emit(word | a.gp(insn, rs)<<16 | a.gpSP(insn, rn)<<5 | a.gp(insn, rt))
}

// Ldar emits ldar rt, [rn]: a load with acquire ordering, zero-extended.
func (a *Assembler) Ldar(s Size, rt, rn Reg) { a.exclusive("ldar", 0x08c08000, s, XZR, rt, rn) }

// Stlr emits stlr rt, [rn]: a store with release ordering.
func (a *Assembler) Stlr(s Size, rt, rn Reg) { a.exclusive("stlr", 0x08808000, s, XZR, rt, rn) }

// Ldxr emits ldxr rt, [rn]: a load that opens an exclusive access.
func (a *Assembler) Ldxr(s Size, rt, rn Reg) { a.exclusive("ldxr", 0x08400000, s, XZR, rt, rn) }

// Ldaxr emits ldaxr rt, [rn]: [Assembler.Ldxr] with acquire ordering.
func (a *Assembler) Ldaxr(s Size, rt, rn Reg) { a.exclusive("ldaxr", 0x08408000, s, XZR, rt, rn) }

// Stxr emits stxr rs, rt, [rn]: a store that closes an exclusive access; rs gets 0 when it was done
// and 1 otherwise. rs must differ from rt and rn.
func (a *Assembler) Stxr(s Size, rs, rt, rn Reg) { a.storeExclusive("stxr", 0x08000000, s, rs, rt, rn) }

// Stlxr emits stlxr rs, rt, [rn]: [Assembler.Stxr] with release ordering.
func (a *Assembler) Stlxr(s Size, rs, rt, rn Reg) {
	a.storeExclusive("stlxr", 0x08008000, s, rs, rt, rn)
}

func (a *Assembler) storeExclusive(insn string, op uint32, s Size, rs, rt, rn Reg) {
	if rs == rt || rs == rn {
		a.fail(insn, "the status register %v must differ from the others", rs)
	}
	a.exclusive(insn, op, s, rs, rt, rn)
}
