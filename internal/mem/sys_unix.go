//go:build unix

package mem

import (
	"golang.org/x/sys/unix"
)

// reserve maps size bytes that nothing may access yet.
func reserve(size uint64) (uint64, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_NONE, mapFlags)
	return uint64(uintptr(p)), err
}

func commit(base, n uint64) error {
	return unix.Mprotect(Bytes(base, n), unix.PROT_READ|unix.PROT_WRITE)
}

// decommit drops the pages and makes the range inaccessible again. Mapping anew, unlike
// madvise, guarantees zeroed pages on every Unix.
func decommit(base, n uint64) {
	_, _ = unix.MmapPtr(-1, 0, ptr(&base), uintptr(n), unix.PROT_NONE, mapFlags|unix.MAP_FIXED)
}

func release(base, size uint64) {
	_ = unix.MunmapPtr(ptr(&base), uintptr(size))
}
