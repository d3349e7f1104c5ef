package arm64

import "math/bits"

// FitsLogical says whether And, Orr, Eor and their relatives take v as a constant: a rotated run of
// ones, repeated in elements of 2, 4, 8, 16, 32 or 64 bits, and neither zero nor all ones. For W32
// bits 63 to 32 must be zero. (DDI 0487, DecodeBitMasks.)
func FitsLogical(w Width, v uint64) bool {
	_, ok := encodeBitmask(w, v)
	return ok
}

// encodeBitmask gives the fields N, immr and imms of a logical constant as N<<12 | immr<<6 | imms.
func encodeBitmask(w Width, v uint64) (uint32, bool) {
	if w == W32 {
		if v>>32 != 0 {
			return 0, false
		}
		v |= v << 32
	}
	if v == 0 || v == ^uint64(0) {
		return 0, false
	}
	size := period(v)
	mask := ^uint64(0) >> (64 - size)
	elem := v & mask
	ones := uint(bits.OnesCount64(elem))
	// Rotate the ring of bits until the run starts at bit 0: an encodable element is then ones-1.
	start := runStart(elem, mask, size)
	rotated := (elem>>start | elem<<(size-start)) & mask
	if rotated != 1<<ones-1 {
		return 0, false
	}
	immr := (size - start) % size
	n := size >> 6
	// imms holds the element size as leading ones above the count of ones minus one.
	imms := (^(2*size - 1) & 0x3f) | (ones - 1)
	return uint32(n<<12 | immr<<6 | imms&0x3f), true
}

// period is the smallest element size, a power of two, whose repetition gives v.
func period(v uint64) uint {
	size := uint(64)
	for size > 2 {
		half := size / 2
		mask := uint64(1)<<half - 1
		if v&mask != v>>half&mask {
			break
		}
		size = half
	}
	return size
}

// runStart is the bit at which the run of ones of an element begins, seen as a ring.
func runStart(elem, mask uint64, size uint) uint {
	if elem&1 == 0 {
		return uint(bits.TrailingZeros64(elem))
	}
	// The run may wrap: it then begins above the highest zero.
	highestZero := uint(bits.Len64(^elem & mask))
	return highestZero % size
}
