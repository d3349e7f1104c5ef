package jit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/jit/arm64"
	"github.com/carom-bpf/carom/internal/vm"
)

// lowering is a call of the backend and the instructions that it must make, as LLVM writes them.
type lowering struct {
	build func(*arm64Backend)
	text  string
}

func arm64Lowerings() []lowering {
	return []lowering{
		{func(b *arm64Backend) { b.move(w32, r0, r6) }, "mov w7, w19"},
		{func(b *arm64Backend) { b.moveImm(r1, 0) }, "mov x0, #0"},
		{func(b *arm64Backend) { b.moveImm(r10, 1<<40) }, "mov x25, #0x10000000000"},
		{func(b *arm64Backend) { b.moveSX(32, w64, r9, r5) }, "sxtw x22, w4"},
		{func(b *arm64Backend) { b.swap(16, r2) }, "rev16 w1, w1; uxth w1, w1"},
		{func(b *arm64Backend) { b.swap(64, r2) }, "rev x1, x1"},
		{func(b *arm64Backend) { b.alu(opMod, w32, r3, r4) }, "udiv w11, w2, w3; msub w2, w11, w3, w2"},
		{func(b *arm64Backend) { b.aluImm(opAdd, w64, r3, -8) }, "sub x2, x2, #8"},
		{func(b *arm64Backend) { b.aluImm(opSub, w64, r3, -4096) }, "add x2, x2, #1, lsl #12"},
		{func(b *arm64Backend) { b.aluImm(opAdd, w32, r3, 4097) }, "mov w10, #4097; add w2, w2, w10"},
		{func(b *arm64Backend) { b.aluImm(opAnd, w64, r3, -256) }, "and x2, x2, #0xffffffffffffff00"},
		{func(b *arm64Backend) { b.aluImm(opAnd, w64, r3, 5) }, "mov x10, #5; and x2, x2, x10"},
		{func(b *arm64Backend) { b.aluImm(opMul, w64, r3, 8) }, "lsl x2, x2, #3"},
		{func(b *arm64Backend) { b.aluImm(opDiv, w32, r3, -0x80000000) }, "lsr w2, w2, #31"},
		{func(b *arm64Backend) { b.aluImm(opMod, w64, r3, 16) }, "and x2, x2, #15"},
		{func(b *arm64Backend) { b.aluImm(opLsh, w32, r3, 32) }, "lsl w2, w2, #0"},
		{func(b *arm64Backend) { b.load(8, false, r1, address{r10, -8}) }, "ldur x0, [x25, #-8]"},
		{func(b *arm64Backend) { b.load(2, true, r1, address{r1, 14}) }, "ldrsh x0, [x0, #14]"},
		{func(b *arm64Backend) { b.store(4, address{r10, -512}, r1) }, "mov x16, #-512; str w0, [x25, x16]"},
		{func(b *arm64Backend) { b.storeImm(8, address{r10, -16}, 0) }, "stur xzr, [x25, #-16]"},
		{func(b *arm64Backend) { b.storeImm(2, address{r6, 2}, -1) }, "mov x10, #0xffff; strh w10, [x19, #2]"},
		{func(b *arm64Backend) { b.store16in32(address{r6, 4}, r7) }, "uxth w10, w20; str w10, [x19, #4]"},
		{func(b *arm64Backend) { b.jumpIfImm(condEQ, w64, r1, 0, b.here()) }, "cbz x0, #0"},
		{func(b *arm64Backend) { b.jumpIfImm(condSLT, w32, r1, -1, b.here()) }, "cmn w0, #1; b.lt #-4"},
		{func(b *arm64Backend) { b.jumpIfImm(condSET, w64, r1, 4, b.here()) }, "tst x0, #4; b.ne #-4"},
		{func(b *arm64Backend) { b.jumpIf(condGT, w64, r1, r2, b.here()) }, "cmp x0, x1; b.hi #-4"},
		{func(b *arm64Backend) { b.aluImm(opSub, w32, r6, 1); b.jumpIfResult(condNE, b.here()) }, "sub w19, w19, #1; cbnz w19, #0"},
		{func(b *arm64Backend) { b.addTo(r2, r10, -4) }, "sub x1, x25, #4"},
		{func(b *arm64Backend) {
			b.lookup(&array{data: 0x100000, entries: 4, stride: 8, onStack: true, keyOff: -4})
		},
			"ldur w11, [x25, #-4]; cmp w11, #4; b.hs #12; mov x7, #0x100000; add x7, x7, x11, lsl #3; mov x7, #0; b #-4"},
		{func(b *arm64Backend) {
			b.lookup(&array{data: 0x100000, entries: 4, stride: 24, cpuStride: 4096, null: b.here()})
		}, "ldr w11, [x1]; cmp w11, #4; b.hs #28; mov x7, #0x100000; " +
			fmt.Sprintf("ldr x10, [x26, #%d]; ", vm.ThreadCPU) + "mov x16, #4096; " +
			"madd x7, x10, x16, x7; mov x10, #24; madd x7, x11, x10, x7; mov x7, #0; b #-40"},
		{func(b *arm64Backend) { b.mayGoto(b.here()) }, "ldr w10, [x25]; cbz w10, #-4; sub w10, w10, #1; str w10, [x25]"},
		{func(b *arm64Backend) { b.loadAcquire(4, r1, address{r2, 8}) }, "add x16, x1, #8; ldar w0, [x16]"},
		{func(b *arm64Backend) { b.storeRelease(8, address{r2, 0}, r1) }, "stlr x0, [x1]"},
		{func(b *arm64Backend) { b.call(b.here(), nil) },
			"str x30, [sp, #-16]!; add x25, x25, #1024; bl #-8; sub x25, x25, #1024; ldr x30, [sp], #16"},
		{func(b *arm64Backend) { b.call(b.here(), []reg{r6, r7, r9}) },
			"str x30, [sp, #-32]!; stp x19, x20, [sp, #8]; str x22, [sp, #24]; add x25, x25, #1024; bl #-16; " +
				"sub x25, x25, #1024; ldp x19, x20, [sp, #8]; ldr x22, [sp, #24]; ldr x30, [sp], #32"},
	}
}

