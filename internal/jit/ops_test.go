package jit

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/vm"
)

// probe is a few instructions that get two values, in two registers, and that may use all others and
// the stack.
type probe struct {
	name string
	a, b uint8 // registers of the two values
	body []isa.Insn
}

// edgeValues are values at which widths, signs and carries change.
var edgeValues = []uint64{
	0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
	0xffffffff, 0x100000000, 0x123456789abcdef0, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001,
	0xffffffff00000000, 0xffffffff80000000, 0xfffffffffffffff0, 0xffffffffffffffff,
}

// edgeImms are constants at which encodings change.
var edgeImms = []int32{
	0, 1, -1, 2, -2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 100, 127, 128, -128, -129, 255, 256, 0xfff, 0x1000, -0xfff,
	-0x1000, 0x1001, 0x7fff, 0x8000, 0xffff, 0x10000, 0xff00ff, 0xfff000, 0x1000000, 0x55555555, 0x12345678,
	0x40000000, 0x7fffffff, -0x80000000, -0x7fffffff,
}

const (
	probeStack = 64 // bytes of the stack that are compared
	alu64      = isa.ClassALU64
	dw         = isa.SizeDW
)

func lddw(dst uint8, v uint64) []isa.Insn {
	return []isa.Insn{{Op: isa.LDDW, Dst: dst, Imm: int32(v)}, {Imm: int32(v >> 32)}}
}

// program wraps the probe: all registers and the stack get values of their own, and R0 at the end
// depends on all of them.
func (p *probe) program() []isa.Insn {
	insns := []isa.Insn{
		{Op: isa.ClassSTX | isa.ModeMEM | dw, Dst: 10, Src: 1, Off: -8 - probeStack},
		{Op: isa.ClassSTX | isa.ModeMEM | dw, Dst: 10, Src: 2, Off: -16 - probeStack},
	}
	for off := int16(8); off <= probeStack; off += 8 {
		insns = append(insns, lddw(3, 0x0102030405060708*uint64(off))...)
		insns = append(insns, isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | dw, Dst: 10, Src: 3, Off: -off})
	}
	for r := range uint8(10) {
		insns = append(insns, lddw(r, 0x9e3779b97f4a7c15*uint64(r+1))...)
	}
	insns = append(insns,
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | dw, Dst: p.b, Src: 10, Off: -16 - probeStack},
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | dw, Dst: p.a, Src: 10, Off: -8 - probeStack})
	insns = append(insns, p.body...)
	mix := func(r uint8) {
		insns = append(insns,
			isa.Insn{Op: alu64 | isa.MUL, Dst: 0, Imm: 31},
			isa.Insn{Op: alu64 | isa.ADD | isa.SrcReg, Dst: 0, Src: r})
	}
	for r := uint8(1); r < 10; r++ {
		mix(r)
	}
	for off := int16(8); off <= probeStack; off += 8 {
		insns = append(insns, isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | dw, Dst: 1, Src: 10, Off: -off})
		mix(1)
	}
	return append(insns, isa.Insn{Op: isa.ClassJMP | isa.EXIT})
}

// runProbes compares native code with the interpreter.
func runProbes(t *testing.T, m *vm.Machine, c *vm.CPU, probes []probe) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range probes {
		p := &probes[i]
		prog := testProgram(t, m, p.program()...)
		var in, want [12][2]uint64
		for k := range in {
			for j := range in[k] {
				in[k][j] = edgeValues[rng.IntN(len(edgeValues))]
			}
			want[k][0] = runWith(t, c, prog, in[k])
		}
		compile(t, prog)
		for k := range in {
			if got := runWith(t, c, prog, in[k]); got != want[k][0] {
				t.Fatalf("%s with %#x: native code gives %#x, the interpreter %#x", p.name, in[k], got, want[k][0])
			}
		}
	}
}

func runWith(t *testing.T, c *vm.CPU, p *vm.Program, args [2]uint64) uint64 {
	t.Helper()
	var res vm.Result
	if err := c.Begin(nil); err != nil {
		t.Fatal(err)
	}
	defer c.End()
	if err := c.Run(p, args[0], args[1], vm.Limits{}, &res); err != nil {
		t.Fatal(err)
	}
	return res.R0
}

