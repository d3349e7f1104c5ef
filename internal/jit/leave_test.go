package jit

import (
	"io"
	"runtime"
	"runtime/pprof"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/vm"
)

// grow needs about n KiB of stack.
//
//go:noinline
func grow(n uint64) uint64 {
	var pad [1024]byte
	if n == 0 {
		return 0
	}
	pad[n%1024] = 1
	return grow(n-1) + uint64(pad[n%1024])
}

func helperCall() isa.Insn { return isa.Insn{Op: isa.ClassJMP | isa.CALL, Imm: 1} }

func codeOf(insns []isa.Insn, h *vm.Helper, funcs ...vm.Func) *vm.Code {
	c := &vm.Code{Name: "test", Insns: insns, Funcs: funcs, Helpers: map[int]*vm.Helper{}, FuncLoads: map[int]int{}}
	for n, i := range insns {
		if i == helperCall() {
			c.Helpers[n] = h
		}
	}
	return c
}

func runCode(t *testing.T, code *vm.Code) uint64 {
	t.Helper()
	m, c := testMachine(t)
	p, err := m.NewProgram(code)
	if err != nil {
		t.Fatal(err)
	}
	if err := Compile(&Input{Program: p, Facts: trusting(code.Insns)}); err != nil {
		t.Fatal(err)
	}
	// A goroutine whose stack is still small.
	result := make(chan uint64)
	go func() {
		var res vm.Result
		defer close(result)
		if err := c.Begin(nil); err != nil {
			t.Error(err)
			return
		}
		defer c.End()
		if err := c.Run(p, 0, 0, vm.Limits{}, &res); err != nil {
			t.Error(err)
			return
		}
		result <- res.R0
	}()
	return <-result
}

// TestStackMoves makes the goroutine's stack move while native code waits for a helper.
func TestStackMoves(t *testing.T) {
	h := &vm.Helper{Func: func(k *vm.Call) uint64 {
		if k.Args[0]%16 == 0 {
			runtime.GC() // which shrinks stacks
		}
		return grow(4 * k.Args[0])
	}}
	insns := []isa.Insn{
		{Op: alu64 | isa.MOV, Dst: 6, Imm: 1},
		{Op: alu64 | isa.MOV, Dst: 7, Imm: 0},
		{Op: alu64 | isa.MOV, Dst: 8, Imm: 1000},
		{Op: alu64 | isa.MOV, Dst: 9, Imm: 3},
		{Op: alu64 | isa.MOV | isa.SrcReg, Dst: 1, Src: 6}, // 4: each round
		helperCall(),
		{Op: alu64 | isa.ADD | isa.SrcReg, Dst: 7, Src: 0},
		{Op: alu64 | isa.ADD, Dst: 6, Imm: 1},
		{Op: isa.ClassJMP | isa.JNE, Dst: 6, Imm: 65, Off: -5},
		{Op: alu64 | isa.MOV | isa.SrcReg, Dst: 0, Src: 7},
		{Op: alu64 | isa.MUL | isa.SrcReg, Dst: 0, Src: 8},
		{Op: alu64 | isa.ADD | isa.SrcReg, Dst: 0, Src: 9},
		{Op: isa.ClassJMP | isa.EXIT},
	}
	const want = 4*64*65/2*1000 + 3
	if got := runCode(t, codeOf(insns, h, vm.Func{Name: "test", End: len(insns)})); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

// TestCallbacksNest has a helper call back a function that calls the helper, down to the last frame.
func TestCallbacksNest(t *testing.T) {
	const callback = 8
	deepest := uint64(0)
	var h *vm.Helper
	h = &vm.Helper{Func: func(k *vm.Call) uint64 {
		n, fn := k.Args[0], k.Args[1]
		deepest = max(deepest, n)
		grow(100 * n)
		if n == 5 {
			return 1
		}
		a, ok := k.Invoke(fn, n+1, fn)
		b, ok2 := k.Invoke(fn, n+1, fn)
		if !ok || !ok2 {
			return 0
		}
		return a + b
	}}
	insns := append([]isa.Insn{
		{Op: alu64 | isa.MOV, Dst: 6, Imm: 7},
		{Op: isa.LDDW, Dst: 2, Src: isa.PseudoFunc, Imm: callback - 1 - 2}, {},
		{Op: alu64 | isa.MOV, Dst: 1, Imm: 0},
		helperCall(),
		{Op: alu64 | isa.MUL, Dst: 0, Imm: 100},
		{Op: alu64 | isa.ADD | isa.SrcReg, Dst: 0, Src: 6},
		{Op: isa.ClassJMP | isa.EXIT},
	},
		isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: 10, Src: 1, Off: -8},
		isa.Insn{Op: alu64 | isa.MOV | isa.SrcReg, Dst: 6, Src: 1},
		helperCall(),
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: 1, Src: 10, Off: -8},
		isa.Insn{Op: alu64 | isa.SUB | isa.SrcReg, Dst: 1, Src: 6},
		isa.Insn{Op: alu64 | isa.ADD | isa.SrcReg, Dst: 0, Src: 1}, // the same value: nothing is added
		isa.Insn{Op: isa.ClassJMP | isa.EXIT},
	)
	code := codeOf(insns, h, vm.Func{Name: "test", End: callback}, vm.Func{Name: "callback", Start: callback, End: len(insns)})
	code.FuncLoads[1] = callback
	const want = 32*100 + 7
	if got := runCode(t, code); got != want || deepest != 5 {
		t.Errorf("got %d at depth %d, want %d at depth 5", got, deepest, want)
	}
}

