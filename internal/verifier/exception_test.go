package verifier

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// exceptionCase is a program whose last function is the callback for exceptions.
type exceptionCase struct {
	kfuncCase
	tag    string
	static bool
	params int
}

func exceptionCases() []exceptionCase {
	row := func(name string, typ ebpf.ProgramType, text, want string) exceptionCase {
		return exceptionCase{
			kfuncCase: kfuncCase{objectCase: objectCase{callCase: callCase{name: name, typ: typ, text: text, want: want}}},
			tag:       "exception_callback:cb", params: 1,
		}
	}
	const (
		tc     = ebpf.SchedCLS
		thrown = "func main\nr1 = 7\ncall kfunc:bpf_throw\nr0 = 0\nexit\nfunc cb\n"
	)
	missing := row("callback that there is not", tc, thrown+"r0 = r1\nexit", "ENOENT: exception callback 'other' could not be found in BTF")
	missing.tag = "exception_callback:other"
	static := row("static callback", tc, thrown+"r0 = r1\nexit", "EINVAL: exception callback 'cb' must have global linkage")
	static.static = true
	none := row("callback without an argument", tc, thrown+"r0 = 0\nexit", "EINVAL: exception cb only supports single integer argument")
	none.params = 0
	two := row("callback with two arguments", tc, thrown+"r0 = 0\nexit", "EINVAL: exception cb only supports single integer argument")
	two.params = 2
	return []exceptionCase{
		row("callback", tc, thrown+"r0 = r1\nexit", "ok"),
		row("callback returns a value in range", ebpf.CGroupSKB, thrown+"r0 = 1\nexit", "ok"),
		row("callback returns a value out of range", ebpf.CGroupSKB, thrown+"r0 = 7\nexit",
			"EINVAL: At program exit the register R0 has smin=7 smax=7 should have been in [0, 1]"),
		row("callback returns what was thrown", ebpf.CGroupSKB, thrown+"r0 = r1\nexit",
			"EINVAL: At program exit the register R0 has unknown scalar value should have been in [0, 1]"),
		row("callback returns a pointer", ebpf.CGroupSKB, thrown+"r0 = r10\nexit",
			"EINVAL: At program exit the register R0 is not a known value (fp)"),
		row("callback throws", tc, thrown+"r1 = 0\ncall kfunc:bpf_throw\nr0 = 0\nexit",
			"EINVAL: bpf_throw kfunc (insn 5) cannot be called from callback subprog 1"),
		row("callback reads what is not there", tc, thrown+"r0 = *(u64 *)(r2 + 0)\nexit", "EACCES: R2 !read_ok"),
		row("callback is called", tc, "func main\nr1 = 7\ncall cb\nr0 = 0\nexit\nfunc cb\nr0 = r1\nexit",
			"EINVAL: insn 1 cannot call exception cb directly"),
		missing, static, none, two,
	}
}

func (c *exceptionCase) program(t testing.TB) *Program {
	t.Helper()
	p := c.kfuncCase.program(t)
	word := &btf.Int{Name: "u64", Size: 8}
	main := *p.Funcs[0].Type
	main.Tags, main.Linkage = []string{c.tag}, btf.GlobalFunc
	proto := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}
	for i := range c.params {
		proto.Params = append(proto.Params, btf.FuncParam{Name: string(rune('a' + i)), Type: word})
	}
	last := &p.Funcs[len(p.Funcs)-1]
	cb := &btf.Func{Name: last.Name, Type: proto, Linkage: btf.GlobalFunc}
	if c.static {
		cb.Linkage = btf.StaticFunc
	}
	p.Funcs[0].Type, last.Type = &main, cb
	return p
}

func TestExceptions(t *testing.T) {
	for _, c := range exceptionCases() {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Verify(c.program(t), nil); verdictOf(err) != c.want {
				t.Errorf("got  %s\nwant %s", verdictOf(err), c.want)
			}
		})
	}
}
