package verifier

import (
	"errors"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// TestReleases: instructions, helpers and types that kernels do not have yet.
func TestReleases(t *testing.T) {
	ret := []isa.Insn{{Op: isa.ClassALU64 | isa.MOV}, {Op: isa.ClassJMP | isa.EXIT}}
	with := func(in ...isa.Insn) []isa.Insn { return append(in, ret...) }
	mov := isa.Insn{Op: isa.ClassALU64 | isa.MOV, Dst: 2, Imm: 6}
	for _, c := range []struct {
		name  string
		p     Program
		since string // first version that accepts it
		text  string // of older ones
	}{
		{"load-acquire", Program{Insns: with(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeDW, Dst: 10, Off: -8},
			isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | isa.SizeDW, Dst: 2, Src: 10, Off: -8, Imm: isa.AtomicLoadAcq})},
			"6.18", "BPF_ATOMIC uses invalid atomic opcode 100"},
		{"may_goto", Program{Insns: with(isa.Insn{Op: opMayGoto, Off: 1}, mov)}, "6.12", "unknown opcode e5"},
		{"sign-extending move", Program{Insns: with(mov, isa.Insn{Op: isa.ClassALU64 | isa.MOV | isa.SrcReg, Dst: 3, Src: 2, Off: 8})},
			"6.6", "BPF_MOV uses reserved fields"},
		{"signed division", Program{Insns: with(mov, isa.Insn{Op: isa.ClassALU64 | isa.DIV, Dst: 2, Off: 1, Imm: 3})},
			"6.6", "BPF_ALU uses reserved fields"},
		{"long jump", Program{Insns: with(isa.Insn{Op: isa.ClassJMP32 | isa.JA, Imm: 0})}, "6.6", "unknown opcode 06"},
		{"byte swap", Program{Insns: with(mov, isa.Insn{Op: isa.ClassALU64 | isa.END, Dst: 2, Imm: 16})}, "6.6", "unknown opcode d7"},
		{"a tracing helper", Program{Insns: with(isa.Insn{Op: opCall, Imm: linux.FuncGetCurrentUIDGID})}, "6.18",
			"program of this type cannot use helper bpf_get_current_uid_gid#15"},
		{"a program type", Program{Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter, Insns: ret}, "6.6", ""},
		{"a map type", Program{Maps: []*Map{{Name: "m", Type: ebpf.CgroupStorage, KeySize: 4, ValueSize: 8}}, Insns: ret}, "6.6", ""},
	} {
		if c.p.Type == ebpf.UnspecifiedProgram {
			c.p.Type = ebpf.XDP
		}
		c.p.GPL = true
		older := true
		for _, profile := range linux.Profiles() {
			if profile.Version == c.since {
				older = false
			}
			_, err := Verify(&c.p, &Options{Profile: &profile})
			var e *Error
			switch {
			case !older && err != nil:
				t.Errorf("%s on %s: %v", c.name, profile.Version, err)
			case older && (!errors.As(err, &e) || e.Reason.Errno != linux.EINVAL || e.Reason.Message != c.text):
				t.Errorf("%s on %s: %v, want %q", c.name, profile.Version, err, c.text)
			}
		}
	}
}
