package verifier

import (
	"testing"

	"github.com/cilium/ebpf"
)

func TestConstantTailCallsOnLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, callMaps())
	for n, want := range map[int]string{1024: "ok", 1025: tooManyPokes} {
		c := tailCalls(n)
		if got, _ := loadOnLinux(t, c.program(t), fds, 4); got != want {
			t.Errorf("%d: Linux says %s, want %s", n, got, want)
		}
	}
}

func TestMapsAreLimitedOnLinux(t *testing.T) {
	needKernel618(t)
	for n, want := range map[int]string{64: "ok", 65: tooManyMaps} {
		p := manyMaps(t, n)
		if got, _ := loadOnLinux(t, p, kernelMaps(t, p.Maps), 4); got != want {
			t.Errorf("%d: Linux says %s, want %s", n, got, want)
		}
	}
}

func TestOwnersOfMapsOnLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, callMaps())
	first := callCase{typ: ebpf.XDP, attach: ebpf.AttachXDP, text: "lddw r2, 5, 2\nlddw r2, 5, 9\nr0 = 0\nexit"}
	if got, log := loadOnLinux(t, first.program(t), fds, 4); got != "ok" {
		t.Fatalf("%s\n%s", got, log)
	}
	for _, c := range ownerCases() {
		if got, _ := loadOnLinux(t, c.program(t), fds, 4); got != c.want {
			t.Errorf("%s: Linux says %q, want %q", c.name, got, c.want)
		}
	}
}
