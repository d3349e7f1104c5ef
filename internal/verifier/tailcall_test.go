package verifier

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
)

// tailCalls is a program with n tail calls to constant slots.
func tailCalls(n int) callCase {
	return callCase{
		typ:  ebpf.SchedCLS,
		text: "r6 = r1\n" + strings.Repeat("r1 = r6\nlddw r2, 5, 2\nr3 = 1\ncall bpf_tail_call\n", n) + "r0 = 0\nexit",
	}
}

const tooManyPokes = "ENOSPC: adding tail call poke descriptor failed"

func TestConstantTailCallsAreLimited(t *testing.T) {
	for n, want := range map[int]string{1024: "ok", 1025: tooManyPokes} {
		c := tailCalls(n)
		_, err := Verify(c.program(t), nil)
		if got := verdictOf(err); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// manyMaps is a program that uses n maps.
func manyMaps(t testing.TB, n int) *Program {
	var text strings.Builder
	for range n {
		text.WriteString("lddw r1, 5, 0\n")
	}
	c := callCase{typ: ebpf.SchedCLS, text: text.String() + "r0 = 0\nexit"}
	p := c.program(t)
	p.Maps = nil
	for i := range n {
		p.Maps = append(p.Maps, &Map{Name: "m", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		p.Insns[2*i].Imm = int32(i)
	}
	return p
}

const tooManyMaps = "E2BIG: The total number of maps per program has reached the limit of 64"

func TestMapsAreLimited(t *testing.T) {
	for n, want := range map[int]string{64: "ok", 65: tooManyMaps} {
		_, err := Verify(manyMaps(t, n), nil)
		if got := verdictOf(err); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// ownerCases are programs that use a PROG_ARRAY or DEVMAP whose owner is an XDP program with
// attach type BPF_XDP, which the last two cases are as well.
func ownerCases() []callCase {
	progs, devs := "lddw r2, 5, 2\nr0 = 0\nexit", "lddw r2, 5, 9\nr0 = 0\nexit"
	return []callCase{
		{name: "other type", typ: ebpf.SchedCLS, text: progs, want: "EINVAL: "},
		{name: "other attach type", typ: ebpf.XDP, text: progs, want: "EINVAL: "},
		{name: "other attach type, unreached", typ: ebpf.XDP, text: "r0 = 0\nif r0 == 0 goto +2\nlddw r2, 5, 2\nexit", want: "EINVAL: "},
		{name: "DEVMAP, other type", typ: ebpf.SchedCLS, text: devs, want: "EINVAL: "},
		{name: "DEVMAP, other attach type", typ: ebpf.XDP, text: devs, want: "ok"},
		{name: "the same", typ: ebpf.XDP, attach: ebpf.AttachXDP, text: progs, want: "ok"},
	}
}

func TestOwnersOfMaps(t *testing.T) {
	for _, c := range ownerCases() {
		p := c.program(t)
		p.Maps[2].Owner = &linux.Owner{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, Jited: true}
		p.Maps[9].Owner = p.Maps[2].Owner
		_, err := Verify(p, nil)
		if got := verdictOf(err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// unwinding is a custom helper whose result ends the program when it is zero.
func unwinding(ret linux.RetType) func(uint32) *Custom {
	return func(id uint32) *Custom {
		if id != 1000 {
			return nil
		}
		return &Custom{Proto: linux.Proto{ID: 1000, Name: "my_unwind", Ret: ret}, UnwindOnZero: true}
	}
}

func TestUnwindingHelper(t *testing.T) {
	record := "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr7 = r0\n"
	for _, c := range []callCase{
		{name: "not zero", text: "call 1000\nif r0 != 0 goto out\nr0 = *(u64 *)(r1 + 0)\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "holds a record", text: record + "call 1000\nr0 = 0\nexit", want: "EINVAL: my_unwind would lead to reference leak"},
		{
			name: "a caller holds a record",
			text: record + "call sub\nr0 = 0\nexit\nfunc sub\ncall 1000\nr0 = 0\nexit",
			want: "EINVAL: my_unwind would lead to reference leak",
		},
	} {
		c.typ = ebpf.SchedCLS
		p := c.program(t)
		p.Helper = unwinding(linux.RetInteger)
		_, err := Verify(p, nil)
		if got := verdictOf(err); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNoTailCallInCallback(t *testing.T) {
	// Linux 6.18 does not find all of these, and one of them makes it warn: they are never loaded.
	call := "r3 = 0\nr4 = 0\nr1 = 2\nr2 = func[cb] ll\ncall bpf_loop\nr0 = 0\nexit\nfunc cb (u64 i, void *ctx)\n"
	tail := "lddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit"
	for _, c := range []callCase{
		{name: "in a subprogram of the callback", text: "r3 = r1\nr3 = r10\nr3 += -8\n*(u64 *)(r10 - 8) = r1\nr1 = 2\nr4 = 0\nr2 = func[cb] ll\n" +
			"call bpf_loop\nr0 = 0\nexit\nfunc cb (u64 i, void *ctx)\nr1 = *(u64 *)(r2 + 0)\ncall sub\nr0 = 0\nexit\nfunc sub\n" + tail},
		{name: "unreached by R1", text: call + tail},
	} {
		c.typ = ebpf.SchedCLS
		_, err := Verify(c.program(t), nil)
		got := verdictOf(err)
		if c.name == "unreached by R1" {
			if got != "EACCES: R1 type=scalar expected=ctx" {
				t.Errorf("%s: got %q", c.name, got)
			}
			continue
		}
		if got != "EINVAL: cannot tail call within callback" {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}
