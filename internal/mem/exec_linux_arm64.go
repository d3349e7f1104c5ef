package mem

import "golang.org/x/sys/unix"

// cacheType returns CTR_EL0, the sizes of the lines of the caches.
//
//go:noescape
func cacheType() uint64

// syncLines makes the instruction cache fetch what the data cache holds for the addresses from lo to
// hi. dline and iline are the sizes of a line.
//
//go:noescape
func syncLines(lo, hi, dline, iline uint64)

// syncCode makes code that was written as data visible to instruction fetches. The caches do not do
// that on their own (Arm Architecture Reference Manual, B2.4.4). The operations on caches reach all
// processors, but what other processors have in their pipelines they forget at a synchronizing
// event only, which membarrier causes; old kernels do without, as the memory was never
// executable under this mapping.
func syncCode(base, size uint64) {
	ctr := cacheType()
	syncLines(base, base+size, 4<<(ctr>>16&0xf), 4<<(ctr&0xf))
	const (
		registerSyncCore = 1 << 6 // MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
		syncCore         = 1 << 5 // MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
	)
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, registerSyncCore, 0, 0); errno == 0 {
		unix.Syscall(unix.SYS_MEMBARRIER, syncCore, 0, 0)
	}
}
