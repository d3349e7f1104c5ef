package verifier

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa"
)

// attachID is the number of what a program is attached to in the kernel's BTF, 0 for nothing.
func attachID(t testing.TB, p *Program) uint32 {
	t.Helper()
	if p.AttachTo == "" || p.Kernel == nil {
		return 0
	}
	var target btf.Type
	if p.AttachType == ebpf.AttachTraceRawTp {
		target, _ = find[*btf.Typedef](p.Kernel, "btf_trace_"+p.AttachTo)
	} else {
		target, _ = find[*btf.Func](p.Kernel, "bpf_iter_"+p.AttachTo)
	}
	spec, err := p.Kernel.Spec()
	if err != nil {
		t.Skip(err)
	}
	id, err := spec.TypeID(target)
	if err != nil {
		t.Fatalf("%s: %v", p.AttachTo, err)
	}
	return uint32(id)
}

// externsByID returns the instructions with the numbers of kernel variables, as libbpf makes them.
func externsByID(t testing.TB, p *Program, insns []isa.Insn) []isa.Insn {
	t.Helper()
	if len(p.Ksyms) == 0 {
		return insns
	}
	spec, err := p.Kernel.Spec()
	if err != nil {
		t.Skip(err)
	}
	insns = slices.Clone(insns)
	for at, sym := range p.Ksyms {
		variable, ok := find[*btf.Var](p.Kernel, sym.Name)
		if !ok {
			t.Fatalf("there is no variable %s", sym.Name)
		}
		id, err := spec.TypeID(variable)
		if err != nil {
			t.Fatal(err)
		}
		insns[at].Imm = int32(id)
	}
	return insns
}

// besideLinux compares verdict, reason and log of a program.
func besideLinux(t testing.TB, p *Program, fds []int32) (difference, verdict string) {
	t.Helper()
	want, kernel := loadOnLinux(t, p, fds, 2)
	var log bytes.Buffer
	_, err := Verify(p, &Options{Log: &log})
	if got := verdictOf(err); got != want {
		return "carom " + got + "\nLinux " + want + "\n" + kernel, want
	}
	if d := DiffLogs(log.String(), kernel); d != "" {
		return d + "\n" + kernel, want
	}
	return "", want
}

// objectText writes a program that walks the kernel's structures at random.
type objectText struct {
	*rand.Rand
	strings.Builder
	types  [10]btf.Type // structures behind R6 to R9, as far as they are known
	labels int
}

func (o *objectText) line(format string, args ...any) { fmt.Fprintf(o, format+"\n", args...) }

func (o *objectText) reg() int { return 6 + o.IntN(4) }

// offset picks a place in a structure: most often a member.
func (o *objectText) offset(t btf.Type) (off, size int, to btf.Type) {
	s := composite(t)
	sizes := []int{1, 2, 4, 8}
	size = sizes[o.IntN(4)]
	if s == nil || len(s.members) == 0 || o.IntN(12) == 0 {
		return o.IntN(400), size, nil
	}
	m := &s.members[o.IntN(len(s.members))]
	for range 6 {
		if _, ok := skipModifiers(m.Type).(*btf.Pointer); ok {
			break
		}
		m = &s.members[o.IntN(len(s.members))]
	}
	off = int(m.Offset / 8)
	switch e, n, _ := elements(m.Type); e := e.(type) {
	case *btf.Pointer:
		size = 8
		if n > 8 {
			off += 8 * o.IntN(n/8)
		}
		to = skipModifiers(e.Target)
	case *btf.Struct, *btf.Union:
		inner, size2, to2 := o.offset(e)
		off, size, to = off+inner, size2, to2
	}
	if o.IntN(30) == 0 {
		off += o.IntN(9) - 4
	}
	return off, size, to
}

// signed writes an offset behind a register.
func signed(off int) string {
	if off < 0 {
		return fmt.Sprintf("- %d", -off)
	}
	return fmt.Sprintf("+ %d", min(off, 32767))
}

func (o *objectText) step() {
	src, dst := o.reg(), o.reg()
	switch o.IntN(14) {
	case 0, 1:
		o.labels++
		o.line("if r%d != 0 goto n%d\nr0 = 0\nexit\nn%d:", src, o.labels, o.labels)
	case 2:
		o.line("r%d += %d", src, 8*o.IntN(20))
	case 3:
		o.line("r%d = r%d", dst, src)
		o.types[dst] = o.types[src]
	case 4:
		o.line("call bpf_get_current_task_btf\nr%d = r0", dst)
		o.types[dst] = nil
	case 5:
		o.call(src)
	case 6:
		off, size, _ := o.offset(o.types[src])
		if o.IntN(3) == 0 {
			o.line("*(u%d *)(r%d %s) = %d", 8*size, src, signed(off), o.IntN(9))
		}
	default:
		off, size, to := o.offset(o.types[src])
		o.line("r%d = *(u%d *)(r%d %s)", dst, 8*size, src, signed(off))
		o.types[dst] = to
	}
}

