package linux

import "github.com/cilium/ebpf"

// Contexts holds the layouts. Make it once and share it.
type Contexts struct {
	AMD64   *Arch // struct pt_regs of x86-64
	ARM64   *Arch // struct user_pt_regs of arm64
	RawArgs *Arch // arguments of raw tracepoints

	byType    map[ebpf.ProgramType]*Context
	xdpDevmap *Context // XDP programs that run from a DEVMAP entry
}

// NewContexts builds the tables.
func NewContexts() *Contexts {
	c := &Contexts{AMD64: amd64Regs(), ARM64: arm64Regs(), RawArgs: rawArgs(), xdpDevmap: xdpMD(ReadOnly)}
	c.byType = map[ebpf.ProgramType]*Context{
		ebpf.XDP:                   xdpMD(Hidden),
		ebpf.Kprobe:                {Name: "pt_regs"},
		ebpf.TracePoint:            {Name: "tracepoint record"},
		ebpf.RawTracepoint:         {Name: "bpf_raw_tracepoint_args"},
		ebpf.RawTracepointWritable: {Name: "bpf_raw_tracepoint_args"},
		ebpf.PerfEvent:             {Name: "bpf_perf_event_data"},
		ebpf.Syscall:               {Name: "syscall context", Writable: true},
	}
	for t, access := range skbAccess() {
		c.byType[t] = skBuff(access)
	}
	return c
}

// Of returns the layout for a program, nil when the type is not known.
func (c *Contexts) Of(t ebpf.ProgramType, attach ebpf.AttachType) *Context {
	if t == ebpf.XDP && attach == ebpf.AttachXDPDevMap {
		return c.xdpDevmap
	}
	return c.byType[t]
}

// xdpMD is struct xdp_md (include/uapi/linux/bpf.h; net/core/filter.c, xdp_is_valid_access).
// Only programs of a DEVMAP see egress_ifindex.
func xdpMD(egress Access) *Context {
	return newContext(Context{
		Name: "xdp_md", Size: XDPMDSize,
		Fields: []ContextField{
			{Name: "data", Off: 0, Size: 4, Back: 0, Kind: FieldPacketData},
			{Name: "data_end", Off: 4, Size: 4, Back: 4, Kind: FieldPacketEnd},
			{Name: "data_meta", Off: 8, Size: 4, Back: 8, Kind: FieldPacketMeta},
			{Name: "ingress_ifindex", Off: 12, Size: 4, Back: 12},
			{Name: "rx_queue_index", Off: 16, Size: 4, Back: 16},
			{Name: "egress_ifindex", Off: 20, Size: 4, Back: 20, Access: egress},
		},
	})
}
