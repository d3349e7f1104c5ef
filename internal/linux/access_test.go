package linux_test

import (
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// The cases are from bpf_skb_is_valid_access, bpf_sock_is_valid_access and their callers in
// net/core/filter.c; they hold where no kernel is there to ask.
func TestContextAccess(t *testing.T) {
	for _, c := range []struct {
		t         ebpf.ProgramType
		attach    ebpf.AttachType
		off, size int
		load      bool
		store     bool
		want      linux.CtxLoad
	}{
		{ebpf.XDP, 0, 0, 4, true, false, linux.CtxLoad{Value: linux.CtxPacket}},
		{ebpf.XDP, 0, 0, 8, false, false, linux.CtxLoad{}},
		{ebpf.XDP, 0, 20, 4, false, false, linux.CtxLoad{}},
		{ebpf.XDP, ebpf.AttachXDPDevMap, 20, 4, true, false, linux.CtxLoad{}},
		{ebpf.SchedCLS, 0, 8, 4, true, true, linux.CtxLoad{FieldSize: 4}},
		{ebpf.SchedCLS, 0, 10, 2, true, false, linux.CtxLoad{FieldSize: 4}},
		{ebpf.SchedCLS, 0, 9, 2, false, false, linux.CtxLoad{}},
		{ebpf.SchedCLS, 0, 48, 8, true, true, linux.CtxLoad{}},
		{ebpf.SchedCLS, 0, 64, 8, false, false, linux.CtxLoad{}},
		{ebpf.SchedCLS, 0, 168, 8, true, false, linux.CtxLoad{Value: linux.CtxSockCommonOrNull}},
		{ebpf.SchedCLS, 0, 192, 4, false, false, linux.CtxLoad{}},
		{ebpf.SchedCLS, 0, -4, 4, false, false, linux.CtxLoad{}},
		{ebpf.SkLookup, ebpf.AttachSkLookup, 36, 4, true, false, linux.CtxLoad{}},
		{ebpf.SkLookup, ebpf.AttachSkLookup, 36, 2, true, false, linux.CtxLoad{FieldSize: 2}},
		{ebpf.Netfilter, ebpf.AttachNetfilter, 8, 8, true, false, linux.CtxLoad{Value: linux.CtxTrustedBTF, BTF: "sk_buff"}},
		{ebpf.TracePoint, 0, 7, 1, false, false, linux.CtxLoad{}},
		{ebpf.TracePoint, 0, 8184, 8, true, false, linux.CtxLoad{}},
		{ebpf.TracePoint, 0, 8192, 1, false, false, linux.CtxLoad{}},
	} {
		rules := linux.NewCtxRules(c.t, c.attach, nil)
		got, ok := rules.Load(c.off, c.size)
		if ok != c.load || got != c.want {
			t.Errorf("%v: load of %d at %d: %+v, %v", c.t, c.size, c.off, got, ok)
		}
		if ok := rules.Store(c.off, c.size); ok != c.store {
			t.Errorf("%v: store of %d at %d: %v", c.t, c.size, c.off, ok)
		}
	}
}

func TestContextRulesOfEveryType(t *testing.T) {
	for typ := ebpf.SocketFilter; typ <= ebpf.Netfilter; typ++ {
		if linux.NewCtxRules(typ, 0, nil) == nil {
			t.Errorf("%v has no rules", typ)
		}
	}
	if linux.NewCtxRules(ebpf.UnspecifiedProgram, 0, nil) != nil {
		t.Error("the unspecified type has rules")
	}
}

func BenchmarkNewCtxRules(b *testing.B) {
	for b.Loop() {
		linux.NewCtxRules(ebpf.SchedCLS, 0, nil)
	}
}

func BenchmarkCtxLoad(b *testing.B) {
	rules := linux.NewCtxRules(ebpf.SchedCLS, 0, nil)
	for b.Loop() {
		rules.Load(linux.SKBData, 4)
	}
}
