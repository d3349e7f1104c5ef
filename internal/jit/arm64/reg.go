package arm64

import "strconv"

// Reg is a general register. The width in which an instruction uses it is an operand of the
// instruction. XZR and SP share the encoding 31; they are told apart here, so that an instruction
// refuses the one that it cannot address.
type Reg uint8

// The general registers, the zero register and the stack pointer.
const (
	X0 Reg = iota
	X1
	X2
	X3
	X4
	X5
	X6
	X7
	X8
	X9
	X10
	X11
	X12
	X13
	X14
	X15
	X16
	X17
	X18
	X19
	X20
	X21
	X22
	X23
	X24
	X25
	X26
	X27
	X28
	X29
	X30
	XZR
	SP
)

// ReservedByGo says that code running below the Go runtime must not touch r: X18 (platform) and
// X28 (the goroutine, read by the signal handler).
func (r Reg) ReservedByGo() bool { return r == X18 || r == X28 }

// String gives the 64-bit name, such as "x7", "xzr" or "sp".
func (r Reg) String() string {
	switch {
	case r <= X30:
		return "x" + strconv.Itoa(int(r))
	case r == XZR:
		return "xzr"
	case r == SP:
		return "sp"
	}
	return "register " + strconv.Itoa(int(r))
}

// VReg is a SIMD register, V0 to V31.
type VReg uint8

// The SIMD registers.
const (
	V0 VReg = iota
	V1
	V2
	V3
	V4
	V5
	V6
	V7
	V8
	V9
	V10
	V11
	V12
	V13
	V14
	V15
	V16
	V17
	V18
	V19
	V20
	V21
	V22
	V23
	V24
	V25
	V26
	V27
	V28
	V29
	V30
	V31
)

// String gives the vector name, such as "v3".
func (v VReg) String() string { return "v" + strconv.Itoa(int(v)) }

// Width is the width in which an instruction uses general registers. A 32-bit instruction clears
// bits 63 to 32 of its destination.
type Width uint8

// The widths.
const (
	W32 Width = iota
	W64
)

// Bits is the number of bits, 32 or 64.
func (w Width) Bits() int { return 32 << (w & 1) }

// sf is the width bit of most instructions.
func (w Width) sf() uint32 { return uint32(w&1) << 31 }

// Size is the number of bytes that a memory access covers, as its binary logarithm.
type Size uint8

// The access sizes.
const (
	Size8 Size = iota
	Size16
	Size32
	Size64
)

// Bytes is the size in bytes: 1, 2, 4 or 8.
func (s Size) Bytes() int { return 1 << (s & 3) }

// Cond is a condition on the flags.
type Cond uint8

// The conditions. CS and CC are other names for HS and LO.
const (
	EQ Cond = iota
	NE
	HS
	LO
	MI
	PL
	VS
	VC
	HI
	LS
	GE
	LT
	GT
	LE
	CS = HS
	CC = LO
)

// Invert gives the condition that holds when c does not.
func (c Cond) Invert() Cond { return c ^ 1 }

func (c Cond) valid() bool { return c <= LE }

// String gives the assembler's name of the condition.
func (c Cond) String() string {
	if !c.valid() {
		return "condition " + strconv.Itoa(int(c))
	}
	return "eqnehslomiplvsvchilsgeltgtle"[2*c : 2*c+2]
}

// Shift is a shift applied to a register operand.
type Shift uint8

// The shifts. ROR is for logical instructions only.
const (
	LSL Shift = iota
	LSR
	ASR
	ROR
)

// Extend is a widening applied to a register operand or an index register.
type Extend uint8

// The extensions, as encoded. An index register takes UXTW, UXTX (plain), SXTW or SXTX.
const (
	UXTB Extend = iota
	UXTH
	UXTW
	UXTX
	SXTB
	SXTH
	SXTW
	SXTX
)

// Order is the memory ordering of an atomic instruction.
type Order uint8

// The orderings. An instruction that discards the value it read (destination XZR) does not acquire;
// the ordered forms of the kernel's atomics therefore keep a destination.
const (
	Relaxed Order = iota
	Release
	Acquire
	AcquireRelease
)
