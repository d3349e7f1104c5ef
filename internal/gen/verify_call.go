package gen

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// verifyTypes are the types of the maps, by index.
var verifyTypes = func() (t [numVMaps]ebpf.MapType) {
	for i, m := range VerifyMaps() {
		t[i] = m.Type
	}
	return t
}()

// mapFor chooses a map that a helper takes, or any when there is none.
func (b *vb) mapFor(id uint32) int {
	scope := linux.HelperScope{Type: b.k.typ, Attach: b.k.attach, Sleepable: b.k.flags&verifySleepable != 0}
	start := b.IntN(numVMaps)
	for i := range numVMaps {
		m := (start + i) % numVMaps
		if m != vmOwned && linux.HelperTakesMap(scope, verifyTypes[m], id) {
			return m
		}
	}
	return start
}

// later says that a helper needs rules for which the verifiers are not compared here.
func later(p *linux.Proto) bool {
	for _, a := range p.Args {
		switch a.Base() {
		case linux.ArgPtrToBTFID, linux.ArgPtrToDynptr, linux.ArgPtrToTimer, linux.ArgPtrToFunc, linux.ArgKptrXchgDest,
			linux.ArgPtrToIter, linux.ArgPtrToArena, linux.ArgPtrToPercpuBTFID, linux.ArgPtrToBTFIDSockCommon:
			return true
		}
	}
	switch p.Ret.Base() {
	case linux.RetPtrToBTFID, linux.RetPtrToMemOrBTFID:
		return true
	}
	return false
}

// anyHelper chooses a helper that the kind of program may call.
func (b *vb) anyHelper() *linux.Proto {
	for range 400 {
		p := b.table.Proto(uint32(1 + b.IntN(linux.MaxFuncID)))
		if p == nil || later(p) || p.ID == linux.FuncTailCall {
			continue
		}
		if p.GPLOnly && b.chance(30) {
			continue
		}
		return p
	}
	return b.table.Proto(linux.FuncMapLookupElem)
}

// tHelper calls a helper with right arguments, or with one that is wrong.
func (b *vb) tHelper() {
	if b.chance(6) { // one that is not allowed, or does not exist
		b.helper(int32(b.IntN(linux.MaxFuncID+6)) - 1)
		return
	}
	p := b.anyHelper()
	n := p.NumArgs()
	wrong := -1
	if n > 0 && b.chance(40) {
		wrong = b.IntN(n)
	}
	m := b.mapFor(p.ID)
	if b.chance(5) {
		m = b.IntN(numVMaps)
	}
	b.prepare(p, wrong, m)
	b.helper(int32(p.ID))
	b.useResult(p, m)
}

// prepare loads the arguments of a helper; what needs a call goes into r7 to r9 first.
func (b *vb) prepare(p *linux.Proto, wrong, m int) {
	n := p.NumArgs()
	for off := -64; off < 0; off += 8 { // memory and keys
		if b.chance(97) {
			b.storeImm(isa.SizeDW, isa.FP, off, int32(b.IntN(4)))
		}
	}
	saved := map[int]int{}
	free := []int{7, 8, 9}
	for i := range n {
		var k ptr
		switch {
		case i == wrong:
			k = b.anyPointer()
		case p.Args[i].Base() == linux.ArgPtrToSockCommon, p.Args[i].Base() == linux.ArgPtrToSocket:
			k = pkSock
		case p.Args[i].Base() == linux.ArgPtrToSpinLock:
			k = -1
		case p.Args[i].Base() == linux.ArgPtrToRingbufMem:
			k = pkRing
		default:
			continue
		}
		if len(free) == 0 {
			continue
		}
		r := free[0]
		free = free[1:]
		if k < 0 {
			b.mapValue(r, vmLock, one(b.Rand, 0, 0, 0, 8))
		} else if k == pkUninit {
			r = -1
		} else if !b.pointer(k, r) {
			b.movImm(r, 0)
		}
		saved[i] = r
	}
	size := b.IntN(60)
	for i := range n {
		if r, ok := saved[i]; ok {
			if r >= 0 {
				b.mov(1+i, r)
			}
			continue
		}
		b.argument(p, i, m, size)
	}
}

