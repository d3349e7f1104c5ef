//go:build linux

package linux_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/rlimit"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

const flagSleepable = 1 << 4 // BPF_F_SLEEPABLE

// kernelType is one kind of program that is loaded to ask the kernel.
type kernelType struct {
	name   string
	typ    ebpf.ProgramType
	attach ebpf.AttachType
	to     string // function, hook or iterator
	flags  uint32

	license string        // GPL when empty
	level   ebpf.LogLevel // of branches when 0
}

func kind(name string, typ ebpf.ProgramType, attach ebpf.AttachType, to string, flags uint32) kernelType {
	return kernelType{name: name, typ: typ, attach: attach, to: to, flags: flags}
}

func kernelTypes() []kernelType {
	types := []kernelType{
		kind("tc", ebpf.SchedCLS, 0, "", 0),
		kind("socket filter", ebpf.SocketFilter, 0, "", 0),
		kind("tc action", ebpf.SchedACT, 0, "", 0),
		kind("tcx", ebpf.SchedCLS, ebpf.AttachTCXIngress, "", 0),
		kind("xdp", ebpf.XDP, ebpf.AttachXDP, "", 0),
		kind("xdp devmap", ebpf.XDP, ebpf.AttachXDPDevMap, "", 0),
		kind("xdp cpumap", ebpf.XDP, ebpf.AttachXDPCPUMap, "", 0),
		kind("kprobe", ebpf.Kprobe, 0, "", 0),
		kind("kprobe sleepable", ebpf.Kprobe, 0, "", flagSleepable),
		kind("kprobe multi", ebpf.Kprobe, ebpf.AttachTraceKprobeMulti, "", 0),
		kind("kprobe session", ebpf.Kprobe, ebpf.AttachTraceKprobeSession, "", 0),
		kind("uprobe multi", ebpf.Kprobe, ebpf.AttachTraceUprobeMulti, "", 0),
		kind("uprobe multi sleepable", ebpf.Kprobe, ebpf.AttachTraceUprobeMulti, "", flagSleepable),
		kind("tracepoint", ebpf.TracePoint, 0, "", 0),
		kind("perf event", ebpf.PerfEvent, 0, "", 0),
		kind("raw tracepoint", ebpf.RawTracepoint, 0, "", 0),
		kind("writable raw tracepoint", ebpf.RawTracepointWritable, 0, "", 0),
		kind("cgroup skb ingress", ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, "", 0),
		kind("cgroup skb egress", ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress, "", 0),
		kind("cgroup sock create", ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate, "", 0),
		kind("cgroup sock release", ebpf.CGroupSock, ebpf.AttachCgroupInetSockRelease, "", 0),
		kind("cgroup post bind4", ebpf.CGroupSock, ebpf.AttachCGroupInet4PostBind, "", 0),
		kind("cgroup post bind6", ebpf.CGroupSock, ebpf.AttachCGroupInet6PostBind, "", 0),
		kind("lwt in", ebpf.LWTIn, 0, "", 0),
		kind("lwt out", ebpf.LWTOut, 0, "", 0),
		kind("lwt xmit", ebpf.LWTXmit, 0, "", 0),
		kind("lwt seg6local", ebpf.LWTSeg6Local, 0, "", 0),
		kind("sock ops", ebpf.SockOps, ebpf.AttachCGroupSockOps, "", 0),
		kind("sk_skb", ebpf.SkSKB, 0, "", 0),
		kind("sk_skb parser", ebpf.SkSKB, ebpf.AttachSkSKBStreamParser, "", 0),
		kind("sk_skb verdict", ebpf.SkSKB, ebpf.AttachSkSKBVerdict, "", 0),
		kind("sk_msg", ebpf.SkMsg, ebpf.AttachSkMsgVerdict, "", 0),
		kind("cgroup device", ebpf.CGroupDevice, ebpf.AttachCGroupDevice, "", 0),
		kind("sk_reuseport", ebpf.SkReuseport, ebpf.AttachSkReuseportSelect, "", 0),
		kind("sk_reuseport migrate", ebpf.SkReuseport, ebpf.AttachSkReuseportSelectOrMigrate, "", 0),
		kind("flow dissector", ebpf.FlowDissector, ebpf.AttachFlowDissector, "", 0),
		kind("cgroup sysctl", ebpf.CGroupSysctl, ebpf.AttachCGroupSysctl, "", 0),
		kind("cgroup getsockopt", ebpf.CGroupSockopt, ebpf.AttachCGroupGetsockopt, "", 0),
		kind("cgroup setsockopt", ebpf.CGroupSockopt, ebpf.AttachCGroupSetsockopt, "", 0),
		kind("sk_lookup", ebpf.SkLookup, ebpf.AttachSkLookup, "", 0),
		kind("syscall", ebpf.Syscall, 0, "", flagSleepable),
		kind("netfilter", ebpf.Netfilter, ebpf.AttachNetfilter, "", 0),
		kind("fentry", ebpf.Tracing, ebpf.AttachTraceFEntry, "bpf_fentry_test1", 0),
		kind("fentry d_path", ebpf.Tracing, ebpf.AttachTraceFEntry, "vfs_truncate", 0),
		kind("fentry sleepable", ebpf.Tracing, ebpf.AttachTraceFEntry, "__x64_sys_nanosleep", flagSleepable),
		kind("fexit", ebpf.Tracing, ebpf.AttachTraceFExit, "bpf_fentry_test1", 0),
		kind("fmod_ret", ebpf.Tracing, ebpf.AttachModifyReturn, "bpf_modify_return_test", 0),
		kind("tp_btf", ebpf.Tracing, ebpf.AttachTraceRawTp, "sched_switch", 0),
		kind("iterator task", ebpf.Tracing, ebpf.AttachTraceIter, "task", 0),
		kind("iterator task sleepable", ebpf.Tracing, ebpf.AttachTraceIter, "task", flagSleepable),
		kind("iterator tcp", ebpf.Tracing, ebpf.AttachTraceIter, "tcp", 0),
		kind("iterator udp", ebpf.Tracing, ebpf.AttachTraceIter, "udp", 0),
		kind("iterator unix", ebpf.Tracing, ebpf.AttachTraceIter, "unix", 0),
		kind("lsm", ebpf.LSM, ebpf.AttachLSMMac, "file_open", 0),
		kind("lsm sleepable", ebpf.LSM, ebpf.AttachLSMMac, "file_open", flagSleepable),
		kind("lsm cgroup", ebpf.LSM, ebpf.AttachLSMCgroup, "socket_post_create", 0),
		kind("lsm cgroup sendmsg", ebpf.LSM, ebpf.AttachLSMCgroup, "socket_bind", 0),
		kind("lsm cgroup sk_alloc", ebpf.LSM, ebpf.AttachLSMCgroup, "sk_alloc_security", 0),
		kind("lsm cgroup bprm", ebpf.LSM, ebpf.AttachLSMCgroup, "inet_csk_clone", 0),
	}
	for _, a := range []ebpf.AttachType{
		ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind, ebpf.AttachCGroupInet4Connect,
		ebpf.AttachCGroupInet6Connect, ebpf.AttachCgroupUnixConnect, ebpf.AttachCGroupUDP4Sendmsg,
		ebpf.AttachCGroupUDP6Sendmsg, ebpf.AttachCgroupUnixSendmsg, ebpf.AttachCGroupUDP4Recvmsg,
		ebpf.AttachCGroupUDP6Recvmsg, ebpf.AttachCgroupUnixRecvmsg, ebpf.AttachCgroupInet4GetPeername,
		ebpf.AttachCgroupInet6GetPeername, ebpf.AttachCgroupUnixGetpeername, ebpf.AttachCgroupInet4GetSockname,
		ebpf.AttachCgroupInet6GetSockname, ebpf.AttachCgroupUnixGetsockname,
	} {
		types = append(types, kind(a.String(), ebpf.CGroupSockAddr, a, "", 0))
	}
	return types
}

