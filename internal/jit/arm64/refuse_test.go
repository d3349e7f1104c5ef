package arm64

import (
	"errors"
	"testing"
)

// TestRefused lists operands that have no encoding, or one whose effect the architecture leaves open.
func TestRefused(t *testing.T) {
	for name, build := range map[string]func(*Assembler){
		"add imm 13 bits":       func(a *Assembler) { a.Add(W64, X0, X1, Imm(4097)) },
		"add imm 25 bits":       func(a *Assembler) { a.Add(W64, X0, X1, Imm(1<<24)) },
		"add imm from xzr":      func(a *Assembler) { a.Add(W64, X0, XZR, Imm(1)) },
		"add imm to xzr":        func(a *Assembler) { a.Add(W64, XZR, X0, Imm(1)) },
		"adds imm to sp":        func(a *Assembler) { a.Adds(W64, SP, X0, Imm(1)) },
		"add shifted sp":        func(a *Assembler) { a.Add(W64, SP, X0, Shifted(X1, LSL, 1)) },
		"add of sp":             func(a *Assembler) { a.Add(W64, X0, X1, R(SP)) },
		"add ror":               func(a *Assembler) { a.Add(W64, X0, X1, Shifted(X2, ROR, 1)) },
		"add shift 32":          func(a *Assembler) { a.Add(W32, X0, X1, Shifted(X2, LSL, 32)) },
		"add extend shift 5":    func(a *Assembler) { a.Add(W64, X0, X1, Extended(X2, UXTW, 5)) },
		"add to sp from xzr":    func(a *Assembler) { a.Add(W64, SP, XZR, R(X1)) },
		"no such width":         func(a *Assembler) { a.Add(2, X0, X1, R(X2)) },
		"no such register":      func(a *Assembler) { a.Add(W64, 33, X1, R(X2)) },
		"neg imm":               func(a *Assembler) { a.Neg(W64, X0, Imm(1)) },
		"bic imm":               func(a *Assembler) { a.Bic(W64, X0, X1, Imm(1)) },
		"and extended":          func(a *Assembler) { a.And(W64, X0, X1, Extended(X2, UXTW, 0)) },
		"and imm to xzr":        func(a *Assembler) { a.And(W64, XZR, X1, Imm(1)) },
		"tst sp":                func(a *Assembler) { a.Tst(W64, SP, R(X1)) },
		"mov sp xzr":            func(a *Assembler) { a.Mov(W64, SP, XZR) },
		"movz shift 8":          func(a *Assembler) { a.Movz(W64, X0, 1, 8) },
		"movz w shift 32":       func(a *Assembler) { a.Movz(W32, X0, 1, 32) },
		"lsl 64":                func(a *Assembler) { a.LslImm(W64, X0, X1, 64) },
		"lsr w 32":              func(a *Assembler) { a.LsrImm(W32, X0, X1, 32) },
		"extr w 32":             func(a *Assembler) { a.Extr(W32, X0, X1, X2, 32) },
		"ubfx none":             func(a *Assembler) { a.Ubfx(W64, X0, X1, 3, 0) },
		"ubfx over the end":     func(a *Assembler) { a.Ubfx(W64, X0, X1, 60, 5) },
		"bfi over the end":      func(a *Assembler) { a.Bfi(W32, X0, X1, 255, 2) },
		"mul sp":                func(a *Assembler) { a.Mul(W64, X0, SP, X1) },
		"csel al":               func(a *Assembler) { a.Csel(W64, X0, X1, X2, 14) },
		"ccmp imm 32":           func(a *Assembler) { a.Ccmp(W64, X0, Imm(32), 0, EQ) },
		"ccmp nzcv 16":          func(a *Assembler) { a.Ccmp(W64, X0, R(X1), 16, EQ) },
		"ldr unaligned far":     func(a *Assembler) { a.Ldr(Size64, X0, Offset(X1, 257)) },
		"ldr -257":              func(a *Assembler) { a.Ldr(Size8, X0, Offset(X1, -257)) },
		"ldr 32768":             func(a *Assembler) { a.Ldr(Size64, X0, Offset(X1, 32768)) },
		"ldr pre 256":           func(a *Assembler) { a.Ldr(Size64, X0, PreIndex(X1, 256)) },
		"ldr writeback same":    func(a *Assembler) { a.Ldr(Size64, X1, PostIndex(X1, 8)) },
		"ldr from xzr":          func(a *Assembler) { a.Ldr(Size64, X1, Base(XZR)) },
		"ldr sp":                func(a *Assembler) { a.Ldr(Size64, SP, Base(X0)) },
		"ldr index uxtb":        func(a *Assembler) { a.Ldr(Size64, X0, IndexExt(X1, X2, UXTB)) },
		"ldr index sxth":        func(a *Assembler) { a.Ldr(Size64, X0, IndexExt(X1, X2, SXTH)) },
		"ldr no size":           func(a *Assembler) { a.Ldr(4, X0, Base(X1)) },
		"ldrsw to 32":           func(a *Assembler) { a.Ldrs(Size32, W32, X0, Base(X1)) },
		"ldrs 64":               func(a *Assembler) { a.Ldrs(Size64, W64, X0, Base(X1)) },
		"ldp same":              func(a *Assembler) { a.Ldp(W64, X0, X0, Base(X1)) },
		"ldp index":             func(a *Assembler) { a.Ldp(W64, X0, X1, Index(X2, X3)) },
		"ldp offset 512":        func(a *Assembler) { a.Ldp(W64, X0, X1, Offset(X2, 512)) },
		"ldp offset 4":          func(a *Assembler) { a.Ldp(W64, X0, X1, Offset(X2, 4)) },
		"stp writeback same":    func(a *Assembler) { a.Stp(W64, X0, X2, PreIndex(X2, -16)) },
		"stxr status is value":  func(a *Assembler) { a.Stxr(Size64, X0, X0, X1) },
		"stxr status is base":   func(a *Assembler) { a.Stxr(Size64, X1, X0, X1) },
		"ldadd no order":        func(a *Assembler) { a.Ldadd(Size64, 4, X0, X1, X2) },
		"cas no order":          func(a *Assembler) { a.Cas(Size64, 4, X0, X1, X2) },
		"br sp":                 func(a *Assembler) { a.Br(SP) },
		"tbz 64":                func(a *Assembler) { a.Tbz(X0, 64, a.Here()) },
		"b.al":                  func(a *Assembler) { a.BCond(14, a.Here()) },
		"adrp 4 GiB":            func(a *Assembler) { a.Adrp(X0, 1<<20) },
		"mrs other":             func(a *Assembler) { a.Mrs(X0, 0xc000) },
		"dmb other":             func(a *Assembler) { a.Dmb(15) },
		"umaxv d":               func(a *Assembler) { a.UmaxvV(LaneD, V0, V1) },
		"umov lane":             func(a *Assembler) { a.Umov(LaneS, X0, V1, 4) },
		"no such vector":        func(a *Assembler) { a.EorV(32, V1, V2) },
		"align 3":               func(a *Assembler) { a.Align(3) },
		"ldp q same":            func(a *Assembler) { a.LdpQ(V1, V1, Base(X0)) },
		"index register is sp":  func(a *Assembler) { a.Ldr(Size64, X0, Index(X1, SP)) },
		"shift kind of logical": func(a *Assembler) { a.And(W64, X0, X1, Shifted(X2, 4, 1)) },
	} {
		var a Assembler
		a.Nop()
		build(&a)
		var oe *OperandError
		_, err := a.Finish()
		if !errors.As(err, &oe) {
			t.Errorf("%s: no error (%v)", name, err)
		} else if oe.Offset != 4 || oe.Insn == "" || oe.Reason == "" {
			t.Errorf("%s: %+v", name, *oe)
		}
	}
}

