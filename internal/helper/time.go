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
	clock := func(id uint32, which world.ClockID) vm.Helper {
		return vm.Helper{
			Proto: proto(id),
			Func:  func(k *vm.Call) uint64 { return now(k, which) },
		}
	}
	return []vm.Helper{
		clock(linux.FuncKtimeGetNS, world.Monotonic),
		clock(linux.FuncKtimeGetBootNS, world.Boot),
		clock(linux.FuncKtimeGetCoarseNS, world.Coarse),
		clock(linux.FuncKtimeGetTAINS, world.TAI),
		{
			Proto: proto(linux.FuncJiffies64),
			Func: func(k *vm.Call) uint64 {
				return initialJiffies + now(k, world.Boot)/(1e9/hz)
			},
		},
	}
}
