// Package isa describes the BPF instruction set as RFC 9669 and Linux define it:
// the 8-byte encoding, the opcode fields and the text form that bpftool prints.
//
// A program is a []Insn with one entry for every 8-byte slot, so an index into it
// is the instruction number that Linux, bpftool and the verifier log use. A wide
// instruction (lddw) takes two entries; the second has opcode 0 and carries the
// upper half of the immediate.
package isa

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// InsnSize is the length of one instruction slot in bytes (RFC 9669, section 3).
const InsnSize = 8

// Insn is one instruction slot exactly as encoded (struct bpf_insn, include/uapi/linux/bpf.h).
type Insn struct {
	Op  uint8 // class, and operation/source or mode/size
	Dst uint8 // destination register, 0 to 15 as encoded
	Src uint8 // source register or pseudo source, 0 to 15 as encoded
	Off int16 // offset in slots or bytes; selects extended forms of ALU operations
	Imm int32
}

// Instruction classes, the low three bits of the opcode (RFC 9669, table 2).
const (
	ClassLD    = 0x00
	ClassLDX   = 0x01
	ClassST    = 0x02
	ClassSTX   = 0x03
	ClassALU   = 0x04
	ClassJMP   = 0x05
	ClassJMP32 = 0x06
	ClassALU64 = 0x07
)

// SrcReg is the source bit of ALU and JMP opcodes: set for a register, clear for the immediate.
const SrcReg = 0x08

// ALU operations, the high four bits of an ALU or ALU64 opcode (RFC 9669, section 4.1).
const (
	ADD  = 0x00
	SUB  = 0x10
	MUL  = 0x20
	DIV  = 0x30 // signed when Off is 1
	OR   = 0x40
	AND  = 0x50
	LSH  = 0x60
	RSH  = 0x70
	NEG  = 0x80
	MOD  = 0x90 // signed when Off is 1
	XOR  = 0xa0
	MOV  = 0xb0 // sign-extending when Off is 8, 16 or 32
	ARSH = 0xc0
	END  = 0xd0 // byte order conversion; width in Imm
)

// Jump operations, the high four bits of a JMP or JMP32 opcode (RFC 9669, section 4.3).
const (
	JA    = 0x00
	JEQ   = 0x10
	JGT   = 0x20
	JGE   = 0x30
	JSET  = 0x40
	JNE   = 0x50
	JSGT  = 0x60
	JSGE  = 0x70
	CALL  = 0x80
	EXIT  = 0x90
	JLT   = 0xa0
	JLE   = 0xb0
	JSLT  = 0xc0
	JSLE  = 0xd0
	JCOND = 0xe0 // may_goto (include/uapi/linux/bpf.h, BPF_JCOND)
)

// Sizes of memory accesses (RFC 9669, table 11).
const (
	SizeW  = 0x00
	SizeH  = 0x08
	SizeB  = 0x10
	SizeDW = 0x18
)

// Modes of load and store opcodes (RFC 9669, table 10).
const (
	ModeIMM    = 0x00
	ModeABS    = 0x20
	ModeIND    = 0x40
	ModeMEM    = 0x60
	ModeMEMSX  = 0x80
	ModeATOMIC = 0xc0
)

// Atomic operations, in Imm of an atomic store (RFC 9669, section 5.3, and BPF_LOAD_ACQ,
// BPF_STORE_REL of include/uapi/linux/bpf.h). Fetch is OR-ed to add, or, and, xor.
const (
	AtomicADD      = 0x00
	AtomicOR       = 0x40
	AtomicAND      = 0x50
	AtomicXOR      = 0xa0
	AtomicFetch    = 0x01
	AtomicXCHG     = 0xe1
	AtomicCMPXCHG  = 0xf1
	AtomicLoadAcq  = 0x100
	AtomicStoreRel = 0x110
)

// Pseudo sources of the wide load (RFC 9669, section 5.4, and include/uapi/linux/bpf.h).
const (
	PseudoMapFD       = 1
	PseudoMapValue    = 2
	PseudoBTFID       = 3
	PseudoFunc        = 4
	PseudoMapIdx      = 5
	PseudoMapIdxValue = 6
)

// Pseudo sources of a call (RFC 9669, section 4.3.1).
const (
	CallHelper = 0
	CallLocal  = 1 // a subprogram at a relative offset
	CallKfunc  = 2 // BPF_PSEUDO_KFUNC_CALL
)

// LDDW is the opcode of the wide load, the only instruction of two slots.
const LDDW = ClassLD | ModeIMM | SizeDW

// FP is the register that holds the frame pointer, which programs cannot write.
const FP = 10

// ErrTruncated says that a byte stream does not end at an instruction boundary.
var ErrTruncated = errors.New("truncated instruction stream")

// Class returns the instruction class.
func (i Insn) Class() uint8 { return i.Op & 0x07 }

// IsWide reports whether the instruction takes two slots.
func (i Insn) IsWide() bool { return i.Op == LDDW }

// Imm64 joins the immediates of a wide load and its second slot.
func (i Insn) Imm64(second Insn) uint64 {
	return uint64(uint32(i.Imm)) | uint64(uint32(second.Imm))<<32
}

// Decode splits little-endian code into slots. It fails with ErrTruncated when the length is
// not a multiple of InsnSize; it does not judge the instructions.
func Decode(code []byte) ([]Insn, error) {
	if len(code)%InsnSize != 0 {
		return nil, fmt.Errorf("%d bytes are not a multiple of %d: %w", len(code), InsnSize, ErrTruncated)
	}
	out := make([]Insn, len(code)/InsnSize)
	for n := range out {
		b := code[n*InsnSize:]
		out[n] = Insn{
			Op:  b[0],
			Dst: b[1] & 0x0f,
			Src: b[1] >> 4,
			Off: int16(binary.LittleEndian.Uint16(b[2:])),
			Imm: int32(binary.LittleEndian.Uint32(b[4:])),
		}
	}
	return out, nil
}

// Encode is the inverse of Decode.
func Encode(insns []Insn) []byte {
	out := make([]byte, 0, len(insns)*InsnSize)
	for _, i := range insns {
		out = append(out, i.Op, i.Dst&0x0f|i.Src<<4)
		out = binary.LittleEndian.AppendUint16(out, uint16(i.Off))
		out = binary.LittleEndian.AppendUint32(out, uint32(i.Imm))
	}
	return out
}
