package gen

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// tUninit reads a register that holds nothing, or writes the frame pointer.
func (b *vb) tUninit() {
	r := one(b.Rand, 0, 1, 2, 3, 4, 5)
	if b.chance(70) { // a call loses r1 to r5
		b.helper(linux.FuncGetPrandomU32)
		r = 1 + b.IntN(5)
	}
	switch b.IntN(8) {
	case 0:
		b.alu(isa.ADD, 7, r)
	case 1:
		b.addImm(r, 1)
	case 2:
		b.store(isa.SizeDW, isa.FP, -8, r)
	case 3:
		b.load(isa.SizeW, 0, r, 0)
	case 4:
		b.ifImm(isa.JEQ, r, 0, b.out())
	case 5:
		b.mov(0, r)
	case 6:
		b.emit(one(b.Rand, uint8(isa.ClassALU64|isa.MOV), isa.ClassALU|isa.ADD, isa.ClassLDX|isa.ModeMEM|isa.SizeDW), isa.FP, 6, 0, 0)
	default:
		b.mov(1, r)
		b.helper(linux.FuncGetPrandomU32)
	}
}

// tLookup uses what a lookup found, often without the check it needs.
func (b *vb) tLookup() {
	m := one(b.Rand, vmArray, vmHash, vmPercpu, vmLPM, vmLRU, vmPercpuHash, vmWronly, vmRdonly, vmLock, vmArray, vmHash)
	spec := verifyShapes[m]
	if m == vmArray && b.chance(40) { // a constant key may do without a check
		b.storeImm(isa.SizeW, isa.FP, -4, int32(b.IntN(6)))
		b.mov(2, isa.FP)
		b.addImm(2, -4)
		b.mapPtr(1, m)
		b.helper(linux.FuncMapLookupElem)
	} else {
		b.lookup(m, spec.key)
	}
	reg := 0
	if b.chance(40) {
		reg = 7
		b.mov(7, 0)
	}
	switch b.IntN(8) {
	case 0: // no check
	case 1: // the wrong way round
		b.ifImm(isa.JNE, reg, 0, b.out())
	case 2:
		b.addImm(reg, 4)
		b.nullOut(reg)
	case 3: // the check is of a copy
		b.mov(8, reg)
		b.nullOut(8)
	default:
		b.nullOut(reg)
	}
	size := b.size()
	off := b.IntN(spec.value)
	switch b.IntN(4) {
	case 0, 1:
		off = off / bytesOf(size) * bytesOf(size)
	case 2:
		off = spec.value - bytesOf(size) + one(b.Rand, 0, 0, 1, 4)
	}
	if b.chance(8) {
		off = -off - 1
	}
	b.access(reg, off, size)
}

// shape is the size of key and value.
type vshape struct{ key, value int }

// verifyShapes are the sizes of the maps whose values programs access.
var verifyShapes = [numVMaps]vshape{
	vmBSS: {4, 64}, vmRodata: {4, 64}, vmArray: {4, 48}, vmHash: {8, 32}, vmPercpu: {4, 24}, vmLPM: {8, 8},
	vmLock: {4, 24}, vmLRU: {4, 16}, vmWronly: {4, 32}, vmRdonly: {4, 32}, vmPercpuHash: {4, 16},
	vmBig: {4, 4096}, vmHashLock: {4, 24}, vmQueue: {0, 8}, vmStack: {0, 8}, vmBloom: {0, 8},
}

// tInner looks up in a map of a map.
func (b *vb) tInner() {
	b.lookup(one(b.Rand, vmOuter, vmOuter, vmOuterHash), 4)
	if b.chance(85) {
		b.nullOut(0)
	}
	b.mov(1, 0)
	b.storeImm(isa.SizeDW, isa.FP, -8, int32(b.IntN(3)))
	b.mov(2, isa.FP)
	b.addImm(2, int32(one(b.Rand, -8, -8, -4, -4, -3)))
	b.helper(int32(one(b.Rand, linux.FuncMapLookupElem, linux.FuncMapLookupElem, linux.FuncMapDeleteElem)))
	if b.chance(85) {
		b.nullOut(0)
	}
	b.access(0, b.IntN(18), b.size())
}

