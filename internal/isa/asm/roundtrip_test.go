package asm_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// shape is a valid instruction form: which operands are free.
type shape struct {
	isa.Insn
	dst, src, off, imm, wide bool
}

// shapes lists the valid forms by the tables of RFC 9669.
func shapes() []shape {
	var out []shape
	out = append(out, aluShapes()...)
	out = append(out, jumpShapes()...)
	out = append(out, memoryShapes()...)
	for src := uint8(0); src < 16; src++ {
		// The map sources without an offset have nothing in the second slot.
		out = append(out, shape{Insn: isa.Insn{Op: isa.LDDW, Src: src}, dst: true, imm: true,
			wide: src != isa.PseudoMapFD && src != isa.PseudoMapIdx && src != isa.PseudoFunc})
	}
	return out
}

func aluShapes() (out []shape) {
	for _, class := range []uint8{isa.ClassALU, isa.ClassALU64} {
		for op := 0; op <= isa.ARSH; op += 0x10 {
			i := isa.Insn{Op: class | uint8(op)}
			if op == isa.NEG {
				out = append(out, shape{Insn: i, dst: true})
				continue
			}
			out = append(out, shape{Insn: i, dst: true, imm: true})
			i.Op |= isa.SrcReg
			out = append(out, shape{Insn: i, dst: true, src: true})
			if op == isa.DIV || op == isa.MOD {
				i.Off = 1
				out = append(out, shape{Insn: i, dst: true, src: true})
				i.Op &^= isa.SrcReg
				out = append(out, shape{Insn: i, dst: true, imm: true})
			}
		}
		for _, width := range []int16{8, 16, 32} {
			i := isa.Insn{Op: class | isa.MOV | isa.SrcReg, Off: width}
			out = append(out, shape{Insn: i, dst: true, src: true})
		}
	}
	for _, op := range []uint8{isa.ClassALU | isa.END, isa.ClassALU | isa.END | isa.SrcReg, isa.ClassALU64 | isa.END} {
		for _, width := range []int32{16, 32, 64} {
			out = append(out, shape{Insn: isa.Insn{Op: op, Imm: width}, dst: true})
		}
	}
	return out
}

func jumpShapes() (out []shape) {
	for _, class := range []uint8{isa.ClassJMP, isa.ClassJMP32} {
		for op := isa.JEQ; op <= isa.JSLE; op += 0x10 {
			if op == isa.CALL || op == isa.EXIT {
				continue
			}
			i := isa.Insn{Op: class | uint8(op)}
			out = append(out, shape{Insn: i, dst: true, imm: true, off: true})
			i.Op |= isa.SrcReg
			out = append(out, shape{Insn: i, dst: true, src: true, off: true})
		}
	}
	return append(out,
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.JA}, off: true},
		shape{Insn: isa.Insn{Op: isa.ClassJMP32 | isa.JA}, imm: true},
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.JCOND}, off: true},
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.JA | isa.SrcReg}, dst: true},
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.EXIT}},
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.CALL}, imm: true},
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.CALL, Src: isa.CallLocal}, imm: true},
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.CALL, Src: isa.CallKfunc}, imm: true},
		shape{Insn: isa.Insn{Op: isa.ClassJMP | isa.CALL | isa.SrcReg}, dst: true},
	)
}

func memoryShapes() (out []shape) {
	for _, size := range []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW} {
		out = append(out,
			shape{Insn: isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | size}, dst: true, src: true, off: true},
			shape{Insn: isa.Insn{Op: isa.ClassST | isa.ModeMEM | size}, dst: true, imm: true, off: true},
			shape{Insn: isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | size}, dst: true, src: true, off: true},
			shape{Insn: isa.Insn{Op: isa.ClassLD | isa.ModeABS | size}, imm: true},
			shape{Insn: isa.Insn{Op: isa.ClassLD | isa.ModeIND | size}, src: true, imm: true},
		)
		if size != isa.SizeDW {
			out = append(out, shape{Insn: isa.Insn{Op: isa.ClassLDX | isa.ModeMEMSX | size}, dst: true, src: true, off: true})
		}
		ops := []int32{isa.AtomicLoadAcq, isa.AtomicStoreRel}
		if size == isa.SizeW || size == isa.SizeDW {
			ops = append(ops, isa.AtomicXCHG, isa.AtomicCMPXCHG)
			for _, op := range []int32{isa.AtomicADD, isa.AtomicOR, isa.AtomicAND, isa.AtomicXOR} {
				ops = append(ops, op, op|isa.AtomicFetch)
			}
		}
		for _, op := range ops {
			i := isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | size, Imm: op}
			out = append(out, shape{Insn: i, dst: true, src: true, off: true})
		}
	}
	return out
}

