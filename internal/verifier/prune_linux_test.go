package verifier

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa/asm"
)

var statsLine = regexp.MustCompile(`processed \d+ insns \(limit \d+\) max_states_per_insn \d+ total_states \d+ peak_states \d+`)

// sameStates compares verdict and numbers with those of Linux.
func sameStates(t *testing.T, p *Program) (accepted bool) {
	t.Helper()
	verdict, log := loadOnLinux(t, p, nil, 4)
	if verdict == "" || strings.Contains(verdict, "resource temporarily unavailable") {
		return false // interrupted by a signal
	}
	v, err := Verify(p, nil)
	if (verdict == "ok") != (err == nil) {
		t.Errorf("Linux: %s, carom: %v", verdict, err)
		return false
	}
	if err != nil {
		return false
	}
	s := v.Stats
	got := fmt.Sprintf("processed %d insns (limit %d) max_states_per_insn %d total_states %d peak_states %d",
		s.Insns, MaxInsns, s.MaxPerInsn, s.TotalStates, s.PeakStates)
	if want := statsLine.FindString(log); got != want {
		t.Errorf("numbers differ\n carom %s\n Linux %s", got, want)
	}
	return true
}

func TestStatesOnLinux(t *testing.T) {
	needKernel618(t)
	for _, c := range stateCases {
		t.Run(c.name, func(t *testing.T) { sameStates(t, stateProgram(t, c.text)) })
	}
}

// TestGlobalStatesOnLinux has a loop in the main program and in a global function.
func TestGlobalStatesOnLinux(t *testing.T) {
	needKernel618(t)
	insns, err := asm.Assemble(`func main
r6 = r1
r7 = 0
again:
r1 = r7
call double
call bpf_get_prandom_u32
if r0 > 5 goto over
r8 = 1
over:
r7 += 1
if r7 < 60 goto again
r0 = 0
exit
func double
r6 = r1
r7 = 0
round:
call bpf_get_prandom_u32
if r0 > r6 goto skip
r8 = r10
r8 += -64
r0 &= 31
r8 += r0
*(u8 *)(r8 +0) = 1
skip:
r7 += 1
if r7 < 40 goto round
r0 = r6
exit`)
	if err != nil {
		t.Fatal(err)
	}
	u64 := &btf.Int{Name: "unsigned long", Size: 8}
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	proto := func(param btf.Type) btf.Type {
		return &btf.FuncProto{Return: integer, Params: []btf.FuncParam{{Name: "a", Type: param}}}
	}
	start := 0
	for i, in := range insns {
		if in.Op == 0x95 {
			start = i + 1
			break
		}
	}
	sameStates(t, &Program{
		Type: ebpf.SchedCLS, Insns: insns, GPL: true,
		Funcs: []Func{
			{Insn: 0, Name: "main", Type: &btf.Func{Name: "main", Type: proto(&btf.Pointer{Target: &btf.Void{}}), Linkage: btf.GlobalFunc}},
			{Insn: start, Name: "double", Type: &btf.Func{Name: "double", Type: proto(u64), Linkage: btf.GlobalFunc}},
		},
	})
}

// TestRandomStatesOnLinux gives programs of loops, branches, spills and calls to both.
func TestRandomStatesOnLinux(t *testing.T) {
	needKernel618(t)
	count := uint64(120)
	if testing.Short() {
		count = 20
	}
	accepted := 0
	for seed := range count {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			text := randomProgram(seed)
			insns, err := asm.Assemble(text)
			if err != nil {
				t.Fatal(err)
			}
			if sameStates(t, &Program{Type: ebpf.SchedCLS, Insns: insns, GPL: true}) {
				accepted++
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
	if accepted < int(count)/3 {
		t.Errorf("only %d of %d programs were accepted", accepted, count)
	}
}

// programText writes a random program; its registers hold numbers, R6 the context.
type programText struct {
	*rand.Rand
	strings.Builder
	labels, depth, loops, calls int
}

func (p *programText) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *programText) reg() int  { return []int{0, 1, 2, 3, 4, 5, 7, 8, 9}[p.IntN(9)] }
func (p *programText) slot() int { return -8 * (1 + p.IntN(4)) }

func (p *programText) label() string {
	p.labels++
	return fmt.Sprintf("l%d", p.labels)
}

func pick[T any](p *programText, list ...T) T { return list[p.IntN(len(list))] }

func randomProgram(seed uint64) string {
	p := &programText{Rand: rand.New(rand.NewPCG(seed, 1))}
	calls := p.IntN(3)
	p.calls = calls
	p.line("func main\nr6 = r1")
	p.prologue()
	p.line("call bpf_get_prandom_u32")
	for r := range 5 {
		p.line("r%d = r0", r+1)
	}
	p.block(5 + p.IntN(20))
	for i := range calls {
		p.line("call sub%d", i+1)
	}
	p.line("r0 = 0\nexit")
	for i := range calls {
		p.calls = i
		p.line("func sub%d", i+1)
		p.prologue()
		p.block(3 + p.IntN(8))
		p.line("r0 = r%d\nexit", p.reg())
	}
	return p.String()
}

// prologue sets all that the statements read.
func (p *programText) prologue() {
	for i := range 5 {
		p.line("*(u64 *)(r10 %d) = %d", -8*(i+1), p.IntN(3))
	}
	for _, r := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9} {
		p.line("r%d = %d", r, p.IntN(20))
	}
}