// tPacket accesses the packet behind a check, which is right, short, missing or backwards.
func (b *vb) tPacket() {
	if b.k.data < 0 {
		b.tContext()
		return
	}
	data, end, sum := 7, 8, 9
	first, last := b.k.data, b.k.end
	if b.k.meta >= 0 && b.chance(20) {
		first, last = b.k.meta, b.k.data
	}
	b.packetStart(data, first)
	b.packetStart(end, last)
	n := int32(b.IntN(40))
	size := b.size()
	b.mov(sum, data)
	b.addImm(sum, n)
	ok := b.label()
	lessThan := false
	switch b.IntN(14) {
	case 0, 1, 2:
		b.ifReg(isa.JGT, sum, end, b.out())
	case 3:
		b.ifReg(isa.JGE, sum, end, b.out())
	case 4:
		b.ifReg(isa.JLT, end, sum, b.out())
	case 5:
		b.ifReg(isa.JLE, end, sum, b.out())
	case 6, 7, 8, 9:
		b.jmp(isa.ClassJMP|isa.SrcReg|one(b.Rand, uint8(isa.JLE), isa.JLT), sum, end, 0, ok)
		lessThan = true
	case 10:
		b.jmp(isa.ClassJMP|isa.SrcReg|one(b.Rand, uint8(isa.JGE), isa.JGT), end, sum, 0, ok)
		lessThan = true
	case 11:
		b.jmp(one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP32)|isa.SrcReg|one(b.Rand, uint8(isa.JSGT), isa.JEQ, isa.JGT), sum, end, 0, b.out())
	case 12: // both ways: a second, shorter check
		b.ifReg(isa.JGT, sum, end, b.out())
		b.addImm(sum, 8)
		b.ifReg(isa.JGT, sum, end, b.out())
		n += 8
	}
	if lessThan {
		if b.chance(30) {
			b.access(data, 0, size) // on the wrong side
		}
		b.jump(b.out())
		b.bind(ok)
	}
	if b.chance(12) { // something that may move the packet
		b.movePacket()
	}
	off := int(n) - bytesOf(size)
	switch b.IntN(5) {
	case 0:
		off++
	case 1:
		off = b.IntN(48) - 4
	case 2:
		off -= b.IntN(8)
	}
	reg := data
	if b.chance(15) {
		reg, off = sum, -bytesOf(size)
	}
	b.access(reg, off, size)
}

// movePacket calls a helper after which packet pointers are invalid, where there is one.
func (b *vb) movePacket() {
	for _, id := range []uint32{linux.FuncSKBPullData, linux.FuncXDPAdjustHead, linux.FuncSKBChangeTail, linux.FuncMsgPullData} {
		if b.table.Proto(id) == nil {
			continue
		}
		b.mov(1, 6)
		b.movImm(2, 0)
		b.movImm(3, 0)
		b.movImm(4, 0)
		b.helper(int32(id))
		return
	}
}

// tPacketVar adds a number to a packet pointer.
func (b *vb) tPacketVar() {
	if b.k.data < 0 {
		b.tRange()
		return
	}
	b.scalar(9)
	b.narrow(9, 5)
	if b.chance(80) {
		b.bound(9, int32(one(b.Rand, 15, 60, 255, 0x7fff, 0xffff, 0x10000)))
	}
	b.packetStart(7, b.k.data)
	b.packetStart(8, b.k.end)
	if b.chance(20) {
		b.addImm(7, 4)
	}
	b.alu(isa.ADD, 7, 9)
	if b.chance(25) {
		b.mov(3, 7) // the access is through a copy that was made before the check
	}
	size := b.size()
	n := 4 + b.IntN(30)
	b.mov(5, 7)
	b.addImm(5, int32(n))
	if b.chance(90) {
		b.ifReg(one(b.Rand, uint8(isa.JGT), isa.JGT, isa.JGT, isa.JGE), 5, 8, b.out())
	}
	off := n - bytesOf(size) - b.IntN(4)
	switch b.IntN(6) {
	case 0:
		off = n - bytesOf(size) + 1
	case 1:
		b.addImm(7, int32(b.IntN(8)))
	case 2:
		b.scalar2(4)
		b.bound(4, 8)
		b.alu(isa.ADD, 7, 4)
	}
	b.access(7, off, size)
}

