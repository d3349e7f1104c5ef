package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
)

// The length of the packet part in the flags of bpf_perf_event_output (include/uapi/linux/bpf.h).
const (
	ctxLenShift = 32
	ctxLenMask  = 0xfffff << ctxLenShift // BPF_F_CTXLEN_MASK
)

func perfHelpers() []vm.Helper {
	return []vm.Helper{
		{Proto: proto(linux.FuncPerfEventOutput), Func: perfOutput},
	}
}

// hasPacket reports whether programs of this type may append packet bytes to a sample: they get
// bpf_skb_event_output or bpf_xdp_event_output (net/core/filter.c) under the number of
// bpf_perf_event_output.
func hasPacket(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.XDP, ebpf.CGroupSKB, ebpf.SkSKB,
		ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local:
		return true
	}
	return false
}

func perfOutput(k *vm.Call) uint64 {
	if k.Args[0] != k.CPU.ContextAddr() {
		return k.Fail("R1 = %#x is not the context", k.Args[0])
	}
	m, ok := k.Map(k.Args[1]).(maps.Map)
	if !ok {
		return k.FailMap(1, "a map")
	}
	array, ok := m.(*maps.PerfArray)
	if !ok {
		info := m.Info()
		return k.Fail("map %s: cannot pass map_type %d into func bpf_perf_event_output#25", info.Name, uint32(info.Type))
	}
	sample, ok := k.Bytes(k.Args[3], k.Args[4])
	if !ok {
		return 0
	}
	flags := k.Args[2]
	if !hasPacket(k.Program().Type) || flags&^(ctxLenMask|maps.PerfIndexMask) != 0 {
		return array.Output(k.CPU.ID, flags, sample).Neg()
	}
	n := flags & ctxLenMask >> ctxLenShift
	if n > packetLen(k.CPU) {
		return linux.EFAULT.Neg()
	}
	_, data, _ := k.CPU.PacketBounds()
	return array.Output(k.CPU.ID, flags&maps.PerfIndexMask, sample, mem.Bytes(data, n)).Neg()
}
