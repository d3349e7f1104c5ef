package amd64

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestJumpLength pins the edge between short and long: a displacement is -128 to 127 and counts
// from the end of the jump.
func TestJumpLength(t *testing.T) {
	jmp := func(a *Assembler, l Label) { a.Jmp(l) }
	jcc := func(a *Assembler, l Label) { a.Jcc(CondA, l) }
	call := func(a *Assembler, l Label) { a.Call(l) }
	for _, c := range []struct {
		name     string
		insn     func(*Assembler, Label)
		between  int
		forward  string
		backward string
	}{
		{"jmp", jmp, 0, "eb00", "ebfe"},
		{"jmp", jmp, 126, "eb7e", "eb80"},
		{"jmp", jmp, 127, "eb7f", "e97cffffff"},
		{"jmp", jmp, 128, "e980000000", "e97bffffff"},
		{"jmp", jmp, 100_000, "e9a0860100", "e95b79feff"},
		{"jcc", jcc, 0, "7700", "77fe"},
		{"jcc", jcc, 126, "777e", "7780"},
		{"jcc", jcc, 127, "777f", "0f877bffffff"},
		{"jcc", jcc, 128, "0f8780000000", "0f877affffff"},
		{"call", call, 0, "e800000000", "e8fbffffff"},
		{"call", call, 1, "e801000000", "e8faffffff"},
	} {
		filler := make([]byte, c.between)
		forward := assemble(t, func(a *Assembler) {
			l := a.NewLabel()
			c.insn(a, l)
			a.Data(filler...)
			a.Bind(l)
			a.Ret()
		})
		backward := assemble(t, func(a *Assembler) {
			l := a.Here()
			a.Data(filler...)
			c.insn(a, l)
		})
		zeros := hex.EncodeToString(filler)
		if got := hex.EncodeToString(forward); got != c.forward+zeros+"c3" {
			t.Errorf("%s forward over %d: %.20s, want %s", c.name, c.between, got, c.forward)
		}
		if got := hex.EncodeToString(backward); got != zeros+c.backward {
			t.Errorf("%s backward over %d: %s, want %s", c.name, c.between, got[len(zeros):], c.backward)
		}
	}
}

// TestJumpsPushEachOther has a jump that reaches its label only while another one is short.
func TestJumpsPushEachOther(t *testing.T) {
	code := assemble(t, func(a *Assembler) {
		first, second := a.NewLabel(), a.NewLabel()
		a.Jmp(first)
		a.Jcc(CondE, second)
		a.Data(make([]byte, 125)...) // first is 127 bytes away if the second jump is short
		a.Bind(first)
		a.Data(make([]byte, 3)...)
		a.Bind(second)
	})
	if got := hex.EncodeToString(code[:11]); got != "e983000000"+"0f8480000000" {
		t.Errorf("%s", got)
	}
}

func TestAlign(t *testing.T) {
	code := assemble(t, func(a *Assembler) {
		a.Align(16)
		a.Ret()
		a.Align(8)
		a.Ret()
		a.Align(1)
		a.Align(16)
		a.Ret()
	})
	if got := hex.EncodeToString(code); got != "c30f1f8000000000"+"c30f1f8000000000"+"c3" {
		t.Errorf("%s", got)
	}
	code = assemble(t, func(a *Assembler) {
		a.Ret()
		a.Align(32)
	})
	want := "c3" + "660f1f840000000000" + "660f1f840000000000" + "660f1f840000000000" + "0f1f4000"
	if got := hex.EncodeToString(code); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestConstants reaches constants behind the code, over a jump and padding.
func TestConstants(t *testing.T) {
	var a Assembler
	data, end := a.NewLabel(), a.NewLabel()
	a.Load(W64, RAX, Rel(data))              // 7 bytes
	a.OpMI(Cmp, W8, Rel(data).Plus(8), 0x5A) // 7 bytes
	a.Jcc(CondNE, end)                       // 2 bytes
	a.Bind(end)
	a.Ret() // 1 byte
	a.Align(8)
	a.Bind(data)
	a.Quad(0x1122334455667788)
	a.Data(0x5A)
	code, err := a.Finish([]byte("kept"))
	if err != nil {
		t.Fatal(err)
	}
	want := "kept" + "\x48\x8b\x05\x11\x00\x00\x00" + "\x80\x3d\x12\x00\x00\x00\x5a" + "\x75\x00" + "\xc3" +
		"\x0f\x1f\x80\x00\x00\x00\x00" + "\x88\x77\x66\x55\x44\x33\x22\x11" + "\x5a"
	if string(code) != want {
		t.Errorf("% x\nwant % x", code, want)
	}
	if a.Offset(data) != 24 || a.Offset(end) != 16 {
		t.Errorf("data at %d, end at %d", a.Offset(data), a.Offset(end))
	}
}

// TestFinishTwice adds code after Finish: earlier decisions must not stay.
func TestFinishTwice(t *testing.T) {
	var a Assembler
	l := a.NewLabel()
	a.Jmp(l)
	a.Bind(l)
	if code, err := a.Finish(nil); err != nil || hex.EncodeToString(code) != "eb00" {
		t.Fatalf("% x, %v", code, err)
	}
	a.Jmp(l)
	if a.Offset(l) != -1 {
		t.Errorf("an offset of unfinished code: %d", a.Offset(l))
	}
	if code, err := a.Finish(nil); err != nil || hex.EncodeToString(code) != "eb00ebfe" {
		t.Fatalf("% x, %v", code, err)
	}
	a.Reset()
	a.Ret()
	if code, err := a.Finish(nil); err != nil || hex.EncodeToString(code) != "c3" {
		t.Fatalf("% x, %v", code, err)
	}
	if a.Offset(l) != -1 {
		t.Errorf("a label of code that is gone has offset %d", a.Offset(l))
	}
}

// TestRandomJumps checks with a decoder of its own that every jump of random code arrives, and
// that none is long without need.
func TestRandomJumps(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		var a Assembler
		n := 2 + r.IntN(60)
		labels := make([]Label, n)
		for i := range labels {
			labels[i] = a.NewLabel()
		}
		var targets []int
		for i := range n {
			a.Bind(labels[i])
			if r.IntN(8) == 0 {
				a.Align(1 << r.IntN(6))
			}
			a.Data(bytes.Repeat([]byte{0x90}, r.IntN(12))...)
			target := min(max(0, i+r.IntN(41)-20), n-1)
			targets = append(targets, target)
			if r.IntN(2) == 0 {
				a.Jmp(labels[target])
			} else {
				a.Jcc(Cond(r.IntN(16)), labels[target])
			}
		}
		code, err := a.Finish(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			start := a.Offset(labels[i])
			if err := followJump(code, start, a.Offset(labels[targets[i]])); err != nil {
				t.Fatalf("seed %d, jump %d: %v", seed, i, err)
			}
		}
	}
}

