package verifier

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// objectWriter makes programs that keep objects on the stack and call back. R7 is a map value, R8
// a slice or 0, R9 a number; every function begins by setting them.
type objectWriter struct {
	r      *rand.Rand
	b      strings.Builder
	labels int
	funcs  []string // callbacks that are called and must be written
	budget int
}

func (w *objectWriter) f(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

func (w *objectWriter) label() string {
	w.labels++
	return fmt.Sprintf("l%d", w.labels)
}

// one says yes once in n times.
func (w *objectWriter) one(n int) bool { return w.r.IntN(n) == 0 }

func (w *objectWriter) pick(s ...string) string { return s[w.r.IntN(len(s))] }

// place is an offset of a dynptr, which may overlap others.
func (w *objectWriter) place() int {
	if w.one(25) {
		return []int{8, 20, 0, 512, 520}[w.r.IntN(5)]
	}
	if w.one(12) {
		return []int{16, 32, 24, 40, 104}[w.r.IntN(5)]
	}
	return []int{16, 16, 40}[w.r.IntN(3)]
}

func (w *objectWriter) dynptr(reg, at int) { w.f("r%d = r10\nr%[1]d += -%d", reg, at) }

// callback names a function that is called back.
func (w *objectWriter) callback(args string) string {
	name := fmt.Sprintf("cb%d", len(w.funcs))
	w.funcs = append(w.funcs, fmt.Sprintf("static func %s (%s)", name, args))
	return name
}

func (w *objectWriter) block(depth int) {
	for range 1 + w.r.IntN(4) {
		if w.budget--; w.budget < 0 {
			return
		}
		if depth < 3 && w.one(3) {
			w.nested(depth)
		} else {
			w.op()
		}
	}
}

// nested writes branches, loops and calls back.
func (w *objectWriter) nested(depth int) {
	over, again := w.label(), w.label()
	switch w.r.IntN(9) {
	case 0, 1:
		w.f("call bpf_get_prandom_u32\nif r0 > %d goto %s", w.r.IntN(9), over)
		w.block(depth + 1)
		w.f("%s:", over)
	case 2:
		w.f("r9 = 0\n%s:", again)
		w.block(depth + 1)
		w.f("r9 += 1\nif r9 < %d goto %s", 1+w.r.IntN(6), again)
	case 3, 4:
		w.iterLoop(depth, again, over)
	case 5:
		w.f("%s:", again)
		w.block(depth + 1)
		w.f("may_goto %s\ngoto %s\n%s:", over, again, over)
	case 6:
		at := []int{104, 120, 120, w.place()}[w.r.IntN(4)]
		w.f("lddw r1, 5, 1\nr2 = 8\nr3 = 0")
		w.dynptr(4, at)
		w.f("call bpf_ringbuf_reserve_dynptr")
		w.block(depth + 1)
		if !w.one(12) {
			w.dynptr(1, at)
			w.f("r2 = 0\ncall bpf_ringbuf_%s_dynptr", w.pick("submit", "discard"))
		}
	default:
		w.callsBack()
	}
}

func (w *objectWriter) iterLoop(depth int, again, over string) {
	at := []int{8, 8, 48, 56, 64}[w.r.IntN(5)]
	w.f("r1 = r10\nr1 += -%d\nr2 = 0\nr3 = %d\ncall kfunc:bpf_iter_num_new\n%s:", at, w.r.IntN(20), again)
	w.f("r1 = r10\nr1 += -%d\ncall kfunc:bpf_iter_num_next\nif r0 == 0 goto %s", at, over)
	switch w.r.IntN(4) {
	case 0:
		w.f("r9 = *(u32 *)(r0 + 0)")
	case 1:
		w.f("r9 += 1")
	case 2:
		w.f("r8 = r0")
	}
	w.block(depth + 1)
	if w.one(4) {
		w.f("if r9 > %d goto %s", w.r.IntN(5), over)
	}
	w.f("goto %s\n%s:", again, over)
	if !w.one(15) {
		w.f("r1 = r10\nr1 += -%d\ncall kfunc:bpf_iter_num_destroy", at)
	}
}

func (w *objectWriter) callsBack() {
	if len(w.funcs) >= 3 {
		w.op()
		return
	}
	ctx := w.pick("r3 = 0", "r3 = r10\nr3 += -32", "r3 = r10\nr3 += -16", "r3 = r10\nr3 += -40")
	switch w.r.IntN(4) {
	case 0:
		rounds := w.pick("r1 = 3", "r1 = 1000", "r1 = r9")
		w.f("%s\n%s\nr4 = 0\nr2 = func[%s] ll\ncall bpf_loop", rounds, ctx, w.callback("u64 i, void *ctx"))
	case 1:
		w.f("lddw r1, 5, 0\n%s\nr4 = 0\nr2 = func[%s] ll\ncall bpf_for_each_map_elem", ctx, w.callback("void *map, u64 *ctx"))
	case 2:
		w.f("lddw r1, 5, 2\n%s\nr4 = 0\nr2 = func[%s] ll\ncall bpf_user_ringbuf_drain", ctx, w.callback("void *dynptr, void *ctx"))
	case 3:
		over := w.label()
		w.f("*(u32 *)(r10 - 72) = 1\nlddw r1, 5, 3\nr2 = r10\nr2 += -72\ncall bpf_map_lookup_elem\nif r0 == 0 goto %s", over)
		w.f("r1 = r0\nr1 += 8\nr2 = func[%s] ll\ncall bpf_timer_set_callback\n%s:", w.callback("void *map, u64 *key"), over)
	}
}

// op writes one use of an object, or of the stack.
func (w *objectWriter) op() {
	at := w.place()
	switch w.r.IntN(16) {
	case 0, 1:
		w.f("r1 = r7\nr2 = 16\nr3 = 0")
		w.dynptr(4, at)
		w.f("call bpf_dynptr_from_mem")
	case 2:
		w.f("r1 = r10\nr1 += -80\nr2 = 8\nr4 = 0\nr5 = 0")
		w.dynptr(3, at)
		w.f("call bpf_dynptr_read")
	case 3:
		w.f("*(u64 *)(r10 - 80) = 0\nr2 = 0\nr3 = r10\nr3 += -80\nr4 = 8\nr5 = 0")
		w.dynptr(1, at)
		w.f("call bpf_dynptr_write")
	case 4:
		w.dynptr(1, at)
		w.f("r2 = 0\nr3 = 8\ncall bpf_dynptr_data\nr8 = r0")
	case 5:
		w.dynptr(1, at)
		w.f("r2 = 0\nr3 = r10\nr3 += -88\n*(u64 *)(r10 - 88) = 0\nr4 = 8\ncall kfunc:bpf_dynptr_slice%s\nr8 = r0", w.pick("", "_rdwr"))
	case 6:
		over := w.label()
		w.f("if r8 == 0 goto %s\n%s\n%s:", over, w.pick("r0 = *(u64 *)(r8 + 0)", "*(u64 *)(r8 + 0) = 1", "r9 = *(u8 *)(r8 + 3)"), over)
	case 7:
		w.f("*(u%s *)(r10 - %d) = %s", w.pick("8", "64"), 8*(1+w.r.IntN(16)), w.pick("0", "1", "r9", "r8"))
	case 8:
		w.dynptr(1, at)
		w.dynptr(2, w.place())
		w.f("call kfunc:bpf_dynptr_clone")
	case 9:
		w.dynptr(1, at)
		w.f("call kfunc:bpf_dynptr_%s", w.pick("is_null", "is_rdonly", "size"))
	case 10:
		w.f("r9 = %s", w.pick("0", "1", "7"))
	case 11:
		w.f("call bpf_get_prandom_u32\nr9 = r0\nr9 &= 7")
	case 12:
		w.f("r0 = r10\nr0 += -88\nr9 &= 7\nr0 += r9\n%s", w.pick("*(u8 *)(r0 + 0) = 1", "r0 = *(u8 *)(r0 + 0)"))
	case 13:
		w.f("r0 = *(u64 *)(r10 - %d)", 8*(1+w.r.IntN(16)))
	case 14:
		w.f("r1 = r10\nr1 += -%d", []int{8, 48, 56}[w.r.IntN(3)])
		if w.one(4) {
			w.f("call kfunc:bpf_iter_num_%s", w.pick("next", "destroy"))
		}
	case 15:
		w.f("r8 = 0")
	}
}

func (w *objectWriter) function() {
	found := w.label()
	w.f("*(u32 *)(r10 - 100) = 0\nlddw r1, 5, 0\nr2 = r10\nr2 += -100\ncall bpf_map_lookup_elem\nif r0 != 0 goto %s", found)
	w.f("r0 = 0\nexit\n%s:\nr7 = r0\nr8 = 0\nr9 = 0", found)
	for _, at := range []int{16, 40} {
		w.f("r1 = r7\nr2 = 16\nr3 = 0")
		w.dynptr(4, at)
		w.f("call bpf_dynptr_from_mem")
	}
	w.block(0)
	w.f("r0 = %s\nexit", w.pick("0", "0", "0", "0", "1", "r9"))
}

var anyNumber = regexp.MustCompile(`\d+`)

func randomObjects(r *rand.Rand) objectCase {
	w := &objectWriter{r: r, budget: 14}
	w.function()
	for i := 0; i < len(w.funcs); i++ {
		w.f("%s", w.funcs[i])
		w.budget = max(w.budget, 4)
		w.function()
	}
	return objectCase{callCase: callCase{name: "random", typ: ebpf.SchedCLS, text: w.b.String()}}
}

// TestRandomObjectsOnLinux compares verdicts, reasons and anyNumber. OBJECT_RANDOM=COUNT[,SEED] makes
// more programs.
func TestRandomObjectsOnLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, objectMaps())
	count, seed := 60, uint64(1)
	if s := os.Getenv("OBJECT_RANDOM"); s != "" {
		n, from, _ := strings.Cut(s, ",")
		count, _ = strconv.Atoi(n)
		seed, _ = strconv.ParseUint(from, 10, 64)
	}
	accepted, shapes := 0, map[string]int{}
	for i := range count {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		c := randomObjects(r)
		p := c.program(t)
		want, log := loadOnLinux(t, p, fds, 4)
		v, err := Verify(p, nil)
		got := verdictOf(err)
		if strings.HasPrefix(got, "EINVAL: infinite loop") && strings.Contains(log, got[len("EINVAL: "):]) {
			want = got
		}
		if strings.HasPrefix(got, deadCallback) && strings.HasPrefix(want, deadCallback) {
			want = got
		}
		shapes[anyNumber.ReplaceAllString(want, "#")]++
		if got == want && err == nil {
			accepted++
			s := v.Stats
			got = fmt.Sprintf("processed %d insns (limit %d) max_states_per_insn %d total_states %d",
				s.Insns, MaxInsns, s.MaxPerInsn, s.TotalStates)
			want, _, _ = strings.Cut(statsLine.FindString(log), " peak_states")
		}
		if got != want {
			t.Errorf("program %d: carom %s\nLinux %s\n%s", i, got, want, c.text)
		}
	}
	t.Logf("%d programs, %d accepted", count, accepted)
	if os.Getenv("OBJECT_RANDOM") != "" {
		for s, n := range shapes {
			t.Logf("%6d %s", n, s)
		}
	}
}
