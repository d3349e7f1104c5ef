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
	s := linux.ArgConstString
	return []vm.Helper{
		{Proto: kfunc("strcmp", linux.RetInteger, args{s, s}), Func: func(k *vm.Call) uint64 {
			return strcmp(k, func(c byte) byte { return c })
		}},
		{Proto: kfunc("strcasecmp", linux.RetInteger, args{s, s}), Func: func(k *vm.Call) uint64 { return strcmp(k, lower) }},
		{Proto: kfunc("strlen", linux.RetInteger, args{s}), Func: func(k *vm.Call) uint64 {
			return strlen(k, kstringMax)
		}},
		{Proto: kfunc("strnlen", linux.RetInteger, args{s, linux.ArgAnything}), Func: func(k *vm.Call) uint64 {
			return strlen(k, k.Args[1])
		}},
		{Proto: kfunc("strchr", linux.RetInteger, args{s, linux.ArgAnything}), Func: func(k *vm.Call) uint64 {
			return strchr(k, kstringMax, byte(k.Args[1]))
		}},
		{Proto: kfunc("strnchr", linux.RetInteger, args{s, linux.ArgAnything, linux.ArgAnything}), Func: func(k *vm.Call) uint64 {
			return strchr(k, k.Args[1], byte(k.Args[2]))
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