// call passes a register to a helper that takes a structure.
func (o *objectText) call(src int) {
	switch o.IntN(7) {
	case 0:
		o.line("r1 = r%d\ncall bpf_task_pt_regs\nr%d = r0", src, src)
	case 1:
		o.line("r1 = r10\nr1 += -16\nr2 = 8\nr3 = r%d\ncall bpf_probe_read_kernel", src)
	case 2:
		o.line("r1 = r%d\nr2 = r10\nr2 += -64\nr3 = 64\nr4 = 0\ncall bpf_get_task_stack", src)
	case 3:
		o.line("r1 = r%d\ncall bpf_sock_from_file\nr%d = r0", src, src)
	case 4:
		o.line("r1 = r%d\ncall bpf_skc_to_tcp_sock\nr%d = r0", src, src)
	case 5:
		o.line("lddw r1, 5, 0\nr2 = r%d\nr3 = r10\nr3 += -8\nr4 = 0\ncall bpf_sk_storage_get\nr%d = r0", src, src)
	case 6:
		o.line("lddw r1, 5, 1\nr2 = r%d\nr3 = r10\nr3 += -8\nr4 = 0\ncall bpf_task_storage_get\nr%d = r0", src, src)
	}
}

// storages are the maps of walking programs.
func storages() []*Map {
	number, word := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, &btf.Int{Name: "u64", Size: 8}
	return []*Map{
		{Name: "sk", Type: ebpf.SkStorage, KeySize: 4, ValueSize: 8, Flags: 1, Key: number, Value: word},
		{Name: "task", Type: ebpf.TaskStorage, KeySize: 4, ValueSize: 8, Flags: 1, Key: number, Value: word},
	}
}

// walker makes a program for a tracepoint.
func walker(t testing.TB, r *rand.Rand, kernel *KernelTypes, tracepoint string) *Program {
	t.Helper()
	o := &objectText{Rand: r}
	typedef, _ := find[*btf.Typedef](kernel, "btf_trace_"+tracepoint)
	proto, _ := typedef.Type.(*btf.Pointer).Target.(*btf.FuncProto)
	args := len(proto.Params) - 1
	for n := 6; n < 10; n++ {
		arg := o.IntN(max(args, 1))
		o.line("r%d = *(u64 *)(r1 + %d)", n, 8*arg)
		if arg+1 < len(proto.Params) {
			if p, ok := skipModifiers(proto.Params[arg+1].Type).(*btf.Pointer); ok {
				o.types[n] = skipModifiers(p.Target)
			}
		}
	}
	if o.IntN(8) == 0 {
		o.line("r%d = *(u%d *)(r1 + %d)", o.reg(), 8<<o.IntN(4), o.IntN(8*args+16))
	}
	for range 2 + o.IntN(8) {
		o.step()
	}
	o.line("r0 = 0\nexit")
	c := callCase{name: tracepoint, typ: ebpf.Tracing, attach: ebpf.AttachTraceRawTp, free: o.IntN(40) == 0, text: o.String()}
	p := c.program(t)
	p.AttachTo, p.Kernel, p.Maps = tracepoint, kernel, storages()
	return p
}

// tracepoints are those of the running kernel.
func tracepoints(t testing.TB, kernel *KernelTypes) []string {
	t.Helper()
	spec, err := kernel.Spec()
	if err != nil {
		t.Skip(err)
	}
	var names []string
	for typ, err := range spec.All() {
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := typ.(*btf.Typedef); ok && strings.HasPrefix(d.Name, "btf_trace_") {
			names = append(names, strings.TrimPrefix(d.Name, "btf_trace_"))
		}
	}
	return names
}

// TestRandomWalksBesideLinux walks structures of the running kernel from the arguments of its
// tracepoints. WALKS is the number of programs.
func TestRandomWalksBesideLinux(t *testing.T) {
	needKernel618(t)
	kernel := runningTypes(t)
	names := tracepoints(t, kernel)
	fds := kernelMaps(t, storages())
	count, seed := 120, uint64(1)
	if s := os.Getenv("WALKS"); s != "" {
		count, _ = strconv.Atoi(s)
		seed, _ = strconv.ParseUint(os.Getenv("WALKSEED"), 10, 64)
	}
	accepted, messages := 0, map[string]int{}
	for i := range count {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		name := names[r.IntN(len(names))]
		p := walker(t, r, kernel, name)
		d, verdict := besideLinux(t, p, fds)
		if verdict == "ok" {
			accepted++
		}
		messages[shape(verdict)]++
		if d != "" {
			t.Errorf("program %d at %s\n%s", i, name, d)
		}
		if t.Failed() && os.Getenv("WALKS") == "" {
			break
		}
	}
	t.Logf("%d programs, %d accepted, %d kinds of verdict", count, accepted, len(messages))
	for m, n := range messages {
		t.Logf("%5d %s", n, m)
	}
}
