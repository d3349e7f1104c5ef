package scalar

import (
	"math"
	"math/bits"
)

// The arithmetic of one range: add, subtract and multiply. A result that may leave its type on
// one side only is not a range, and becomes the full one.

type signed interface{ int32 | int64 }

type unsigned interface{ uint32 | uint64 }

// addSigned returns [alo+blo, ahi+bhi] and whether neither sum overflowed.
func addSigned[T signed](alo, ahi, blo, bhi T) (lo, hi T, ok bool) {
	lo, hi = alo+blo, ahi+bhi
	// A sum overflowed if both operands have the sign that it has not.
	return lo, hi, (alo^lo)&(blo^lo) >= 0 && (ahi^hi)&(bhi^hi) >= 0
}

// subSigned returns [alo-bhi, ahi-blo] and whether neither difference overflowed.
func subSigned[T signed](alo, ahi, blo, bhi T) (lo, hi T, ok bool) {
	lo, hi = alo-bhi, ahi-blo
	return lo, hi, (alo^bhi)&(alo^lo) >= 0 && (ahi^blo)&(ahi^hi) >= 0
}

// addUnsigned returns [alo+blo, ahi+bhi]; if both ends wrap it is still a range.
func addUnsigned[T unsigned](alo, ahi, blo, bhi T) (lo, hi T) {
	lo, hi = alo+blo, ahi+bhi
	if lo >= alo && hi < ahi {
		return 0, ^T(0)
	}
	return lo, hi
}

// subUnsigned returns [alo-bhi, ahi-blo]; if both ends wrap it is still a range.
func subUnsigned[T unsigned](alo, ahi, blo, bhi T) (lo, hi T) {
	lo, hi = alo-bhi, ahi-blo
	if alo < bhi && ahi >= blo {
		return 0, ^T(0)
	}
	return lo, hi
}

func mulUnsigned32(alo, ahi, blo, bhi uint32) (lo, hi uint32) {
	if p := uint64(ahi) * uint64(bhi); p <= math.MaxUint32 {
		return alo * blo, uint32(p)
	}
	return 0, math.MaxUint32
}

func mulUnsigned64(alo, ahi, blo, bhi uint64) (lo, hi uint64) {
	if over, p := bits.Mul64(ahi, bhi); over == 0 {
		return alo * blo, p
	}
	return 0, math.MaxUint64
}

func mulSigned32(alo, ahi, blo, bhi int32) (lo, hi int32) {
	a, b := int64(alo)*int64(blo), int64(alo)*int64(bhi)
	c, d := int64(ahi)*int64(blo), int64(ahi)*int64(bhi)
	l, h := min(a, b, c, d), max(a, b, c, d)
	if l < math.MinInt32 || h > math.MaxInt32 {
		return math.MinInt32, math.MaxInt32
	}
	return int32(l), int32(h)
}

func mulSigned64(alo, ahi, blo, bhi int64) (lo, hi int64) {
	a, ok1 := mulInt64(alo, blo)
	b, ok2 := mulInt64(alo, bhi)
	c, ok3 := mulInt64(ahi, blo)
	d, ok4 := mulInt64(ahi, bhi)
	if !(ok1 && ok2 && ok3 && ok4) {
		return math.MinInt64, math.MaxInt64
	}
	return min(a, b, c, d), max(a, b, c, d)
}

// mulInt64 returns a*b and whether it fits.
func mulInt64(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	hi -= uint64(a>>63)&uint64(b) + uint64(b>>63)&uint64(a)
	return int64(lo), hi == uint64(int64(lo)>>63)
}