// tStack accesses the stack at constant offsets.
func (b *vb) tStack() {
	for range 1 + b.IntN(4) {
		size := b.size()
		off := -(1 + b.IntN(64))
		switch b.IntN(10) {
		case 0, 1, 2, 3:
			off = -((-off + bytesOf(size) - 1) / bytesOf(size) * bytesOf(size))
		case 4:
			off = one(b.Rand, -512, -504, -520, -513, -516, -508)
		case 5:
			off = one(b.Rand, 0, 1, 8, -1, -4, 4)
		}
		if b.chance(45) {
			b.access(isa.FP, off, size)
			continue
		}
		r := one(b.Rand, 7, 8, 9)
		b.spillAndFill(r, off, size)
	}
}

// spillAndFill stores a register and loads a part of it.
func (b *vb) spillAndFill(r, off int, size uint8) {
	k := one(b.Rand, pkScalar, pkScalar, pkCtx, pkFP, pkBSS, pkPkt, pkOrNull, pkMap)
	if !b.pointer(k, r) {
		b.scalar(r)
	}
	b.store(size, isa.FP, off, r)
	switch b.IntN(4) {
	case 0:
		b.storeImm(b.size(), isa.FP, off+one(b.Rand, 0, 1, 2, 4), b.imm())
	case 1:
		b.storeImm(one(b.Rand, uint8(isa.SizeB), isa.SizeH), isa.FP, off, 0)
	}
	again := size
	if b.chance(40) {
		again = b.size()
	}
	d := 0
	if b.chance(30) {
		d = b.IntN(8)
	}
	b.load(again, 9, isa.FP, off+d)
	switch b.IntN(4) {
	case 0:
		b.access(9, 0, isa.SizeW)
	case 1:
		b.mapValue(5, vmBSS, 0)
		b.alu(isa.ADD, 5, 9)
		b.access(5, 0, isa.SizeB)
	}
}

// tSpill bounds a number, spills it, and uses it as an index when it is filled again.
func (b *vb) tSpill() {
	b.scalar(7)
	b.narrow(7, 8)
	b.bound(7, int32(b.IntN(70)))
	size := one(b.Rand, uint8(isa.SizeDW), isa.SizeDW, isa.SizeW, isa.SizeH, isa.SizeB)
	at := -16 + one(b.Rand, 0, 0, 0, 4, 2)
	b.store(size, isa.FP, at, 7)
	switch b.IntN(5) {
	case 0:
		b.storeImm(isa.SizeB, isa.FP, at+b.IntN(8), int32(b.IntN(2)))
	case 1:
		b.bound(7, int32(b.IntN(60)))
	case 2:
		b.helper(linux.FuncGetPrandomU32)
	}
	fill := size
	if b.chance(30) {
		fill = b.size()
	}
	if b.chance(15) {
		b.loadSX(one(b.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW), 8, isa.FP, at)
	} else {
		b.load(fill, 8, isa.FP, at+one(b.Rand, 0, 0, 0, 0, 4, 1))
	}
	if b.chance(20) {
		b.narrow(8, 9)
	}
	b.mapValue(9, vmBSS, 0)
	b.alu(isa.ADD, 9, 8)
	b.access(9, 0, b.size())
}

