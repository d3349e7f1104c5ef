// Package asm reads BPF programs in the syntax in which Linux prints them: the verifier log
// and bpftool prog dump xlated. What isa.Disassemble prints can be read back; a dump can be
// pasted with its instruction numbers and opcodes.
//
// One instruction, label or directive stands on a line; ; and // begin a comment, and so does
// # after white space. Beside the instructions of the kernel's text there are:
//
//	name:                        a label; goto, gotol, may_goto, if and call take its name
//	[static|global] func name [(type name, ...)] [type]
//	                             starts a subprogram; its type is int (void *) unless given
//	call bpf_map_lookup_elem     a helper by name; call 1 by number
//	call name                    a subprogram: a func or a label
//	call kfunc:name              a kernel function, by name or BTF id
//	callx r2, gotox r2           a call or jump through a register
//	r1 = 5 ll                    a wide load; without ll it is a move
//	r1 = map[name] ll            the address of a map
//	r1 = map[name][0]+8 ll       the address of byte 8 of the value of a map with one element
//	r1 = func[name] ll           the address of a subprogram
//	lddw r1, 3, 0x1122334455     a wide load with any pseudo source
//	raw 0x07 1 0 -1 5            any slot: opcode, dst, src, off, imm
//
// Registers of 32-bit loads, stores and atomics may be written w0 to w10, as LLVM prints them.
// Labels belong to the function they stand in; other functions see them when they are unique.
package asm