// argument loads what a prototype asks for into one register, without a call.
func (b *vb) argument(p *linux.Proto, i, m, size int) {
	r := 1 + i
	a := p.Args[i]
	if a.Has(linux.PtrMaybeNull) && b.chance(25) {
		b.movImm(r, 0)
		return
	}
	stack := func(n int) {
		b.mov(r, isa.FP)
		b.addImm(r, int32(-(n+7)/8*8))
	}
	switch a.Base() {
	case linux.ArgConstMapPtr:
		b.mapPtr(r, m)
	case linux.ArgPtrToMapKey:
		stack(max(verifyShapes[m].key, 4))
	case linux.ArgPtrToMapValue:
		if b.chance(30) {
			b.mapValue(r, vmBSS, 0)
			return
		}
		stack(max(verifyShapes[m].value, 8))
	case linux.ArgPtrToCtx:
		b.mov(r, 6)
	case linux.ArgPtrToMem, linux.ArgPtrToStack:
		b.memory(r, max(size, int(p.ArgSize[i])))
	case linux.ArgConstSize, linux.ArgConstSizeOrZero:
		switch b.IntN(8) {
		case 0:
			b.movImm(r, one(b.Rand, int32(0), -1, 65, 1<<29, 1<<30))
		case 1:
			b.mapValue(r, vmBSS, 0)
			b.load(b.size(), r, r, 0)
			b.bound(r, int32(size+b.IntN(3)))
		default:
			b.movImm(r, int32(size))
		}
	case linux.ArgConstAllocSizeOrZero:
		b.movImm(r, int32(b.IntN(64)))
	case linux.ArgPtrToConstStr:
		b.mapValue(r, vmRodata, one(b.Rand, 40, 40, 40, 8, 60))
	default:
		switch b.IntN(4) {
		case 0:
			b.mov(r, isa.FP)
		default:
			b.movImm(r, int32(b.IntN(4)))
		}
	}
}

// memory points a register at memory of so many bytes.
func (b *vb) memory(r, n int) {
	switch b.IntN(8) {
	case 0:
		b.mapValue(r, vmBSS, one(b.Rand, 0, 0, 8, 32))
	case 1:
		b.mapValue(r, vmBig, 0)
	case 2:
		b.mapValue(r, vmRodata, 0)
	case 3:
		if b.k.data >= 0 {
			other := one(b.Rand, 7, 8)
			b.packetStart(r, b.k.data)
			b.packetStart(other, b.k.end)
			b.mov(9, r)
			b.addImm(9, int32(max(n, 1)))
			b.ifReg(isa.JGT, 9, other, b.out())
			return
		}
		fallthrough
	default:
		b.mov(r, isa.FP)
		b.addImm(r, int32(-(n+7)/8*8))
	}
}

// useResult does something with r0 after a helper.
func (b *vb) useResult(p *linux.Proto, m int) {
	if p.Ret.Has(linux.PtrMaybeNull) && b.chance(80) {
		b.nullOut(0)
	}
	if p.ID == linux.FuncRingbufReserve && b.chance(80) {
		b.mov(1, 0)
		b.movImm(2, 0)
		b.helper(int32(one(b.Rand, linux.FuncRingbufSubmit, linux.FuncRingbufDiscard)))
		return
	}
	if p.Ret.Base() != linux.RetInteger && p.Ret.Base() != linux.RetVoid {
		if b.chance(60) {
			b.access(0, b.IntN(max(verifyShapes[m].value, 24))/4*4, isa.SizeW)
		}
		return
	}
	switch b.IntN(6) {
	case 0:
		b.mapValue(5, vmBSS, 0)
		b.narrow(0, 4)
		b.alu(isa.ADD, 5, 0)
		b.access(5, 0, isa.SizeB)
	case 1:
		b.mov(one(b.Rand, 7, 8, 9), one(b.Rand, 0, 0, 0, 1, 2))
	}
}

// tLicense calls a helper that needs a GPL-compatible licence without one.
func (b *vb) tLicense() {
	b.license = one(b.Rand, "Proprietary", "BSD", "MIT", "")
	for range 200 {
		p := b.table.Proto(uint32(1 + b.IntN(linux.MaxFuncID)))
		if p != nil && p.GPLOnly && !later(p) {
			b.prepare(p, -1, b.mapFor(p.ID))
			b.helper(int32(p.ID))
			return
		}
	}
}

// tMapMismatch passes a map to a helper that does not take its type.
func (b *vb) tMapMismatch() {
	m := b.IntN(numVMaps)
	switch b.IntN(6) {
	case 0: // direct access to the value
		b.mapValue(7, m, b.IntN(64))
		b.access(7, 0, b.size())
		return
	case 1: // access to the map itself
		b.mapPtr(7, m)
		b.access(7, one(b.Rand, 0, 4, 24, 28, 32, 8, -8, 64), b.size())
		return
	}
	p := b.table.Proto(uint32(one(b.Rand, linux.FuncMapLookupElem, linux.FuncMapUpdateElem, linux.FuncMapDeleteElem,
		linux.FuncRedirectMap, linux.FuncPerfEventOutput, linux.FuncMapPushElem, linux.FuncMapPeekElem, linux.FuncRingbufOutput,
		linux.FuncRingbufReserve, linux.FuncGetStackid, linux.FuncSKRedirectMap, linux.FuncSockMapUpdate)))
	if p == nil || later(p) {
		return
	}
	b.prepare(p, -1, m)
	b.helper(int32(p.ID))
	b.useResult(p, m)
}

