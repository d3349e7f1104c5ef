package liveness

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

func address(b []byte) uint64 { return uint64(reflect.ValueOf(b).Pointer()) }

// linuxLog loads a socket filter and returns what Linux logs, state by state.
func linuxLog(t *testing.T, insns []isa.Insn, g *cfg.Graph) string {
	t.Helper()
	_ = rlimit.RemoveMemlock()
	code, license, log := isa.Encode(insns), []byte("GPL\x00"), make([]byte, 1<<20)
	attr := make([]byte, 144)
	binary.NativeEndian.PutUint32(attr[0:], 1) // BPF_PROG_TYPE_SOCKET_FILTER
	binary.NativeEndian.PutUint32(attr[4:], uint32(len(insns)))
	binary.NativeEndian.PutUint64(attr[8:], address(code))
	binary.NativeEndian.PutUint64(attr[16:], address(license))
	binary.NativeEndian.PutUint32(attr[24:], 2) // log level
	binary.NativeEndian.PutUint32(attr[28:], uint32(len(log)))
	binary.NativeEndian.PutUint64(attr[32:], address(log))
	if len(g.Subprogs) > 1 {
		// Tail calls in subprograms need BTF.
		handle, records := functions(t, g)
		binary.NativeEndian.PutUint32(attr[72:], uint32(handle.FD()))
		binary.NativeEndian.PutUint32(attr[76:], 8) // bytes of a record
		binary.NativeEndian.PutUint64(attr[80:], address(records))
		binary.NativeEndian.PutUint32(attr[88:], uint32(len(records)/8))
		defer runtime.KeepAlive(records)
	}
	const progLoad = 5
	fd, _, errno := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(address(attr)), uintptr(len(attr)))
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	switch {
	case errno == unix.EPERM:
		t.Skip("cannot load programs")
	case errno == 0:
		_ = unix.Close(int(fd))
	}
	text := unix.ByteSliceToString(log)
	if !strings.Contains(text, "live stack update done") {
		t.Skipf("this kernel does not log stack liveness; Linux 6.18 does: %v\n%s", errno, text)
	}
	return text
}

