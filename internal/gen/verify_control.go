package gen

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// tLoop repeats something: a bounded number of times, without end, or until may_goto ends it.
func (b *vb) tLoop() {
	n := int32(1 + b.IntN(20))
	b.movImm(8, 0)
	index := b.chance(50)
	switch b.IntN(8) {
	case 0: // counts down
		b.movImm(8, n)
		top := b.label()
		b.bind(top)
		b.loopBody(8, index)
		b.addImm(8, -1)
		b.jmp(one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP32)|one(b.Rand, uint8(isa.JNE), isa.JSGT), 8, 0, 0, top)
	case 1: // the bound is not known
		b.scalar(9)
		b.bound(9, n)
		top, end := b.label(), b.label()
		b.bind(top)
		b.ifReg(isa.JGE, 8, 9, end)
		b.loopBody(8, index)
		b.addImm(8, 1)
		b.jump(top)
		b.bind(end)
	case 2: // never ends
		top := b.label()
		b.bind(top)
		b.loopBody(7, false)
		if b.chance(50) {
			b.jump(top)
			b.ended = b.chance(50)
		} else {
			b.scalar2(9)
			b.ifImm(isa.JNE, 9, 0, top)
		}
	case 3:
		if b.calls || len(b.queue) > 0 || b.inSub {
			return
		}
		b.mayGoto = true
		top, end := b.label(), b.label()
		b.bind(top)
		b.jmp(isa.ClassJMP|isa.JCOND, 0, 0, 0, end)
		b.loopBody(8, index)
		b.addImm(8, 1)
		if b.chance(70) {
			b.ifImm(isa.JLT, 8, n, top)
		} else {
			b.jump(top)
		}
		b.bind(end)
	default: // counts up
		step := int32(1 + b.IntN(3))
		top := b.label()
		b.bind(top)
		b.loopBody(8, index)
		b.addImm(8, step)
		b.jmp(one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP32)|one(b.Rand, uint8(isa.JLT), isa.JSLT, isa.JLE, isa.JNE), 8, 0, n*step, top)
	}
	if b.chance(30) {
		b.mapValue(5, vmBSS, 0)
		b.alu(isa.ADD, 5, 8)
		b.access(5, 0, isa.SizeB)
	}
}

// loopBody does a little, perhaps with the counter as an index.
func (b *vb) loopBody(counter int, index bool) {
	if index {
		b.mapValue(5, vmBSS, 0)
		b.alu(isa.ADD, 5, counter)
		b.access(5, 0, isa.SizeB)
	}
	switch b.IntN(5) {
	case 0:
		b.addImm(7, 1)
	case 1:
		skip := b.label()
		b.scalar(0)
		b.ifImm(isa.JGT, 0, int32(b.IntN(10)), skip)
		b.addImm(7, 2)
		b.bind(skip)
	case 2:
		b.store(isa.SizeDW, isa.FP, -8, counter)
	case 3:
		b.movImm(7, b.imm())
	}
}

// tSubprog calls a static function.
func (b *vb) tSubprog() {
	if b.mayGoto {
		return
	}
	kind := b.IntN(8)
	fn := one(b.Rand, vfStatic, vfStatic, vfStaticU64)
	b.scalar(7)
	b.narrow(7, 8)
	limit := int32(b.IntN(70))
	l := b.sub(fn, func() { b.staticBody(kind, limit) })
	b.storeImm(isa.SizeDW, isa.FP, -8, b.imm())
	switch kind {
	case 0, 1:
		b.mov(1, 7)
	case 2:
		b.mov(1, isa.FP)
		b.addImm(1, -8)
	case 3:
		b.mapValue(1, vmBSS, 0)
	case 4:
		b.mov(1, 6)
	case 5:
		if !b.pointer(one(b.Rand, pkPkt, pkOrNull, pkPktChecked), 1) {
			b.movImm(1, 3)
		}
	case 6: // an argument is missing
		b.helper(linux.FuncGetPrandomU32)
	default:
		b.mov(1, 7)
		b.mov(2, 6)
	}
	b.call(l)
	switch b.IntN(4) {
	case 0:
		b.load(isa.SizeW, 9, 1, 0)
	case 1, 2:
		b.mapValue(5, vmBSS, 0)
		b.alu(isa.ADD, 5, 0)
		b.access(5, 0, isa.SizeB)
	default:
		b.load(isa.SizeDW, 9, isa.FP, -8)
		b.mapValue(5, vmBSS, 0)
		b.alu(isa.ADD, 5, one(b.Rand, 9, 7))
		b.access(5, 0, isa.SizeB)
	}
}

