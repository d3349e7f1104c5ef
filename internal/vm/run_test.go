package vm

import (
	"context"
	"errors"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/trace"
	"github.com/cilium/ebpf"
)

func exit() isa.Insn { return isa.Insn{Op: isa.ClassJMP | isa.EXIT} }
func mov(dst uint8, imm int32) isa.Insn {
	return isa.Insn{Op: isa.ClassALU64 | isa.MOV, Dst: dst, Imm: imm}
}
func movR(dst, src uint8) isa.Insn {
	return isa.Insn{Op: isa.ClassALU64 | isa.MOV | isa.SrcReg, Dst: dst, Src: src}
}
func callHelper(id int32) isa.Insn { return isa.Insn{Op: isa.ClassJMP | isa.CALL, Imm: id} }
func callLocal(rel int32) isa.Insn {
	return isa.Insn{Op: isa.ClassJMP | isa.CALL, Src: isa.CallLocal, Imm: rel}
}

// run runs p with R1 = 0.
func run(t *testing.T, c *CPU, p *Program, limits Limits, res *Result) error {
	t.Helper()
	return runWith(t, c, p, 0, limits, res)
}

func runWith(t *testing.T, c *CPU, p *Program, r1 uint64, limits Limits, res *Result) error {
	t.Helper()
	if res == nil {
		res = new(Result)
	}
	if err := c.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer c.End()
	c.UseContext(p, 0)
	return c.Run(p, r1, 0, limits, res)
}

// program is testProgram with helpers, by the ids that its calls have, and callbacks, by the wide
// loads that take their addresses.
func program(t *testing.T, m *Machine, helpers map[int32]*Helper, callbacks map[int]int, insns ...isa.Insn) *Program {
	t.Helper()
	code := &Code{Name: "test", Insns: insns, Funcs: []Func{{Name: "test", End: len(insns)}},
		Helpers: map[int]*Helper{}, FuncLoads: callbacks, ExceptionCallback: -1,
		ByID: func(id uint32) *Helper { return helpers[int32(id)] }}
	for n, i := range insns {
		if h := helpers[i.Imm]; h != nil && i.Op == isa.ClassJMP|isa.CALL && i.Src == isa.CallHelper {
			code.Helpers[n] = h
		}
	}
	p, err := m.NewProgram(code)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func helperOf(id uint32, f func(*Call) uint64) *Helper {
	return &Helper{Proto: linux.Proto{ID: id, Name: "h"}, Func: f}
}

func TestInstructionCounts(t *testing.T) {
	m, c := testMachine(t)
	loop := helperOf(1, func(k *Call) uint64 {
		for i := range k.Args[0] {
			if _, ok := k.Invoke(k.Args[1], i); !ok {
				return 0
			}
		}
		return 0
	})
	callback := isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoFunc}
	for _, tt := range []struct {
		name  string
		p     *Program
		want  int64
		value uint64
	}{
		{"straight", testProgram(t, m, mov(0, 1), mov(0, 2), exit()), 3, 2},
		{"a wide load is one instruction", testProgram(t, m, isa.Insn{Op: isa.LDDW, Imm: 5}, isa.Insn{}, exit()), 2, 5},
		{"a jump skips", testProgram(t, m, mov(0, 1), isa.Insn{Op: isa.ClassJMP | isa.JA, Off: 1}, mov(0, 2), exit()), 3, 1},
		{"a loop of 10", testProgram(t, m, mov(0, 10), isa.Insn{Op: isa.ClassALU64 | isa.SUB, Imm: 1},
			isa.Insn{Op: isa.ClassJMP | isa.JNE, Off: -2}, exit()), 1 + 2*10 + 1, 0},
		{"a subprogram", testProgram(t, m, callLocal(1), exit(), mov(0, 3), exit()), 4, 3},
		{"a callback, three times", program(t, m, map[int32]*Helper{1: loop}, map[int]int{1: 5},
			mov(1, 3), callback, isa.Insn{}, callHelper(1), exit(), mov(0, 0), exit()), 4 + 3*2, 0},
		{"may_goto, until its budget ends", testProgram(t, m, mov(0, 0), isa.Insn{Op: isa.ClassJMP | isa.JCOND, Off: 1},
			isa.Insn{Op: isa.ClassJMP | isa.JA, Off: -2}, exit()), 1 + 2*linux.MaxLoops + 1 + 1, 0},
	} {
		var res Result
		if err := run(t, c, tt.p, Limits{}, &res); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if res.Instructions != tt.want || res.R0 != tt.value {
			t.Errorf("%s: %d instructions, R0 = %d, want %d and %d", tt.name, res.Instructions, res.R0, tt.want, tt.value)
		}
	}
}