func TestFits(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want bool
	}{
		{"add 4095", FitsAddSub(4095), true},
		{"add 4096", FitsAddSub(4096), true},
		{"add 4097", FitsAddSub(4097), false},
		{"add 0xfff000", FitsAddSub(0xfff000), true},
		{"add 0x1000000", FitsAddSub(0x1000000), false},
		{"add -1", FitsAddSub(^uint64(0)), false},
		{"ccmp 31", FitsCcmp(31), true},
		{"ccmp 32", FitsCcmp(32), false},
		{"ldr x 32760", FitsOffset(Size64, 32760), true},
		{"ldr x 32768", FitsOffset(Size64, 32768), false},
		{"ldr x 255", FitsOffset(Size64, 255), true},
		{"ldr x 257", FitsOffset(Size64, 257), false},
		{"ldr x -256", FitsOffset(Size64, -256), true},
		{"ldr x -257", FitsOffset(Size64, -257), false},
		{"ldrb 4095", FitsOffset(Size8, 4095), true},
		{"ldrb 4096", FitsOffset(Size8, 4096), false},
		{"ldp x 504", FitsPair(W64, 504), true},
		{"ldp x 512", FitsPair(W64, 512), false},
		{"ldp x -512", FitsPair(W64, -512), true},
		{"ldp x 4", FitsPair(W64, 4), false},
		{"ldp w 252", FitsPair(W32, 252), true},
		{"ldp w 256", FitsPair(W32, 256), false},
		{"ldp w -256", FitsPair(W32, -256), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.name, c.got)
		}
	}
}

func TestReservedByGo(t *testing.T) {
	for r := X0; r <= SP; r++ {
		if want := r == 18 || r == 28; r.ReservedByGo() != want {
			t.Errorf("%v: %v", r, r.ReservedByGo())
		}
	}
}
