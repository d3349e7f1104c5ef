package corpus

import (
	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	ct "github.com/carom-bpf/carom/caromtest"
)

// Faults returns programs that go wrong. Verifiers refuse to load them; user space runs them
// unverified, and ends the run with an error where it goes wrong. Each has a case for either.
func Faults() []ct.Case {
	var cases []ct.Case
	for _, f := range []struct {
		name, text string
		errno      ct.Errno
		log        string // of the kernel's verifier
		fault      string // of the run in user space
	}{
		{"past a map value", "r1 = map[m][0]+0 ll\nr0 = *(u64 *)(r1 +9)\nexit",
			ct.EACCES, "invalid access to map value, value_size=16 off=9 size=8", "invalid memory access"},
		{"before a map value", "r1 = map[m][0]+0 ll\nr0 = *(u8 *)(r1 -1)\nexit",
			ct.EACCES, "R1 min value is outside of the allowed memory range", "invalid memory access"},
		{"below the stack", "r0 = *(u64 *)(r10 -520)\nexit",
			ct.EACCES, "invalid read from stack", "invalid memory access"},
		{"above the stack", "*(u64 *)(r10 +0) = 1\nr0 = 0\nexit",
			ct.EACCES, "invalid write to stack", "invalid memory access"},
		{"null pointer", "r1 = 0\nr0 = *(u64 *)(r1 +0)\nexit",
			ct.EACCES, "R1 invalid mem access 'scalar'", "invalid memory access"},
		{"number as pointer", "r1 = 0x123456789000 ll\nr0 = *(u64 *)(r1 +0)\nexit",
			ct.EACCES, "R1 invalid mem access 'scalar'", "invalid memory access"},
		{"past the packet", "r1 = *(u32 *)(r1 +80)\nr0 = *(u8 *)(r1 +0)\nexit",
			ct.EACCES, "R1 invalid mem access 'pkt_end'", "invalid memory access"},
		{"context field that is read-only", "*(u32 *)(r1 +0) = 1\nr0 = 0\nexit",
			ct.EACCES, "invalid bpf_context access off=0 size=4", "invalid context access"},
		{"past the context", "r0 = *(u32 *)(r1 +192)\nexit",
			ct.EACCES, "invalid bpf_context access off=192 size=4", "past the end of context"},
		{"endless loop", "r0 = 0\nloop:\nif r0 == 1 goto +1\ngoto loop\nexit",
			ct.EINVAL, "infinite loop detected", "instruction budget exhausted"},
		{"recursion", "call again\nexit\nfunc again () int\ncall again\nexit", ct.E2BIG, "the call stack of 9 frames is too deep", "call too deep"},
		{"lookup in a number", "r1 = 5\nr2 = r10\nr2 += -8\n*(u64 *)(r2 +0) = 0\ncall bpf_map_lookup_elem\nr0 = 0\nexit",
			ct.EACCES, "R1 type=scalar expected=map_ptr", "invalid map pointer"},
	} {
		base := ct.Case{
			Asm: map[string]string{"entry": f.text}, Prog: "entry", Data: make([]byte, 64),
			Maps: map[string]*ebpf.MapSpec{"m": oneValue(make([]byte, 16))},
		}
		refused, fault := base, base
		refused.Name = "refused/" + f.name
		refused.Refused = &ct.Refusal{Errno: f.errno, Text: f.log}
		fault.Name = "fault/" + f.name
		fault.Verify = carom.VerifySkip
		fault.Steps = []ct.Step{{Budget: 10000, Want: &ct.Want{Fault: f.fault}}}
		cases = append(cases, refused, userOnly(fault, "Linux refuses to load it"))
	}
	return cases
}
