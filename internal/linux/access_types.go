package linux

import "github.com/cilium/ebpf"

// perfMaxTraceSize is the largest tracepoint record in bytes (PERF_MAX_TRACE_SIZE,
// include/linux/trace_events.h).
const perfMaxTraceSize = 8192

// maxBPFFuncArgs is the most arguments that a tracepoint or a traced function has
// (MAX_BPF_FUNC_ARGS, include/linux/bpf.h).
const maxBPFFuncArgs = 12

type ctxBuilder func(attach ebpf.AttachType, arch *Arch) *CtxRules

// ctxBuilders has the program types whose context is not struct __sk_buff of skbAccess.
func ctxBuilders() map[ebpf.ProgramType]ctxBuilder {
	btf := func(name string) ctxBuilder {
		return func(ebpf.AttachType, *Arch) *CtxRules { return &CtxRules{Name: name, BTF: true} }
	}
	return map[ebpf.ProgramType]ctxBuilder{
		ebpf.XDP:                   xdpRules,
		ebpf.Kprobe:                kprobeRules,
		ebpf.TracePoint:            tracepointRules,
		ebpf.RawTracepoint:         rawTracepointRules,
		ebpf.RawTracepointWritable: rawTracepointWritableRules,
		ebpf.PerfEvent:             perfEventRules,
		ebpf.Syscall:               syscallRules,
		ebpf.FlowDissector:         flowDissectorRules,
		ebpf.SkMsg:                 skMsgRules,
		ebpf.SkLookup:              skLookupRules,
		ebpf.SkReuseport:           skReuseportRules,
		ebpf.CGroupSock:            cgroupSockRules,
		ebpf.CGroupSockAddr:        sockAddrRules,
		ebpf.SockOps:               sockOpsRules,
		ebpf.CGroupDevice:          cgroupDevRules,
		ebpf.CGroupSysctl:          sysctlRules,
		ebpf.CGroupSockopt:         sockoptRules,
		ebpf.Netfilter:             netfilterRules,
		ebpf.LircMode2:             lircRules,
		ebpf.Tracing:               btf("arguments of the traced function"),
		ebpf.LSM:                   btf("arguments of the LSM hook"),
		ebpf.StructOps:             btf("arguments of the struct_ops member"),
		ebpf.Extension:             btf("context of the program that is replaced"),
	}
}

// xdp_is_valid_access, net/core/filter.c.
func xdpRules(attach ebpf.AttachType, _ *Arch) *CtxRules {
	egress := Hidden
	if attach == ebpf.AttachXDPDevMap {
		egress = ReadOnly
	}
	return newCtxRules("xdp_md", fieldRules(xdpMD(egress)))
}

// kprobe_prog_is_valid_access, kernel/trace/bpf_trace.c. Linux 6.18 refuses stores; later
// versions let programs that are attached to uprobes change the registers. The size is that of
// the structure that programs are given here; on arm64 the kernel's own struct is longer.
func kprobeRules(_ ebpf.AttachType, arch *Arch) *CtxRules {
	n := int(arch.RegsSize)
	return &CtxRules{Name: "pt_regs", plain: plainRule{end: n, last: n, load: anySize}}
}

// tp_prog_is_valid_access, kernel/trace/bpf_trace.c. The first 8 bytes hold a kernel pointer.
// Linux compares the offset with an unsigned size and so takes negative offsets, which read
// memory in front of the record. They are refused here: an accepted program must not fault.
func tracepointRules(ebpf.AttachType, *Arch) *CtxRules {
	return &CtxRules{Name: "tracepoint record",
		plain: plainRule{off: 8, end: perfMaxTraceSize, last: perfMaxTraceSize, load: anySize}}
}

// raw_tp_prog_is_valid_access, kernel/trace/bpf_trace.c (bpf_tracing_ctx_access).
func rawTracepointRules(ebpf.AttachType, *Arch) *CtxRules {
	n := 8 * maxBPFFuncArgs
	return &CtxRules{Name: "bpf_raw_tracepoint_args", plain: plainRule{end: n, last: n, load: anySize}}
}

// raw_tp_writable_prog_is_valid_access, kernel/trace/bpf_trace.c.
func rawTracepointWritableRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("bpf_raw_tracepoint_args", []accessRule{
		{off: 0, end: 1, load: double, value: CtxTPBuffer},
		{off: 1, end: 8 * maxBPFFuncArgs, load: anySize},
	})
}

// pe_prog_is_valid_access, kernel/trace/bpf_trace.c: registers, then sample_period and addr.
func perfEventRules(_ ebpf.AttachType, arch *Arch) *CtxRules {
	n := int(arch.RegsSize)
	return newCtxRules("bpf_perf_event_data", []accessRule{
		{off: 0, end: n, load: double},
		{off: n, end: n + 16, load: anySize, full: 8},
	})
}

// syscall_prog_is_valid_access, kernel/bpf/syscall.c. Only the first byte is bounded here.
func syscallRules(ebpf.AttachType, *Arch) *CtxRules {
	return &CtxRules{Name: "syscall context",
		plain: plainRule{end: 0xffff, last: 0xffff + 8, load: anySize, store: anySize}}
}

// lirc_mode2_is_valid_access, drivers/media/rc/bpf-lirc.c: one word.
func lircRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("lirc_mode2 sample", []accessRule{{off: 0, end: 1, load: word}})
}

// nf_is_valid_access, net/netfilter/nf_bpf_link.c.
func netfilterRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("bpf_nf_ctx", []accessRule{
		{off: 0, end: 8, load: double, value: CtxTrustedBTF, btf: "nf_hook_state"},
		{off: 8, end: 16, load: double, value: CtxTrustedBTF, btf: "sk_buff"},
	})
}