// load loads instructions as a program of this type and returns the log, and the error.
func (k kernelType) load(insns asm.Instructions) (string, error) {
	spec := &ebpf.ProgramSpec{
		Name: "ask", Type: k.typ, AttachType: k.attach, AttachTo: k.to, Flags: k.flags,
		License: cmp.Or(k.license, "GPL"), Instructions: insns,
	}
	p, err := ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogLevel: cmp.Or(k.level, ebpf.LogLevelBranch), LogSizeStart: 4096})
	if err == nil {
		log := p.VerifierLog
		return log, p.Close()
	}
	var verr *ebpf.VerifierError
	if errors.As(err, &verr) {
		return strings.Join(verr.Log, "\n"), err
	}
	return "", err
}

func needsBPF(t *testing.T) {
	t.Helper()
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Skipf("bpf(2) is not available: %v", err)
	}
	k := kernelType{typ: ebpf.SocketFilter}
	if _, err := k.load(asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}); err != nil {
		t.Skipf("bpf(2) is not available: %v", err)
	}
}

// every asks about each helper for each kind of program, instead of what may differ only.
var every = flag.Bool("every", false, "ask the kernel about every helper for every kind of program")

// TestHelpersOfTypes asks the kernel which helpers each kind of program may call. A program calls
// the helper when no argument register is readable, so that one that is allowed and has arguments
// fails for that reason.
func TestHelpersOfTypes(t *testing.T) {
	needsBPF(t)
	missing := lacks(t)
	seen := map[ebpf.ProgramType]bool{}
	for _, k := range kernelTypes() {
		whole := *every || !seen[k.typ] && k.to == ""
		seen[k.typ] = true
		t.Run(k.name, func(t *testing.T) {
			if _, err := k.load(asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}); err != nil {
				t.Skipf("programs of this kind do not load: %v", err)
			}
			table := linux.Helpers(linux.HelperScope{Type: k.typ, Attach: k.attach, To: k.to, Sleepable: k.flags != 0})
			for id := uint32(1); id <= linux.MaxFuncID+1; id++ {
				if !whole && !slices.Contains(varying(k), id) {
					continue
				}
				log, err := k.load(asm.Instructions{
					asm.FnGetPrandomU32.Call(), asm.BuiltinFunc(id).Call(), asm.Mov.Imm(asm.R0, 1), asm.Return(),
				})
				compare(t, k, id, table.Proto(id), lastLine(log, err), missing)
			}
		})
	}
}

