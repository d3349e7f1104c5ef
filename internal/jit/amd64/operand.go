// Package amd64 is an assembler for the x86-64 instructions that a BPF compiler needs. It is
// plain Go without build tags: it writes bytes, and never runs them.
//
// An [Assembler] collects instructions. Method names end in the kinds of their operands, with
// the destination first as in Intel's manuals: R a register, M memory, I an immediate, CL the
// register of that name. So OpRM(Add, W64, RAX, At(RDI, 8)) is "add rax, qword ptr [rdi + 8]".
// Families of instructions that share an encoding are one method with the operation as a value,
// so that a compiler can keep them in tables.
//
// Every form takes the shortest encoding of exactly that instruction. Jumps are short where the
// distance allows, which [Assembler.Finish] finds out.
//
// A wrong operand never panics: the first mistake is kept, nothing is emitted for it, and Finish
// returns it as an [*EncodeError].
//
// Source of the encodings: Intel 64 and IA-32 Architectures Software Developer's Manual, volume
// 2. The tests compare them with llvm-mc.
package amd64

import "fmt"

// Reg is a general-purpose register, by its number in encodings. The width of an operand is
// said by the instruction: RAX with W32 is eax, RSP with W8 is spl (never ah).
type Reg uint8

// The general-purpose registers.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

var _ fmt.Stringer = RAX

// String returns the name of the 64-bit register.
func (r Reg) String() string { return r.Name(W64) }

// Name returns the name of the part of the register that an operand of the given width uses.
func (r Reg) Name(w Width) string {
	old := [...]string{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"}
	switch {
	case r > R15:
		return fmt.Sprintf("Reg(%d)", uint8(r))
	case r >= R8:
		return fmt.Sprintf("r%d", uint8(r)) + map[Width]string{W8: "b", W16: "w", W32: "d"}[w]
	case w == W8 && r < RSP:
		return old[r][:1] + "l"
	case w == W8:
		return old[r] + "l"
	case w == W16:
		return old[r]
	case w == W32:
		return "e" + old[r]
	}
	return "r" + old[r]
}

// Xmm is a 128-bit vector register, 0 to 15.
type Xmm uint8

// String returns the name of the register.
func (x Xmm) String() string { return fmt.Sprintf("xmm%d", uint8(x)) }

// Width is the size of an operand in bytes.
type Width uint8

// The widths of integer operands.
const (
	W8  Width = 1
	W16 Width = 2
	W32 Width = 4
	W64 Width = 8
)

// Sets of widths for checks. Each width is one bit.
const (
	anyWidth = W8 | W16 | W32 | W64
	notByte  = W16 | W32 | W64
	wide     = W32 | W64
)

// Cond is a condition on the flags, by its number in encodings.
type Cond uint8

// The conditions. Above and below compare unsigned numbers, greater and less signed ones.
const (
	CondO  Cond = iota // overflow
	CondNO             // no overflow
	CondB              // below; carry
	CondAE             // above or equal; no carry
	CondE              // equal; zero
	CondNE             // not equal; not zero
	CondBE             // below or equal
	CondA              // above
	CondS              // sign
	CondNS             // no sign
	CondP              // parity
	CondNP             // no parity
	CondL              // less
	CondGE             // greater or equal
	CondLE             // less or equal
	CondG              // greater
)

// Not returns the opposite condition.
func (c Cond) Not() Cond { return c ^ 1 }

// String returns the suffix of jcc, setcc and cmovcc.
func (c Cond) String() string {
	names := [...]string{"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("Cond(%d)", uint8(c))
}
