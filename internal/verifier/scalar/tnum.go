package scalar

import (
	"math/bits"
	"strconv"
)

// Tnum is a number of which some bits are known (struct tnum, include/linux/tnum.h). A bit set
// in Mask is unknown; the other bits are those of Value. Value and Mask have no bit in common.
type Tnum struct{ Value, Mask uint64 }

// TnumConst returns the number all of whose bits are known.
func TnumConst(v uint64) Tnum { return Tnum{Value: v} }

// TnumUnknown returns the number of which nothing is known.
func TnumUnknown() Tnum { return Tnum{Mask: ^uint64(0)} }

// TnumRange returns the narrowest Tnum that contains every value from min to max, unsigned.
func TnumRange(min, max uint64) Tnum {
	n := bits.Len64(min ^ max)
	if n > 63 {
		return TnumUnknown()
	}
	low := uint64(1)<<n - 1
	return Tnum{Value: min &^ low, Mask: low}
}

// IsConst reports whether every bit is known.
func (t Tnum) IsConst() bool { return t.Mask == 0 }

// IsUnknown reports whether no bit is known.
func (t Tnum) IsUnknown() bool { return t.Mask == ^uint64(0) }

// SubregIsConst reports whether the low 32 bits are known.
func (t Tnum) SubregIsConst() bool { return uint32(t.Mask) == 0 }

// Equals reports whether t is the constant v.
func (t Tnum) Equals(v uint64) bool { return t.Mask == 0 && t.Value == v }

// Contains reports whether the concrete v agrees with every known bit.
func (t Tnum) Contains(v uint64) bool { return v&^t.Mask == t.Value }

// Max returns the largest unsigned value that t contains; the smallest is t.Value.
func (t Tnum) Max() uint64 { return t.Value | t.Mask }

// Next returns the smallest member greater than z; the greatest member if there is none
// (tnum_step).
func (t Tnum) Next(z uint64) uint64 {
	if z >= t.Max() {
		return t.Max()
	}
	if z < t.Value {
		return t.Value
	}
	wrong := (z ^ t.Value) &^ t.Mask
	if wrong == 0 {
		// Known bits are set so that the carry runs through them.
		return ((z|^t.Mask)+1)&t.Mask | t.Value
	}
	// Below the highest known bit that is wrong, the unknown bits start over.
	low := ^uint64(0) >> bits.LeadingZeros64(wrong)
	if t.Value&^(low>>1)&low != 0 {
		return z&t.Mask&^low | t.Value
	}
	return ((z|^t.Mask|low)+1)&t.Mask | t.Value
}

// Add returns the sums of the members of t and b.
func (t Tnum) Add(b Tnum) Tnum {
	sum := t.Value + b.Value
	carries := (t.Mask + b.Mask + sum) ^ sum
	mask := carries | t.Mask | b.Mask
	return Tnum{sum &^ mask, mask}
}

// Sub returns the differences of the members of t and b.
func (t Tnum) Sub(b Tnum) Tnum {
	diff := t.Value - b.Value
	borrows := (diff + t.Mask) ^ (diff - b.Mask)
	mask := borrows | t.Mask | b.Mask
	return Tnum{diff &^ mask, mask}
}

// Neg returns the two's complements of the members of t.
func (t Tnum) Neg() Tnum { return Tnum{}.Sub(t) }

// And returns the bitwise conjunction.
func (t Tnum) And(b Tnum) Tnum {
	v := t.Value & b.Value
	return Tnum{v, t.Max() & b.Max() &^ v}
}

// Or returns the bitwise disjunction.
func (t Tnum) Or(b Tnum) Tnum {
	v := t.Value | b.Value
	return Tnum{v, (t.Mask | b.Mask) &^ v}
}

// Xor returns the bitwise exclusive disjunction.
func (t Tnum) Xor(b Tnum) Tnum {
	mask := t.Mask | b.Mask
	return Tnum{(t.Value ^ b.Value) &^ mask, mask}
}

// Mul returns the products of the members of t and b, as Linux 6.18 approximates them: long
// multiplication over the bits of t, where an unknown bit unites both cases. It is not
// commutative.
func (t Tnum) Mul(b Tnum) Tnum {
	var acc Tnum
	for t.Value|t.Mask != 0 {
		// Bits known to be zero add nothing; skip a run of them at once.
		zeros := bits.TrailingZeros64(t.Value | t.Mask)
		t, b = t.Rsh(uint8(zeros)), b.Lsh(uint8(zeros))
		if t.Value&1 != 0 {
			acc = acc.Add(b)
		} else {
			acc = acc.Union(acc.Add(b))
		}
		t, b = t.Rsh(1), b.Lsh(1)
	}
	return acc
}

