package linux

import (
	"slices"
	"sync"

	"github.com/cilium/ebpf"
)

// KfuncFlag is a property of a kernel function (KF_* of include/linux/btf.h).
type KfuncFlag uint8

// Properties.
const (
	KfuncRetNull     KfuncFlag = 1 << iota // the result may be NULL
	KfuncIterNew                           // makes an iterator
	KfuncIterNext                          // asks an iterator for the next element
	KfuncIterDestroy                       // ends an iterator
)

// Kfunc is a kernel function that carom has. Linux takes the types of arguments from its BTF;
// those here are the closest that helpers have.
type Kfunc struct {
	Proto
	Flags KfuncFlag
	// Types are the program types that may call it, every type when empty.
	Types []ebpf.ProgramType
	Since Release
}

// AllowedIn says whether programs of a type may call the function.
func (k *Kfunc) AllowedIn(t ebpf.ProgramType) bool {
	return len(k.Types) == 0 || slices.Contains(k.Types, t)
}

// kfuncRows are from kernel/bpf/helpers.c: common_btf_ids, for every type, and generic_btf_ids.
func kfuncRows() []Kfunc {
	generic := []ebpf.ProgramType{
		ebpf.Tracing, ebpf.SchedCLS, ebpf.XDP, ebpf.StructOps, ebpf.Syscall, ebpf.CGroupSKB,
	}
	row := func(since Release, name string, ret RetType, a args) Kfunc {
		return Kfunc{Proto: Proto{Name: "bpf_" + name, Symbol: "bpf_" + name, Ret: ret, Args: a}, Since: since}
	}
	iter := func(name string, flags KfuncFlag, ret RetType, a args) Kfunc {
		k := row(MakeRelease(6, 4), "iter_num_"+name, ret, a)
		k.Flags = flags
		return k
	}
	const any = ArgAnything
	throw := row(MakeRelease(6, 7), "throw", RetVoid, args{any})
	throw.Types = generic
	rows := []Kfunc{
		iter("new", KfuncIterNew, RetInteger, args{ArgPtrToIter, any, any}),
		iter("next", KfuncIterNext|KfuncRetNull, RetPtrToMemOrNull, args{ArgPtrToIter}),
		iter("destroy", KfuncIterDestroy, RetVoid, args{ArgPtrToIter}),
		throw,
		row(MakeRelease(6, 2), "rcu_read_lock", RetVoid, args{}),
		row(MakeRelease(6, 2), "rcu_read_unlock", RetVoid, args{}),
		row(MakeRelease(6, 10), "preempt_disable", RetVoid, args{}),
		row(MakeRelease(6, 10), "preempt_enable", RetVoid, args{}),
		row(MakeRelease(6, 14), "local_irq_save", RetVoid, args{ArgPtrToFixedSizeMem | MemUninit | MemWrite}),
		row(MakeRelease(6, 14), "local_irq_restore", RetVoid, args{ArgPtrToFixedSizeMem}),
	}
	for i := range rows {
		if rows[i].Args[0].Has(ArgPtrToFixedSizeMem) {
			rows[i].ArgSize[0] = 8 // unsigned long
		}
	}
	// The strings are not checked ("__ign"): the functions read them with care.
	for name, n := range map[string]int{
		"strcmp": 2, "strcasecmp": 2, "strlen": 1, "strnlen": 2, "strchr": 2, "strnchr": 3, "strchrnul": 2,
		"strrchr": 2, "strspn": 2, "strcspn": 2, "strstr": 2, "strnstr": 3,
	} {
		since := MakeRelease(6, 17)
		if name == "strcasecmp" {
			since = MakeRelease(6, 18)
		}
		var a args
		for i := range n {
			a[i] = any
		}
		rows = append(rows, row(since, name, RetInteger, a))
	}
	return rows
}

var kfuncs = sync.OnceValue(func() map[string]*Kfunc {
	byName := map[string]*Kfunc{}
	rows := kfuncRows()
	for i := range rows {
		byName[rows[i].Name] = &rows[i]
	}
	return byName
})

// KernelFunc returns what is known of a kernel function; false says that carom does not have it.
func KernelFunc(name string) (Kfunc, bool) {
	k := kfuncs()[name]
	if k == nil {
		return Kfunc{}, false
	}
	return *k, true
}
