package gen

import "github.com/carom-bpf/carom/internal/isa"

// narrow changes what is known of a number by one instruction or branch. tmp may be written.
func (b *vb) narrow(r, tmp int) {
	class := one(b.Rand, uint8(isa.ClassALU64), isa.ClassALU64, isa.ClassALU)
	bits := 64
	if class == isa.ClassALU {
		bits = 32
	}
	switch b.IntN(20) {
	case 0, 1, 2:
		b.emit(class|isa.AND, r, 0, 0, one(b.Rand, int32(1), 3, 7, 15, 31, 63, 127, 255, 0x3c, 0x38, -8, -16, 0x1f0, b.imm()))
	case 3:
		b.emit(class|one(b.Rand, uint8(isa.RSH), isa.LSH, isa.ARSH), r, 0, 0, int32(b.IntN(bits)))
	case 4:
		b.emit(class|one(b.Rand, uint8(isa.RSH), isa.LSH, isa.ARSH), r, 0, 0, one(b.Rand, int32(1), 2, 3, 8, 16, int32(bits)-1, int32(bits)-8, int32(bits)-6))
	case 5, 6:
		b.emit(class|one(b.Rand, uint8(isa.ADD), isa.SUB), r, 0, 0, int32(b.IntN(200)-100))
	case 7:
		b.emit(class|one(b.Rand, uint8(isa.ADD), isa.SUB, isa.OR, isa.XOR, isa.AND, isa.MUL), r, 0, 0, b.imm())
	case 8:
		b.emit(class|isa.MUL, r, 0, 0, one(b.Rand, int32(2), 3, 4, 8, -1, 5))
	case 9:
		b.emit(class|isa.NEG, r, 0, 0, 0)
	case 10:
		v := int32(1 + b.IntN(60))
		if b.chance(20) {
			v = -v
		}
		b.emit(class|one(b.Rand, uint8(isa.DIV), isa.MOD), r, 0, b.IntN(2), v)
	case 11:
		if class == isa.ClassALU64 {
			b.emit(class|isa.MOV|isa.SrcReg, r, r, one(b.Rand, 8, 16, 32, 0), 0)
		} else {
			b.emit(class|isa.MOV|isa.SrcReg, r, r, one(b.Rand, 8, 16, 0), 0)
		}
	case 12:
		// byte order: to little endian, to big endian, unconditional swap
		b.emit(one(b.Rand, uint8(isa.ClassALU|isa.END), isa.ClassALU|isa.END|isa.SrcReg, isa.ClassALU64|isa.END), r, 0, 0, one(b.Rand, int32(16), 32, 64))
	case 13, 14, 15, 16:
		b.compare(r, tmp)
	case 17:
		b.scalar2(tmp)
		b.emit(class|isa.SrcReg|one(b.Rand, uint8(isa.ADD), isa.SUB, isa.OR, isa.XOR, isa.AND, isa.MUL, isa.LSH, isa.RSH, isa.ARSH, isa.DIV, isa.MOD), r, tmp, 0, 0)
	default:
		b.bound(r, int32(b.IntN(80)))
	}
}

// scalar2 loads a bounded number without a call.
func (b *vb) scalar2(r int) {
	switch b.IntN(3) {
	case 0:
		b.movImm(r, b.imm())
	default:
		b.mapValue(r, vmBSS, 8*b.IntN(8))
		b.load(b.size(), r, r, 0)
		switch b.IntN(3) {
		case 0:
			b.aluImm(isa.AND, r, int32(1)<<b.IntN(8)-1)
		case 1:
			b.bound(r, int32(b.IntN(80)))
		}
	}
}

