package mem

import (
	"os"

	"golang.org/x/sys/unix"
)

func mapExec(code []byte) (base, room uint64, err error) {
	page := uint64(os.Getpagesize())
	room = (uint64(len(code)) + page - 1) &^ (page - 1)
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(room), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, 0, err
	}
	base = uint64(uintptr(p))
	copy(Bytes(base, room), code)
	syncCode(base, uint64(len(code)))
	if err := unix.Mprotect(Bytes(base, room), unix.PROT_READ|unix.PROT_EXEC); err != nil {
		unmapExec(base, room)
		return 0, 0, err
	}
	return base, room, nil
}

func unmapExec(base, room uint64) { release(base, room) }
