package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/world"
)

// Jiffies (include/linux/jiffies.h): the counter starts five minutes before it wraps at 32 bits.
const (
	hz             = 250 // CONFIG_HZ, the default of Linux
	initialJiffies = 1<<32 - 300*hz
)

// timeHelpers read the clock of the run, or fallback when the run has none.
func timeHelpers(fallback world.Clock) []vm.Helper {
	now := func(k *vm.Call, id world.ClockID) uint64 {
		if w := k.CPU.World; w != nil && w.Clock != nil {
			return w.Clock.Now(id)
		}
		return fallback.Now(id)
	}
	clock := func(id uint32, name string, which world.ClockID) vm.Helper {
		return vm.Helper{
			Proto: proto(id, name, linux.RetInteger, args{}),
			Func:  func(k *vm.Call) uint64 { return now(k, which) },
		}
	}
	return []vm.Helper{
		clock(5, "ktime_get_ns", world.Monotonic),
		clock(125, "ktime_get_boot_ns", world.Boot),
		clock(160, "ktime_get_coarse_ns", world.Coarse),
		clock(208, "ktime_get_tai_ns", world.TAI),
		{
			Proto: proto(118, "jiffies64", linux.RetInteger, args{}),
			Func: func(k *vm.Call) uint64 {
				return initialJiffies + now(k, world.Boot)/(1e9/hz)
			},
		},
	}
}