func TestBudget(t *testing.T) {
	m, c := testMachine(t)
	forever := testProgram(t, m, isa.Insn{Op: isa.ClassJMP | isa.JA, Off: -1})
	for _, budget := range []int64{1, 1000, fuelSlice - 1, fuelSlice, fuelSlice + 1, 3 * fuelSlice} {
		var e *Error
		res := Result{R0: 99}
		err := run(t, c, forever, Limits{Budget: budget}, &res)
		if !errors.As(err, &e) || e.Code != ErrBudget {
			t.Fatalf("budget %d: %v", budget, err)
		}
		if res.Instructions != budget+1 || res.R0 != 0 {
			t.Errorf("budget %d: %d instructions, R0 = %d, want %d and 0", budget, res.Instructions, res.R0, budget+1)
		}
	}
	// 10 times round is 22 instructions.
	loop := testProgram(t, m, mov(0, 10), isa.Insn{Op: isa.ClassALU64 | isa.SUB, Imm: 1}, isa.Insn{Op: isa.ClassJMP | isa.JNE, Off: -2}, exit())
	if err := run(t, c, loop, Limits{Budget: 22}, nil); err != nil {
		t.Errorf("as many instructions as the budget: %v", err)
	}
	if err := run(t, c, loop, Limits{Budget: 18}, nil); err == nil {
		t.Error("a loop goes on past the budget")
	}
}

// TestBudgetInCallbacks is about callbacks that only exit: they jump nowhere, so the helper that
// calls them must not go on for ever.
func TestBudgetInCallbacks(t *testing.T) {
	m, c := testMachine(t)
	const limit = 1 << 20
	calls := 0
	loop := helperOf(1, func(k *Call) uint64 {
		for calls < limit {
			calls++
			if _, ok := k.Invoke(k.Args[1]); !ok {
				return 0
			}
		}
		return 0
	})
	p := program(t, m, map[int32]*Helper{1: loop}, map[int]int{0: 4},
		isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoFunc}, isa.Insn{}, callHelper(1), exit(), mov(0, 0), exit())
	var e *Error
	if err := run(t, c, p, Limits{Budget: 1000}, nil); !errors.As(err, &e) || e.Code != ErrBudget {
		t.Fatalf("after %d calls: %v, want an exhausted budget", calls, err)
	}
	if calls > 501 {
		t.Errorf("%d calls of 2 instructions under a budget of 1000", calls)
	}
}

func TestCanceled(t *testing.T) {
	m, c := testMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	p := program(t, m, map[int32]*Helper{1: helperOf(1, func(*Call) uint64 { cancel(); return 0 })}, nil,
		callHelper(1), isa.Insn{Op: isa.ClassJMP | isa.JA, Off: -1})
	if err := c.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	defer c.End()
	err := c.Run(p, 0, 0, Limits{}, new(Result))
	var e *Error
	if !errors.As(err, &e) || e.Code != ErrCanceled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCallDepth(t *testing.T) {
	m, c := testMachine(t)
	recurse := testProgram(t, m, mov(0, 7), callLocal(-2), exit())
	var e *Error
	if err := run(t, c, recurse, Limits{}, nil); !errors.As(err, &e) || e.Code != ErrCallDepth {
		t.Errorf("endless recursion: %v", err)
	}
	insns := []isa.Insn{}
	for range linux.MaxFrames - 1 {
		insns = append(insns, callLocal(1), exit())
	}
	insns = append(insns, mov(0, 42), exit())
	var res Result
	if err := run(t, c, testProgram(t, m, insns...), Limits{}, &res); err != nil || res.R0 != 42 {
		t.Errorf("%d frames: R0 = %d, %v", linux.MaxFrames, res.R0, err)
	}
}

// TestThrow is rule R14: bpf_throw leaves the program, through the callbacks of helpers, too.
func TestThrow(t *testing.T) {
	m, c := testMachine(t)
	after := 0
	helpers := map[int32]*Helper{
		1: helperOf(1, func(k *Call) uint64 { return k.Throw(k.Args[0]) }),
		2: helperOf(2, func(k *Call) uint64 {
			r0, ok := k.Invoke(k.Args[1], 33)
			if ok {
				after++
			}
			return r0
		}),
	}
	callback := isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoFunc}
	for _, tt := range []struct {
		name string
		p    *Program
		want uint64
	}{
		{"entry", program(t, m, helpers, nil, mov(1, 16), callHelper(1), mov(0, 1), exit()), 16},
		{"subprogram", program(t, m, helpers, nil, callLocal(2), mov(0, 1), exit(), mov(1, 16), callHelper(1), exit()), 16},
		{"callback", program(t, m, helpers, map[int]int{0: 5}, callback, isa.Insn{}, callHelper(2), mov(0, 1), exit(), callHelper(1), exit()), 33},
		{"callback of a callback", program(t, m, helpers, map[int]int{0: 5, 5: 9},
			callback, isa.Insn{}, callHelper(2), mov(0, 1), exit(), callback, isa.Insn{}, callHelper(2), exit(), callHelper(1), exit()), 33},
	} {
		var res Result
		if err := run(t, c, tt.p, Limits{}, &res); err != nil || res.R0 != tt.want {
			t.Errorf("%s: R0 = %d, %v, want %d", tt.name, res.R0, err, tt.want)
		}
	}
	if after != 0 {
		t.Errorf("%d callbacks that threw are said to have returned", after)
	}
}

