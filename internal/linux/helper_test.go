package linux_test

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// TestEveryHelperHasAPrototype checks that the rows name the helper by the number that Linux
// gives it, and obey what Linux asks of prototypes (kernel/bpf/verifier.c, check_func_proto).
func TestEveryHelperHasAPrototype(t *testing.T) {
	for id := uint32(1); id <= linux.MaxFuncID; id++ {
		p, ok := linux.Helper(id)
		if !ok {
			t.Errorf("no prototype of %s#%d", isa.HelperName(int32(id)), id)
			continue
		}
		checkProto(t, &p)
	}
	for _, id := range []uint32{0, linux.MaxFuncID + 1, 1 << 31} {
		if p, ok := linux.Helper(id); ok {
			t.Errorf("helper %d is %s", id, p.Name)
		}
	}
}

func checkProto(t *testing.T, p *linux.Proto) {
	t.Helper()
	raw := 0
	for i, a := range p.Args {
		size := i+1 < len(p.Args) && (p.Args[i+1].Base() == linux.ArgConstSize || p.Args[i+1].Base() == linux.ArgConstSizeOrZero)
		mem := a.Base() == linux.ArgPtrToMem
		fixed := a.Has(linux.MemFixedSize)
		switch {
		case size && (!mem || fixed), mem && !size && !fixed:
			t.Errorf("%s: argument %d and its size do not fit", p.Symbol, i+1)
		case fixed != (p.ArgSize[i] != 0):
			t.Errorf("%s: argument %d has size %d", p.Symbol, i+1, p.ArgSize[i])
		case a.Base() == linux.ArgPtrToBTFID && p.ArgBTF[i] == "" && p.ID != linux.FuncKptrXchg:
			t.Errorf("%s: argument %d has no BTF type", p.Symbol, i+1)
		case i < p.NumArgs() && a == linux.ArgNone:
			t.Errorf("%s: argument %d is missing", p.Symbol, i+1)
		}
		if mem && a.Has(linux.MemUninit) {
			raw++
		}
	}
	if raw > 1 {
		t.Errorf("%s: %d arguments are filled", p.Symbol, raw)
	}
	if p.ChangesPacket && p.Args[0] != linux.ArgPtrToCtx {
		t.Errorf("%s: changes the packet, R1 is not the context", p.Symbol)
	}
}

// TestEveryVariantIsUsed checks that the sets name no prototype that is not there, and that each
// prototype can be reached.
func TestEveryVariantIsUsed(t *testing.T) {
	for _, missing := range linux.UnknownSymbols() {
		t.Errorf("a set names %s, which is no prototype", missing)
	}
	for _, unused := range linux.UnusedSymbols() {
		t.Errorf("no set has %s", unused)
	}
}

// TestUAPI compares names, numbers and counts of arguments with the kernel's headers, where they
// are installed.
func TestUAPI(t *testing.T) {
	enum, err := os.ReadFile("/usr/include/linux/bpf.h")
	if err != nil {
		t.Skipf("no kernel headers: %v", err)
	}
	id := uint32(0)
	for _, m := range regexp.MustCompile(`(?m)^\s+FN\((\w+)\b[^)]*\)`).FindAllStringSubmatch(string(enum), -1) {
		if p, ok := linux.Helper(id); ok && p.Name != "bpf_"+m[1] {
			t.Errorf("helper %d is %s, the header says bpf_%s", id, p.Name, m[1])
		}
		id++
	}
	if id < 200 {
		t.Errorf("found %d helpers in the header", id)
	}
}

// TestHelperDefs compares counts of arguments with the declarations that libbpf makes from the
// kernel's documentation.
func TestHelperDefs(t *testing.T) {
	f, err := os.Open("/usr/include/bpf/bpf_helper_defs.h")
	if err != nil {
		t.Skipf("no libbpf headers: %v", err)
	}
	defer f.Close()
	decl := regexp.MustCompile(`^static .*\(\*(bpf_\w+)\)\((.*)\) = \(void \*\) (\d+);`)
	found := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		m := decl.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		found++
		id, _ := isa.HelperID(m[1])
		p, ok := linux.Helper(uint32(id))
		if !ok {
			t.Errorf("%s: no prototype", m[1])
			continue
		}
		count := 0
		if m[2] != "void" && !strings.HasSuffix(m[2], "...") {
			count = strings.Count(m[2], ",") + 1
		} else if strings.HasSuffix(m[2], "...") { // bpf_trace_printk: the values may be left out
			count = strings.Count(m[2], ",")
		}
		if id == linux.FuncGetBranchSnapshot {
			count = 2 // the prototype in kernel/trace/bpf_trace.c leaves the flags out
		}
		if p.NumArgs() != count {
			t.Errorf("%s: %d arguments, libbpf declares %d: %s", p.Name, p.NumArgs(), count, m[2])
		}
	}
	if found < 200 {
		t.Errorf("found %d declarations", found)
	}
}

