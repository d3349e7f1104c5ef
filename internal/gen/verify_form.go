package gen

import (
	"github.com/carom-bpf/carom/internal/isa"
)

// tArith computes with pointers of all kinds.
func (b *vb) tArith() {
	k := ptr(1 + b.IntN(int(numPtrs)-1))
	if k == pkUninit || k == pkNull {
		k = pkFP
	}
	if !b.pointer(k, 7) {
		b.pointer(pkValue, 7)
	}
	class := one(b.Rand, uint8(isa.ClassALU64), isa.ClassALU64, isa.ClassALU64, isa.ClassALU)
	op := one(b.Rand, uint8(isa.ADD), isa.ADD, isa.ADD, isa.SUB, isa.SUB, isa.MUL, isa.DIV, isa.OR, isa.AND, isa.LSH, isa.RSH, isa.MOD, isa.XOR, isa.ARSH, isa.NEG, isa.END, isa.MOV)
	switch b.IntN(6) {
	case 0, 1:
		imm := b.imm()
		if op == isa.END {
			imm = 32
		}
		b.emit(class|op, 7, 0, 0, imm)
	case 2: // with an unbounded or bounded number
		b.scalar2(8)
		b.emit(class|op|isa.SrcReg, 7, 8, 0, 0)
	case 3: // the pointer on the right
		b.movImm(8, b.imm())
		b.emit(class|op|isa.SrcReg, 8, 7, 0, 0)
		b.mov(7, 8)
	case 4: // with another pointer
		b.mov(8, one(b.Rand, 6, isa.FP, 7))
		b.emit(class|op|isa.SrcReg, 7, 8, 0, 0)
	default: // far away
		for range 1 + b.IntN(2) {
			b.addImm(7, one(b.Rand, int32(1)<<28, 1<<29, 1<<29-1, -(1<<29), 0x7fffffff, 100, -100))
		}
	}
	if b.chance(60) {
		b.access(7, b.IntN(20)-4, b.size())
	}
}

// tCompare compares pointers.
func (b *vb) tCompare() {
	if k := b.anyPointer(); !b.pointer(k, 7) || k == pkUninit {
		b.mov(7, isa.FP)
	}
	op := one(b.Rand, uint8(isa.JEQ), isa.JNE, isa.JGT, isa.JGE, isa.JLT, isa.JLE, isa.JSGT, isa.JSET)
	class := one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP, isa.ClassJMP32)
	skip := b.label()
	if b.chance(40) {
		b.jmp(class|op, 7, 0, one(b.Rand, int32(0), 0, 1, -1), skip)
	} else {
		if k := b.anyPointer(); !b.pointer(k, 8) || k == pkUninit {
			b.mov(8, 6)
		}
		b.jmp(class|op|isa.SrcReg, 7, 8, 0, skip)
	}
	b.access(7, 0, isa.SizeB)
	b.bind(skip)
	if b.chance(30) {
		b.access(7, 0, isa.SizeB)
	}
}

