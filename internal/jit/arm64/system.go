package arm64

// Barrier is the domain of a dmb.
type Barrier uint8

// The barriers of the inner shareable domain: all accesses, loads before anything, and stores before
// stores.
const (
	ISHLD Barrier = 9
	ISHST Barrier = 10
	ISH   Barrier = 11
)

// SysReg is a system register that may be read, as its fields op0 to op2.
type SysReg uint16

// The system registers: the virtual counter, its frequency in Hz, and the thread pointer.
const (
	CNTFRQ_EL0 SysReg = 0xdf00
	CNTVCT_EL0 SysReg = 0xdf02
	TPIDR_EL0  SysReg = 0xde82
)

// Dmb emits dmb with the given domain.
func (a *Assembler) Dmb(b Barrier) {
	if b != ISHLD && b != ISHST && b != ISH {
		a.fail("dmb", "there is no barrier %d", b)
	}
	a.emit(0xd50330bf | uint32(b&15)<<8)
}

// Isb emits isb.
func (a *Assembler) Isb() { a.emit(0xd5033fdf) }

// Mrs emits mrs rt, reg.
func (a *Assembler) Mrs(rt Reg, reg SysReg) {
	if reg != CNTFRQ_EL0 && reg != CNTVCT_EL0 && reg != TPIDR_EL0 {
		a.fail("mrs", "the system register %#x is not known", uint16(reg))
	}
	a.emit(0xd5200000 | uint32(reg)<<5 | a.gp("mrs", rt))
}

// Nop emits nop.
func (a *Assembler) Nop() { a.emit(0xd503201f) }

// Brk emits brk #imm: a breakpoint trap.
func (a *Assembler) Brk(imm uint16) { a.emit(0xd4200000 | uint32(imm)<<5) }

// Udf emits udf #imm: an undefined instruction.
func (a *Assembler) Udf(imm uint16) { a.emit(uint32(imm)) }
