package mem

import "golang.org/x/sys/windows"

func reserve(size uint64) (uint64, error) {
	p, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	return uint64(p), err
}

func commit(base, n uint64) error {
	_, err := windows.VirtualAlloc(uintptr(base), uintptr(n), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

func decommit(base, n uint64) {
	_ = windows.VirtualFree(uintptr(base), uintptr(n), windows.MEM_DECOMMIT)
}

func release(base, _ uint64) {
	_ = windows.VirtualFree(uintptr(base), 0, windows.MEM_RELEASE)
}
