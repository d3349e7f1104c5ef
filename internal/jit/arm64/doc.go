// Package arm64 assembles AArch64 machine code for the JIT. It knows instructions, labels and
// encodings (Arm Architecture Reference Manual, DDI 0487, chapter C6 and C7) and nothing of BPF.
// It has no build tags: it compiles and is tested on every host.
//
// # Use
//
//	a := arm64.New(arm64.Near)
//	done := a.NewLabel()
//	a.Cbz(arm64.W64, arm64.X0, done)
//	a.Add(arm64.W64, arm64.X0, arm64.X0, arm64.Imm(1))
//	a.Bind(done)
//	a.Ret()
//	code, err := a.Finish()
//
// An instruction with bad operands is remembered and reported by [Assembler.Finish]; the methods
// that emit return nothing, so code generators need no check after each instruction.
//
// # Registers to leave alone
//
// Code that runs below a Go program must not touch two registers, not even for a moment, because a
// signal may arrive at any instruction:
//
//   - X18 belongs to the platform: Windows and Darwin keep thread state in it, and the Go
//     compiler never uses it.
//   - X28 holds the goroutine (g). The Go signal handler reads it.
//
// [Reg.ReservedByGo] names them. The assembler encodes them like any other register: only the code
// generator knows what code it makes.
package arm64
