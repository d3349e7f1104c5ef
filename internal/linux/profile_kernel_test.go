//go:build linux

package linux_test

import (
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/carom-bpf/carom/internal/linux"
)

// TestReferenceProfile asks a 6.18 kernel for the rules that one program can show.
func TestReferenceProfile(t *testing.T) {
	needsBPF(t)
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err != nil || !strings.HasPrefix(string(release), "6.18.") {
		t.Skipf("the kernel is %s", release)
	}
	maps := newCallMaps(t)
	end := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	lookup := func(m *ebpf.Map) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Imm(asm.R0, 0), asm.StoreMem(asm.R10, -4, asm.R0, asm.Word),
			asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4), asm.LoadMapPtr(asm.R1, m.FD()),
			asm.FnMapLookupElem.Call(), asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		}
	}
	tail := func(m *ebpf.Map) asm.Instructions {
		return asm.Instructions{asm.LoadMapPtr(asm.R2, m.FD()), asm.Mov.Imm(asm.R3, 0), asm.FnTailCall.Call()}
	}
	p := linux.Linux618()
	for _, c := range []struct {
		name  string
		insns asm.Instructions
		want  string
	}{
		{"LoadAcquire", asm.Instructions{
			asm.Mov.Imm(asm.R0, 0), asm.StoreMem(asm.R10, -8, asm.R0, asm.DWord),
			{OpCode: 0xdb, Dst: asm.R0, Src: asm.R10, Offset: -8, Constant: 0x100},
		}, ""},
		{"MayGoto", asm.Instructions{{OpCode: 0xe5, Offset: 0}}, ""},
		{"Version4", asm.Instructions{asm.Mov.Imm(asm.R1, 1), {OpCode: 0xbf, Dst: asm.R2, Src: asm.R1, Offset: 8}}, ""},
		{"ConstKeyNonNull", lookup(maps.byType[ebpf.Array]), ""},
		{"a key of a hash", lookup(maps.byType[ebpf.Hash]), "R0 invalid mem access 'map_value_or_null'"},
		{"TailCallMapText", tail(maps.byType[ebpf.Array]), p.TailCallMapText},
		{"tail call", tail(maps.byType[ebpf.ProgramArray]), ""},
	} {
		k := kernelType{typ: ebpf.SchedCLS}
		if answer := lastLine(k.load(append(c.insns, end...))); answer != c.want {
			t.Errorf("%s: the kernel says %q, want %q", c.name, answer, c.want)
		}
	}
}

// TestMapRefusals asks which maps some kinds of program may not use at all.
func TestMapRefusals(t *testing.T) {
	needsBPF(t)
	maps := newCallMaps(t)
	ask := func(k kernelType, typ ebpf.MapType, m *ebpf.Map, fields []linux.MapField) {
		t.Helper()
		want := linux.MapRefusal(linux.HelperScope{Type: k.typ, Attach: k.attach, Sleepable: k.flags != 0}, typ, fields)
		answer := lastLine(k.load(asm.Instructions{asm.LoadMapPtr(asm.R1, m.FD()), asm.Mov.Imm(asm.R0, 0), asm.Return()}))
		if answer != want {
			t.Errorf("%v in %s: the kernel says %q, want %q", typ, k.name, answer, want)
		}
	}
	syscall := kind("syscall", ebpf.Syscall, 0, "", flagSleepable)
	tc := kind("tc", ebpf.SchedCLS, 0, "", 0)
	for typ, m := range maps.byType {
		ask(syscall, typ, m, nil)
		ask(tc, typ, m, nil)
	}
	if maps.fields == nil {
		t.Skip("maps with special fields cannot be made")
	}
	for _, k := range []kernelType{
		tc, syscall, kind("socket filter", ebpf.SocketFilter, 0, "", 0), kind("kprobe", ebpf.Kprobe, 0, "", 0),
		kind("raw tracepoint", ebpf.RawTracepoint, 0, "", 0), kind("xdp", ebpf.XDP, 0, "", 0),
	} {
		ask(k, ebpf.Array, maps.fields, []linux.MapField{linux.MapFieldSpinLock, linux.MapFieldTimer})
	}
}
