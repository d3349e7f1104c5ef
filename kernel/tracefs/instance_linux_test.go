package tracefs_test

import (
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/kernel/tracefs"
)

func TestInstanceSeesWhatProgramsPrint(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	instance, err := tracefs.Open()
	if err != nil {
		t.Skip(err)
	}
	defer func() {
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	}()
	insns, err := asm.Parse(`
		*(u64 *)(r10 -8) = 0
		*(u32 *)(r10 -8) = 0x75256e   // "n%u"
		r1 = r10
		r1 += -8
		r2 = 8
		r3 = 42
		call bpf_trace_printk
		exit
	`)
	if err != nil {
		t.Fatal(err)
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: insns})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 2 {
		if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 14)}); err != nil {
			t.Fatal(err)
		}
		lines, err := instance.Lines()
		if err != nil {
			t.Fatal(err)
		}
		var mine []string
		for _, l := range lines {
			if l.TID == unix.Gettid() {
				mine = append(mine, l.Text)
			}
		}
		if len(mine) != 1 || mine[0] != "n42" {
			t.Errorf("printed %q, want n42", mine)
		}
	}
}