func (p *programText) block(n int) {
	p.depth++
	for range n {
		pick(p, statements()...)(p)
	}
	p.depth--
}

func (p *programText) branch(to string) {
	op := pick(p, "==", "!=", ">", "<", ">=", "<=", "s>", "s<", "&")
	w := pick(p, "r", "r", "r", "w")
	if p.IntN(3) == 0 {
		p.line("if %s%d %s %s%d goto %s", w, p.reg(), op, w, p.reg(), to)
	} else {
		p.line("if %s%d %s %d goto %s", w, p.reg(), op, p.IntN(40)-4, to)
	}
}

// statements are the kinds of statement; those that stand twice are wanted more often.
func statements() []func(*programText) {
	return []func(*programText){
		func(p *programText) { p.line("r%d = %d", p.reg(), p.IntN(100)) },
		func(p *programText) { p.line("r%d = r%d", p.reg(), p.reg()) },
		func(p *programText) { p.line("r%d = r%d", p.reg(), p.reg()) },
		func(p *programText) {
			p.line("%s%d %s %d", pick(p, "r", "w"), p.reg(), pick(p, "+=", "-="), p.IntN(16)-3)
		},
		func(p *programText) {
			p.line("r%d %s r%d", p.reg(), pick(p, "+=", "-=", "*=", "|=", "^=", "&="), p.reg())
		},
		func(p *programText) { p.line("r%d &= %d", p.reg(), pick(p, 1, 3, 6, 7, 15, 31)) },
		func(p *programText) { p.line("r%d %s %d", p.reg(), pick(p, "<<=", "s>>=", ">>="), p.IntN(64)) },
		func(p *programText) { p.line("r%d = (s%d)r%d", p.reg(), pick(p, 8, 16, 32), p.reg()) },
		func(p *programText) {
			p.line("*(%s *)(r10 %d) = r%d", pick(p, "u64", "u64", "u64", "u32", "u16", "u8"), p.slot(), p.reg())
		},
		func(p *programText) {
			p.line("r%d = *(%s *)(r10 %d)", p.reg(), pick(p, "u64", "u64", "u64", "u32", "u8"), p.slot())
		},
		func(p *programText) { p.line("*(u64 *)(r10 %d) = %d", p.slot(), p.IntN(4)) },
		// Without fetching: Linux 6.18.44 loses precision there.
		func(p *programText) { p.line("lock *(u64 *)(r10 %d) += r%d", p.slot(), p.reg()) },
		(*programText).helper,
		(*programText).indexed,
		(*programText).ifElse, (*programText).ifElse, (*programText).ifElse,
		(*programText).loop,
		(*programText).call,
	}
}

// scratched gives the registers that a call clears new values.
func (p *programText) scratched(unknown int) {
	for r := 1; r <= 5; r++ {
		if p.IntN(2) < unknown {
			p.line("r%d = r0", r)
		} else {
			p.line("r%d = %d", r, p.IntN(9))
		}
	}
}

func (p *programText) helper() {
	p.line("call bpf_get_prandom_u32")
	p.scratched(1)
}

func (p *programText) call() {
	if p.calls > 0 {
		p.line("call sub%d", 1+p.IntN(p.calls))
		p.scratched(0)
	}
}

// indexed stores to a place on the stack that is not known.
func (p *programText) indexed() {
	ptr, index := p.reg(), p.reg()
	if ptr == index {
		return
	}
	p.line("r%d = r10\nr%[1]d += -40\nr%d &= 15\nr%[1]d += r%[2]d\n*(u8 *)(r%[1]d +0) = 1\nr%[1]d = 5", ptr, index)
}

func (p *programText) ifElse() {
	if p.depth > 3 {
		return
	}
	yes, end := p.label(), p.label()
	p.branch(yes)
	p.block(1 + p.IntN(3))
	if p.IntN(2) == 0 {
		p.line("goto %s", end)
	}
	p.line("%s:", yes)
	if p.IntN(2) == 0 {
		p.block(1 + p.IntN(3))
	}
	p.line("%s:", end)
}

// loop runs a few rounds; they are counted on the stack.
func (p *programText) loop() {
	if p.depth > 2 || p.loops > 1 {
		return
	}
	p.loops++
	head, out, counter := p.label(), p.label(), -48-8*p.loops
	p.line("*(u64 *)(r10 %d) = 0\n%s:", counter, head)
	p.block(1 + p.IntN(4))
	if p.IntN(3) == 0 {
		p.branch(out)
		p.block(1)
	}
	p.line("r9 = *(u64 *)(r10 %d)\nr9 += 1\n*(u64 *)(r10 %[1]d) = r9", counter)
	p.line("if r9 %s %d goto %s\n%s:", pick(p, "<", "!=", "s<"), 2+p.IntN(12), head, out)
	p.loops--
}
