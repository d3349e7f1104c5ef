package scalar

import (
	"math"
	"strconv"
)

// AppendUnsigned appends v as the verifier log writes it: decimal up to 65535, then hexadecimal
// (verbose_unum, kernel/bpf/log.c).
func AppendUnsigned(dst []byte, v uint64) []byte {
	if v <= math.MaxUint16 {
		return strconv.AppendUint(dst, v, 10)
	}
	return strconv.AppendUint(append(dst, "0x"...), v, 16)
}

// AppendSigned appends v as the verifier log writes it: decimal from -32768 to 32767, else the
// two's complement in hexadecimal (verbose_snum).
func AppendSigned(dst []byte, v int64) []byte {
	if int64(int16(v)) == v {
		return strconv.AppendInt(dst, v, 10)
	}
	return strconv.AppendUint(append(dst, "0x"...), uint64(v), 16)
}

// String returns the scalar as the log prints a register that has no id and is not precise: a
// number if it is known, else "scalar(...)".
func (s Scalar) String() string { return string(s.Append(nil)) }

// Append appends the form of String.
func (s *Scalar) Append(dst []byte) []byte {
	if s.Var.Mask == 0 {
		return AppendSigned(dst, int64(s.Var.Value))
	}
	dst = append(dst, "scalar("...)
	dst = s.AppendRanges(dst)
	return append(dst, ')')
}

// limit is one end of a range as it is printed.
type limit struct {
	name   string
	value  uint64
	signed bool
	omit   bool
}

// AppendRanges appends the ranges and Var as the log does within the parentheses of a register:
// "smin=0,smax=umax=255,var_off=(0x0; 0xff)". An end that says nothing is left out, and equal
// ends of the same side are joined. The result is empty if nothing is known.
func (s *Scalar) AppendRanges(dst []byte) []byte {
	limits := [...]limit{
		{"smin=", uint64(s.Smin), true, s.Smin == math.MinInt64},
		{"smax=", uint64(s.Smax), true, s.Smax == math.MaxInt64},
		{"umin=", s.Umin, false, s.Umin == 0},
		{"umax=", s.Umax, false, s.Umax == math.MaxUint64},
		{"smin32=", printed32(s.S32min), true, s.S32min == math.MinInt32},
		{"smax32=", printed32(s.S32max), true, s.S32max == math.MaxInt32},
		{"umin32=", uint64(s.U32min), false, s.U32min == 0},
		{"umax32=", uint64(s.U32max), false, s.U32max == math.MaxUint32},
	}
	start := len(dst)
	for i := range limits {
		if limits[i].omit {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = appendJoined(dst, limits[i:])
	}
	if s.Var.IsUnknown() {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ',')
	}
	return s.Var.Append(append(dst, "var_off="...))
}

// appendJoined appends the first limit after the names of all later ones of its side that have
// the same value and sign, and marks those as printed.
func appendJoined(dst []byte, limits []limit) []byte {
	first := &limits[0]
	dst = append(dst, first.name...)
	for i := 2; i < len(limits); i += 2 {
		l := &limits[i]
		if l.omit || l.value != first.value || l.negative() != first.negative() {
			continue
		}
		l.omit = true
		dst = append(dst, l.name...)
	}
	if first.signed {
		return AppendSigned(dst, int64(first.value))
	}
	return AppendUnsigned(dst, first.value)
}

func (l *limit) negative() bool { return l.signed && int64(l.value) < 0 }

// printed32 extends the sign of what is printed in decimal; hexadecimal shows 32 bits.
func printed32(v int32) uint64 {
	if int32(int16(v)) == v {
		return uint64(int64(v))
	}
	return uint64(uint32(v))
}
