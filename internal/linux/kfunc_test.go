package linux_test

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
)

// The rows are those of kernel/bpf/helpers.c and net/netfilter/nf_conntrack_bpf.c of Linux 6.18.
func TestKfuncRows(t *testing.T) {
	acquire := linux.LookupKfunc("bpf_task_acquire")
	if acquire == nil {
		t.Fatal("bpf_task_acquire is not there")
	}
	if want := linux.KfuncAcquire | linux.KfuncRCU | linux.KfuncRetNull; acquire.Flags != want {
		t.Errorf("flags of bpf_task_acquire are %#x, want %#x", acquire.Flags, want)
	}
	if !acquire.Params[0].PointsTo("task_struct") || acquire.Ret.Target.Name != "task_struct" {
		t.Errorf("bpf_task_acquire is %+v", acquire)
	}
	for typ, want := range map[ebpf.ProgramType]bool{
		ebpf.SchedCLS: true, ebpf.XDP: true, ebpf.TracePoint: true, ebpf.CGroupSockAddr: true, ebpf.Syscall: true,
		ebpf.SocketFilter: false, ebpf.Kprobe: false, ebpf.SkMsg: false, ebpf.RawTracepoint: false,
	} {
		if got := acquire.AllowedIn(typ); got != want {
			t.Errorf("bpf_task_acquire in %v: %v", typ, got)
		}
	}
	lookup := linux.LookupKfunc("bpf_skb_ct_lookup")
	if len(lookup.Params) != 5 || !lookup.Params[2].Suffix("sz") || lookup.Params[1].Suffix("sz") {
		t.Errorf("bpf_skb_ct_lookup is %+v", lookup)
	}
	if l, _ := linux.LookupKfuncLayout("bpf_cpumask"); l.First != "cpumask" || !l.Scalars || l.Size != 40 {
		t.Errorf("struct bpf_cpumask is %+v", l)
	}
	if i, ok := linux.LookupKfunc("bpf_rbtree_add_impl").Callback(); !ok || i != 2 {
		t.Errorf("the callback of bpf_rbtree_add_impl is parameter %d, %v", i, ok)
	}
	if linux.LookupKfunc("bpf_no_such_function") != nil {
		t.Error("a function that there is not was found")
	}
}
