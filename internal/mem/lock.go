package mem

import (
	"runtime"
	"sync/atomic"
)

// spins before the holder's goroutine gets a chance to run.
const spins = 64

// Lock takes the lock word at addr: 0 free, 1 held. Native code uses the same word, tries a
// bounded number of times and then leaves to Go, so that waiting never blocks the scheduler.
func Lock(addr uint64) {
	w := Word32(addr)
	for i := 1; !atomic.CompareAndSwapUint32(w, 0, 1); i++ {
		if i%spins == 0 {
			runtime.Gosched()
		}
	}
}

// TryLock takes the lock word at addr if it is free.
func TryLock(addr uint64) bool { return atomic.CompareAndSwapUint32(Word32(addr), 0, 1) }

// Unlock releases the lock word at addr.
func Unlock(addr uint64) { atomic.StoreUint32(Word32(addr), 0) }