// compare leaves on one side of a comparison, which narrows r on the other.
func (b *vb) compare(r, tmp int) {
	class := one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP32)
	op := one(b.Rand, uint8(isa.JEQ), isa.JGT, isa.JGE, isa.JSET, isa.JNE, isa.JSGT, isa.JSGE, isa.JLT, isa.JLE, isa.JSLT, isa.JSLE)
	imm := b.imm()
	if b.chance(60) {
		imm = int32(b.IntN(130) - 40)
	}
	to := b.out()
	skip := b.chance(40)
	if skip {
		to = b.label()
	}
	if b.chance(25) && tmp != r {
		b.scalar2(tmp)
		b.jmp(class|op|isa.SrcReg, r, tmp, 0, to)
	} else {
		b.jmp(class|op, r, 0, imm, to)
	}
	if !skip {
		return
	}
	// The branch that falls through leaves, or goes on with another number.
	switch b.IntN(3) {
	case 0:
		b.movImm(r, b.imm()%64)
	case 1:
		b.narrowPlain(r)
	default:
		b.movImm(0, b.k.ret[0])
		b.exit()
	}
	b.bind(to)
}

// narrowPlain is an operation without branches.
func (b *vb) narrowPlain(r int) {
	b.emit(one(b.Rand, uint8(isa.ClassALU64), isa.ClassALU)|one(b.Rand, uint8(isa.AND), isa.ADD, isa.RSH, isa.OR), r, 0, 0, int32(b.IntN(31)))
}

// bound leaves when a number is above a limit, in one of the forms of the comparison.
func (b *vb) bound(r int, limit int32) {
	class := uint8(isa.ClassJMP)
	if b.chance(15) {
		class = isa.ClassJMP32
	}
	switch b.IntN(6) {
	case 0, 1:
		b.jmp(class|isa.JGT, r, 0, limit, b.out())
	case 2:
		b.jmp(class|isa.JGE, r, 0, limit+1, b.out())
	case 3:
		skip := b.label()
		b.jmp(class|isa.JLE, r, 0, limit, skip)
		b.jump(b.out())
		b.bind(skip)
	case 4:
		b.jmp(class|isa.JSGT, r, 0, limit, b.out())
		if b.chance(80) {
			b.jmp(class|isa.JSLT, r, 0, int32(-b.IntN(2)*b.IntN(4)), b.out())
		}
	default:
		b.emit(isa.ClassALU64|isa.AND, r, 0, 0, limit)
	}
}

// tRange adds a number to the address of a map value and accesses the result.
func (b *vb) tRange() {
	size := b.size()
	value, m := 64, vmBSS
	if b.chance(30) {
		value, m = 4096, vmBig
	}
	idx, base := 7, 8
	b.scalar(idx)
	for range b.IntN(5) {
		b.narrow(idx, 9)
	}
	lookup := b.chance(25)
	if lookup {
		value = 48
	}
	room := value - bytesOf(size)
	if b.chance(80) {
		delta := 0
		if b.chance(35) {
			delta = one(b.Rand, 1, 1, 2, -1, 8, 100)
		}
		b.bound(idx, int32(room+delta))
	}
	for range b.IntN(2) {
		b.narrow(idx, 9)
	}
	if lookup {
		b.pointer(pkValue, base)
	} else {
		b.mapValue(base, m, 0)
	}
	off := 0
	switch b.IntN(5) {
	case 0:
		off = b.IntN(16) - 8
	case 1:
		b.addImm(base, int32(b.IntN(24)-8))
	}
	switch b.IntN(8) {
	case 0:
		b.alu(isa.SUB, base, idx)
	case 1:
		b.alu(isa.ADD, idx, base)
		base = idx
	default:
		b.alu(isa.ADD, base, idx)
	}
	if b.chance(25) { // a second number
		b.scalar2(9)
		b.narrow(9, 5)
		b.alu(isa.ADD, base, 9)
	}
	b.access(base, off, size)
}

