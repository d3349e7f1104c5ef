package verifier

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
)

// operand is a way to fill a register: code that is run before all arguments are set and leaves
// its value in a register that is kept, and code that sets the argument.
type operand struct {
	prepare string
	set     string // %d is the argument's register
}

// operands are values for arguments. R6 is the context, the stack from fp-64 up is initialised.
func operands(typ ebpf.ProgramType) []operand {
	list := []operand{
		{set: "r%d = r6"}, {set: "r%d = 0"}, {set: "r%d = 0"}, {set: "r%d = 1"}, {set: "r%d = 8"}, {set: "r%d = 4"},
		{set: "r%d = 16"}, {set: "r%d = -1"}, {set: "r%d = 64"}, {set: "r%d = r10"},
		{set: "r%[1]d = r10\nr%[1]d += -64"}, {set: "r%[1]d = r10\nr%[1]d += -16"}, {set: "r%[1]d = r10\nr%[1]d += -8"},
		{set: "r%[1]d = r10\nr%[1]d += -128"}, {set: "r%[1]d = r10\nr%[1]d += -63"}, {set: "r%[1]d = r6\nr%[1]d += 4"},
		{prepare: "call bpf_get_prandom_u32\nr7 = r0", set: "r%d = r7"},
		{prepare: "call bpf_get_prandom_u32\nr7 = r0\nr7 &= 7", set: "r%d = r7"},
		{prepare: "call bpf_get_prandom_u32\nr7 = r0\nr7 &= 7\nr7 += 1", set: "r%d = r7"},
		{prepare: "call bpf_get_prandom_u32\nr7 = r0\nr7 &= 15", set: "r%[1]d = r10\nr%[1]d += -64\nr%[1]d += r7"},
		{prepare: "lddw r1, 5, 1\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nr8 = r0", set: "r%d = r8"},
		{prepare: "lddw r1, 5, 1\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nif r0 == 0 goto end\nr8 = r0", set: "r%d = r8"},
		{prepare: "lddw r1, 5, 1\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nif r0 == 0 goto end\nr8 = r0\nr8 += 8", set: "r%d = r8"},
		{prepare: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr9 = r0", set: "r%d = r9"},
		{prepare: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto end\nr9 = r0", set: "r%d = r9"},
		{set: "lddw r%d, 6, 5"}, {set: "lddw r%d, 6, 12"},
	}
	for i := range callMaps() {
		// A program array or DEVMAP belongs to the type of its first program, storages to cgroup programs.
		if i != 10 && i != 16 && (i != 2 && i != 9 || typ == ebpf.SchedCLS) {
			list = append(list, operand{set: fmt.Sprintf("lddw r%%d, 5, %d", i)})
		}
	}
	data := map[ebpf.ProgramType][2]int{ebpf.SchedCLS: {76, 80}, ebpf.XDP: {0, 4}, ebpf.CGroupSKB: {76, 80}, ebpf.SkSKB: {76, 80}}
	if d, ok := data[typ]; ok {
		list = append(list, operand{
			prepare: fmt.Sprintf("r7 = *(u32 *)(r6 + %d)\nr2 = *(u32 *)(r6 + %d)\nr3 = r7\nr3 += 16\nif r3 > r2 goto end", d[0], d[1]),
			set:     "r%d = r7",
		})
	}
	if typ == ebpf.SchedCLS || typ == ebpf.CGroupSKB {
		list = append(list,
			operand{prepare: "r8 = *(u64 *)(r6 + 168)", set: "r%d = r8"},
			operand{prepare: "r8 = *(u64 *)(r6 + 168)\nif r8 == 0 goto end", set: "r%d = r8"},
			operand{prepare: "r1 = *(u64 *)(r6 + 168)\nif r1 == 0 goto end\ncall bpf_sk_fullsock\nif r0 == 0 goto end\nr8 = r0", set: "r%d = r8"},
		)
	}
	return list
}

// fitting gives operands that often suit an argument, so that calls get through.
func fitting(r *rand.Rand, arg linux.ArgType, all []operand) operand {
	pick := func(sets ...string) operand { return operand{set: sets[r.IntN(len(sets))]} }
	switch arg.Base() {
	case linux.ArgPtrToCtx:
		return pick("r%d = r6")
	case linux.ArgPtrToMapKey, linux.ArgPtrToMapValue, linux.ArgPtrToMem:
		return pick("r%[1]d = r10\nr%[1]d += -64", "r%[1]d = r10\nr%[1]d += -32", "r%[1]d = r10\nr%[1]d += -128")
	case linux.ArgConstSize, linux.ArgConstSizeOrZero, linux.ArgConstAllocSizeOrZero:
		return pick("r%d = 8", "r%d = 16", "r%d = 4", "r%d = 32")
	case linux.ArgAnything:
		return pick("r%d = 0", "r%d = 1")
	case linux.ArgConstMapPtr:
		return pick("lddw r%d, 5, 0", "lddw r%d, 5, 1", "lddw r%d, 5, 3", "lddw r%d, 5, 6", "lddw r%d, 5, 7")
	}
	return all[r.IntN(len(all))]
}

// randomCall is a program around one call.
func randomCall(r *rand.Rand) callCase {
	types := []ebpf.ProgramType{
		ebpf.SchedCLS, ebpf.SchedCLS, ebpf.SchedCLS, ebpf.XDP, ebpf.XDP, ebpf.Kprobe, ebpf.Kprobe, ebpf.CGroupSKB,
		ebpf.SkSKB, ebpf.SocketFilter, ebpf.TracePoint, ebpf.SockOps, ebpf.SkMsg, ebpf.LWTXmit, ebpf.LWTIn,
		ebpf.LWTSeg6Local, ebpf.FlowDissector, ebpf.PerfEvent, ebpf.RawTracepoint, ebpf.CGroupDevice,
		ebpf.CGroupSysctl, ebpf.CGroupSock, ebpf.SkLookup, ebpf.CGroupSockopt, ebpf.CGroupSockAddr, ebpf.SkReuseport,
	}
	typ := types[r.IntN(len(types))]
	attach := map[ebpf.ProgramType]ebpf.AttachType{
		ebpf.SkLookup: ebpf.AttachSkLookup, ebpf.CGroupSockopt: ebpf.AttachCGroupGetsockopt,
		ebpf.CGroupSockAddr: ebpf.AttachCGroupInet4Connect, ebpf.CGroupSock: ebpf.AttachCGroupInetSockCreate,
		ebpf.SkReuseport: ebpf.AttachSkReuseportSelect,
	}[typ]
	id := uint32(r.IntN(linux.MaxFuncID + 1))
	p := linux.Helpers(linux.HelperScope{Type: typ, Attach: attach}).Proto(id)
	for p == nil && r.IntN(20) != 0 || p != nil && (p.Needs != 0 || id == linux.FuncLoop) {
		id = uint32(r.IntN(linux.MaxFuncID + 1))
		p = linux.Helpers(linux.HelperScope{Type: typ, Attach: attach}).Proto(id)
	}
	all := operands(typ)
	var prepare, set strings.Builder
	prepare.WriteString("r6 = r1\nr0 = 0\n")
	for off := -64; off < 0; off += 8 {
		fmt.Fprintf(&prepare, "*(u64 *)(r10 - %d) = r0\n", -off)
	}
	for i := range 5 {
		o := all[r.IntN(len(all))]
		switch {
		case p != nil && i < p.NumArgs() && r.IntN(12) != 0:
			o = fitting(r, p.Args[i], all)
		case p != nil && i >= p.NumArgs() && r.IntN(4) != 0, r.IntN(30) == 0:
			continue
		}
		if o.prepare != "" {
			prepare.WriteString(o.prepare + "\n")
		}
		if strings.Count(o.set, "%") == 1 {
			fmt.Fprintf(&set, o.set+"\n", i+1)
		} else {
			set.WriteString(strings.ReplaceAll(o.set, "%[1]d", strconv.Itoa(i+1)) + "\n")
		}
	}
	after := []string{
		"", "r0 = r1\n", "if r0 == 0 goto end\nr0 = *(u8 *)(r0 + 0)\n", "r0 = *(u8 *)(r0 + 0)\n", "r0 = *(u64 *)(r10 - 64)\n",
		"if r0 == 0 goto end\nr0 = *(u64 *)(r0 + 8)\n", "r0 += 1\n", "r1 = r10\nr1 += r0\n", "r1 = r9\nr2 = 0\ncall bpf_ringbuf_submit\n",
		"r0 = *(u8 *)(r7 + 0)\n", "", "", "", "", "",
	}[r.IntN(15)]
	text := prepare.String() + set.String() + fmt.Sprintf("call %d\n", id) + after + "end:\nr0 = 0\nexit"
	return callCase{name: "random", typ: typ, attach: attach, free: r.IntN(40) == 0, text: text}
}

// TestRandomCallsBesideLinux compares verdicts and reasons of generated calls. CALL_COUNT and
// CALL_SEED in the environment ask for more of them.
func TestRandomCallsBesideLinux(t *testing.T) {
	needKernel618(t)
	fds := kernelMaps(t, callMaps())
	count, seed := 400, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("CALL_COUNT")); err == nil {
		count = n
	}
	if n, err := strconv.Atoi(os.Getenv("CALL_SEED")); err == nil {
		seed = uint64(n)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	reasons, refused, skipped := map[string]int{}, 0, 0
	for i := range count {
		c := randomCall(r)
		p := c.program(t)
		_, err := Verify(p, nil)
		got := verdictOf(err)
		if strings.Contains(got, "carom's verifier does not know") {
			skipped++
			continue
		}
		want, _ := loadOnLinux(t, p, fds, 4)
		reasons[shape(want)]++
		if want != "ok" {
			refused++
		}
		if got != want {
			t.Errorf("case %d, type %v\ngot  %s\nwant %s\n%s", i, c.typ, got, want, c.text)
		}
	}
	if os.Getenv("CALL_CASES") != "" {
		for s, n := range reasons {
			t.Logf("REASON %d %s", n, s)
		}
	}
	t.Logf("%d calls, %d refused for %d reasons, %d left out", count, refused, len(reasons), skipped)
}

// shape is a reason without its numbers.
func shape(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}