// compare says where the kernel's answer is not that of the table.
func compare(t *testing.T, k kernelType, id uint32, p *linux.Proto, answer string, missing linux.Feature) {
	t.Helper()
	refused := strings.Contains(answer, "program of this type cannot use helper")
	switch {
	case id > linux.MaxFuncID:
		if want := fmt.Sprintf("invalid func unknown#%d", id); answer != want {
			t.Errorf("helper %d: %q, want %q", id, answer, want)
		}
	case p != nil && p.Needs&missing != 0 && refused:
	case p != nil && refused:
		t.Errorf("%s (%s): allowed, the kernel says %q", p.Name, p.Symbol, answer)
	case p == nil && !refused:
		t.Errorf("%s: not allowed, the kernel says %q", isa.HelperName(int32(id)), answer)
	case p == nil || refused:
	case p.MightSleep && k.flags&flagSleepable == 0:
		if answer != "helper call might sleep in a non-sleepable prog" && p.Allowed == linux.AllowedAlways {
			t.Errorf("%s (%s): might sleep, the kernel says %q", p.Name, p.Symbol, answer)
		}
	case p.Allowed != linux.AllowedAlways && strings.Contains(answer, "not allowed in probe"):
	case p.NumArgs() > 0 && answer != "R1 !read_ok":
		t.Errorf("%s (%s): takes %d arguments, the kernel says %q", p.Name, p.Symbol, p.NumArgs(), answer)
	case p.NumArgs() == 0 && answer == "R1 !read_ok":
		t.Errorf("%s (%s): takes no arguments, the kernel says %q", p.Name, p.Symbol, answer)
	}
}

// varying are the helpers that not all programs of one type may call, and some that they may.
// Programs with a target take long to load.
func varying(k kernelType) []uint32 {
	if k.to != "" {
		return []uint32{linux.FuncSeqPrintf, linux.FuncSetsockopt, linux.FuncGetAttachCookie, linux.FuncGetFuncArg}
	}
	return []uint32{
		linux.FuncMapLookupElem, linux.FuncBind, linux.FuncSetsockopt, linux.FuncGetsockopt, linux.FuncGetRetval,
		linux.FuncSetRetval, linux.FuncGetAttachCookie, linux.FuncGetFuncIP, linux.FuncGetFuncArg,
		linux.FuncGetFuncRet, linux.FuncGetFuncArgCnt, linux.FuncSeqPrintf, linux.FuncSeqWrite,
		linux.FuncSeqPrintfBTF, linux.FuncDPath, linux.FuncSKStorageGet, linux.FuncOverrideReturn,
		linux.FuncSKBPullData, linux.FuncGetStack, linux.FuncGetNetnsCookie,
	}
}

// lastLine is the reason in a log, empty when the program loaded.
func lastLine(log string, err error) string {
	if err == nil {
		return ""
	}
	for _, line := range slices.Backward(strings.Split(strings.TrimSpace(log), "\n")) {
		// The text of record_func_key has no newline of its own.
		if line, _, _ = strings.Cut(line, "processed "); line != "" {
			return line
		}
	}
	return err.Error()
}

// lacks asks which features the kernel is without.
func lacks(t *testing.T) linux.Feature {
	t.Helper()
	var missing linux.Feature
	for id, f := range map[asm.BuiltinFunc]linux.Feature{
		asm.FnProbeWriteUser: linux.FeatureWriteUser,
		asm.FnOverrideReturn: linux.FeatureKprobeOverride,
	} {
		log, err := kernelType{typ: ebpf.Kprobe}.load(asm.Instructions{
			asm.FnGetPrandomU32.Call(), id.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return(),
		})
		if strings.Contains(lastLine(log, err), "cannot use helper") {
			missing |= f
		}
	}
	return missing
}