// tLinked narrows a number through a copy of it.
func (b *vb) tLinked() {
	b.scalar(7)
	for range b.IntN(3) {
		b.narrow(7, 9)
	}
	copyOp := uint8(isa.ClassALU64 | isa.MOV | isa.SrcReg)
	if b.chance(25) {
		copyOp = isa.ClassALU | isa.MOV | isa.SrcReg
	}
	spilled := b.chance(30)
	if spilled {
		b.store(one(b.Rand, uint8(isa.SizeDW), isa.SizeDW, isa.SizeW), isa.FP, -8, 7)
	} else {
		b.emit(copyOp, 8, 7, 0, 0)
	}
	for range b.IntN(3) {
		b.emit(one(b.Rand, uint8(isa.ClassALU64), isa.ClassALU)|one(b.Rand, uint8(isa.ADD), isa.ADD, isa.SUB), 7, 0, 0, int32(b.IntN(20)-6))
	}
	if !spilled && b.chance(40) {
		b.emit(one(b.Rand, uint8(isa.ClassALU64), isa.ClassALU)|isa.ADD, 8, 0, 0, int32(b.IntN(20)-6))
	}
	for range 1 + b.IntN(2) {
		b.bound(7, int32(b.IntN(70)))
	}
	if spilled {
		b.load(one(b.Rand, uint8(isa.SizeDW), isa.SizeDW, isa.SizeW), 8, isa.FP, -8)
	}
	b.mapValue(9, vmBSS, b.IntN(8))
	b.alu(isa.ADD, 9, one(b.Rand, 7, 8, 8))
	b.access(9, -b.IntN(4), b.size())
}

// tPrecision decides on an index in branches that meet again before it is used.
func (b *vb) tPrecision() {
	b.scalar(9)
	n := 2 + b.IntN(2)
	b.movImm(7, int32(b.IntN(60)))
	if b.chance(50) {
		b.movImm(8, int32(b.IntN(60)))
	} else {
		b.scalar2(8)
	}
	for range n {
		skip := b.label()
		b.jmp(one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP32)|one(b.Rand, uint8(isa.JEQ), isa.JGT, isa.JSET, isa.JSLT), 9, 0, b.imm(), skip)
		switch b.IntN(6) {
		case 0, 1:
			b.movImm(7, int32(b.IntN(70)))
		case 2:
			b.addImm(7, int32(b.IntN(20)-4))
		case 3:
			b.mov(7, 8)
		case 4:
			b.store(isa.SizeDW, isa.FP, -8, 7)
			b.movImm(7, int32(b.IntN(8)))
			b.load(isa.SizeDW, 8, isa.FP, -8)
		case 5:
			b.alu(one(b.Rand, uint8(isa.ADD), isa.AND, isa.XOR), 7, 8)
		}
		b.bind(skip)
	}
	if b.chance(30) {
		b.store(isa.SizeDW, isa.FP, -16, 7)
		b.movImm(7, 0)
		b.load(isa.SizeDW, 7, isa.FP, -16)
	}
	if b.chance(50) {
		b.bound(7, int32(b.IntN(70)))
	}
	b.mapValue(5, vmBSS, 0)
	b.alu(isa.ADD, 5, 7)
	b.access(5, 0, b.size())
}

// tDiv divides by a number that may be zero, or shifts too far.
func (b *vb) tDiv() {
	b.scalar(7)
	b.narrow(7, 8)
	class := one(b.Rand, uint8(isa.ClassALU64), isa.ClassALU)
	op := one(b.Rand, uint8(isa.DIV), isa.MOD, isa.LSH, isa.RSH, isa.ARSH)
	switch b.IntN(3) {
	case 0:
		b.scalar2(8)
		b.emit(class|op|isa.SrcReg, 7, 8, 0, 0)
	case 1:
		b.emit(class|op, 7, 0, 0, one(b.Rand, int32(0), 32, 64, -1, 1, 31, 63, 33))
	default:
		b.emit(class|one(b.Rand, uint8(isa.DIV), isa.MOD), 7, 0, 1, one(b.Rand, int32(0), -1, 1, 7, -5, 3))
	}
	b.mapValue(9, vmBSS, 0)
	b.bound(7, int32(b.IntN(64)))
	b.alu(isa.ADD, 9, 7)
	b.access(9, 0, isa.SizeB)
}
