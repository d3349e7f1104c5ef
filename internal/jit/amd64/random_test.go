package amd64

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// random makes operands and their texts.
type random struct{ *rand.Rand }

func (r random) reg() Reg { return Reg(r.IntN(16)) }

func (r random) width(from Width) Width {
	for {
		if w := Width(1 << r.IntN(4)); w >= from {
			return w
		}
	}
}

// imm makes an immediate that fits the width as a signed number.
func (r random) imm(w Width) int32 {
	v := int32(r.Uint32())
	switch {
	case r.IntN(2) == 0, w == W8:
		return int32(int8(v))
	case w == W16:
		return int32(int16(v))
	}
	return v
}

func (r random) disp() int32 { return r.imm(W32) * int32(min(1, r.IntN(4))) }

// mem makes an address and its text.
func (r random) mem() (Mem, string) {
	base, index, scale, disp := r.reg(), r.reg(), uint8(1)<<r.IntN(4), r.disp()
	tail := ""
	switch {
	case disp > 0:
		tail = fmt.Sprintf(" + %d", disp)
	case disp < 0:
		tail = fmt.Sprintf(" - %d", -int64(disp))
	}
	if index == RSP {
		index = RBP
	}
	switch r.IntN(5) {
	case 0, 1:
		return At(base, disp), fmt.Sprintf("[%s%s]", base, tail)
	case 2:
		scale = max(scale, 2)
		return Scaled(index, scale, disp), fmt.Sprintf("[%d*%s%s]", scale, index, tail)
	}
	return Indexed(base, index, scale, disp), fmt.Sprintf("[%s + %d*%s%s]", base, scale, index, tail)
}

// size names memory of a width.
func size(w Width) string {
	return map[Width]string{W8: "byte ptr ", W16: "word ptr ", W32: "dword ptr ", W64: "qword ptr "}[w]
}

// sample is one random instruction.
type sample struct {
	build func(*Assembler)
	text  string
}

func (r random) move() sample {
	d, s, w := r.reg(), r.reg(), r.width(W8)
	m, mt := r.mem()
	switch r.IntN(10) {
	case 0:
		w = max(w, W32)
		return sample{func(a *Assembler) { a.MovRR(w, d, s) }, fmt.Sprintf("mov %s, %s", d.Name(w), s.Name(w))}
	case 1:
		v := r.Uint32()
		return sample{func(a *Assembler) { a.MovRI(d, uint64(v)) }, fmt.Sprintf("mov %s, %d", d.Name(W32), v)}
	case 2:
		v := r.Uint64() | 1<<63&^(1<<40)
		return sample{func(a *Assembler) { a.MovRI(d, v) }, fmt.Sprintf("movabs %s, %d", d, v)}
	case 3:
		name, to := "mov ", w
		if w < W32 {
			name, to = "movzx ", W32
		}
		return sample{func(a *Assembler) { a.Load(w, d, m) }, name + d.Name(to) + ", " + size(w) + mt}
	case 4:
		return sample{func(a *Assembler) { a.Store(w, m, s) }, "mov " + size(w) + mt + ", " + s.Name(w)}
	case 5:
		v := r.imm(w)
		return sample{func(a *Assembler) { a.StoreI(w, m, v) }, fmt.Sprintf("mov %s%s, %d", size(w), mt, v)}
	case 6:
		w = max(w, W32)
		return sample{func(a *Assembler) { a.Lea(w, d, m) }, "lea " + d.Name(w) + ", " + mt}
	case 7:
		from := Width(1 << r.IntN(2))
		return sample{func(a *Assembler) { a.LoadSX(from, W64, d, m) }, "movsx " + d.Name(W64) + ", " + size(from) + mt}
	case 8:
		from := Width(1 << r.IntN(2))
		return sample{func(a *Assembler) { a.MovSX(from, W32, d, s) }, "movsx " + d.Name(W32) + ", " + s.Name(from)}
	}
	w = max(w, W16)
	return sample{func(a *Assembler) { a.MovbeRM(w, d, m) }, "movbe " + d.Name(w) + ", " + size(w) + mt}
}

func (r random) arith() sample {
	op, d, s, w := ALU(r.IntN(9)), r.reg(), r.reg(), r.width(W8)
	m, mt := r.mem()
	v := r.imm(w)
	switch r.IntN(7) {
	case 0:
		return sample{func(a *Assembler) { a.OpRR(op, w, d, s) }, fmt.Sprintf("%s %s, %s", op, d.Name(w), s.Name(w))}
	case 1:
		return sample{func(a *Assembler) { a.OpRI(op, w, d, v) }, fmt.Sprintf("%s %s, %d", op, d.Name(w), v)}
	case 2:
		op %= Test
		return sample{func(a *Assembler) { a.OpRM(op, w, d, m) }, fmt.Sprintf("%s %s, %s%s", op, d.Name(w), size(w), mt)}
	case 3:
		return sample{func(a *Assembler) { a.OpMR(op, w, m, s) }, fmt.Sprintf("%s %s%s, %s", op, size(w), mt, s.Name(w))}
	case 4:
		return sample{func(a *Assembler) { a.OpMI(op, w, m, v) }, fmt.Sprintf("%s %s%s, %d", op, size(w), mt, v)}
	case 5:
		u := Unary(r.IntN(8))
		return sample{func(a *Assembler) { a.UnaryR(u, w, d) }, fmt.Sprintf("%s %s", u, d.Name(w))}
	}
	w = max(w, W16)
	return sample{func(a *Assembler) { a.ImulRRI(w, d, s, v) }, fmt.Sprintf("imul %s, %s, %d", d.Name(w), s.Name(w), v)}
}

