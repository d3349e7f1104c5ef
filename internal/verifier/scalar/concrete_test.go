package scalar

import (
	"math/bits"

	"github.com/carom-bpf/carom/internal/isa"
)

// What one instruction does to concrete values (RFC 9669, sections 4.1 and 4.3). Shift amounts
// are masked, as there.

func concreteALU(op uint8, w Width, a, b uint64) uint64 {
	if w == W32 {
		a, b = uint64(uint32(a)), uint64(uint32(b))
	}
	amount := b & uint64(w-1)
	var r uint64
	switch op {
	case isa.ADD:
		r = a + b
	case isa.SUB:
		r = a - b
	case isa.MUL:
		r = a * b
	case isa.AND:
		r = a & b
	case isa.OR:
		r = a | b
	case isa.XOR:
		r = a ^ b
	case isa.NEG:
		r = -a
	case isa.MOV:
		r = b
	case isa.LSH:
		r = a << amount
	case isa.RSH:
		r = a >> amount
	case isa.ARSH:
		if w == W32 {
			r = uint64(int32(a) >> amount)
		} else {
			r = uint64(int64(a) >> amount)
		}
	}
	if w == W32 {
		return uint64(uint32(r))
	}
	return r
}

func concreteJump(op uint8, w Width, a, b uint64) bool {
	sa, sb := int64(a), int64(b)
	if w == W32 {
		a, b = uint64(uint32(a)), uint64(uint32(b))
		sa, sb = int64(int32(a)), int64(int32(b))
	}
	switch op {
	case isa.JEQ:
		return a == b
	case isa.JNE:
		return a != b
	case isa.JSET:
		return a&b != 0
	case isa.JGT:
		return a > b
	case isa.JGE:
		return a >= b
	case isa.JLT:
		return a < b
	case isa.JLE:
		return a <= b
	case isa.JSGT:
		return sa > sb
	case isa.JSGE:
		return sa >= sb
	case isa.JSLT:
		return sa < sb
	}
	return sa <= sb
}

func concreteSX(v uint64, size int) uint64 {
	switch size {
	case 1:
		return uint64(int8(v))
	case 2:
		return uint64(int16(v))
	case 4:
		return uint64(int32(v))
	}
	return v
}

func concreteSwap(v uint64, size int) uint64 {
	switch size {
	case 2:
		return uint64(bits.ReverseBytes16(uint16(v)))
	case 4:
		return uint64(bits.ReverseBytes32(uint32(v)))
	}
	return bits.ReverseBytes64(v)
}

func keepBytes(v uint64, size int) uint64 { return v & (^uint64(0) >> (64 - 8*size)) }