// tStackVar accesses the stack at offsets that are not constant.
func (b *vb) tStackVar() {
	if b.chance(60) {
		for i := 1; i <= 9; i++ {
			b.storeImm(isa.SizeDW, isa.FP, -8*i, b.imm())
		}
		if b.chance(50) {
			b.mov(5, isa.FP)
			b.store(isa.SizeDW, isa.FP, one(b.Rand, -16, -32, -64), one(b.Rand, 5, 6))
		}
	}
	b.scalar(7)
	b.narrow(7, 5)
	if b.chance(85) {
		b.bound(7, int32(one(b.Rand, 7, 15, 31, 55, 63, 64, 71)))
	}
	b.mov(8, isa.FP)
	if b.chance(20) {
		b.alu(isa.SUB, 8, 7)
	} else {
		b.addImm(8, int32(one(b.Rand, -64, -64, -72, -72, -80, -512, -520)))
		b.alu(isa.ADD, 8, 7)
	}
	size := one(b.Rand, b.size(), uint8(isa.SizeB))
	switch b.IntN(4) {
	case 0, 1:
		b.access(8, one(b.Rand, 0, 0, -1, 8, 4), size)
	case 2:
		b.access(8, 0, size)
		b.load(b.size(), 9, isa.FP, -8*(1+b.IntN(9)))
		b.access(9, 0, isa.SizeB)
	default:
		b.mov(2, 8)
		b.mapPtr(1, one(b.Rand, vmArray, vmHash))
		b.helper(linux.FuncMapLookupElem)
	}
}

// tStackCall passes the stack to a helper: lengths that are zero, too long, unknown, negative.
func (b *vb) tStackCall() {
	id := uint32(linux.FuncProbeReadKernel)
	if b.table.Proto(id) == nil {
		id = linux.FuncSKBLoadBytes
	}
	if b.table.Proto(id) == nil || b.chance(30) {
		id = linux.FuncRingbufOutput
	}
	if b.chance(60) {
		b.scalar(7)
		b.narrow(7, 8)
		b.bound(7, int32(b.IntN(70)))
	} else {
		b.movImm(7, one(b.Rand, int32(0), 1, 8, 16, 64, 65, -1, 512, 513, b.imm()))
	}
	b.mov(8, isa.FP)
	b.addImm(8, one(b.Rand, int32(-64), -64, -16, -8, -512, -513, -65, 8, 0))
	switch id {
	case linux.FuncProbeReadKernel:
		b.mov(1, 8)
		b.mov(2, 7)
		b.movImm(3, 0)
	case linux.FuncSKBLoadBytes:
		b.mov(1, 6)
		b.movImm(2, 0)
		b.mov(3, 8)
		b.mov(4, 7)
	default:
		b.mapPtr(1, vmRing)
		b.mov(2, 8)
		b.mov(3, 7)
		b.movImm(4, 0)
	}
	b.helper(int32(id))
	if b.chance(50) {
		b.load(b.size(), 9, isa.FP, -8*(1+b.IntN(8)))
	}
}

// tContext reads and writes the context anywhere.
func (b *vb) tContext() {
	for range 1 + b.IntN(4) {
		size := b.size()
		off := b.IntN(b.k.size + 8)
		if b.chance(85) {
			size = one(b.Rand, uint8(isa.SizeW), isa.SizeW, isa.SizeDW)
			off = off / bytesOf(size) * bytesOf(size)
		}
		if b.chance(5) {
			off = -off - 1
		}
		switch b.IntN(10) {
		case 0:
			b.storeImm(size, 6, off, b.imm())
		case 1:
			b.movImm(7, b.imm())
			b.store(size, 6, off, 7)
		case 2: // through a pointer that was moved
			b.mov(7, 6)
			b.addImm(7, int32(off))
			b.load(size, 8, 7, 0)
		case 3:
			if b.chance(30) {
				b.scalar(8)
				b.bound(8, 16)
				b.mov(7, 6)
				b.alu(isa.ADD, 7, 8)
				b.load(size, 8, 7, 0)
				continue
			}
			b.loadSX(one(b.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW), 8, 6, off)
		default:
			b.load(size, 8, 6, off)
			if b.chance(20) {
				b.access(8, b.IntN(8), isa.SizeB)
			}
		}
	}
}