// tRingbuf reserves a record and may forget it, use it twice, or go past its end.
func (b *vb) tRingbuf() {
	n := one(b.Rand, int32(8), 16, 24, 1, 0, 4096)
	b.mapPtr(1, one(b.Rand, vmRing, vmRing, vmRing, vmRing, vmArray))
	b.movImm(2, n)
	if b.chance(8) {
		b.scalar2(2)
	}
	b.movImm(3, 0)
	b.helper(linux.FuncRingbufReserve)
	if b.chance(90) {
		skip := b.label()
		b.ifImm(isa.JNE, 0, 0, skip)
		b.movImm(0, b.k.ret[0])
		b.exit()
		b.bind(skip)
	}
	b.mov(7, 0)
	if b.chance(70) {
		b.access(7, b.IntN(int(n)+4)/4*4, b.size())
	}
	if b.chance(12) {
		b.addImm(7, 8)
	}
	if b.chance(10) {
		b.tTailCall()
	}
	for range one(b.Rand, 1, 1, 1, 1, 1, 0, 2) {
		b.mov(1, 7)
		b.movImm(2, 0)
		b.helper(int32(one(b.Rand, linux.FuncRingbufSubmit, linux.FuncRingbufDiscard)))
	}
	if b.chance(8) {
		b.access(7, 0, isa.SizeB)
	}
}

// tSocket looks up a socket and releases it, or not.
func (b *vb) tSocket() {
	if b.table.Proto(linux.FuncSKLookupTCP) == nil {
		b.tSockField()
		return
	}
	b.skLookup()
	b.mov(7, 0)
	if b.chance(85) {
		b.nullOut(0)
	}
	if b.chance(60) {
		b.load(isa.SizeW, 8, 7, 4*b.IntN(22))
	}
	for range one(b.Rand, 1, 1, 1, 1, 0, 2) {
		b.mov(1, 7)
		b.helper(linux.FuncSKRelease)
	}
	if b.chance(10) {
		b.load(isa.SizeW, 8, 7, 0)
	}
}

// tLock takes a lock and does what is allowed under it, or not.
func (b *vb) tLock() {
	m := vmLock
	off := one(b.Rand, 0, 0, 0, 0, 0, 0, 4, 8)
	if b.chance(30) {
		m = vmHashLock
		b.lookup(vmHashLock, 4)
		b.nullOut(0)
		b.mov(7, 0)
	} else {
		b.mapValue(7, m, 0)
	}
	b.mov(1, 7)
	if off != 0 {
		b.addImm(1, int32(off))
	}
	b.helper(linux.FuncSpinLock)
	switch b.IntN(8) {
	case 0:
		b.helper(linux.FuncGetPrandomU32)
	case 1:
		b.access(7, one(b.Rand, 0, 2), b.size())
	case 2:
		b.storeImm(isa.SizeDW, 7, one(b.Rand, 8, 16, 0, 4), 1)
	case 3:
		b.mov(1, 7)
		b.helper(linux.FuncSpinLock)
	default:
		b.access(7, 8, isa.SizeDW)
	}
	for range one(b.Rand, 1, 1, 1, 1, 1, 0, 2) {
		b.mov(1, 7)
		b.helper(linux.FuncSpinUnlock)
	}
}

// tLegacy loads from the packet by LD_ABS and LD_IND.
func (b *vb) tLegacy() {
	b.mov(6, one(b.Rand, 6, 6, 6, 6, 6, 7))
	size := one(b.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW, isa.SizeW, isa.SizeDW)
	if b.chance(50) {
		b.emit(isa.ClassLD|isa.ModeABS|size, 0, b.IntN(20)/19, 0, int32(b.IntN(64)))
	} else {
		b.scalar(7)
		b.emit(isa.ClassLD|isa.ModeIND|size, b.IntN(20)/19, one(b.Rand, 7, 7, 7, 7, 1), 0, int32(b.IntN(64)))
	}
	b.mov(8, one(b.Rand, 0, 0, 0, 1))
	b.mapValue(5, vmBSS, 0)
	b.alu(isa.ADD, 5, 0)
	b.access(5, 0, isa.SizeB)
}
