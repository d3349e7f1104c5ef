package linux

import "sync"

// EngineFunc is a kernel function that carom runs. Linux takes the types of arguments from its
// BTF; those here are the closest that helpers have.
type EngineFunc struct {
	Proto
	Since Release
}

// engineRows are from kernel/bpf/helpers.c: common_btf_ids and generic_btf_ids.
func engineRows() []EngineFunc {
	row := func(since Release, name string, ret RetType, a args) EngineFunc {
		return EngineFunc{Proto: Proto{Name: "bpf_" + name, Symbol: "bpf_" + name, Ret: ret, Args: a}, Since: since}
	}
	const any = ArgAnything
	rows := []EngineFunc{
		row(MakeRelease(6, 4), "iter_num_new", RetInteger, args{ArgPtrToIter, any, any}),
		row(MakeRelease(6, 4), "iter_num_next", RetPtrToMemOrNull, args{ArgPtrToIter}),
		row(MakeRelease(6, 4), "iter_num_destroy", RetVoid, args{ArgPtrToIter}),
		row(MakeRelease(6, 7), "throw", RetVoid, args{any}),
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

var engineFuncs = sync.OnceValue(func() map[string]*EngineFunc {
	byName := map[string]*EngineFunc{}
	rows := engineRows()
	for i := range rows {
		byName[rows[i].Name] = &rows[i]
	}
	return byName
})

// KernelFunc returns the prototype of a kernel function that carom runs; false says that it does
// not run it.
func KernelFunc(name string) (EngineFunc, bool) {
	k := engineFuncs()[name]
	if k == nil {
		return EngineFunc{}, false
	}
	return *k, true
}