// tSockField reads fields of a socket.
func (b *vb) tSockField() {
	if !b.pointer(one(b.Rand, pkSock, pkSock, pkSock, pkSockOrNull), 7) {
		b.tContext()
		return
	}
	if b.chance(50) {
		id := one(b.Rand, linux.FuncSKFullsock, linux.FuncTCPSock, linux.FuncGetListenerSock)
		if b.table.Proto(uint32(id)) != nil {
			b.mov(1, 7)
			b.helper(int32(id))
			if b.chance(85) {
				b.nullOut(0)
			}
			b.mov(7, 0)
		}
	}
	size := one(b.Rand, b.size(), uint8(isa.SizeW))
	off := b.IntN(100) / bytesOf(size) * bytesOf(size)
	if b.chance(15) {
		b.storeImm(size, 7, off, 0)
	} else {
		b.load(size, 8, 7, off)
	}
}

// tAtomic applies atomic operations to all kinds of memory.
func (b *vb) tAtomic() {
	k := one(b.Rand, pkBSS, pkBSS, pkFP, pkFP, pkValue, pkCtx, pkPktChecked, pkRodata, pkOrNull, pkPercpu, pkScalar, pkSock, pkMap)
	if !b.pointer(k, 7) {
		b.pointer(pkBSS, 7)
	}
	if b.chance(60) {
		b.movImm(8, b.imm())
		b.movImm(0, 1)
	} else {
		b.mov(8, isa.FP)
	}
	op := one(b.Rand, int32(isa.AtomicADD), isa.AtomicOR, isa.AtomicAND, isa.AtomicXOR, isa.AtomicADD|isa.AtomicFetch,
		isa.AtomicXOR|isa.AtomicFetch, isa.AtomicXCHG, isa.AtomicCMPXCHG, isa.AtomicLoadAcq, isa.AtomicStoreRel, 0x20, isa.AtomicFetch)
	size := one(b.Rand, uint8(isa.SizeW), isa.SizeDW, isa.SizeDW, b.size())
	off := one(b.Rand, 0, 0, 0, 0, 4, 2, -8)
	if op == isa.AtomicLoadAcq {
		b.atomic(size, 8, off, 7, op)
	} else {
		b.atomic(size, 7, off, 8, op)
	}
	if op&isa.AtomicFetch != 0 && b.chance(40) {
		b.mapValue(5, vmBSS, 0)
		r := 8
		if op == isa.AtomicCMPXCHG {
			r = 0
		}
		b.bound(r, int32(b.IntN(70)))
		b.alu(isa.ADD, 5, r)
		b.access(5, 0, isa.SizeB)
	}
}

// tRodata lets constants of a frozen map decide.
func (b *vb) tRodata() {
	b.mapValue(7, vmRodata, b.IntN(40))
	size := b.size()
	off := b.IntN(32) / bytesOf(size) * bytesOf(size)
	if b.chance(20) {
		b.loadSX(one(b.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW), 8, 7, off)
	} else {
		b.load(size, 8, 7, off)
	}
	skip := b.label()
	b.jmp(one(b.Rand, uint8(isa.ClassJMP), isa.ClassJMP32)|one(b.Rand, uint8(isa.JEQ), isa.JGT, isa.JNE, isa.JSLT, isa.JSET), 8, 0, b.imm(), skip)
	if b.chance(50) { // only wrong when it can be reached
		b.load(isa.SizeW, 9, 8, 0)
	} else {
		b.access(isa.FP, 8, isa.SizeDW)
	}
	b.bind(skip)
	if b.chance(40) {
		b.mapValue(5, vmBSS, 0)
		b.alu(isa.ADD, 5, 8)
		b.access(5, 0, isa.SizeB)
	}
	if b.chance(15) {
		b.storeImm(isa.SizeB, 7, 0, 1)
	}
}