// functions makes BTF for static functions that return int, and their records.
func functions(t *testing.T, g *cfg.Graph) (handle *btf.Handle, records []byte) {
	t.Helper()
	b, err := btf.NewBuilder(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	for n, s := range g.Subprogs {
		proto := &btf.FuncProto{Return: integer, Params: []btf.FuncParam{{Name: "a", Type: integer}}}
		id, err := b.Add(&btf.Func{Name: fmt.Sprintf("f%d", n), Type: proto})
		if err != nil {
			t.Fatal(err)
		}
		records = binary.NativeEndian.AppendUint32(records, uint32(s.Start))
		records = binary.NativeEndian.AppendUint32(records, uint32(id))
	}
	if handle, err = btf.NewHandle(b); err != nil {
		t.Skipf("cannot load BTF: %v", err)
	}
	t.Cleanup(func() { _ = handle.Close() })
	return handle, records
}

// programs are verified by Linux; "lddw r2, 1, 0" loads a map of programs.
var programs = []struct{ name, text string }{
	{name: "straight", text: `
		*(u64 *)(r10 -8) = 1
		r0 = *(u64 *)(r10 -8)
		r1 = *(u64 *)(r10 -16)
		exit`},
	{name: "branches", text: `
		*(u64 *)(r10 -8) = 1
		*(u64 *)(r10 -16) = 1
		call 7
		if r0 > 7 goto L1
		r0 = *(u64 *)(r10 -8)
		exit
		L1:
		if r0 > 70 goto L2
		*(u64 *)(r10 -16) = 2
		L2:
		r0 = *(u64 *)(r10 -16)
		*(u64 *)(r10 -8) = 7
		exit`},
	{name: "part of a slot is no write", text: `
		*(u64 *)(r10 -8) = 1
		call 7
		if r0 == 3 goto +1
		*(u32 *)(r10 -8) = 1
		r0 = *(u8 *)(r10 -1)
		exit`},
	{name: "loop", text: `
		*(u64 *)(r10 -8) = 0
		*(u64 *)(r10 -24) = 0
		L0:
		r6 = *(u64 *)(r10 -8)
		r6 += 1
		*(u64 *)(r10 -8) = r6
		call 7
		if r0 == 5 goto L1
		*(u64 *)(r10 -16) = r6
		if r6 < 4 goto L0
		r0 = *(u64 *)(r10 -16)
		exit
		L1:
		r0 = *(u64 *)(r10 -24)
		exit`},
	{name: "write is not certain", text: `
		*(u64 *)(r10 -8) = 0
		*(u64 *)(r10 -16) = 0
		call 7
		r7 = r10
		r7 += -16
		if r0 > 7 goto +1
		r7 += 8
		*(u64 *)(r7 +0) = 1
		r0 = *(u64 *)(r10 -8)
		r0 = *(u64 *)(r10 -16)
		exit`},
	{name: "callee writes for its caller", text: `
		*(u64 *)(r10 -8) = 1
		*(u64 *)(r10 -16) = 1
		r1 = r10
		r1 += -16
		call f
		r0 = *(u64 *)(r10 -8)
		exit
		func f
		r6 = r1
		call 7
		*(u64 *)(r10 -8) = 1
		goto +0
		*(u64 *)(r6 +8) = 5
		r0 = *(u64 *)(r6 +0)
		exit`},
	{name: "callee reads on one path", text: `
		*(u64 *)(r10 -8) = 1
		r1 = r10
		r1 += -8
		call f
		r1 = r10
		r1 += -8
		*(u64 *)(r10 -8) = 1
		call f
		r0 = 0
		exit
		func f
		r6 = r1
		*(u64 *)(r10 -8) = 1
		call 7
		if r0 > 3 goto +2
		r0 = *(u64 *)(r6 +0)
		exit
		*(u64 *)(r6 +0) = 1
		r0 = *(u64 *)(r10 -8)
		exit`},
	{name: "three frames", text: `
		*(u64 *)(r10 -8) = 1
		r1 = r10
		r1 += -8
		call f
		exit
		func f
		*(u64 *)(r10 -16) = 3
		r2 = r10
		r2 += -16
		call g
		exit
		func g
		r6 = r1
		r3 = *(u64 *)(r2 +0)
		r4 = *(u64 *)(r1 +0)
		call 7
		*(u64 *)(r6 +0) = 1
		r0 = 0
		exit`},
	{name: "tail call does not write", text: `
		r6 = r1
		*(u64 *)(r10 -8) = 1
		*(u64 *)(r10 -16) = 1
		r2 = r10
		r2 += -16
		call f
		r0 = *(u64 *)(r10 -8)
		r0 = *(u64 *)(r10 -16)
		exit
		func f
		r6 = r2
		lddw r2, 1, 0
		r3 = 0
		*(u64 *)(r6 +0) = 2
		call 12
		*(u64 *)(r6 +8) = 2
		r0 = 0
		exit`},
	{name: "callback", text: `
		*(u64 *)(r10 -8) = 1
		*(u64 *)(r10 -16) = 1
		r1 = 5
		r2 = func[cb] ll
		r3 = r10
		r3 += -8
		r4 = 0
		call 181
		r0 = *(u64 *)(r10 -16)
		exit
		func cb
		r3 = *(u64 *)(r2 +0)
		r3 += 1
		*(u64 *)(r2 +0) = r3
		r0 = 0
		exit`},
}

// bits gives the slots of a list such as "-8,-16".
func bits(list string) (mask uint64) {
	for _, s := range strings.Split(list, ",") {
		if off, err := strconv.Atoi(s); err == nil {
			mask |= 1 << (-off/8 - 1)
		}
	}
	return mask
}

// replay follows the log of Linux: it does with a Tracker what Linux did, and compares the sets
// of live and written slots with those that Linux found.
type replay struct {
	t     *testing.T
	insns []isa.Insn
	graph *cfg.Graph
	live  *Tracker

	chain    Chain
	saved    []branch
	linux    map[key]*masks
	compared int
}

// branch is a path that is left for later.
type branch struct {
	insn  int
	chain Chain
}

type key struct {
	chain       string
	frame, insn int
}

var (
	insnLine   = regexp.MustCompile(`^(\d+): \([0-9a-f]{2}\)`)
	fromLine   = regexp.MustCompile(`^from (\d+) to \d+:( safe)?`)
	safeLine   = regexp.MustCompile(`^\d+: safe$`)
	changeLine = regexp.MustCompile(`^(\([\d,]+\)) frame (\d) insn (\d+) (.*)$`)
	changes    = regexp.MustCompile(`([+-])(live|written) ([-\d,]+)`)
)

func (r *replay) run(log string) {
	_, log, _ = strings.Cut(log, "0: R1=ctx")
	for _, l := range strings.Split(log, "\n") {
		switch {
		case insnLine.MatchString(l):
			r.compare()
			n, _ := strconv.Atoi(insnLine.FindStringSubmatch(l)[1])
			r.step(n, l)
		case fromLine.MatchString(l):
			m := fromLine.FindStringSubmatch(l)
			if n, _ := strconv.Atoi(m[1]); r.insns[n].Op != 0x95 { // not a return
				r.resume(n)
			}
			if m[2] != "" {
				r.update()
			}
		case safeLine.MatchString(l):
			r.update()
		case changeLine.MatchString(l):
			r.change(changeLine.FindStringSubmatch(l))
		}
	}
	r.compare()
}

// resume takes up the last path that was left at an instruction.
func (r *replay) resume(n int) {
	for len(r.saved) > 0 {
		b := r.saved[len(r.saved)-1]
		r.saved = r.saved[:len(r.saved)-1]
		if b.insn == n {
			r.chain = b.chain
			return
		}
	}
	r.t.Fatalf("no path was left at %d", n)
}

func (r *replay) update() {
	// Linux forgets what is written when some write turned out not to be certain.
	for in := r.live.lookup(&r.chain); in != nil; in = in.outer {
		if in.updated && slices.Contains(in.dropped[:], true) {
			for k, m := range r.linux {
				if k.chain == chainText(in) {
					m.written = 0
				}
			}
		}
	}
	r.live.Update(&r.chain)
}

// chainText prints a chain as Linux does.
func chainText(in *instance) string {
	s := fmt.Sprintf("%d)", in.fn.Start)
	for ; in.outer != nil; in = in.outer {
		s = fmt.Sprintf("%d,", in.callsite) + s
	}
	return "(" + s
}

func (r *replay) call(site int, start int32) Chain {
	c := r.chain
	c.Callsites[c.Frame] = int32(site)
	c.Frame++
	c.Starts[c.Frame] = start
	return c
}

func (r *replay) step(n int, line string) {
	i := r.insns[n]
	r.live.Begin(&r.chain, n)
	switch {
	case i.Op == 0x95: // exit
		if r.chain.Frame == 0 {
			r.live.Commit()
		}
		r.update()
		r.live.Commit()
		if r.chain.Frame > 0 {
			r.chain.Frame--
		}
		return
	case i.Op == 0x85 && i.Src == 0 && i.Imm == 12 && r.chain.Frame > 0:
		// First as if the other program returned to the caller, later as if there was none.
		r.saved = append(r.saved, branch{n, r.chain})
		r.update()
		r.chain.Frame--
		return
	case i.Op == 0x85 && i.Src == isa.CallLocal:
		r.chain = r.call(n, int32(n)+i.Imm+1)
		r.live.Forget()
	case i.Op == 0x85 && i.Imm == 181:
		r.saved = append(r.saved, branch{n, r.call(n, int32(r.graph.Subprogs[1].Start))})
	case i.Class() == isa.ClassJMP && i.Op != 0x85 && i.Op != 0x05:
		r.saved = append(r.saved, branch{n, r.chain})
	}
	r.stack(n, i, line)
	r.live.Commit()
}

// stack reports what an instruction does to the stack. Linux prints where its pointer points.
func (r *replay) stack(n int, i isa.Insn, line string) {
	base := i.Dst
	load := i.Class() == isa.ClassLDX
	if load {
		base = i.Src
	}
	if !load && i.Class() != isa.ClassST && i.Class() != isa.ClassSTX {
		return
	}
	frame, off := r.chain.Frame, int(i.Off)
	if base != isa.FP {
		m := regexp.MustCompile(fmt.Sprintf(`R%d=fp(?:\[(\d)\])?(-?\d+)`, base)).FindStringSubmatch(line)
		if m == nil {
			return // not the stack
		}
		if m[1] != "" {
			frame, _ = strconv.Atoi(m[1])
		}
		start, _ := strconv.Atoi(m[2])
		off += start
	}
	mask := uint64(1) << ((-off - 1) / 8)
	if load {
		r.live.Read(&r.chain, frame, n, mask)
	} else if i.Op&0x18 == isa.SizeDW {
		r.live.Write(frame, mask)
	}
}

func (r *replay) change(m []string) {
	frame, _ := strconv.Atoi(m[2])
	insn, _ := strconv.Atoi(m[3])
	k := key{m[1], frame, insn}
	if r.linux[k] == nil {
		r.linux[k] = &masks{}
	}
	for _, c := range changes.FindAllStringSubmatch(m[4], -1) {
		set := &r.linux[k].live
		if c[2] == "written" {
			set = &r.linux[k].written
		}
		if c[1] == "+" {
			*set |= bits(c[3])
		} else {
			*set &^= bits(c[3])
		}
	}
}

// compare compares all sets that Linux named so far.
func (r *replay) compare() {
	r.t.Helper()
	for k, want := range r.linux {
		in := r.find(k.chain)
		if in == nil {
			r.t.Fatalf("no function for %s", k.chain)
		}
		var got masks
		if in.frames[k.frame] != nil {
			got = in.frames[k.frame][k.insn-in.fn.Start]
		}
		if got.live != want.live || got.written != want.written {
			r.t.Fatalf("%s frame %d insn %d: live %b written %b, Linux has %b and %b",
				k.chain, k.frame, k.insn, got.live, got.written, want.live, want.written)
		}
		r.compared++
	}
}

func (r *replay) find(chain string) *instance {
	var search func(list []*instance) *instance
	search = func(list []*instance) *instance {
		for _, in := range list {
			if chainText(in) == chain {
				return in
			}
			if found := search(in.inner); found != nil {
				return found
			}
		}
		return nil
	}
	return search(r.live.roots)
}

// withMap puts the descriptor of a map where one is loaded.
func withMap(t *testing.T, insns []isa.Insn) []isa.Insn {
	t.Helper()
	out := slices.Clone(insns)
	for n := range out {
		if out[n].Op == isa.LDDW && out[n].Src == isa.PseudoMapFD {
			m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
			if err != nil {
				t.Skipf("cannot make a map: %v", err)
			}
			t.Cleanup(func() { _ = m.Close() })
			out[n].Imm = int32(m.FD())
		}
	}
	return out
}

func TestLinuxHasTheSameSets(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			g := analyze(t, p.text)
			r := &replay{t: t, insns: g.Insns, graph: g, live: newTracker(g), linux: map[key]*masks{}}
			for n, i := range g.Insns {
				if i.Op == 0x85 && i.Src == isa.CallHelper && i.Imm == 12 {
					// Linux 6.18.44 does not know that what follows a tail call may be
					// left out; TestFunctionLeftEarly has what is right.
					g.Succ[n][1] = cfg.None
				}
			}
			log := linuxLog(t, withMap(t, g.Insns), g)
			r.run(log)
			if t.Failed() || r.compared == 0 {
				t.Errorf("%d comparisons\n%s", r.compared, log)
			}
		})
	}
}
