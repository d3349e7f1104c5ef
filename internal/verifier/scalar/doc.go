// Package scalar is the numeric domain of the verifier: what is known about a register that
// holds a number. It computes bit for bit what Linux 6.18 computes (kernel/bpf/tnum.c and the
// bounds code of kernel/bpf/verifier.c), because which programs are accepted depends on it.
//
// A Scalar is five descriptions of the same 64-bit value: a Tnum (each bit is 0, 1 or unknown),
// its range read as unsigned and as signed, and the ranges of its low 32 bits, unsigned and
// signed. The value lies in all five at once. ALU computes one instruction; Branch decides a
// comparison where the ranges decide it; Refine narrows both operands by a comparison that is
// known to hold; Sync lets the five descriptions teach one another.
//
// Nothing here allocates, and operations work in place on pointers: they are the innermost loop
// of verification.
package scalar
