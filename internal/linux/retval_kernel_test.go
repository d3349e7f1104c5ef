package linux_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// kernelLog is the log of a program that the kernel refuses.
func kernelLog(err error) string {
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) {
		return strings.Join(ve.Log, "\n")
	}
	return fmt.Sprint(err)
}

func TestReturnRulesAsKernel(t *testing.T) {
	kernelLoads(t)
	all := variants()
	all[ebpf.Kprobe] = append(all[ebpf.Kprobe], 57) // BPF_TRACE_UPROBE_SESSION
	n := 0
	for typ, attaches := range all {
		for _, a := range attaches {
			if !accepts(t, typ, a, asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}) {
				continue
			}
			rule := linux.ReturnRuleOf(typ, a)
			for _, v := range []int32{-2147483648, -2, -1, 0, 1, 2, 3, 4, 5, 2147483647} {
				n++
				want := rule.Kind == linux.ReturnAny || v >= rule.Min && v <= rule.Max
				_, err := load(typ, a, flagsOf(typ), asm.Instructions{asm.Mov.Imm(asm.R0, v), asm.Return()}, true)
				if (err == nil) != want {
					t.Errorf("%v/%d: return %d: table %v, kernel %v", typ, a, v, want, err)
				}
				text := fmt.Sprintf("At program exit the register R0 has smin=%d smax=%d should have been in [%d, %d]",
					v, v, rule.Min, rule.Max)
				if err != nil && !strings.Contains(kernelLog(err), text) {
					t.Errorf("%v/%d: return %d: the kernel says %v", typ, a, v, err)
				}
			}
			returnPointer(t, typ, a, rule)
		}
	}
	t.Logf("%d return values compared", n)
}

// returnPointer returns the context.
func returnPointer(t *testing.T, typ ebpf.ProgramType, a ebpf.AttachType, rule linux.ReturnRule) {
	t.Helper()
	p, err := load(typ, a, flagsOf(typ), asm.Instructions{asm.Mov.Reg(asm.R0, asm.R1), asm.Return()}, true)
	if err == nil {
		p.Close()
	}
	if (err == nil) != (rule.Kind == linux.ReturnAny) {
		t.Errorf("%v/%d: returned pointer: %v", typ, a, err)
	}
	if err != nil && !strings.Contains(kernelLog(err), "At program exit the register R0 is not a known value (ctx)") {
		t.Errorf("%v/%d: returned pointer: %v", typ, a, err)
	}
}

func TestExpectedAttachTypesAsKernel(t *testing.T) {
	kernelLoads(t)
	n := 0
	for typ := ebpf.SocketFilter; typ <= ebpf.Netfilter+1; typ++ {
		if typ == ebpf.LircMode2 { // not in every kernel
			continue
		}
		for a := ebpf.AttachType(0); a < 64; a++ {
			for _, flags := range []uint32{0, 1 << 4} {
				n++
				compareAttach(t, typ, a, flags)
			}
		}
	}
	t.Logf("%d loads compared", n)
}

func compareAttach(t *testing.T, typ ebpf.ProgramType, a ebpf.AttachType, flags uint32) {
	t.Helper()
	p, err := load(typ, a, flags, asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}, true)
	if err == nil {
		p.Close()
	}
	target := linux.LoadTarget{Sleepable: flags != 0}
	errno := linux.CheckLoadAttach(typ, a, target)
	line := ""
	if errno == linux.OK {
		line, errno = linux.CheckTarget(typ, a, target)
	}
	if errors.Is(err, os.ErrPermission) && kernelLog(err) == fmt.Sprint(err) {
		return // a policy of this machine forbids programs that need a trampoline
	}
	if (err == nil) != (errno == linux.OK) {
		t.Errorf("%v/%d flags %#x: table %v %q, kernel %v", typ, a, flags, errno, line, err)
	}
	if line != "" && !strings.Contains(kernelLog(err), line) {
		t.Errorf("%v/%d flags %#x: table %q, kernel %v", typ, a, flags, line, err)
	}
}