// fill chooses the free operands; one immediate in four is an edge.
func (s shape) fill(r *rand.Rand) []isa.Insn {
	edges := []int32{0, 1, -1, 1<<31 - 1, -1 << 31, 12}
	number := func() int32 {
		if r.IntN(4) == 0 {
			return edges[r.IntN(len(edges))]
		}
		return int32(r.Uint32())
	}
	i := s.Insn
	if s.dst {
		i.Dst = uint8(r.IntN(isa.FP + 1))
	}
	if s.src {
		i.Src = uint8(r.IntN(isa.FP + 1))
	}
	if s.off {
		i.Off = int16(number())
	}
	if s.imm {
		i.Imm = number()
	}
	if i.Op != isa.LDDW {
		return []isa.Insn{i}
	}
	second := isa.Insn{}
	if s.wide {
		second.Imm = number()
	}
	return []isa.Insn{i, second}
}

func TestParseReadsWhatDisassemblePrints(t *testing.T) {
	r := rand.New(rand.NewPCG(9669, 1))
	all := shapes()
	for round := 0; round < 200; round++ {
		for _, s := range all {
			want := s.fill(r)
			text := disassemble(want)
			got, err := asm.Assemble(text)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%+v prints %q, which assembles to %+v, %v", want, text, got, err)
			}
			checkMarshal(t, text, want)
		}
	}
}

// checkMarshal compares the bytes that go to Linux through cilium.
func checkMarshal(t *testing.T, text string, want []isa.Insn) {
	t.Helper()
	if want[0].Op == isa.ClassJMP|isa.CALL && want[0].Src == isa.CallHelper {
		if runtime.GOOS != "linux" || want[0].Imm < 0 || want[0].Imm >= 1<<28 {
			return
		}
	}
	insns, err := asm.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	var got bytes.Buffer
	if err := insns.Marshal(&got, binary.LittleEndian); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if !bytes.Equal(got.Bytes(), isa.Encode(want)) {
		t.Fatalf("%q: cilium marshals % x, want % x", text, got.Bytes(), isa.Encode(want))
	}
}

func disassemble(insns []isa.Insn) string {
	var next isa.Insn
	if len(insns) > 1 {
		next = insns[1]
	}
	return isa.Disassemble(insns[0], next, isa.Names{})
}

func TestNamesReadBack(t *testing.T) {
	names := isa.Names{
		PC:   0,
		Map:  func(isa.Insn) string { return "jmp_table" },
		Func: func(int) string { return "sub" },
	}
	for _, c := range []struct {
		insn isa.Insn
		text string
	}{
		{isa.Insn{Op: 0x18, Dst: 1, Src: 1}, "r1 = map[jmp_table] ll"},
		{isa.Insn{Op: 0x18, Dst: 1, Src: 2}, "r1 = map[jmp_table][0]+0 ll"},
		{isa.Insn{Op: 0x18, Dst: 1, Src: 4, Imm: 2}, "r1 = func[sub] ll"},
		{isa.Insn{Op: 0x85, Src: 1, Imm: 1}, "call pc+1#sub"},
	} {
		const tail = "\nexit\nfunc sub\nexit"
		got, err := asm.Parse(isa.Disassemble(c.insn, isa.Insn{}, names) + tail)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		want, err := asm.Parse(c.text + tail)
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Reference() != want[0].Reference() || got[0].OpCode != want[0].OpCode || got[0].Src != want[0].Src || got[0].Constant != want[0].Constant {
			t.Errorf("%s: got %v, want %v", c.text, got[0], want[0])
		}
	}
}

// FuzzParse: any text gives a program or an *Error, and a program assembles to itself again.
func FuzzParse(f *testing.F) {
	for _, form := range forms {
		f.Add(form.text)
	}
	f.Add("call sub\nexit\nstatic func sub(struct xdp_md *ctx, u64 n) void:\nl: goto l\nexit")
	f.Add("0: (18) r1 = map[id:5][0]+-4 ; comment\nlabel: # x")
	f.Fuzz(func(t *testing.T, text string) {
		insns, err := asm.Parse(text)
		if err == nil && insns == nil {
			t.Error("neither a program nor an error")
		}
		// Whatever Parse lets through, cilium can write.
		if err := insns.Marshal(io.Discard, binary.LittleEndian); err != nil && runtime.GOOS == "linux" {
			t.Error(err)
		}
		slots, err := asm.Assemble(text)
		if err != nil {
			return
		}
		for n, i := range slots {
			var next isa.Insn
			if n+1 < len(slots) {
				next = slots[n+1]
			}
			isa.Disassemble(i, next, isa.Names{})
		}
	})
}