// tReserved sets fields that must be zero, and makes instructions that do not exist.
func (b *vb) tReserved() {
	b.movImm(7, 1)
	b.movImm(8, 1)
	v := isa.Insn{Dst: 7}
	switch b.IntN(14) {
	case 0:
		v.Op, v.Src = isa.ClassALU64|one(b.Rand, uint8(isa.ADD), isa.MOV, isa.NEG, isa.END), 8
	case 1:
		v.Op, v.Off, v.Imm = isa.ClassALU64|one(b.Rand, uint8(isa.ADD), isa.XOR, isa.LSH, isa.MOV, isa.DIV), int16(b.IntN(5)), 1
	case 2:
		v.Op, v.Src, v.Imm = isa.ClassALU64|isa.SrcReg|one(b.Rand, uint8(isa.ADD), isa.MOV, isa.DIV), 8, b.imm()
	case 3:
		v.Op, v.Imm = one(b.Rand, uint8(isa.ClassALU), isa.ClassALU64)|isa.END|one(b.Rand, uint8(0), isa.SrcReg), b.imm()
	case 4:
		v.Op, v.Src, v.Off = one(b.Rand, uint8(isa.ClassALU), isa.ClassALU64)|isa.MOV|isa.SrcReg, 8, int16(b.IntN(40))
	case 5:
		v.Op = uint8(b.IntN(256))
		v.Src = uint8(b.IntN(11))
		if v.Op == isa.LDDW {
			v.Op = 0xff
		}
	case 6:
		v.Op, v.Dst = isa.ClassALU64|isa.MOV, uint8(11+b.IntN(5))
	case 7:
		v.Op, v.Src = isa.ClassALU64|isa.MOV|isa.SrcReg, uint8(11+b.IntN(5))
	case 8:
		v = isa.Insn{Op: isa.ClassJMP | isa.EXIT, Dst: uint8(b.IntN(2)), Src: uint8(b.IntN(2)), Imm: int32(b.IntN(2))}
	case 9:
		v = isa.Insn{Op: isa.ClassJMP | isa.CALL, Dst: uint8(b.IntN(2)), Off: int16(b.IntN(2)), Imm: 7}
	case 10:
		v.Op, v.Src, v.Imm = isa.ClassLDX|isa.ModeMEM|isa.SizeW, 6, int32(b.IntN(2))
	case 11:
		v = isa.Insn{Op: isa.ClassJMP | isa.JA, Dst: uint8(b.IntN(2)), Imm: int32(b.IntN(2))}
	case 12:
		v.Op, v.Src, v.Imm = one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP32)|isa.JEQ|one(b.Rand, uint8(0), isa.SrcReg), 8, b.imm()
	default:
		v.Op, v.Dst, v.Src, v.Off, v.Imm = isa.ClassSTX|isa.ModeATOMIC|isa.SizeDW, isa.FP, 8, -8, b.imm()
	}
	b.insns = append(b.insns, v)
}

// tJump jumps out of the program, into a wide load, or over code that nothing reaches.
func (b *vb) tJump() {
	switch b.IntN(9) {
	case 0:
		b.emit(isa.ClassJMP|isa.JA, 0, 0, one(b.Rand, 500, -500, 0x7fff, -2), 0)
	case 1:
		b.movImm(7, 0)
		b.emit(isa.ClassJMP|isa.JEQ, 7, 0, one(b.Rand, 500, -500, 1), b.imm())
		b.wide(8, 0, b.Uint64())
	case 2:
		b.emit(isa.ClassJMP|isa.JA, 0, 0, 1, 0)
		b.wide(8, 0, b.Uint64())
	case 3: // unreachable
		l := b.label()
		b.jump(l)
		b.movImm(7, 1)
		b.bind(l)
	case 4:
		b.ended = true // falls off the end
		b.movImm(0, 0)
	case 5:
		b.emit(isa.ClassJMP32|isa.JA, 0, 0, 0, one(b.Rand, int32(0), 1, -1, 10000, -10000))
	case 6: // unreachable on every path that is explored, though the graph has it
		b.movImm(7, 1)
		l := b.label()
		b.ifImm(isa.JEQ, 7, 1, l)
		b.load(isa.SizeW, 8, 9, 0)
		b.bind(l)
	case 7:
		if !b.mayGoto {
			b.emit(isa.ClassJMP|isa.CALL, 0, isa.CallLocal, 0, one(b.Rand, int32(-1), 1000, -1000, 0, 1, 2))
			b.calls = true
		}
	default:
		b.movImm(0, 0)
		b.exit()
	}
}

// tWide loads constants, maps and values of maps in all forms.
func (b *vb) tWide() {
	m := b.IntN(numVMaps)
	switch b.IntN(8) {
	case 0:
		b.wide(7, 0, b.Uint64())
	case 1:
		b.mapValue(7, m, one(b.Rand, 0, 63, 64, 1<<29, -1, 60))
	case 2, 3:
		b.wide(7, one(b.Rand, 7, 8, 15, isa.PseudoMapIdx), uint64(m)|1<<32)
	case 4:
		b.emit(isa.LDDW, 7, 0, 0, 1)
		b.emit(one(b.Rand, uint8(0), 0xb7), b.IntN(2), b.IntN(2), b.IntN(2), 1)
	case 5:
		b.emit(isa.LDDW, 7, 0, 1, 1)
		b.emit(0, 0, 0, 0, 1)
	case 6:
		b.emit(isa.ClassLD|isa.ModeIMM|one(b.Rand, uint8(isa.SizeW), isa.SizeH, isa.SizeB), 7, 0, 0, 1)
	default:
		b.mapValue(7, m, b.IntN(64))
	}
	if b.chance(50) {
		b.access(7, b.IntN(8), isa.SizeB)
	}
}
