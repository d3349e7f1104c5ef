package helper

import (
	"math"
	"math/bits"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

func stringHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncStrncmp), Func: strncmp},
		{Proto: proto(linux.FuncStrtol), Func: strtol},
		{Proto: proto(linux.FuncStrtoul), Func: strtoul},
	}
}

// strncmp compares at most R2 bytes and gives -1, 0 or 1 (lib/string.c).
func strncmp(k *vm.Call) uint64 {
	size := uint64(uint32(k.Args[1]))
	a, ok := k.Bytes(k.Args[0], size)
	if !ok {
		return 0
	}
	for i, c := range a {
		b, ok := k.Bytes(k.Args[2]+uint64(i), 1)
		if !ok {
			return 0
		}
		switch {
		case c < b[0]:
			return math.MaxUint64
		case c > b[0]:
			return 1
		case c == 0:
			return 0
		}
	}
	return 0
}

// baseMask is BPF_STRTOX_BASE_MASK, the part of the flags that is the base.
const baseMask = 0x1f

// number is a parsed integer: sign and magnitude, and how many bytes it took.
type number struct {
	negative bool
	abs      uint64
	length   int
}

// parse is __bpf_strtoull (kernel/bpf/helpers.c): white space, a minus sign, a prefix, digits.
func parse(text []byte, flags uint64) (number, linux.Errno) {
	base := flags & baseMask
	if flags&^baseMask != 0 || base != 0 && base != 8 && base != 10 && base != 16 {
		return number{}, linux.EINVAL
	}
	var n number
	i := 0
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	if i < len(text) && text[i] == '-' {
		n.negative = true
		i++
	}
	if i == len(text) {
		return number{}, linux.EINVAL
	}
	// The digits are looked at through a copy of 64 bytes, the last one NUL.
	const copyMax = 63
	digits := text[i:min(len(text), i+copyMax)]
	base, skip := radix(digits, base)
	i += skip
	count := 0
	overflow := false
	for _, c := range digits[skip:] {
		v := digit(c)
		if v >= base {
			break
		}
		hi, lo := bits.Mul64(n.abs, base)
		sum, carry := bits.Add64(lo, v, 0)
		overflow = overflow || hi != 0 || carry != 0
		n.abs = sum
		count++
	}
	switch {
	case overflow:
		return number{}, linux.ERANGE
	case count == 0:
		return number{}, linux.EINVAL
	}
	n.length = i + count
	return n, linux.OK
}

// radix is _parse_integer_fixup_radix (lib/kstrtox.c): it finds the base from the prefix where
// none is given, and skips 0x.
func radix(s []byte, base uint64) (uint64, int) {
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	hex := at(0) == '0' && at(1)|0x20 == 'x'
	if base == 0 {
		switch {
		case hex && digit(at(2)) < 16:
			base = 16
		case at(0) == '0':
			base = 8
		default:
			base = 10
		}
	}
	if base == 16 && hex {
		return base, 2
	}
	return base, 0
}

// digit is the value of a digit, 16 or more for anything else.
func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return math.MaxUint64
}

// isSpace is the kernel's isspace, which counts the no-break space of Latin-1.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0xa0 }

// strto parses for strtol and strtoul. The result is set to 0 first, so that it is 0 on errors.
func strto(k *vm.Call) (n number, res uint64, errno linux.Errno, ok bool) {
	text, ok := k.Bytes(k.Args[0], k.Args[1])
	if !ok {
		return n, 0, 0, false
	}
	res = k.Args[3]
	if _, ok := k.Buffer(res, 8); !ok {
		return n, 0, 0, false
	}
	mem.Store64(res, 0)
	n, errno = parse(text, k.Args[2])
	return n, res, errno, true
}

func strtol(k *vm.Call) uint64 {
	n, res, errno, ok := strto(k)
	switch {
	case !ok:
		return 0
	case errno != linux.OK:
		return errno.Neg()
	case n.negative && int64(-n.abs) > 0, !n.negative && int64(n.abs) < 0:
		return linux.ERANGE.Neg()
	case n.negative:
		n.abs = -n.abs
	}
	mem.Store64(res, n.abs)
	return uint64(n.length)
}

func strtoul(k *vm.Call) uint64 {
	n, res, errno, ok := strto(k)
	switch {
	case !ok:
		return 0
	case errno != linux.OK:
		return errno.Neg()
	case n.negative:
		return linux.EINVAL.Neg()
	}
	mem.Store64(res, n.abs)
	return uint64(n.length)
}