// TestCallByRegisterCounts: what callbacks of a helper use up is not forgotten.
func TestCallByRegisterCounts(t *testing.T) {
	m, c := testMachine(t)
	helpers := map[int32]*Helper{
		1: helperOf(1, func(k *Call) uint64 { return k.Throw(5) }),
		2: helperOf(2, func(k *Call) uint64 { r0, _ := k.Invoke(k.Args[1]); return r0 }),
	}
	callx := isa.Insn{Op: isa.ClassJMP | isa.CALL | isa.SrcReg, Dst: 6}
	p := program(t, m, helpers, map[int]int{1: 5},
		mov(6, 2), isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoFunc}, isa.Insn{}, callx, exit(),
		mov(0, 0), mov(0, 0), callHelper(1), exit())
	var res Result
	if err := run(t, c, p, Limits{}, &res); err != nil || res.R0 != 5 || res.Instructions != 3+3 {
		t.Errorf("R0 = %d, %d instructions, %v, want 5, 6", res.R0, res.Instructions, err)
	}
	sub := program(t, m, helpers, map[int]int{0: 4},
		isa.Insn{Op: isa.LDDW, Dst: 6, Src: isa.PseudoFunc}, isa.Insn{}, callx, exit(), mov(0, 9), exit())
	if err := run(t, c, sub, Limits{}, &res); err != nil || res.R0 != 9 || res.Instructions != 5 {
		t.Errorf("subprogram: R0 = %d, %d instructions, %v, want 9, 5", res.R0, res.Instructions, err)
	}
}

func TestFunctionPointersOfOthers(t *testing.T) {
	m, c := testMachine(t)
	other := testProgram(t, m, mov(0, 1), exit())
	invoke := helperOf(1, func(k *Call) uint64 { r0, _ := k.Invoke(k.Args[0]); return r0 })
	p := program(t, m, map[int32]*Helper{1: invoke}, nil, callHelper(1), exit())
	for _, fn := range []uint64{0, 1, other.funcPointer(0), p.funcPointer(2), p.funcPointer(-1), funcTag, ^uint64(0)} {
		var e *Error
		if err := runWith(t, c, p, fn, Limits{}, nil); !errors.As(err, &e) || e.Code != ErrBadCall {
			t.Errorf("callback %#x: %v", fn, err)
		}
	}
}

type ring struct{ discarded []uint64 }

func (r *ring) Discard(addr, _ uint64) { r.discarded = append(r.discarded, addr) }

func TestRecordsOfEndedRuns(t *testing.T) {
	m, c := testMachine(t)
	for _, tt := range []struct {
		name   string
		unwind bool
		last   isa.Insn
	}{{"exit", false, exit()}, {"unwind", true, exit()}, {"fault", false, isa.Insn{Op: 0xff}}} {
		r := &ring{}
		h := helperOf(1, func(k *Call) uint64 { k.CPU.Hold(4096, 8, r); return 0 })
		h.UnwindOnZero = tt.unwind
		err := run(t, c, program(t, m, map[int32]*Helper{1: h}, nil, callHelper(1), tt.last), Limits{}, nil)
		if (err == nil) != tt.unwind {
			t.Errorf("%s: %v", tt.name, err)
		}
		if len(r.discarded) != 1 || r.discarded[0] != 4096 {
			t.Errorf("%s: records %v given back, want that at 4096", tt.name, r.discarded)
		}
	}
}