// TestSignals runs native code beside a CPU profile, which stops it wherever it is, and beside
// garbage collections, which wait for it.
func TestSignals(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skip(err)
	}
	defer pprof.StopCPUProfile()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	h := &vm.Helper{Func: func(k *vm.Call) uint64 { return grow(k.Args[0] & 31) }}
	insns := []isa.Insn{
		{Op: alu64 | isa.MOV, Dst: 6, Imm: 0},
		{Op: alu64 | isa.MOV, Dst: 7, Imm: 0},
		{Op: alu64 | isa.ADD, Dst: 6, Imm: 1}, // 2: each round
		{Op: alu64 | isa.ADD | isa.SrcReg, Dst: 7, Src: 6},
		{Op: alu64 | isa.MOV | isa.SrcReg, Dst: 1, Src: 6},
		{Op: isa.ClassJMP | isa.JSET, Dst: 6, Imm: 0xfff, Off: 1},
		helperCall(),
		{Op: isa.ClassJMP | isa.JNE, Dst: 6, Imm: 20_000_000, Off: -6},
		{Op: alu64 | isa.MOV | isa.SrcReg, Dst: 0, Src: 7},
		{Op: isa.ClassJMP | isa.EXIT},
	}
	const want = 20_000_000 / 2 * 20_000_001
	if got := runCode(t, codeOf(insns, h, vm.Func{Name: "test", End: len(insns)})); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	close(stop)
	<-stopped
}

// longLoop is a loop of 700 KiB of BPF, whose head leaves to code behind all of it.
func longLoop() []isa.Insn {
	insns := []isa.Insn{
		{Op: alu64 | isa.MOV, Dst: 0, Imm: 1},
		{Op: alu64 | isa.MOV, Dst: 6, Imm: 3},
	}
	const head = 2
	for n := range int32(90_000) {
		insns = append(insns, isa.Insn{Op: alu64 | isa.MUL, Dst: 0, Imm: 0x12345679 + 2*n})
	}
	insns = append(insns,
		isa.Insn{Op: alu64 | isa.SUB, Dst: 6, Imm: 1},
		isa.Insn{Op: isa.ClassJMP | isa.JEQ, Dst: 6, Imm: 0, Off: 1})
	insns = append(insns, isa.Insn{Op: isa.ClassJMP32 | isa.JA, Imm: head - int32(len(insns)) - 1})
	return append(insns, isa.Insn{Op: isa.ClassJMP | isa.EXIT})
}

// TestLongCode branches further than the short branches of some architectures reach.
func TestLongCode(t *testing.T) {
	m, c := testMachine(t)
	p := testProgram(t, m, longLoop()...)
	want := run(t, c, p, 0)
	compile(t, p)
	if got := run(t, c, p, 0); got != want {
		t.Errorf("native code gives %#x, the interpreter %#x", got, want)
	}
}
