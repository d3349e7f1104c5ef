package linux

import "github.com/cilium/ebpf"

// ReturnRule is what Linux demands of R0 when a program ends (check_return_code,
// kernel/bpf/verifier.c). Outside of the range it says "At program exit the register R0 has
// smin=%d smax=%d should have been in [%d, %d]", where smin and smax appear only as far as they
// are known, and " unknown scalar value" stands for both (verbose_invalid_scalar); where R0 is
// no scalar, "At program exit the register R0 is not a known value (%s)". Both are EINVAL.
type ReturnRule struct {
	// Kind says whether there is a range.
	Kind ReturnKind
	// Min and Max are the limits of the signed 64-bit value of R0, both allowed.
	Min, Max int32
}

// ReturnKind says how a return value is checked.
type ReturnKind uint8

// Kinds of check.
const (
	ReturnAny         ReturnKind = iota // any initialised value, pointers too
	ReturnRange                         // Min to Max
	ReturnByTarget                      // depends on the hook or member that the program attaches to
	ReturnUnsupported                   // no such program can load: ENOTSUPP without a message
)

// attachUprobeSession is BPF_TRACE_UPROBE_SESSION (include/uapi/linux/bpf.h).
const attachUprobeSession ebpf.AttachType = 57

// ReturnRuleOf returns the rule for a program type and expected attach type. The rule of an
// extension is ReturnAny: what it replaces decides. Subprograms, callbacks and asynchronous
// callbacks have rules of their own.
func ReturnRuleOf(t ebpf.ProgramType, attach ebpf.AttachType) ReturnRule {
	for _, row := range returnRows() {
		if row.t == t && (row.attach == anyAttach || row.attach == attach) {
			return row.rule
		}
	}
	return ReturnRule{}
}

const anyAttach = ^ebpf.AttachType(0)

type returnRow struct {
	t      ebpf.ProgramType
	attach ebpf.AttachType
	rule   ReturnRule
}

// returnRows is check_return_code; the first row that fits decides.
func returnRows() [31]returnRow {
	between := func(low, high int32) ReturnRule { return ReturnRule{Kind: ReturnRange, Min: low, Max: high} }
	addr := func(a ebpf.AttachType, low, high int32) returnRow {
		return returnRow{ebpf.CGroupSockAddr, a, between(low, high)}
	}
	return [...]returnRow{
		addr(ebpf.AttachCGroupUDP4Recvmsg, 1, 1),
		addr(ebpf.AttachCGroupUDP6Recvmsg, 1, 1),
		addr(ebpf.AttachCgroupUnixRecvmsg, 1, 1),
		addr(ebpf.AttachCgroupInet4GetPeername, 1, 1),
		addr(ebpf.AttachCgroupInet6GetPeername, 1, 1),
		addr(ebpf.AttachCgroupUnixGetpeername, 1, 1),
		addr(ebpf.AttachCgroupInet4GetSockname, 1, 1),
		addr(ebpf.AttachCgroupInet6GetSockname, 1, 1),
		addr(ebpf.AttachCgroupUnixGetsockname, 1, 1),
		addr(ebpf.AttachCGroupInet4Bind, 0, 3),
		addr(ebpf.AttachCGroupInet6Bind, 0, 3),
		addr(anyAttach, 0, 1),
		// With 2 or 3, Linux also insists at attach time on the expected attach type.
		{ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress, between(0, 3)},
		{ebpf.CGroupSKB, anyAttach, between(0, 1)},
		{ebpf.CGroupSock, anyAttach, between(0, 1)},
		{ebpf.SockOps, anyAttach, between(0, 1)},
		{ebpf.CGroupDevice, anyAttach, between(0, 1)},
		{ebpf.CGroupSysctl, anyAttach, between(0, 1)},
		{ebpf.CGroupSockopt, anyAttach, between(0, 1)},
		{ebpf.SkLookup, anyAttach, between(0, 1)},  // SK_DROP to SK_PASS
		{ebpf.Netfilter, anyAttach, between(0, 1)}, // NF_DROP to NF_ACCEPT
		{ebpf.Kprobe, ebpf.AttachTraceKprobeSession, between(0, 1)},
		{ebpf.Kprobe, attachUprobeSession, between(0, 1)},
		{ebpf.Tracing, ebpf.AttachTraceFEntry, between(0, 0)},
		{ebpf.Tracing, ebpf.AttachTraceFExit, between(0, 0)},
		{ebpf.Tracing, ebpf.AttachTraceIter, between(0, 1)},
		{ebpf.Tracing, ebpf.AttachTraceRawTp, ReturnRule{}},
		{ebpf.Tracing, ebpf.AttachModifyReturn, ReturnRule{}},
		{ebpf.Tracing, anyAttach, ReturnRule{Kind: ReturnUnsupported}},
		{ebpf.LSM, anyAttach, ReturnRule{Kind: ReturnByTarget}},
		{ebpf.StructOps, anyAttach, ReturnRule{Kind: ReturnByTarget}},
	}
}
