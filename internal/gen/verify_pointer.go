package gen

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// ptr is a kind of value in a register.
type ptr int

const (
	pkScalar ptr = iota
	pkUninit
	pkNull
	pkCtx
	pkFP
	pkMap
	pkBSS
	pkValue
	pkOrNull
	pkPercpu
	pkRodata
	pkPkt
	pkPktEnd
	pkMeta
	pkPktChecked
	pkRing
	pkRingOrNull
	pkInner
	pkSockOrNull
	pkSock
	numPtrs
)

// key writes a key of so many bytes at fp-8 (or lower) and points r2 at it.
func (b *vb) key(size int) {
	n := (size + 7) / 8 * 8
	for off := -n; off < 0; off += 8 {
		b.storeImm(isa.SizeDW, isa.FP, off, int32(b.IntN(3)))
	}
	b.mov(2, isa.FP)
	b.addImm(2, int32(-n))
}

// lookup leaves the result of a lookup in r0.
func (b *vb) lookup(m, keySize int) {
	b.key(keySize)
	b.mapPtr(1, m)
	b.helper(linux.FuncMapLookupElem)
}

// nullOut leaves the program when a register is zero.
func (b *vb) nullOut(reg int) {
	if b.chance(80) {
		b.ifImm(isa.JEQ, reg, 0, b.out())
		return
	}
	skip := b.label()
	b.ifImm(isa.JNE, reg, 0, skip)
	b.movImm(0, b.k.ret[0])
	b.exit()
	b.bind(skip)
}

// packetStart loads a pointer to the packet, its end or its metadata.
func (b *vb) packetStart(reg, field int) { b.load(b.k.ptrSize, reg, 6, field) }

// scalar loads a number of which nothing is known but its size.
func (b *vb) scalar(reg int) {
	switch b.IntN(5) {
	case 0:
		b.helper(linux.FuncGetPrandomU32)
		if reg != 0 {
			b.mov(reg, 0)
		}
	default:
		p := reg
		b.mapValue(p, vmBSS, 8*b.IntN(4))
		if b.chance(20) {
			b.loadSX(one(b.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW), reg, p, 0)
		} else {
			b.load(b.size(), reg, p, 0)
		}
	}
}

// pointer loads a value of a kind into a register; r0 to r5 are lost. False says that the kind of
// program has none.
func (b *vb) pointer(k ptr, reg int) bool {
	switch k {
	case pkScalar:
		b.scalar(reg)
	case pkUninit:
	case pkNull:
		b.movImm(reg, 0)
	case pkCtx:
		b.mov(reg, 6)
	case pkFP:
		b.mov(reg, isa.FP)
		if b.chance(70) {
			b.addImm(reg, int32(-8*(1+b.IntN(6))))
		}
	case pkMap:
		b.mapPtr(reg, b.IntN(numVMaps))
	case pkBSS:
		b.mapValue(reg, vmBSS, 4*b.IntN(16))
	case pkValue:
		b.lookup(vmArray, 4)
		b.nullOut(0)
		b.result(reg)
	case pkOrNull:
		b.lookup(vmHash, 8)
		b.result(reg)
	case pkPercpu:
		b.lookup(vmPercpu, 4)
		b.nullOut(0)
		b.result(reg)
	case pkRodata:
		b.mapValue(reg, vmRodata, 4*b.IntN(16))
	case pkPkt, pkPktEnd, pkMeta, pkPktChecked:
		return b.packetPointer(k, reg)
	case pkRing, pkRingOrNull:
		b.mapPtr(1, vmRing)
		b.movImm(2, 16)
		b.movImm(3, 0)
		b.helper(linux.FuncRingbufReserve)
		if k == pkRing {
			b.nullOut(0)
		}
		b.result(reg)
	case pkInner:
		b.lookup(vmOuter, 4)
		b.nullOut(0)
		b.result(reg)
	case pkSockOrNull, pkSock:
		return b.sockPointer(k, reg)
	}
	return true
}

func (b *vb) result(reg int) {
	if reg != 0 {
		b.mov(reg, 0)
	}
}

func (b *vb) packetPointer(k ptr, reg int) bool {
	if b.k.data < 0 {
		return false
	}
	switch k {
	case pkPkt:
		b.packetStart(reg, b.k.data)
	case pkPktEnd:
		b.packetStart(reg, b.k.end)
	case pkMeta:
		if b.k.meta < 0 {
			return false
		}
		b.packetStart(reg, b.k.meta)
	case pkPktChecked:
		end, sum := 5, 4
		if reg == 5 {
			end = 3
		}
		if reg == 4 {
			sum = 2
		}
		b.packetStart(reg, b.k.data)
		b.packetStart(end, b.k.end)
		b.mov(sum, reg)
		b.addImm(sum, 14)
		b.ifReg(isa.JGT, sum, end, b.out())
	}
	return true
}

// sockPointer looks a socket up, or takes that of the context.
func (b *vb) sockPointer(k ptr, reg int) bool {
	off := -1
	switch b.k.ctx {
	case "__sk_buff":
		off = 168
	case "bpf_sock_addr":
		off = 64
	case "bpf_sock_ops":
		off = 184
	}
	switch {
	case off >= 0 && b.chance(60):
		b.load(isa.SizeDW, reg, 6, off)
		if k == pkSock {
			b.nullOut(reg)
		}
		return true
	case b.table.Proto(linux.FuncSKLookupTCP) != nil:
		b.skLookup()
		if k == pkSock {
			b.nullOut(0)
		}
		b.result(reg)
		return true
	}
	return false
}

// skLookup calls bpf_sk_lookup_tcp.
func (b *vb) skLookup() {
	b.storeImm(isa.SizeDW, isa.FP, -16, 0)
	b.storeImm(isa.SizeDW, isa.FP, -8, 0)
	b.mov(1, 6)
	b.mov(2, isa.FP)
	b.addImm(2, -16)
	b.movImm(3, 12)
	b.movImm(4, 0)
	b.movImm(5, 0)
	b.helper(int32(one(b.Rand, linux.FuncSKLookupTCP, linux.FuncSKLookupUDP)))
}

// anyPointer is a kind of value, seldom one without use.
func (b *vb) anyPointer() ptr {
	for {
		k := ptr(b.IntN(int(numPtrs)))
		if (k == pkUninit || k == pkScalar || k == pkNull) && b.chance(60) {
			continue
		}
		if (k == pkRing || k == pkRingOrNull || k == pkSock || k == pkSockOrNull) && b.chance(50) {
			continue // most of them end as a reference that was not released
		}
		return k
	}
}
