package linux_test

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

var allAccesses = flag.Bool("all-accesses", false, "compare every context access with the kernel, not a part")

// kernelLoads says whether the running kernel loads programs.
func kernelLoads(t *testing.T) {
	t.Helper()
	p, err := load(ebpf.SocketFilter, 0, 0, asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, false)
	if err != nil {
		t.Skipf("the kernel does not load programs here: %v", err)
	}
	p.Close()
}

func load(t ebpf.ProgramType, a ebpf.AttachType, flags uint32, insns asm.Instructions, log bool) (*ebpf.Program, error) {
	opts := ebpf.ProgramOptions{LogDisabled: !log}
	if log {
		opts.LogLevel = ebpf.LogLevelBranch | ebpf.LogLevelInstruction
	}
	return ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{
		Type: t, AttachType: a, Flags: flags, License: "GPL", Instructions: insns}, opts)
}

// variants are the program types with the attach types that change their rules.
func variants() map[ebpf.ProgramType][]ebpf.AttachType {
	v := map[ebpf.ProgramType][]ebpf.AttachType{
		ebpf.CGroupSKB:     {ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress},
		ebpf.SkLookup:      {ebpf.AttachSkLookup},
		ebpf.SkReuseport:   {ebpf.AttachSkReuseportSelect, ebpf.AttachSkReuseportSelectOrMigrate},
		ebpf.XDP:           {0, ebpf.AttachXDP, ebpf.AttachXDPDevMap, ebpf.AttachXDPCPUMap},
		ebpf.Netfilter:     {ebpf.AttachNetfilter},
		ebpf.CGroupSockopt: {ebpf.AttachCGroupGetsockopt, ebpf.AttachCGroupSetsockopt},
		ebpf.CGroupSock: {ebpf.AttachCGroupInetSockCreate, ebpf.AttachCgroupInetSockRelease,
			ebpf.AttachCGroupInet4PostBind, ebpf.AttachCGroupInet6PostBind},
		ebpf.CGroupSockAddr: {ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind, ebpf.AttachCGroupInet4Connect,
			ebpf.AttachCGroupInet6Connect, ebpf.AttachCgroupUnixConnect, ebpf.AttachCgroupInet4GetPeername,
			ebpf.AttachCgroupInet6GetPeername, ebpf.AttachCgroupUnixGetpeername, ebpf.AttachCgroupInet4GetSockname,
			ebpf.AttachCgroupInet6GetSockname, ebpf.AttachCgroupUnixGetsockname, ebpf.AttachCGroupUDP4Sendmsg,
			ebpf.AttachCGroupUDP6Sendmsg, ebpf.AttachCgroupUnixSendmsg, ebpf.AttachCGroupUDP4Recvmsg,
			ebpf.AttachCGroupUDP6Recvmsg, ebpf.AttachCgroupUnixRecvmsg},
		ebpf.Kprobe: {0, ebpf.AttachTraceKprobeMulti, ebpf.AttachTraceKprobeSession},
	}
	for _, t := range []ebpf.ProgramType{ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit,
		ebpf.LWTSeg6Local, ebpf.SkSKB, ebpf.SkMsg, ebpf.FlowDissector, ebpf.SockOps, ebpf.CGroupDevice, ebpf.CGroupSysctl,
		ebpf.TracePoint, ebpf.RawTracepoint, ebpf.RawTracepointWritable, ebpf.PerfEvent, ebpf.Syscall, ebpf.LircMode2} {
		v[t] = []ebpf.AttachType{0}
	}
	return v
}

// offsets of one context that are compared: all of it and a little more.
func offsets(t ebpf.ProgramType) []int {
	last := map[ebpf.ProgramType]int{ebpf.SockOps: 224, ebpf.Kprobe: 168, ebpf.PerfEvent: 184, ebpf.RawTracepoint: 96,
		ebpf.RawTracepointWritable: 96, ebpf.CGroupSockAddr: 72, ebpf.CGroupSock: 80, ebpf.SkMsg: 80, ebpf.SkLookup: 72,
		ebpf.SkReuseport: 56, ebpf.XDP: 24, ebpf.CGroupDevice: 12, ebpf.CGroupSysctl: 8, ebpf.CGroupSockopt: 40,
		ebpf.Netfilter: 16, ebpf.TracePoint: 32, ebpf.Syscall: 32, ebpf.LircMode2: 4}
	n, ok := last[t]
	if !ok {
		n = 192
	}
	var offs []int
	first := -8
	if t == ebpf.TracePoint {
		first = 0 // see tracepointRules
	}
	for off := first; off < n+9; off++ {
		offs = append(offs, off)
	}
	if t == ebpf.TracePoint || t == ebpf.Syscall {
		for _, edge := range []int{8192, 32767} {
			for off := edge - 17; off < edge+9 && off <= 32767; off++ {
				offs = append(offs, off)
			}
		}
	}
	return offs
}

func flagsOf(t ebpf.ProgramType) uint32 {
	if t == ebpf.Syscall {
		return 1 << 4 // BPF_F_SLEEPABLE
	}
	return 0
}

var asmSizes = map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}

