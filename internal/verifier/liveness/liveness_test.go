package liveness

import (
	"slices"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

func newTracker(g *cfg.Graph) *Tracker {
	p := Program{Succ: g.Succ, CallsCallback: func(n int) bool { return g.Has(n, cfg.CallsCallback) }}
	for _, s := range g.Subprogs {
		p.Functions = append(p.Functions, Function{
			Start: s.Start, End: s.End, HasLoop: s.HasLoop, Postorder: g.Postorder[s.PostorderStart:s.PostorderEnd],
		})
	}
	return New(p)
}

func analyze(t *testing.T, text string) *cfg.Graph {
	t.Helper()
	insns, err := asm.Assemble(text)
	if err != nil {
		t.Fatal(err)
	}
	funcs := []cfg.Func{{ReturnsInt: true}}
	for n, i := range insns {
		if i.Op == 0x85 && i.Src == isa.CallLocal || i.Op == isa.LDDW && i.Src == isa.PseudoFunc {
			funcs = append(funcs, cfg.Func{Start: n + int(i.Imm) + 1, ReturnsInt: true})
		}
	}
	slices.SortFunc(funcs, func(a, b cfg.Func) int { return a.Start - b.Start })
	g, refused := cfg.Analyze(cfg.Input{Insns: insns, Funcs: slices.Compact(funcs), Helper: func(id int32) cfg.Callee {
		return cfg.Callee{Known: true, SyncCallback: id == 181}
	}})
	if refused != nil {
		t.Fatal(refused)
	}
	return g
}

// straight has one function of n instructions, each of which leads to the next.
func straight(n int) Program {
	p := Program{CallsCallback: func(int) bool { return false }}
	f := Function{End: n}
	for i := range n {
		p.Succ = append(p.Succ, [2]int32{int32(i) + 1, -1})
		f.Postorder = append(f.Postorder, int32(n-1-i))
	}
	p.Succ[n-1] = [2]int32{-1, -1}
	p.Functions = []Function{f}
	return p
}

// event is what an instruction does to frame 0.
type event struct {
	insn        int
	read, write uint64
}

func feed(t *Tracker, events ...event) {
	var c Chain
	for _, e := range events {
		t.Begin(&c, e.insn)
		if e.read != 0 {
			t.Read(&c, 0, e.insn, e.read)
		}
		t.Write(0, e.write)
		t.Commit()
	}
	t.Update(&c)
}

func alive(t *Tracker, insn int) uint64 {
	var c Chain
	t.Ask(&c, insn)
	return t.AliveMask(0)
}

func TestWriteEndsLiveness(t *testing.T) {
	tr := New(straight(5))
	feed(tr, event{insn: 1, write: 0b01}, event{insn: 3, read: 0b11})
	for insn, want := range []uint64{0b10, 0b10, 0b11, 0b11, 0} {
		if got := alive(tr, insn); got != want {
			t.Errorf("instruction %d: %b, want %b", insn, got, want)
		}
	}
}

func TestWriteThatIsNotCertainDoesNotEndLiveness(t *testing.T) {
	// Linux 6.18 keeps the lower 32 slots of a write only, so for the others it goes on to
	// believe that they are always written.
	for _, slot := range []uint64{1 << 3, 1 << 40} {
		tr := New(straight(4))
		feed(tr, event{insn: 1, write: slot}, event{insn: 2, read: slot})
		if got := alive(tr, 0); got != 0 {
			t.Errorf("slots %b: %b is live before the write", slot, got)
		}
		feed(tr, event{insn: 1, write: slot << 1})
		if got := alive(tr, 0); got != slot {
			t.Errorf("slots %b: %b is live before a write that may go elsewhere", slot, got)
		}
		if got := alive(tr, 3); got != 0 {
			t.Errorf("slots %b: %b is live after the read", slot, got)
		}
	}
}

// TestFunctionLeftEarly has functions that may return before they write: by a tail call that is
// taken, and by a load from beyond the packet. Linux before e40f5a6bf88a and ee861486e377 takes
// the write for certain and accepts programs that use what was in the slot before, unchecked.
func TestFunctionLeftEarly(t *testing.T) {
	for _, leave := range []string{"call 12", "r0 = *(u8 *)skb[0]"} {
		t.Run(leave, func(t *testing.T) { functionLeftEarly(t, leave) })
	}
}

func functionLeftEarly(t *testing.T, leave string) {
	g := analyze(t, `
		call f
		r0 = *(u64 *)(r10 -8)
		exit
		func f
		`+leave+`
		*(u64 *)(r6 +0) = 2
		exit`)
	tr := newTracker(g)
	inner := Chain{Starts: [8]int32{0, 3}, Frame: 1}
	tr.Begin(&inner, 4)
	tr.Write(0, 1)
	tr.Commit()
	tr.Update(&inner)
	feed(tr, event{insn: 1, read: 1})
	if got := alive(tr, 0); got != 1 {
		t.Errorf("slots %b are live before the call, want 1", got)
	}
	tr.Ask(&inner, 4)
	if got := tr.AliveMask(0); got != 1 {
		t.Errorf("slots %b are live in the callee, want 1: its caller reads the slot", got)
	}
}

func TestManyCallees(t *testing.T) {
	const calls = 100
	p := Program{CallsCallback: func(int) bool { return false }}
	main, callee := Function{End: calls + 1}, Function{Start: calls + 1, End: calls + 3}
	for i := range calls + 3 {
		p.Succ = append(p.Succ, [2]int32{int32(i) + 1, -1})
	}
	p.Succ[calls], p.Succ[calls+2] = [2]int32{-1, -1}, [2]int32{-1, -1}
	for i := calls; i >= 0; i-- {
		main.Postorder = append(main.Postorder, int32(i))
	}
	callee.Postorder = []int32{calls + 2, calls + 1}
	p.Functions = []Function{main, callee}
	tr := New(p)
	var c Chain
	for i := range calls {
		// Each call reads the slot of its number, modulo 64.
		c.Frame, c.Callsites[0], c.Starts[1] = 1, int32(i), calls+1
		tr.Begin(&c, calls+1)
		tr.Read(&c, 0, calls+1, 1<<(i%64))
		tr.Commit()
		tr.Update(&c)
	}
	c.Frame = 0
	tr.Ask(&c, 64)
	if got, want := tr.AliveMask(0), uint64(1<<36-1); got != want {
		t.Errorf("%x is live before call 64, want %x", got, want)
	}
	// In the callee of call 98, what the calls after it read is live.
	c.Frame, c.Callsites[0] = 1, 98
	tr.Ask(&c, calls+2)
	if got, want := tr.AliveMask(0), uint64(1)<<35; got != want {
		t.Errorf("%x is live in the callee of call 98, want %x", got, want)
	}
	if !tr.Alive(0, 35) || tr.Alive(0, 34) {
		t.Error("Alive does not agree with AliveMask")
	}
}

func BenchmarkUpdate(b *testing.B) {
	const insns = 10_000
	tr := New(straight(insns))
	for i := range b.N {
		feed(tr, event{insn: insns - 2, read: 1 << (i % 64)}, event{insn: i % insns, write: 1 << (i % 64)})
	}
}
