package verifier

import (
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

func TestKfuncsOnLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, kfuncMaps())
	for _, c := range kfuncCases() {
		t.Run(c.name, func(t *testing.T) {
			p := c.program(t)
			got, log := loadOnLinux(t, p, fds, 4)
			insns := 0
			_, _ = fmt.Sscanf(statsLine.FindString(log), "processed %d insns", &insns)
			if os.Getenv("OBJECT_CASES") != "" {
				fmt.Printf("CASE\t%s\t%s\t%d\n", c.name, got, insns)
			}
			if got != c.want || got == "ok" && insns != c.insns {
				_, log := loadOnLinux(t, p, fds, 2)
				t.Errorf("Linux says %s (%d instructions)\nwant       %s (%d)\n%s", got, insns, c.want, c.insns, log)
			}
		})
	}
}

// TestKfuncsOfProgramTypes calls every kernel function from programs of each group of types. That
// nothing but R1 is set does not matter for what comes first: whether the call is allowed.
func TestKfuncsOfProgramTypes(t *testing.T) {
	needKernel618(t)
	types := []ebpf.ProgramType{
		ebpf.SocketFilter, ebpf.Kprobe, ebpf.SchedCLS, ebpf.SchedACT, ebpf.TracePoint, ebpf.XDP, ebpf.PerfEvent,
		ebpf.CGroupSKB, ebpf.CGroupSock, ebpf.LWTIn, ebpf.SockOps, ebpf.SkSKB, ebpf.SkMsg, ebpf.RawTracepoint,
		ebpf.CGroupDevice, ebpf.FlowDissector, ebpf.CGroupSysctl, ebpf.SkReuseport, ebpf.Syscall,
	}
	differ := 0
	all := os.Getenv("KFUNC_CASES") != ""
	kernel := NewKernelTypes(kernelTypes)
	for i, name := range linux.KfuncNames() {
		for j, typ := range types {
			if !all && (i+j)%6 != 0 { // the others take a while
				continue
			}
			p := &Program{
				Name: "case", Type: typ, GPL: true, Kernel: kernel, Kfuncs: map[int32]string{1: name},
				Insns: []isa.Insn{
					{Op: isa.ClassJMP | isa.CALL, Src: isa.CallKfunc, Imm: 1},
					{Op: isa.ClassALU64 | isa.MOV}, {Op: isa.ClassJMP | isa.EXIT},
				},
			}
			want, log := loadOnLinux(t, p, nil, 4)
			_, err := Verify(p, nil)
			if got := verdictOf(err); got != want {
				if differ++; differ < 20 {
					t.Errorf("%s in %v:\ncarom %s\nLinux %s\n%s", name, typ, got, want, log)
				}
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d calls differ", differ)
	}
}