// staticBody is what the functions of tSubprog do.
func (b *vb) staticBody(kind int, limit int32) {
	b.inSub = true
	defer func() { b.inSub = false }()
	out := b.label()
	switch kind {
	case 0, 1:
		b.mov(0, 1)
		b.ifImm(isa.JLE, 0, limit, out)
		b.movImm(0, limit)
	case 2:
		b.movImm(0, limit)
		b.store(isa.SizeDW, 1, one(b.Rand, 0, 0, 0, -8, 8, 4), 0)
	case 3:
		b.access(1, b.IntN(70), b.size())
		b.movImm(0, limit)
	case 4:
		b.load(isa.SizeW, 0, 1, b.IntN(8)*4)
		b.aluImm(isa.AND, 0, 31)
	case 5:
		b.load(isa.SizeB, 0, 1, b.IntN(16))
		b.aluImm(isa.AND, 0, 31)
	case 6:
		b.mov(0, one(b.Rand, 1, 2, 0))
	default:
		b.mov(0, one(b.Rand, 1, 1, 2, 10))
		if b.chance(30) {
			b.mov(one(b.Rand, 6, 7), 1)
			b.storeImm(isa.SizeDW, isa.FP, -8*(1+b.IntN(4)), 0)
		}
	}
	b.bind(out)
	if b.chance(6) {
		b.movImm(0, 0)
		return // runs into the next function
	}
	b.exit()
}

// tGlobal calls a function that is verified on its own.
func (b *vb) tGlobal() {
	if b.mayGoto {
		return
	}
	b.btf = true
	fn := one(b.Rand, vfGlobal, vfGlobalMem, vfGlobalMem, vfGlobalVoid)
	if c, ok := b.globalCtx(); ok && b.chance(40) {
		fn = c
	}
	bad := b.chance(25)
	l := b.sub(fn, func() { b.globalBody(fn, bad) })
	b.storeImm(isa.SizeDW, isa.FP, -16, 0)
	if b.chance(80) {
		b.storeImm(isa.SizeDW, isa.FP, -8, 0)
	}
	b.movImm(1, 3)
	b.movImm(2, 4)
	wrong := b.chance(25)
	switch {
	case wrong:
		r := 1 + b.IntN(2)
		if k := b.anyPointer(); !b.pointer(k, 7) {
			b.movImm(7, 1)
		}
		b.movImm(3-r, 4)
		b.mov(r, 7)
	case fn == vfGlobalMem:
		switch b.IntN(5) {
		case 0:
			b.movImm(2, 0)
		case 1:
			b.mapValue(2, vmBSS, one(b.Rand, 0, 48, 52))
		case 2:
			b.mapValue(2, vmRodata, 0)
		default:
			b.mov(2, isa.FP)
			b.addImm(2, int32(one(b.Rand, -16, -16, -16, -8)))
		}
	case fn >= vfGlobalCtx:
		b.mov(1, 6)
	}
	b.call(l)
	if b.chance(50) {
		b.mapValue(5, vmBSS, 0)
		b.bound(0, 63)
		b.alu(isa.ADD, 5, 0)
		b.access(5, 0, isa.SizeB)
	} else if b.chance(30) {
		b.mov(7, 0)
	}
}

// globalBody is what the functions of tGlobal do.
func (b *vb) globalBody(fn int, bad bool) {
	b.inSub = true
	defer func() { b.inSub = false }()
	out := b.label()
	switch {
	case fn == vfGlobalMem:
		b.movImm(0, 0)
		if !bad || b.chance(50) {
			b.ifImm(isa.JEQ, 2, 0, out)
		}
		b.access(2, one(b.Rand, 0, 8, 8, 12, 16), one(b.Rand, uint8(isa.SizeDW), isa.SizeW))
	case fn >= vfGlobalCtx:
		b.load(isa.SizeW, 0, 1, 4*b.IntN(10))
	default:
		if bad {
			b.load(isa.SizeW, 0, one(b.Rand, 1, 2, 3, 6), 0)
		}
		b.alu(isa.ADD, 1, 2)
	}
	if bad && b.chance(40) {
		b.mov(0, one(b.Rand, 10, 0, 6, 1))
	} else {
		b.movImm(0, b.imm())
	}
	b.bind(out)
	b.exit()
}

// tDepth nests calls, with large frames.
func (b *vb) tDepth() {
	if b.mayGoto {
		return
	}
	n := one(b.Rand, 1, 2, 3, 4, 6, 7, 8)
	size := 8 * (1 + b.IntN(70/n+10))
	l := b.nest(n, size)
	if b.chance(70) {
		b.storeImm(isa.SizeDW, isa.FP, -min(8*(1+b.IntN(64)), 512), 0)
	}
	b.movImm(1, 0)
	b.movImm(2, 0)
	b.call(l)
}

// nest makes n functions of which each calls the next.
func (b *vb) nest(n, size int) int {
	tail := n == 1 && b.chance(15)
	var l int
	l = b.sub(vfStatic, func() {
		b.storeImm(isa.SizeDW, isa.FP, -min(size, 512), 0)
		switch {
		case n > 1:
			inner := b.nest(n-1, size)
			b.movImm(1, 0)
			b.movImm(2, 0)
			b.call(inner)
		case b.chance(6): // recursion
			b.movImm(1, 0)
			b.movImm(2, 0)
			b.call(l)
		case tail:
			b.tailCall(1, vmProgs, 0)
		}
		b.movImm(0, 0)
		b.exit()
	})
	return l
}

