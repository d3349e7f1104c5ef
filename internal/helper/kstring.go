package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// kstringMax is XATTR_SIZE_MAX, how far the string kfuncs look.
const kstringMax = 65536

// stringKfuncs read strings anywhere; memory that cannot be read gives EFAULT, an address that is
// none of the kernel ERANGE, a string without end E2BIG (kernel/bpf/helpers.c).
func stringKfuncs() []vm.Helper {
	return []vm.Helper{
		{Proto: kfunc("strcmp"), Func: func(k *vm.Call) uint64 {
			return strcmp(k, func(c byte) byte { return c })
		}},
		{Proto: kfunc("strcasecmp"), Func: func(k *vm.Call) uint64 { return strcmp(k, lower) }},
		{Proto: kfunc("strlen"), Func: func(k *vm.Call) uint64 {
			return strlen(k, kstringMax)
		}},
		{Proto: kfunc("strnlen"), Func: func(k *vm.Call) uint64 {
			return strlen(k, k.Args[1])
		}},
		{Proto: kfunc("strchr"), Func: func(k *vm.Call) uint64 {
			return strchr(k, kstringMax, byte(k.Args[1]))
		}},
		{Proto: kfunc("strnchr"), Func: func(k *vm.Call) uint64 {
			return strchr(k, k.Args[1], byte(k.Args[2]))
		}},
		{Proto: kfunc("strchrnul"), Func: strchrnul},
		{Proto: kfunc("strrchr"), Func: strrchr},
		{Proto: kfunc("strspn"), Func: func(k *vm.Call) uint64 { return strspn(k, inSet) }},
		{Proto: kfunc("strcspn"), Func: func(k *vm.Call) uint64 { return strspn(k, notInSet) }},
		{Proto: kfunc("strstr"), Func: func(k *vm.Call) uint64 {
			return strstr(k, kstringMax)
		}},
		{Proto: kfunc("strnstr"), Func: func(k *vm.Call) uint64 {
			return strstr(k, k.Args[2])
		}},
	}
}

// failure is what a string kfunc returns for an error.
func failure(e linux.Errno) uint64 { return int32Result(-int64(e)) }

// byteAt reads one byte.
func byteAt(k *vm.Call, addr uint64) (byte, linux.Errno) {
	if b, ok := k.Try(addr, 1); ok {
		return b[0], linux.OK
	}
	return 0, badAddress(k, addr, kernelSpace)
}

func strcmp(k *vm.Call, fold func(byte) byte) uint64 {
	a, b := k.Args[0], k.Args[1]
	for i := range uint64(kstringMax) {
		c, errno := byteAt(k, a+i)
		if errno != linux.OK {
			return failure(errno)
		}
		d, errno := byteAt(k, b+i)
		if errno != linux.OK {
			return failure(errno)
		}
		c, d = fold(c), fold(d)
		switch {
		case c < d:
			return int32Result(-1)
		case c > d:
			return 1
		case c == 0:
			return 0
		}
	}
	return failure(linux.E2BIG)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func strlen(k *vm.Call, limit uint64) uint64 {
	for i := range min(limit, kstringMax) {
		c, errno := byteAt(k, k.Args[0]+i)
		if errno != linux.OK {
			return failure(errno)
		}
		if c == 0 {
			return i
		}
	}
	if limit < kstringMax {
		return limit
	}
	return failure(linux.E2BIG)
}

// strchr returns where c is first found; c may be the NUL.
func strchr(k *vm.Call, limit uint64, want byte) uint64 {
	for i := range min(limit, kstringMax) {
		c, errno := byteAt(k, k.Args[0]+i)
		switch {
		case errno != linux.OK:
			return failure(errno)
		case c == want:
			return i
		case c == 0:
			return failure(linux.ENOENT)
		}
	}
	if limit < kstringMax {
		return failure(linux.ENOENT)
	}
	return failure(linux.E2BIG)
}

func strchrnul(k *vm.Call) uint64 {
	for i := range uint64(kstringMax) {
		c, errno := byteAt(k, k.Args[0]+i)
		switch {
		case errno != linux.OK:
			return failure(errno)
		case c == byte(k.Args[1]), c == 0:
			return i
		}
	}
	return failure(linux.E2BIG)
}

func strrchr(k *vm.Call) uint64 {
	last := failure(linux.ENOENT)
	for i := range uint64(kstringMax) {
		c, errno := byteAt(k, k.Args[0]+i)
		if errno != linux.OK {
			return failure(errno)
		}
		if c == byte(k.Args[1]) {
			last = i
		}
		if c == 0 {
			return last
		}
	}
	return failure(linux.E2BIG)
}

// setMember says which bytes continue a span.
type setMember uint8

const (
	inSet setMember = iota
	notInSet
)

// strspn is the length of the start of R1 whose bytes are in the set R2, or are not.
func strspn(k *vm.Call, want setMember) uint64 {
	for i := range uint64(kstringMax) {
		c, errno := byteAt(k, k.Args[0]+i)
		if errno != linux.OK {
			return failure(errno)
		}
		if c == 0 {
			return i
		}
		got, errno := memberOf(k, k.Args[1], c)
		if errno != linux.OK {
			return failure(errno)
		}
		if got != want {
			return i
		}
	}
	return failure(linux.E2BIG)
}

func memberOf(k *vm.Call, set uint64, c byte) (setMember, linux.Errno) {
	for j := range uint64(kstringMax) {
		m, errno := byteAt(k, set+j)
		switch {
		case errno != linux.OK:
			return notInSet, errno
		case m == c:
			return inSet, linux.OK
		case m == 0:
			return notInSet, linux.OK
		}
	}
	return notInSet, linux.E2BIG
}

// strstr returns where the string R2 is first found within the first limit bytes of R1.
func strstr(k *vm.Call, limit uint64) uint64 {
	for i := range min(limit+1, kstringMax) {
		for j := uint64(0); ; j++ {
			if j == kstringMax {
				return failure(linux.E2BIG)
			}
			want, errno := byteAt(k, k.Args[1]+j)
			if errno != linux.OK {
				return failure(errno)
			}
			if want == 0 {
				return i
			}
			if i+j >= limit {
				return failure(linux.ENOENT)
			}
			got, errno := byteAt(k, k.Args[0]+i+j)
			if errno != linux.OK {
				return failure(errno)
			}
			if got == 0 {
				return failure(linux.ENOENT)
			}
			if got != want {
				break
			}
		}
	}
	return failure(linux.E2BIG)
}