func arm64Atomics() (lse, exclusive []lowering) {
	at := func(op int32, w width, src reg) func(*arm64Backend) {
		return func(b *arm64Backend) { b.atomic(op, w, address{r1, 0}, src) }
	}
	lse = []lowering{
		{at(isa.AtomicADD, w64, r2), "ldadd x1, xzr, [x0]"},
		{at(isa.AtomicADD|isa.AtomicFetch, w32, r2), "ldaddal w1, w1, [x0]"},
		{at(isa.AtomicOR, w64, r2), "ldset x1, xzr, [x0]"},
		{at(isa.AtomicAND|isa.AtomicFetch, w64, r2), "mvn x10, x1; ldclral x10, x1, [x0]"},
		{at(isa.AtomicXOR|isa.AtomicFetch, w32, r2), "ldeoral w1, w1, [x0]"},
		{at(isa.AtomicXCHG, w64, r2), "swpal x1, x1, [x0]"},
		{at(isa.AtomicCMPXCHG, w32, r2), "casal w7, w1, [x0]"},
	}
	exclusive = []lowering{
		{at(isa.AtomicADD, w64, r2), "ldxr x10, [x0]; add x11, x10, x1; stxr w12, x11, [x0]; cbnz w12, #-12"},
		{at(isa.AtomicXOR|isa.AtomicFetch, w32, r2),
			"ldxr w10, [x0]; eor w11, w10, w1; stlxr w12, w11, [x0]; cbnz w12, #-12; dmb ish; mov w1, w10"},
		{at(isa.AtomicXCHG, w64, r2), "ldxr x10, [x0]; stlxr w12, x1, [x0]; cbnz w12, #-8; dmb ish; mov x1, x10"},
		{at(isa.AtomicCMPXCHG, w64, r2),
			"ldxr x10, [x0]; cmp x10, x7; b.ne #12; stlxr w12, x1, [x0]; cbnz w12, #-16; dmb ish; mov x7, x10"},
	}
	return lse, exclusive
}

func (b *arm64Backend) here() label { return label(b.a.Here()) }

func TestARM64Lowerings(t *testing.T) {
	if _, ok := backend(newArm64(arm64.Near, true)).(fuser); !ok {
		t.Error("instructions are not fused")
	}
	lse, exclusive := arm64Atomics()
	checkLowerings(t, true, append(arm64Lowerings(), lse...))
	checkLowerings(t, false, append(arm64Lowerings(), exclusive...))
}

func checkLowerings(t *testing.T, lse bool, all []lowering) {
	t.Helper()
	mc, err := exec.LookPath("llvm-mc-19")
	if err != nil {
		t.Skip("llvm-mc-19 is not installed: nothing to compare with")
	}
	var texts []string
	for _, l := range all {
		texts = append(texts, l.text)
	}
	cmd := exec.Command(mc, "-triple=aarch64", "-mattr=+lse", "-show-encoding")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(strings.Join(texts, "; "), "; ", "\n"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(out)) {
		if _, bytes, ok := strings.Cut(line, "encoding: ["); ok {
			bytes, _, _ = strings.Cut(bytes, "]")
			want = append(want, strings.NewReplacer("0x", "", ",", "").Replace(bytes))
		}
	}
	for _, l := range all {
		b := newArm64(arm64.Near, lse)
		l.build(b)
		code, err := b.finish()
		if err != nil {
			t.Fatalf("%s: %v", l.text, err)
		}
		n := strings.Count(l.text, ";") + 1
		if got := hex.EncodeToString(code); got != strings.Join(want[:n], "") {
			t.Errorf("got %s, want %s: %s", got, want[:n], l.text)
		}
		want = want[n:]
	}
}

// TestARM64Far assembles what the short branches do not reach.
func TestARM64Far(t *testing.T) {
	m, _ := testMachine(t)
	p := testProgram(t, m, longLoop()...)
	in := &Input{Program: p, Facts: trusting(p.Insns)}
	_, err := assemble(in, newArm64(arm64.Near, true))
	if _, ok := errors.AsType[*arm64.RangeError](err); !ok {
		t.Errorf("with near branches: %v, want a RangeError", err)
	}
	img, err := build(in, "arm64")
	if err != nil || len(img.code) < 1<<20 {
		t.Errorf("%v", err)
	}
}
