package linux

import (
	"slices"

	"github.com/cilium/ebpf"
)

// PacketRights says what a program type may do through packet pointers beside reading
// (may_access_direct_pkt_data, kernel/bpf/verifier.c).
type PacketRights struct {
	// Store: direct stores are allowed; otherwise "cannot write into packet" (EACCES).
	Store bool
	// Pass: packet pointers may be passed to helpers whose prototype allows it (pkt_access);
	// otherwise "helper access to the packet is not allowed" (EACCES).
	Pass bool
	// PassAny: packet pointers may be passed to every helper.
	PassAny bool
}

// PacketRightsOf returns the rights of a program type.
func PacketRightsOf(t ebpf.ProgramType) PacketRights {
	switch t {
	case ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTSeg6Local, ebpf.SkReuseport, ebpf.FlowDissector, ebpf.CGroupSKB:
		return PacketRights{Pass: true}
	case ebpf.SchedCLS, ebpf.SchedACT, ebpf.XDP, ebpf.LWTXmit, ebpf.SkSKB, ebpf.SkMsg:
		return PacketRights{Store: true, Pass: true}
	case ebpf.CGroupSockopt:
		return PacketRights{Store: true, Pass: true, PassAny: true}
	}
	return PacketRights{}
}

// LegacyPacketLoads says whether LD_ABS and LD_IND are allowed (may_access_skb,
// kernel/bpf/verifier.c); otherwise "BPF_LD_[ABS|IND] instructions not allowed for this program
// type" (EINVAL).
func LegacyPacketLoads(t ebpf.ProgramType) bool {
	return t == ebpf.SocketFilter || t == ebpf.SchedCLS || t == ebpf.SchedACT
}

// LoadTarget is what a program names beside its type when it is loaded.
type LoadTarget struct {
	BTFID     bool // attach_btf_id is set
	Program   bool // attach_prog_fd is a program
	KernelBTF bool // attach_prog_fd is a module's BTF, or attach_btf_id counts in vmlinux's
	Sleepable bool // BPF_F_SLEEPABLE
}

// FixAttachType returns the expected attach type that Linux puts in the place of 0
// (bpf_prog_load_fixup_attach_type, kernel/bpf/syscall.c).
func FixAttachType(t ebpf.ProgramType, attach ebpf.AttachType) ebpf.AttachType {
	if attach != 0 {
		return attach
	}
	switch t {
	case ebpf.CGroupSock:
		return ebpf.AttachCGroupInetSockCreate
	case ebpf.SkReuseport:
		return ebpf.AttachSkReuseportSelect
	}
	return attach
}

// CheckLoadAttach says whether bpf(2) takes a program type with this expected attach type and
// target, before it looks at the instructions: OK or EINVAL, without a message
// (bpf_prog_load_check_attach, kernel/bpf/syscall.c). attach is used as FixAttachType returns it.
func CheckLoadAttach(t ebpf.ProgramType, attach ebpf.AttachType, target LoadTarget) Errno {
	if t == ebpf.UnspecifiedProgram || t > ebpf.Netfilter {
		return EINVAL
	}
	btfTypes := []ebpf.ProgramType{ebpf.Tracing, ebpf.LSM, ebpf.StructOps, ebpf.Extension}
	switch {
	case target.BTFID && !target.KernelBTF && !target.Program,
		target.BTFID && !slices.Contains(btfTypes, t),
		target.KernelBTF && (!target.BTFID || target.Program),
		target.Program && t != ebpf.Tracing && t != ebpf.Extension:
		return EINVAL
	}
	if allowed, ok := expectedAttachTypes()[t]; ok && !slices.Contains(allowed, FixAttachType(t, attach)) {
		return EINVAL
	}
	return OK
}

// expectedAttachTypes has the attach types of the program types that insist on some; the others
// load with any number.
func expectedAttachTypes() map[ebpf.ProgramType][]ebpf.AttachType {
	return map[ebpf.ProgramType][]ebpf.AttachType{
		ebpf.CGroupSKB:  {ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress},
		ebpf.CGroupSock: {ebpf.AttachCGroupInetSockCreate, ebpf.AttachCgroupInetSockRelease, ebpf.AttachCGroupInet4PostBind, ebpf.AttachCGroupInet6PostBind},
		ebpf.CGroupSockAddr: {
			ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind,
			ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect, ebpf.AttachCgroupUnixConnect,
			ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet6GetPeername, ebpf.AttachCgroupUnixGetpeername,
			ebpf.AttachCgroupInet4GetSockname, ebpf.AttachCgroupInet6GetSockname, ebpf.AttachCgroupUnixGetsockname,
			ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP6Sendmsg, ebpf.AttachCgroupUnixSendmsg,
			ebpf.AttachCGroupUDP4Recvmsg, ebpf.AttachCGroupUDP6Recvmsg, ebpf.AttachCgroupUnixRecvmsg},
		ebpf.CGroupSockopt: {ebpf.AttachCGroupSetsockopt, ebpf.AttachCGroupGetsockopt},
		ebpf.SkLookup:      {ebpf.AttachSkLookup},
		ebpf.SkReuseport:   {ebpf.AttachSkReuseportSelect, ebpf.AttachSkReuseportSelectOrMigrate},
		ebpf.Netfilter:     {ebpf.AttachNetfilter},
		ebpf.Syscall:       {0},
		ebpf.Extension:     {0},
	}
}

// CheckTarget returns the line and errno with which Linux refuses a program for its target or
// for BPF_F_SLEEPABLE, and OK where it does not (check_attach_btf_id, kernel/bpf/verifier.c).
// The line may be empty. The check comes after that of the control flow and before the first
// instruction is followed.
func CheckTarget(t ebpf.ProgramType, attach ebpf.AttachType, target LoadTarget) (string, Errno) {
	switch {
	case t == ebpf.Syscall && target.Sleepable:
		return "", OK
	case t == ebpf.Syscall:
		return "Syscall programs can only be sleepable", EINVAL
	case target.Sleepable && !MaySleep(t, attach):
		return "Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable", EINVAL
	case target.BTFID:
		return "", OK
	case t == ebpf.Tracing || t == ebpf.LSM || t == ebpf.Extension:
		return "Tracing programs must provide btf_id", EINVAL
	case t == ebpf.StructOps:
		return "", ENOTSUPP
	}
	return "", OK
}

// MaySleep says whether programs of a type may be loaded with BPF_F_SLEEPABLE
// (can_be_sleepable, kernel/bpf/verifier.c).
func MaySleep(t ebpf.ProgramType, attach ebpf.AttachType) bool {
	switch t {
	case ebpf.Tracing:
		return slices.Contains([]ebpf.AttachType{ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit,
			ebpf.AttachModifyReturn, ebpf.AttachTraceIter}, attach)
	case ebpf.LSM:
		return attach != ebpf.AttachLSMCgroup
	case ebpf.Kprobe, ebpf.StructOps, ebpf.Syscall:
		return true
	}
	return false
}
