package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// iterKfuncs is the number iterator (kernel/bpf/bpf_iter.c). Its state of 8 bytes is {int cur,
// int end}; cur is the number that the program reads.
func iterKfuncs() []vm.Helper {
	return []vm.Helper{
		{Proto: kfunc("iter_num_new"), Func: iterNumNew},
		{Proto: kfunc("iter_num_next"), Func: iterNumNext},
		{Proto: kfunc("iter_num_destroy"), Func: func(k *vm.Call) uint64 {
			if _, ok := k.Buffer(k.Args[0], iterSize); ok {
				mem.Store64(k.Args[0], 0)
			}
			return 0
		}},
	}
}

const (
	iterSize = 8
	iterCur  = 0
	iterEnd  = 4
)

func iterNumNew(k *vm.Call) uint64 {
	it := k.Args[0]
	if _, ok := k.Buffer(it, iterSize); !ok {
		return 0
	}
	start, end := int32(k.Args[1]), int32(k.Args[2])
	mem.Store64(it, 0)
	switch {
	case start > end:
		return int32Result(-int64(linux.EINVAL))
	case int64(end)-int64(start) > linux.MaxLoops:
		return int32Result(-int64(linux.E2BIG))
	}
	mem.Store32(it+iterCur, uint32(start-1))
	mem.Store32(it+iterEnd, uint32(end))
	return 0
}

func iterNumNext(k *vm.Call) uint64 {
	it := k.Args[0]
	if _, ok := k.Buffer(it, iterSize); !ok {
		return 0
	}
	// The sum is made with 32 bits: it wraps when the first number is INT_MIN.
	next, end := int32(mem.Load32(it+iterCur))+1, int32(mem.Load32(it+iterEnd))
	if next >= end {
		mem.Store64(it, 0)
		return 0
	}
	mem.Store32(it+iterCur, uint32(next))
	return it + iterCur
}

// sectionKfuncs mark sections in which Linux does not preempt, free or interrupt. A virtual CPU
// runs one program at a time and memory lives as long as the run, so that nothing is left to do.
func sectionKfuncs() []vm.Helper {
	void := func(name string) vm.Helper {
		return vm.Helper{Proto: kfunc(name), Func: func(*vm.Call) uint64 { return 0 }}
	}
	return []vm.Helper{
		{Proto: kfunc("throw"), Func: func(k *vm.Call) uint64 { return k.Throw(k.Args[0]) }},
		void("rcu_read_lock"),
		void("rcu_read_unlock"),
		void("preempt_disable"),
		void("preempt_enable"),
		{Proto: kfunc("local_irq_save"), Func: func(k *vm.Call) uint64 {
			if _, ok := k.Buffer(k.Args[0], 8); ok {
				mem.Store64(k.Args[0], interruptsOn)
			}
			return 0
		}},
		void("local_irq_restore"),
	}
}

// interruptsOn is the flag word that bpf_local_irq_save leaves on x86-64: X86_EFLAGS_IF and the
// bit that is always set.
const interruptsOn = 0x202