// tailCall calls bpf_tail_call with a context, a map and a constant slot.
func (b *vb) tailCall(ctx, m, slot int) {
	b.mov(1, ctx)
	b.mapPtr(2, m)
	b.movImm(3, int32(slot))
	b.helper(linux.FuncTailCall)
}

// tTailCall makes tail calls of all forms.
func (b *vb) tTailCall() {
	if b.k.data >= 0 && b.chance(25) { // packet pointers over a tail call
		b.packetStart(7, b.k.data)
		b.packetStart(8, b.k.end)
		b.mov(9, 7)
		b.addImm(9, 14)
		b.ifReg(isa.JGT, 9, 8, b.out())
		if b.chance(50) {
			b.tailCall(6, vmProgs, b.IntN(5))
		} else {
			b.subTail()
		}
		b.load(isa.SizeB, 0, 7, 0)
		return
	}
	switch b.IntN(10) {
	case 0: // the wrong context
		k := b.anyPointer()
		if !b.pointer(k, 7) || k == pkUninit {
			b.mov(7, 6)
			b.addImm(7, 8)
		}
		b.tailCall(7, vmProgs, 0)
	case 1: // the wrong map
		if b.chance(50) {
			b.tailCall(6, b.IntN(numVMaps), 0)
			return
		}
		if !b.pointer(b.anyPointer(), 7) {
			b.movImm(7, 0)
		}
		b.mov(1, 6)
		b.mov(2, 7)
		b.movImm(3, 0)
		b.helper(linux.FuncTailCall)
	case 2: // the slot is not known
		b.scalar(7)
		b.mov(1, 6)
		b.mapPtr(2, vmProgs)
		b.mov(3, one(b.Rand, 7, 7, 10, 4))
		b.helper(linux.FuncTailCall)
	case 3: // a register is read after it
		b.tailCall(6, vmProgs, 0)
		b.mov(7, one(b.Rand, 0, 1, 2, 5))
	case 4: // as the last instruction
		b.tailCall(6, vmProgs, 0)
		if b.chance(50) {
			b.ended = true
			b.outs = nil
		}
	case 5, 6:
		b.subTail()
	case 7: // another owner
		if b.chance(30) {
			b.tailCall(6, vmOwned, 0)
		}
	default:
		b.tailCall(6, vmProgs, b.IntN(6))
	}
}

// subTail calls a function that makes a tail call, whose result is unknown then.
func (b *vb) subTail() {
	if b.mayGoto || b.inSub {
		return
	}
	fn := one(b.Rand, vfStatic, vfStatic, vfStaticU64, vfStaticVoid, vfGlobalVoid)
	if c, ok := b.globalCtx(); ok && b.chance(25) {
		fn = c
	}
	b.btf = b.chance(85)
	limit := int32(b.IntN(60))
	depth := 8 * b.IntN(16)
	l := b.sub(fn, func() {
		b.inSub = true
		defer func() { b.inSub = false }()
		if depth > 0 {
			b.storeImm(isa.SizeDW, isa.FP, -depth, 0)
		}
		b.tailCall(1, vmProgs, b.IntN(3))
		b.movImm(0, limit)
		b.exit()
	})
	if b.chance(30) {
		b.storeImm(isa.SizeDW, isa.FP, one(b.Rand, -240, -256, -248, -512), 0)
	}
	b.mov(1, 6)
	b.movImm(2, 0)
	b.call(l)
	if b.chance(40) {
		b.mapValue(5, vmBSS, 0)
		b.alu(isa.ADD, 5, 0)
		b.access(5, 0, isa.SizeB)
	}
}

// tReturn ends the program with results of all kinds.
func (b *vb) tReturn() {
	switch b.IntN(5) {
	case 0:
		b.scalar(0)
		if b.chance(60) {
			b.bound(0, int32(b.IntN(5)))
		}
	case 1:
		if k := b.anyPointer(); !b.pointer(k, 7) || k == pkUninit {
			b.mov(7, 6)
		}
		b.mov(0, 7)
	case 2:
		b.movImm(0, int32(b.IntN(9)-3))
	case 3: // nothing
	default:
		b.emit(isa.ClassALU|isa.MOV, 0, 0, 0, int32(b.IntN(9)-3))
	}
	if b.chance(50) {
		b.exit()
		b.ended = len(b.outs) == 0
		return
	}
	skip := b.label()
	b.mapValue(5, vmBSS, 0)
	b.load(isa.SizeB, 5, 5, 0)
	b.ifImm(isa.JEQ, 5, 1, skip)
	b.exit()
	b.bind(skip)
}
