//go:build linux

package helper

import (
	"errors"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
)

// TestRefusedTargetsMatchLinux: the words are those of Linux's verifier.
func TestRefusedTargetsMatchLinux(t *testing.T) {
	needKernel(t)
	for _, s := range refusedTargets() {
		t.Run(s.name, func(t *testing.T) {
			insns, err := asm.Parse(s.text)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range s.specs() {
				if err := insns.AssociateMap(spec.Name, s.kernelMap(t, spec)); err != nil && !errors.Is(err, ebpfasm.ErrUnreferencedSymbol) {
					t.Fatal(err)
				}
			}
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: s.typ, License: "GPL", Instructions: insns})
			if err == nil {
				p.Close()
			}
			var v *ebpf.VerifierError
			if !errors.As(err, &v) || !strings.Contains(strings.Join(v.Log, "\n"), s.local) {
				t.Errorf("kernel: %+v, want %q", err, s.local)
			}
		})
	}
}
