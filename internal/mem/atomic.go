package mem

import "sync/atomic"

// LoadAcquire loads 1<<k bytes at an aligned address with acquire order.
func LoadAcquire(addr uint64, k int) uint64 {
	if k == 3 {
		return AtomicLoad64(addr)
	}
	word := atomic.LoadUint32(Word32(addr &^ 3))
	switch shift := addr & 3 * 8; k {
	case 0:
		return uint64(uint8(word >> shift))
	case 1:
		return uint64(uint16(word >> shift))
	}
	return uint64(word)
}

// StoreRelease stores 1<<k bytes at an aligned address with release order.
func StoreRelease(addr uint64, k int, v uint64) {
	switch k {
	case 3:
		AtomicStore64(addr, v)
		return
	case 2:
		atomic.StoreUint32(Word32(addr), uint32(v))
		return
	}
	shift := addr & 3 * 8
	mask := uint32(0xff)
	if k == 1 {
		mask = 0xffff
	}
	w := Word32(addr &^ 3)
	for {
		old := atomic.LoadUint32(w)
		if atomic.CompareAndSwapUint32(w, old, old&^(mask<<shift)|uint32(v)&mask<<shift) {
			return
		}
	}
}

// Xor32 exchanges the word at addr for its exclusive or with v and returns the old one.
func Xor32(addr uint64, v uint32) uint32 {
	w := Word32(addr)
	for {
		old := atomic.LoadUint32(w)
		if atomic.CompareAndSwapUint32(w, old, old^v) {
			return old
		}
	}
}

// Xor64 is Xor32 for 64 bits.
func Xor64(addr, v uint64) uint64 {
	w := Word64(addr)
	for {
		old := atomic.LoadUint64(w)
		if atomic.CompareAndSwapUint64(w, old, old^v) {
			return old
		}
	}
}

// CmpXchg32 stores v at addr when the word there is old, and returns what was there.
func CmpXchg32(addr uint64, old, v uint32) uint32 {
	w := Word32(addr)
	for {
		got := atomic.LoadUint32(w)
		if got != old || atomic.CompareAndSwapUint32(w, old, v) {
			return got
		}
	}
}

// CmpXchg64 is CmpXchg32 for 64 bits.
func CmpXchg64(addr, old, v uint64) uint64 {
	w := Word64(addr)
	for {
		got := atomic.LoadUint64(w)
		if got != old || atomic.CompareAndSwapUint64(w, old, v) {
			return got
		}
	}
}