// TestPacketOfEarlierRun: packet loads of a run without a packet find none.
func TestPacketOfEarlierRun(t *testing.T) {
	m, c := testMachine(t)
	abs := func(off int32) *Program {
		return testProgram(t, m, mov(0, 1), isa.Insn{Op: isa.ClassLD | isa.ModeABS | isa.SizeH, Imm: off}, exit())
	}
	for _, p := range []Packet{{LinkLen: 14}, {LinkLen: 12}, {NetOff: 14}, {Hidden: 4096}} {
		for _, off := range []int32{0, 4, 12, -0x200000 + 12, -0x200000 + 10, -0x100000, -0x100000 + 2} {
			prog := abs(off)
			if err := c.Begin(context.Background()); err != nil {
				t.Fatal(err)
			}
			c.SetPacket(make([]byte, 64), p)
			c.End()
			var res Result
			if err := run(t, c, prog, Limits{}, &res); err != nil || res.R0 != 0 {
				t.Errorf("after %+v, load at %d: R0 = %d, %v, want 0", p, off, res.R0, err)
			}
		}
	}
}

// TestMemoryOfOthers: stack, packet, context and memory of one virtual CPU are closed to programs
// on another.
func TestMemoryOfOthers(t *testing.T) {
	m, c := testMachine(t)
	other, err := m.NewCPU(1)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer other.End()
	memory, e := other.AddMemory("m", make([]byte, 16), mem.PermRW)
	if e != nil {
		t.Fatal(e)
	}
	lo, _ := other.PacketBuffer()
	p := testProgram(t, m, isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Src: 1}, exit())
	for name, addr := range map[string]uint64{
		"stack": other.frameBase(0), "packet": lo + PacketHeadroom, "context": other.ContextAddr(), "memory": memory,
		"helper memory": other.scratch.Base, "map descriptors": m.Maps.Base + mem.DescSize, "programs": p.Desc,
		"NULL": 0, "last address": ^uint64(0), "a function": p.funcPointer(0),
	} {
		var e *Error
		if err := runWith(t, c, p, addr, Limits{}, nil); !errors.As(err, &e) || e.Code != ErrAccess {
			t.Errorf("%s: %v, want an access fault", name, err)
		}
	}
}

// progArray makes the descriptor and slots of a PROG_ARRAY.
func progArray(t *testing.T, m *Machine, slots ...uint64) (desc uint64, region *mem.Region) {
	t.Helper()
	region, err := m.Space.Alloc(mem.Layout{Name: "slots", Size: uint64(len(slots)) * 8})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range slots {
		mem.Store64(region.Base+uint64(i)*8, s)
	}
	desc, _, err = m.Maps.Add("array")
	if err != nil {
		t.Fatal(err)
	}
	mem.Store32(desc+mem.MapType, uint32(ebpf.ProgramArray))
	mem.Store32(desc+mem.MapMaxEntries, uint32(len(slots)))
	mem.Store64(desc+mem.MapData, region.Base)
	return desc, region
}

// hopper tail calls slot R1 of the array and returns 1 when the hop is not taken.
func hopper(t *testing.T, m *Machine, desc uint64) *Program {
	t.Helper()
	tail := helperOf(tailCallID, nil)
	return program(t, m, map[int32]*Helper{tailCallID: tail}, nil,
		movR(3, 1), isa.Insn{Op: isa.LDDW, Dst: 2, Imm: int32(desc)}, isa.Insn{Imm: int32(desc >> 32)}, callHelper(tailCallID), mov(0, 1), exit())
}