// followJump skips no-operations and checks where the jump after them goes.
func followJump(code []byte, at, want int) error {
	for {
		length := nopLength(code[at:])
		if length == 0 {
			break
		}
		at += length
	}
	var got int
	insn := code[at:]
	switch {
	case insn[0] == 0xEB || insn[0]&0xF0 == 0x70:
		got = at + 2 + int(int8(insn[1]))
	case insn[0] == 0xE9:
		got = at + 5 + int(int32(binary.LittleEndian.Uint32(insn[1:])))
	case insn[0] == 0x0F && insn[1]&0xF0 == 0x80:
		got = at + 6 + int(int32(binary.LittleEndian.Uint32(insn[2:])))
	default:
		return fmt.Errorf("no jump at %d: % x", at, insn[:2])
	}
	// Padding may keep a jump long that would reach, but not by more than the largest one.
	if distance := want - at; insn[0] != 0xEB && insn[0]&0xF0 != 0x70 && distance > -60 && distance < 60 {
		return fmt.Errorf("a long jump over %d bytes", distance)
	}
	if got != want {
		return fmt.Errorf("jumps to %d, want %d", got, want)
	}
	return nil
}

func nopLength(code []byte) int {
	table := nops()
	for n := len(table) - 1; n > 0; n-- {
		if bytes.HasPrefix(code, []byte(table[n])) {
			return n
		}
	}
	return 0
}

func BenchmarkAssemble(b *testing.B) {
	var a Assembler
	var code []byte
	b.ReportAllocs()
	for b.Loop() {
		a.Reset()
		for range 100 {
			l := a.NewLabel()
			a.Load(W64, RAX, At(RDI, 16))
			a.OpRR(Add, W64, RAX, RCX)
			a.OpRI(And, W32, RAX, 0xFFF)
			a.OpRI(Cmp, W64, RAX, 64)
			a.Jcc(CondA, l)
			a.MovRI(RSI, 0x123456789A)
			a.Store(W32, Indexed(RBX, RSI, 8, 4), RAX)
			a.ShiftXRR(Shl, W64, R8, R9, RCX)
			a.Bind(l)
			a.ImulRR(W64, RAX, RDX)
			a.Zero(RDX)
		}
		var err error
		if code, err = a.Finish(code[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/insn")
}

// TestTogether: what fits into the rest of a line of 64 bytes stays, what does not moves to the
// next one.
func TestTogether(t *testing.T) {
	for _, tt := range []struct{ before, n, want int }{
		{0, 64, 0}, {60, 4, 60}, {60, 5, 64}, {63, 2, 64}, {64, 13, 64}, {52, 12, 52}, {53, 12, 64},
	} {
		a := new(Assembler)
		a.Nop(tt.before)
		a.Together(tt.n)
		l := a.Here()
		a.Nop(tt.n)
		if _, err := a.Finish(nil); err != nil {
			t.Fatal(err)
		}
		if got := a.Offset(l); got != tt.want {
			t.Errorf("%d bytes behind %d begin at %d, want %d", tt.n, tt.before, got, tt.want)
		}
	}
	for _, n := range []int{0, -1, 65} {
		a := new(Assembler)
		a.Together(n)
		if a.Err() == nil {
			t.Errorf("Together(%d) is accepted", n)
		}
	}
}