// TestOlderHelpers has facts of older kernels: which commit gave the helper to more types.
func TestOlderHelpers(t *testing.T) {
	xdp := linux.HelperScope{Type: ebpf.XDP, Attach: ebpf.AttachXDP}
	for _, c := range []struct {
		id    uint32
		scope linux.HelperScope
		want  [4]bool // 6.1, 6.6, 6.12, 6.18
	}{
		{linux.FuncMapLookupElem, xdp, [4]bool{true, true, true, true}},
		{linux.FuncGetCurrentComm, xdp, [4]bool{false, false, false, true}},
		{linux.FuncGetCurrentComm, linux.HelperScope{Type: ebpf.Kprobe}, [4]bool{true, true, true, true}},
		{linux.FuncGetTaskStack, linux.HelperScope{Type: ebpf.Kprobe, Sleepable: true}, [4]bool{true, true, true, true}},
		{linux.FuncGetTaskStack, linux.HelperScope{Type: ebpf.SchedCLS, Sleepable: true}, [4]bool{false, false, false, true}},
		{linux.FuncGetCurrentComm, linux.HelperScope{Type: ebpf.CGroupDevice}, [4]bool{true, true, true, true}},
		{linux.FuncGetNetnsCookie, linux.HelperScope{Type: ebpf.SchedCLS}, [4]bool{false, false, false, true}},
		{linux.FuncGetNetnsCookie, linux.HelperScope{Type: ebpf.SockOps}, [4]bool{true, true, true, true}},
		{linux.FuncCgrpStorageGet, linux.HelperScope{Type: ebpf.Kprobe}, [4]bool{false, true, true, true}},
		{linux.FuncSKBPullData, linux.HelperScope{Type: ebpf.LWTSeg6Local}, [4]bool{false, false, false, true}},
		{linux.FuncMapLookupElem, linux.HelperScope{Type: ebpf.Netfilter}, [4]bool{false, true, true, true}},
	} {
		for i, p := range linux.Profiles() {
			if got := p.Helpers(c.scope).Proto(c.id) != nil; got != c.want[i] {
				t.Errorf("%s: %s in %v programs: %v", p.Version, isa.HelperName(int32(c.id)), c.scope.Type, got)
			}
		}
	}
}

func TestVariants(t *testing.T) {
	for _, c := range []struct {
		id    uint32
		scope linux.HelperScope
		want  string
	}{
		{linux.FuncSKBLoadBytes, linux.HelperScope{Type: ebpf.SchedCLS}, "bpf_skb_load_bytes"},
		{linux.FuncSKBLoadBytes, linux.HelperScope{Type: ebpf.FlowDissector}, "bpf_flow_dissector_load_bytes"},
		{linux.FuncSKBLoadBytes, linux.HelperScope{Type: ebpf.SkReuseport}, "sk_reuseport_load_bytes"},
		{linux.FuncPerfEventOutput, linux.HelperScope{Type: ebpf.XDP}, "bpf_xdp_event_output"},
		{linux.FuncPerfEventOutput, linux.HelperScope{Type: ebpf.SocketFilter}, "bpf_skb_event_output"},
		{linux.FuncPerfEventOutput, linux.HelperScope{Type: ebpf.SockOps}, "bpf_event_output_data"},
		{linux.FuncGetFuncIP, linux.HelperScope{Type: ebpf.Kprobe, Attach: ebpf.AttachTraceKprobeMulti}, "bpf_get_func_ip_kprobe_multi"},
		{linux.FuncGetStack, linux.HelperScope{Type: ebpf.Kprobe, Sleepable: true}, "bpf_get_stack_sleepable"},
		{linux.FuncGetSmpProcessorID, linux.HelperScope{Type: ebpf.SockOps}, "bpf_get_raw_smp_processor_id"},
		{linux.FuncSetsockopt, linux.HelperScope{Type: ebpf.LSM, Attach: ebpf.AttachLSMCgroup, To: "socket_post_create"}, "bpf_unlocked_sk_setsockopt"},
		{linux.FuncSetsockopt, linux.HelperScope{Type: ebpf.StructOps, To: "tcp_congestion_ops:init"}, "bpf_sk_setsockopt"},
		{linux.FuncSetsockopt, linux.HelperScope{Type: ebpf.StructOps, To: "tcp_congestion_ops:release"}, ""},
		{linux.FuncSKRelease, linux.HelperScope{Type: ebpf.Kprobe}, ""},
	} {
		got := ""
		if p := linux.Helpers(c.scope).Proto(c.id); p != nil {
			got = p.Symbol
		}
		if got != c.want {
			t.Errorf("%s for %+v: %q, want %q", isa.HelperName(int32(c.id)), c.scope, got, c.want)
		}
	}
}

func BenchmarkHelperFor(b *testing.B) {
	for b.Loop() {
		linux.HelperFor(ebpf.SchedCLS, 0, 0, linux.FuncMapLookupElem)
	}
}