// Lsh shifts left by a known number of bits below 64.
func (t Tnum) Lsh(n uint8) Tnum { return Tnum{t.Value << n, t.Mask << n} }

// Rsh shifts right by a known number of bits below 64, filling with zeros.
func (t Tnum) Rsh(n uint8) Tnum { return Tnum{t.Value >> n, t.Mask >> n} }

// Arsh shifts the low 32 bits (W32; the upper half becomes zero) or all bits (W64) right by a
// known number of bits, filling with the sign, which may be unknown.
func (t Tnum) Arsh(n uint8, w Width) Tnum {
	if w == W32 {
		return Tnum{uint64(uint32(int32(t.Value) >> n)), uint64(uint32(int32(t.Mask) >> n))}
	}
	return Tnum{uint64(int64(t.Value) >> n), uint64(int64(t.Mask) >> n)}
}

// Overlaps reports whether no bit is known to differ.
func (t Tnum) Overlaps(b Tnum) bool { return (t.Value^b.Value)&^(t.Mask|b.Mask) == 0 }

// Intersect joins the knowledge of both. Where they contradict each other the bit becomes 1.
func (t Tnum) Intersect(b Tnum) Tnum {
	mask := t.Mask & b.Mask
	return Tnum{(t.Value | b.Value) &^ mask, mask}
}

// Union returns the narrowest Tnum that contains the members of both.
func (t Tnum) Union(b Tnum) Tnum {
	mask := (t.Value ^ b.Value) | t.Mask | b.Mask
	return Tnum{t.Value & b.Value &^ mask, mask}
}

// In reports whether every member of t is a member of other.
func (t Tnum) In(other Tnum) bool {
	return t.Mask&^other.Mask == 0 && other.Value == t.Value&^other.Mask
}

// Cast keeps the low size bytes, 1 to 8, and clears the rest.
func (t Tnum) Cast(size int) Tnum {
	keep := ^uint64(0) >> (64 - 8*uint(size))
	return Tnum{t.Value & keep, t.Mask & keep}
}

// Subreg keeps the low 32 bits.
func (t Tnum) Subreg() Tnum { return Tnum{uint64(uint32(t.Value)), uint64(uint32(t.Mask))} }

// ClearSubreg makes the low 32 bits zero.
func (t Tnum) ClearSubreg() Tnum { return Tnum{t.Value >> 32 << 32, t.Mask >> 32 << 32} }

// WithSubreg takes the low 32 bits from low.
func (t Tnum) WithSubreg(low Tnum) Tnum { return t.ClearSubreg().Or(low.Subreg()) }

// ConstSubreg makes the low 32 bits the constant v.
func (t Tnum) ConstSubreg(v uint32) Tnum { return t.WithSubreg(TnumConst(uint64(v))) }

// IsAligned reports whether every member is a multiple of size, a power of two or zero.
func (t Tnum) IsAligned(size uint64) bool { return size == 0 || t.Max()&(size-1) == 0 }

// String returns the form of the verifier log: a number, or "(0x0; 0xff)" for value and mask
// (tnum_strn, kernel/bpf/log.c).
func (t Tnum) String() string { return string(t.Append(nil)) }

// Append appends the form of String.
func (t Tnum) Append(dst []byte) []byte {
	if t.Mask == 0 {
		return AppendUnsigned(dst, t.Value)
	}
	dst = append(dst, "(0x"...)
	dst = strconv.AppendUint(dst, t.Value, 16)
	dst = append(dst, "; 0x"...)
	dst = strconv.AppendUint(dst, t.Mask, 16)
	return append(dst, ')')
}

// Binary returns the 64 bits, highest first, as 0, 1 and x (tnum_sbin).
func (t Tnum) Binary() string {
	var out [64]byte
	for i := range out {
		bit := uint64(1) << (63 - i)
		switch {
		case t.Mask&bit != 0:
			out[i] = 'x'
		case t.Value&bit != 0:
			out[i] = '1'
		default:
			out[i] = '0'
		}
	}
	return string(out[:])
}