func TestTailCallRules(t *testing.T) {
	m, c := testMachine(t)
	target := testProgram(t, m, mov(0, 77), exit())
	desc, region := progArray(t, m, target.Desc, 0)
	p := hopper(t, m, desc)
	for _, tt := range []struct {
		index uint64
		want  uint64
	}{{0, 77}, {1 << 32, 77}, {1, 1}, {2, 1}, {^uint64(0), 1}} {
		var res Result
		if err := runWith(t, c, p, tt.index, Limits{}, &res); err != nil || res.R0 != tt.want {
			t.Errorf("index %#x: R0 = %d, %v, want %d", tt.index, res.R0, err, tt.want)
		}
	}
	mem.AtomicStore64(region.Base+8, p.Desc) // R1 is not kept, so index 0 follows
	mem.AtomicStore64(region.Base, p.Desc)
	var res Result
	if err := runWith(t, c, p, 0, Limits{}, &res); err != nil || res.TailCalls != linux.MaxTailCalls || res.Misses != 1 || res.R0 != 1 {
		t.Errorf("a program that tail calls itself: %+v, %v", res, err)
	}
	if want := int64(linux.MaxTailCalls*3 + 5); res.Instructions != want {
		t.Errorf("a program that tail calls itself: %d instructions, want %d", res.Instructions, want)
	}
}

// TestEdgesOfReplacedPrograms: counts belong to the program that ran, also when it is gone and
// another has its descriptor.
func TestEdgesOfReplacedPrograms(t *testing.T) {
	m, c := testMachine(t)
	c.SetCounting(true)
	named := func(name string) *Program {
		p, err := m.NewProgram(&Code{Name: name, Insns: []isa.Insn{exit()}, Funcs: []Func{{Name: name, End: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := named("first")
	desc, region := progArray(t, m, first.Desc)
	p := hopper(t, m, desc)
	for range 2 {
		if err := run(t, c, p, Limits{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	mem.AtomicStore64(region.Base, 0)
	first.Release()
	first.Release() // has no effect
	second := named("second")
	if second.Desc != first.Desc {
		t.Fatalf("the descriptor at %#x is not used again, but %#x", first.Desc, second.Desc)
	}
	check := func(when string, want map[string]uint64) {
		t.Helper()
		got := map[string]uint64{}
		sum := Counts{}
		c.Edges(sum)
		for e, n := range sum {
			if e.Reason == trace.Taken {
				got[e.Target] += n
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		for name, n := range want {
			if got[name] != n {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
	}
	check("before the second ran", map[string]uint64{"first": 2})
	mem.AtomicStore64(region.Base, second.Desc)
	if err := run(t, c, p, Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	check("after the second ran", map[string]uint64{"first": 2, "second": 1})
}

// TestCountersOfAnotherMap: the map that gets a closed one's descriptor may be larger.
func TestCountersOfAnotherMap(t *testing.T) {
	m, c := testMachine(t)
	c.SetCounting(true)
	desc, _ := progArray(t, m, 0)
	p := hopper(t, m, desc)
	if err := run(t, c, p, Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	const n = 1 << 14
	slots, err := m.Space.Alloc(mem.Layout{Name: "more slots", Size: n * 8})
	if err != nil {
		t.Fatal(err)
	}
	mem.Store64(desc+mem.MapData, slots.Base)
	mem.Store32(desc+mem.MapMaxEntries, n)
	if err := runWith(t, c, p, n-1, Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	sum := Counts{}
	c.Edges(sum)
	if len(sum) != 2 {
		t.Errorf("%d edges, want 2", len(sum))
	}
	for e, count := range sum {
		if count != 1 || e.Index != 0 && e.Index != n-1 {
			t.Errorf("%+v: %d", e, count)
		}
	}
}

// TestCountersOfManyGenerations: programs that come and go under one name add up in one edge and
// use the same memory.
func TestCountersOfManyGenerations(t *testing.T) {
	m, c := testMachine(t)
	c.SetCounting(true)
	desc, region := progArray(t, m, 0)
	var used uint64
	const n = 1000
	for i := range n {
		target := testProgram(t, m, exit())
		mem.AtomicStore64(region.Base, target.Desc)
		p := hopper(t, m, desc)
		if err := run(t, c, p, Limits{}, nil); err != nil {
			t.Fatal(err)
		}
		mem.AtomicStore64(region.Base, 0)
		target.Release()
		p.Release()
		if i == 10 {
			_, used = m.Space.Used()
		}
	}
	if _, got := m.Space.Used(); got != used {
		t.Errorf("%d bytes after %d generations, %d after 10", got, n, used)
	}
	sum := Counts{}
	c.Edges(sum)
	total := uint64(0)
	for _, count := range sum {
		total += count
	}
	if len(sum) != 1 || total != n {
		t.Errorf("%d edges with %d hops, want 1 with %d", len(sum), total, n)
	}
}