func (r random) bits() sample {
	d, s, c, w := r.reg(), r.reg(), r.reg(), r.width(W8)
	m, mt := r.mem()
	shift := [...]Shift{Shl, Shr, Sar, Rol, Ror}
	switch r.IntN(5) {
	case 0:
		op, n := shift[r.IntN(5)], uint8(2+r.IntN(int(8*w)-2))
		n = min(n, 31)
		return sample{func(a *Assembler) { a.ShiftRI(op, w, d, n) }, fmt.Sprintf("%s %s, %d", op, d.Name(w), n)}
	case 1:
		op := shift[r.IntN(5)]
		return sample{func(a *Assembler) { a.ShiftCL(op, w, d) }, fmt.Sprintf("%s %s, cl", op, d.Name(w))}
	}
	w = max(w, W32)
	op := shift[r.IntN(3)]
	switch r.IntN(3) {
	case 0:
		text := fmt.Sprintf("%sx %s, %s, %s", op, d.Name(w), s.Name(w), c.Name(w))
		return sample{func(a *Assembler) { a.ShiftXRR(op, w, d, s, c) }, text}
	case 1:
		text := fmt.Sprintf("%sx %s, %s%s, %s", op, d.Name(w), size(w), mt, c.Name(w))
		return sample{func(a *Assembler) { a.ShiftXRM(op, w, d, m, c) }, text}
	}
	n := uint8(r.IntN(int(8 * w)))
	return sample{func(a *Assembler) { a.RorxRMI(w, d, m, n) }, fmt.Sprintf("rorx %s, %s%s, %d", d.Name(w), size(w), mt, n)}
}

func (r random) other() sample {
	d, s, w, c := r.reg(), r.reg(), r.width(W8), Cond(r.IntN(16))
	m, mt := r.mem()
	switch r.IntN(7) {
	case 0:
		op := ALU(r.IntN(7))
		return sample{func(a *Assembler) { a.LockOpMR(op, w, m, s) }, fmt.Sprintf("lock %s %s%s, %s", op, size(w), mt, s.Name(w))}
	case 1:
		return sample{func(a *Assembler) { a.LockXadd(w, m, s) }, fmt.Sprintf("lock xadd %s%s, %s", size(w), mt, s.Name(w))}
	case 2:
		return sample{func(a *Assembler) { a.LockCmpxchg(w, m, s) }, fmt.Sprintf("lock cmpxchg %s%s, %s", size(w), mt, s.Name(w))}
	case 3:
		return sample{func(a *Assembler) { a.XchgMR(w, m, s) }, fmt.Sprintf("xchg %s%s, %s", size(w), mt, s.Name(w))}
	case 4:
		return sample{func(a *Assembler) { a.Setcc(c, d) }, fmt.Sprintf("set%s %s", c, d.Name(W8))}
	case 5:
		w = max(w, W16)
		return sample{func(a *Assembler) { a.CmovccRM(c, w, d, m) }, fmt.Sprintf("cmov%s %s, %s%s", c, d.Name(w), size(w), mt)}
	}
	x := Xmm(r.IntN(16))
	return sample{func(a *Assembler) { a.MovdquXM(x, m) }, fmt.Sprintf("movdqu %s, xmmword ptr %s", x, mt)}
}

// TestRandomLLVM compares random operands with llvm-mc.
func TestRandomLLVM(t *testing.T) {
	llvm := findLLVM(t)
	r := random{rand.New(rand.NewPCG(1, 2))}
	kinds := []func() sample{r.move, r.arith, r.bits, r.other}
	var texts, got []string
	for i := range 20_000 {
		s := kinds[i%len(kinds)]()
		texts = append(texts, s.text)
		got = append(got, hex.EncodeToString(assemble(t, s.build)))
	}
	want := llvm.assemble(t, texts)
	if len(want) != len(got) {
		t.Fatalf("llvm-mc gives %d instructions for %d", len(want), len(got))
	}
	wrong := 0
	for i := range got {
		if got[i] == want[i] {
			continue
		}
		if wrong++; wrong <= 20 {
			t.Errorf("%s: %s, llvm-mc has %s", strings.TrimSpace(texts[i]), got[i], want[i])
		}
	}
}
