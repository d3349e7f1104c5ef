package helper

import (
	"runtime"
	"time"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

func lockHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncSpinLock), Func: spinLock},
		{Proto: proto(linux.FuncSpinUnlock), Func: spinUnlock},
	}
}

const (
	lockSize = 4 // struct bpf_spin_lock
	// lockPatience is how long a program may wait for a lock. Sections under a lock are short, so
	// more means that the holder waits for this program.
	lockPatience = 10 * time.Second
	lockSpins    = 1 << 10 // tries between two looks at the clock
)

// heldLock is what a virtual CPU holds for a lock, so that a run that fails gives it back.
type heldLock struct{}

// Discard implements vm.Discarder.
func (heldLock) Discard(addr, _ uint64) { mem.Unlock(addr) }

func lockWord(k *vm.Call) (addr uint64, ok bool) {
	addr = k.Args[0]
	if addr%lockSize != 0 {
		k.Fail("R1 = %#x is not aligned as struct bpf_spin_lock is", addr)
		return 0, false
	}
	_, ok = k.Buffer(addr, lockSize)
	return addr, ok
}

func spinLock(k *vm.Call) uint64 {
	addr, ok := lockWord(k)
	if !ok {
		return 0
	}
	if held, ok := k.CPU.Release(addr); ok {
		k.CPU.Hold(addr, 0, held)
		return k.Fail("the lock at %#x is taken again by its holder; release it first", addr)
	}
	if !mem.TryLock(addr) && !waitLock(addr) {
		return k.Fail("the lock at %#x was not released within %v; its holder may wait for a lock of this program", addr, lockPatience)
	}
	k.CPU.Hold(addr, 0, heldLock{})
	return 0
}

func waitLock(addr uint64) bool {
	for start := time.Now(); time.Since(start) < lockPatience; {
		for range lockSpins {
			if mem.TryLock(addr) {
				return true
			}
			runtime.Gosched()
		}
	}
	return false
}

func spinUnlock(k *vm.Call) uint64 {
	addr, ok := lockWord(k)
	if !ok {
		return 0
	}
	held, ok := k.CPU.Release(addr)
	if _, isLock := held.(heldLock); !isLock {
		if ok {
			k.CPU.Hold(addr, 0, held)
		}
		return k.Fail("the lock at %#x is not held by this program", addr)
	}
	mem.Unlock(addr)
	return 0
}