// one makes a probe of one instruction on each of some pairs of registers.
func one(rng *rand.Rand, pairs int, i isa.Insn) (probes []probe) {
	for n := range pairs {
		i.Dst, i.Src = uint8(rng.IntN(10)), uint8(rng.IntN(10))
		if n == 0 {
			i.Src = i.Dst
		}
		shown := i
		alu := i.Class() == isa.ClassALU || i.Class() == isa.ClassALU64
		if i.Op&isa.SrcReg == 0 || alu && (i.Op&0xf0 == isa.END || i.Op&0xf0 == isa.NEG) { // no source register
			shown.Src = 0
		}
		probes = append(probes, probe{name: isa.Disassemble(shown, isa.Insn{}, isa.Names{}), a: i.Dst, b: i.Src, body: []isa.Insn{shown}})
	}
	return probes
}

var aluOps = []uint8{isa.ADD, isa.SUB, isa.MUL, isa.DIV, isa.OR, isa.AND, isa.LSH, isa.RSH, isa.MOD, isa.XOR, isa.MOV, isa.ARSH}

func TestALU(t *testing.T) {
	m, c := testMachine(t)
	rng := rand.New(rand.NewPCG(3, 4))
	var probes []probe
	for _, class := range []uint8{isa.ClassALU, isa.ClassALU64} {
		for _, op := range aluOps {
			offs := []int16{0}
			switch op {
			case isa.DIV, isa.MOD:
				offs = []int16{0, 1}
			case isa.MOV:
				offs = []int16{0, 8, 16, 32}[:3+class&3/3]
			}
			for _, off := range offs {
				probes = append(probes, one(rng, 12, isa.Insn{Op: class | op | isa.SrcReg, Off: off})...)
				if op == isa.MOV && off != 0 {
					continue
				}
				for _, imm := range edgeImms {
					if imm == 0 && (op == isa.DIV || op == isa.MOD) {
						continue
					}
					probes = append(probes, one(rng, 1, isa.Insn{Op: class | op, Off: off, Imm: imm})...)
				}
			}
		}
		probes = append(probes, one(rng, 10, isa.Insn{Op: class | isa.NEG})...)
	}
	for _, bits := range []int32{16, 32, 64} {
		for _, op := range []uint8{isa.ClassALU, isa.ClassALU | isa.SrcReg, isa.ClassALU64} { // to little, to big, swap
			probes = append(probes, one(rng, 6, isa.Insn{Op: op | isa.END, Imm: bits})...)
		}
	}
	runProbes(t, m, c, probes)
}

func TestJumps(t *testing.T) {
	m, c := testMachine(t)
	rng := rand.New(rand.NewPCG(5, 6))
	var probes []probe
	add := func(list []probe) {
		for _, p := range list {
			p.body = append(p.body, isa.Insn{Op: alu64 | isa.MOV, Dst: 5, Imm: 77})
			probes = append(probes, p)
		}
	}
	for _, class := range []uint8{isa.ClassJMP, isa.ClassJMP32} {
		for _, op := range []uint8{isa.JEQ, isa.JGT, isa.JGE, isa.JSET, isa.JNE, isa.JSGT, isa.JSGE, isa.JLT, isa.JLE, isa.JSLT, isa.JSLE} {
			add(one(rng, 12, isa.Insn{Op: class | op | isa.SrcReg, Off: 1}))
			for _, imm := range edgeImms {
				add(one(rng, 1, isa.Insn{Op: class | op, Off: 1, Imm: imm}))
			}
		}
	}
	runProbes(t, m, c, probes)
}