func loadProgram(off, size int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, int16(off), asmSizes[size]), asm.Mov.Imm(asm.R0, 1), asm.Return()}
}

func storeImmProgram(off, size int) asm.Instructions {
	op := asm.OpCode(asm.StClass).SetMode(asm.MemMode).SetSize(asmSizes[size])
	return asm.Instructions{asm.Instruction{OpCode: op, Dst: asm.R1, Offset: int16(off)}, asm.Mov.Imm(asm.R0, 1), asm.Return()}
}

func storeProgram(off, size int) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.R1, int16(off), asm.R2, asmSizes[size]), asm.Mov.Imm(asm.R0, 1), asm.Return()}
}

func signedProgram(off, size int) asm.Instructions {
	in := asm.LoadMem(asm.R2, asm.R1, int16(off), asmSizes[size])
	in.OpCode = in.OpCode.SetMode(asm.MemSXMode)
	return asm.Instructions{in, asm.Mov.Imm(asm.R0, 1), asm.Return()}
}

// accepts loads a program and says whether the kernel takes it.
func accepts(t *testing.T, typ ebpf.ProgramType, a ebpf.AttachType, insns asm.Instructions) bool {
	t.Helper()
	p, err := load(typ, a, flagsOf(typ), insns, false)
	if err == nil {
		p.Close()
	}
	return err == nil
}

func TestContextAccessAsKernel(t *testing.T) {
	kernelLoads(t)
	n := 0
	for typ, attaches := range variants() {
		trivial := asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}
		for _, a := range attaches {
			if !accepts(t, typ, a, trivial) {
				t.Logf("%v/%v: not in this kernel", typ, a)
				continue
			}
			rules := linux.NewCtxRules(typ, a, nil)
			if rules == nil {
				t.Errorf("%v/%v: no rules", typ, a)
				continue
			}
			for i, off := range offsets(typ) {
				for size := 1; size <= 8; size *= 2 {
					if !*allAccesses && (i*7+size)%41 != 0 {
						continue
					}
					n += compareAccess(t, typ, a, rules, off, size)
				}
			}
		}
	}
	t.Logf("%d accesses compared", n)
}

func compareAccess(t *testing.T, typ ebpf.ProgramType, a ebpf.AttachType, rules *linux.CtxRules, off, size int) int {
	t.Helper()
	got, ok := rules.Load(off, size)
	if want := accepts(t, typ, a, loadProgram(off, size)); ok != want {
		t.Errorf("%v/%v: load of %d at %d: table %v, kernel %v", typ, a, size, off, ok, want)
	}
	if ok := rules.Store(off, size); ok != accepts(t, typ, a, storeProgram(off, size)) {
		t.Errorf("%v/%v: store of %d at %d: table %v, kernel %v", typ, a, size, off, ok, !ok)
	}
	if ok := rules.Store(off, size); ok != accepts(t, typ, a, storeImmProgram(off, size)) {
		t.Errorf("%v/%v: store of an immediate of %d at %d: table %v, kernel %v", typ, a, size, off, ok, !ok)
	}
	n := 3
	if size < 8 {
		n++
		_, ok := rules.LoadSigned(off, size)
		if want := accepts(t, typ, a, signedProgram(off, size)); ok != want {
			t.Errorf("%v/%v: signed load of %d at %d: table %v, kernel %v", typ, a, size, off, ok, want)
		}
	}
	if text := fmt.Sprintf("invalid bpf_context access off=%d size=%d", off, size); !ok && *allAccesses {
		if _, err := load(typ, a, flagsOf(typ), loadProgram(off, size), true); !strings.Contains(kernelLog(err), text) {
			t.Errorf("%v/%v: load of %d at %d: the kernel says %s", typ, a, size, off, kernelLog(err))
		}
	}
	if ok && (got.Value != linux.CtxScalar || *allAccesses) {
		if want := loadedType(t, typ, a, loadProgram(off, size)); want != got.Value.String()+got.BTF {
			t.Errorf("%v/%v: load of %d at %d gives %s%s, kernel %q", typ, a, size, off, got.Value, got.BTF, want)
		}
	}
	return n
}

var loadedR2 = regexp.MustCompile(`(?m)^0: .*; .*\bR2(?:_w)?=([a-z_]+)`)

// loadedType is the register type that the kernel's log shows after the first instruction.
func loadedType(t *testing.T, typ ebpf.ProgramType, a ebpf.AttachType, insns asm.Instructions) string {
	t.Helper()
	p, err := load(typ, a, flagsOf(typ), insns, true)
	if err != nil {
		return fmt.Sprint(err)
	}
	defer p.Close()
	m := loadedR2.FindStringSubmatch(p.VerifierLog)
	if m == nil {
		return p.VerifierLog
	}
	return m[1]
}

func TestContextAccessMessage(t *testing.T) {
	kernelLoads(t)
	_, err := load(ebpf.XDP, 0, 0, loadProgram(24, 4), true)
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) || !strings.Contains(strings.Join(ve.Log, "\n"), "invalid bpf_context access off=24 size=4") {
		t.Errorf("the kernel says %v", err)
	}
}
