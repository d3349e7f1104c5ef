package mem

import (
	"sync/atomic"
	"unsafe"
)

// ptr turns an address outside the Go heap into a pointer. Reading the variable's bytes as a
// pointer, not converting an integer, keeps vet's check useful everywhere else.
func ptr(addr *uint64) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(addr)) }

// The functions below access committed memory of a Space. They check nothing: callers have
// found a window that holds the whole access. Multi-byte values are little-endian on every
// platform that carom supports.

// Load8 loads one byte.
func Load8(addr uint64) uint8 { return *(*uint8)(ptr(&addr)) }

// Load16 loads two bytes at any alignment.
func Load16(addr uint64) uint16 { return *(*uint16)(ptr(&addr)) }

// Load32 loads four bytes at any alignment.
func Load32(addr uint64) uint32 { return *(*uint32)(ptr(&addr)) }

// Load64 loads eight bytes at any alignment.
func Load64(addr uint64) uint64 { return *(*uint64)(ptr(&addr)) }

// Store8 stores one byte.
func Store8(addr uint64, v uint8) { *(*uint8)(ptr(&addr)) = v }

// Store16 stores two bytes at any alignment.
func Store16(addr uint64, v uint16) { *(*uint16)(ptr(&addr)) = v }

// Store32 stores four bytes at any alignment.
func Store32(addr uint64, v uint32) { *(*uint32)(ptr(&addr)) = v }

// Store64 stores eight bytes at any alignment.
func Store64(addr uint64, v uint64) { *(*uint64)(ptr(&addr)) = v }

// Word32 returns an aligned 32-bit word for atomic use.
func Word32(addr uint64) *uint32 { return (*uint32)(ptr(&addr)) }

// Word64 returns an aligned 64-bit word for atomic use.
func Word64(addr uint64) *uint64 { return (*uint64)(ptr(&addr)) }

// AtomicLoad64 loads an aligned word with acquire order.
func AtomicLoad64(addr uint64) uint64 { return atomic.LoadUint64(Word64(addr)) }

// AtomicStore64 stores an aligned word with release order.
func AtomicStore64(addr, v uint64) { atomic.StoreUint64(Word64(addr), v) }

// Bytes returns n bytes at addr as a slice that is valid as long as the memory is committed.
func Bytes(addr, n uint64) []byte {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(ptr(&addr)), n)
}

// CopyWords copies src over memory at dst. Where dst is aligned, whole 8-byte words are
// stored one at a time, as Linux's bpf_long_memcpy does, so that a concurrent reader never sees
// half of an aligned word.
func CopyWords(dst uint64, src []byte) {
	n := uint64(len(src))
	if n == 0 {
		return
	}
	i := uint64(0)
	if dst&7 == 0 {
		for ; i+8 <= n; i += 8 {
			AtomicStore64(dst+i, le64(src[i:]))
		}
	}
	if i < n {
		copy(Bytes(dst+i, n-i), src[i:])
	}
}

// ReadWords copies memory at src over dst, aligned words one at a time (see CopyWords).
func ReadWords(dst []byte, src uint64) {
	n := uint64(len(dst))
	i := uint64(0)
	if src&7 == 0 {
		for ; i+8 <= n; i += 8 {
			putLE64(dst[i:], AtomicLoad64(src+i))
		}
	}
	if i < n {
		copy(dst[i:], Bytes(src+i, n-i))
	}
}

func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func putLE64(b []byte, v uint64) {
	_ = b[7]
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	b[4], b[5], b[6], b[7] = byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56)
}