func TestMemory(t *testing.T) {
	m, c := testMachine(t)
	rng := rand.New(rand.NewPCG(7, 8))
	var probes []probe
	for _, size := range []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW} {
		for range 40 {
			bytes := int16(sizeOf(size))
			far := int16(rng.IntN(1 << 15))
			base, value := uint8(rng.IntN(10)), uint8(rng.IntN(10))
			at := -bytes - int16(rng.IntN(probeStack-int(bytes)+1)) // the address is base + far
			setup := []isa.Insn{
				{Op: alu64 | isa.MOV | isa.SrcReg, Dst: base, Src: 10},
				{Op: alu64 | isa.ADD, Dst: base, Imm: int32(at) - int32(far)},
			}
			if rng.IntN(2) == 0 { // from R10 itself
				setup, base, far = nil, 10, at
			}
			add := func(name string, i isa.Insn) {
				body := append(append([]isa.Insn(nil), setup...), i)
				if base != 10 && (i.Class() != isa.ClassLDX || value != base) {
					body = append(body, isa.Insn{Op: alu64 | isa.MOV, Dst: base, Imm: 1})
				}
				probes = append(probes, probe{name: fmt.Sprintf("%s r%d r%d%+d, %d bytes", name, value, base, far, bytes), a: value, b: (value + 1) % 10, body: body})
			}
			add("load", isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | size, Dst: value, Src: base, Off: far})
			if size != isa.SizeDW {
				add("signed load", isa.Insn{Op: isa.ClassLDX | isa.ModeMEMSX | size, Dst: value, Src: base, Off: far})
			}
			add("store", isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | size, Dst: base, Src: value, Off: far})
			imm := edgeImms[rng.IntN(len(edgeImms))]
			add("store of a constant", isa.Insn{Op: isa.ClassST | isa.ModeMEM | size, Dst: base, Off: far, Imm: imm})
		}
	}
	runProbes(t, m, c, probes)
}

func TestAtomics(t *testing.T) {
	m, c := testMachine(t)
	runProbes(t, m, c, atomicProbes())
}

func atomicProbes() (probes []probe) {
	rng := rand.New(rand.NewPCG(9, 10))
	add := func(i isa.Insn, at int16) {
		base, value := uint8(rng.IntN(10)), uint8(rng.IntN(10))
		far := int16(rng.IntN(1 << 15))
		if rng.IntN(3) == 0 {
			far = 0
		}
		var body []isa.Insn
		if rng.IntN(3) == 0 {
			base, far = 10, at
		} else {
			body = append(body, isa.Insn{Op: alu64 | isa.MOV | isa.SrcReg, Dst: base, Src: 10},
				isa.Insn{Op: alu64 | isa.ADD, Dst: base, Imm: int32(at) - int32(far)})
		}
		i.Off, i.Dst, i.Src = far, base, value
		if i.Imm == isa.AtomicLoadAcq {
			i.Dst, i.Src = value, base
		}
		name := fmt.Sprintf("atomic %#x, address in r%d%+d, value in r%d, opcode %#x", i.Imm, base, far, value, i.Op)
		if i.Imm == isa.AtomicCMPXCHG && base != 0 && rng.IntN(2) == 0 { // so that it exchanges
			body = append(body, isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | i.Op&isa.SizeDW, Dst: 0, Src: base, Off: far})
		}
		body = append(body, i)
		if base != 10 {
			body = append(body, isa.Insn{Op: alu64 | isa.MOV, Dst: base, Imm: 1})
		}
		probes = append(probes, probe{name: name, a: value, b: 0, body: body})
	}
	for _, op := range []int32{isa.AtomicADD, isa.AtomicOR, isa.AtomicAND, isa.AtomicXOR, isa.AtomicXCHG, isa.AtomicCMPXCHG,
		isa.AtomicADD | isa.AtomicFetch, isa.AtomicOR | isa.AtomicFetch, isa.AtomicAND | isa.AtomicFetch, isa.AtomicXOR | isa.AtomicFetch} {
		for range 24 {
			add(isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | isa.SizeDW, Imm: op}, -8*int16(1+rng.IntN(8)))
			add(isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | isa.SizeW, Imm: op}, -4*int16(1+rng.IntN(16)))
		}
	}
	for _, op := range []int32{isa.AtomicLoadAcq, isa.AtomicStoreRel} {
		for k, size := range []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW} {
			for range 12 {
				add(isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | size, Imm: op}, -int16(1+rng.IntN(8))<<k)
			}
		}
	}
	return probes
}
