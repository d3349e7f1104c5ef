package amd64

import (
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(*Assembler)
		want  Reason
	}{
		{"register", func(a *Assembler) { a.MovRR(W64, 16, RAX) }, BadRegister},
		{"register of opcode", func(a *Assembler) { a.Push(200) }, BadRegister},
		{"register of VEX", func(a *Assembler) { a.AndnRR(W64, RAX, 16, RAX) }, BadRegister},
		{"vector register", func(a *Assembler) { a.PxorXX(16, 0) }, BadRegister},
		{"register with immediate", func(a *Assembler) { a.OpRI(Add, W64, 16, 1) }, BadRegister},
		{"base", func(a *Assembler) { a.Load(W64, RAX, At(16, 0)) }, BadRegister},
		{"width 0", func(a *Assembler) { a.OpRR(Add, 0, RAX, RAX) }, BadWidth},
		{"width 3", func(a *Assembler) { a.OpRR(Add, 3, RAX, RAX) }, BadWidth},
		{"width 16", func(a *Assembler) { a.Load(16, RAX, At(RAX, 0)) }, BadWidth},
		{"imul of bytes", func(a *Assembler) { a.ImulRR(W8, RAX, RAX) }, BadWidth},
		{"shlx of words", func(a *Assembler) { a.ShiftXRR(Shl, W16, RAX, RAX, RAX) }, BadWidth},
		{"sign extension down", func(a *Assembler) { a.MovSX(W32, W32, RAX, RAX) }, BadWidth},
		{"zero extension of 64", func(a *Assembler) { a.MovZX(W64, RAX, RAX) }, BadWidth},
		{"zero Mem", func(a *Assembler) { a.Load(W64, RAX, Mem{}) }, BadAddress},
		{"index RSP", func(a *Assembler) { a.Load(W64, RAX, Indexed(RAX, RSP, 1, 0)) }, BadIndex},
		{"scale 3", func(a *Assembler) { a.Lea(W64, RAX, Indexed(RAX, RAX, 3, 0)) }, BadScale},
		{"scale 0", func(a *Assembler) { a.RorxRMI(W64, RAX, Scaled(RAX, 0, 0), 1) }, BadScale},
		{"scale 16", func(a *Assembler) { a.Lea(W64, RAX, Scaled(RAX, 16, 0)) }, BadScale},
		{"operation", func(a *Assembler) { a.OpRR(Test+1, W64, RAX, RAX) }, BadOperation},
		{"unary operation", func(a *Assembler) { a.UnaryR(Dec+1, W64, RAX) }, BadOperation},
		{"rcl", func(a *Assembler) { a.ShiftRI(2, W64, RAX, 1) }, BadOperation},
		{"rolx", func(a *Assembler) { a.ShiftXRR(Rol, W64, RAX, RAX, RAX) }, BadOperation},
		{"lock cmp", func(a *Assembler) { a.LockOpMR(Cmp, W64, At(RAX, 0), RAX) }, BadOperation},
		{"lock test", func(a *Assembler) { a.LockOpMI(Test, W64, At(RAX, 0), 1) }, BadOperation},
		{"lock div", func(a *Assembler) { a.LockUnaryM(Div, W64, At(RAX, 0)) }, BadOperation},
		{"condition", func(a *Assembler) { a.Setcc(16, RAX) }, BadCondition},
		{"jump condition", func(a *Assembler) { a.Jcc(16, a.Here()) }, BadCondition},
		{"byte", func(a *Assembler) { a.OpRI(Add, W8, RAX, 256) }, ImmediateRange},
		{"negative byte", func(a *Assembler) { a.StoreI(W8, At(RAX, 0), -129) }, ImmediateRange},
		{"word", func(a *Assembler) { a.OpMI(Add, W16, At(RAX, 0), 1<<16) }, ImmediateRange},
		{"imul word", func(a *Assembler) { a.ImulRRI(W16, RAX, RAX, 1<<16) }, ImmediateRange},
		{"shift by 32", func(a *Assembler) { a.ShiftRI(Shl, W32, RAX, 32) }, ImmediateRange},
		{"shift by 64", func(a *Assembler) { a.ShiftRI(Shl, W64, RAX, 64) }, ImmediateRange},
		{"bit 32", func(a *Assembler) { a.BtRI(W32, RAX, 32) }, ImmediateRange},
		{"align 3", func(a *Assembler) { a.Align(3) }, BadAlignment},
		{"align 0", func(a *Assembler) { a.Align(0) }, BadAlignment},
		{"align 8192", func(a *Assembler) { a.Align(8192) }, BadAlignment},
		{"no label", func(a *Assembler) { a.Jmp(0) }, UnknownLabel},
		{"foreign label", func(a *Assembler) { a.Bind(7) }, UnknownLabel},
		{"foreign address", func(a *Assembler) { a.Load(W64, RAX, Rel(-1)) }, UnknownLabel},
		{"unbound", func(a *Assembler) { a.Call(a.NewLabel()) }, UnboundLabel},
		{"unbound address", func(a *Assembler) { a.Lea(W64, RAX, Rel(a.NewLabel())) }, UnboundLabel},
		{"bound twice", func(a *Assembler) { a.Bind(a.Here()) }, BoundTwice},
	} {
		var a Assembler
		a.Ret()
		c.build(&a)
		a.MovRR(W64, 17, RAX) // the first mistake counts
		code, err := a.Finish(nil)
		var e *EncodeError
		if c.want == UnboundLabel { // found at the end, after the others
			if a.Reset(); !errors.As(err, &e) || e.Reason != BadRegister {
				t.Errorf("%s: %v", c.name, err)
			}
			c.build(&a)
			code, err = a.Finish(nil)
		}
		if !errors.As(err, &e) || e.Reason != c.want {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
		if code != nil {
			t.Errorf("%s: code in spite of the error: % x", c.name, code)
		}
	}
}

func TestErrorText(t *testing.T) {
	var a Assembler
	if a.Err() != nil {
		t.Fatal(a.Err())
	}
	a.Ret()
	a.Load(W64, RAX, Indexed(RAX, RSP, 1, 0))
	if got := a.Err().Error(); got != "amd64: after 1 bytes of code: rsp cannot be an index" {
		t.Error(got)
	}
	a.Reset()
	a.NewLabel()
	a.Jmp(a.NewLabel())
	_, err := a.Finish(nil)
	if got := err.Error(); got != "amd64: label 2, after 0 bytes of code: the label is used but nowhere bound" {
		t.Error(got)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{RAX.String(), "rax"}, {R8.Name(W32), "r8d"}, {R15.Name(W8), "r15b"}, {R9.Name(W16), "r9w"},
		{RSP.Name(W8), "spl"}, {RBX.Name(W8), "bl"}, {RDI.Name(W16), "di"}, {RBP.Name(W32), "ebp"},
		{Xmm(7).String(), "xmm7"}, {CondAE.String(), "ae"}, {CondL.Not().String(), "ge"},
		{Reg(16).String(), "Reg(16)"}, {Cond(16).String(), "Cond(16)"}, {ALU(9).String(), "(bad)"},
		{Sar.String(), "sar"}, {Idiv.String(), "idiv"}, {Sbb.String(), "sbb"}, {Reason(0).String(), "Reason(0)"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestMemUses(t *testing.T) {
	for _, c := range []struct {
		m    Mem
		r    Reg
		want bool
	}{
		{At(RAX, 0), RAX, true}, {At(RCX, 0), RAX, false}, {Indexed(RCX, RDX, 1, 0), RCX, true},
		{Indexed(RCX, RDX, 1, 0), RDX, true}, {Scaled(RCX, 2, 0), RAX, false}, {Scaled(RCX, 2, 0), RCX, true},
		{Rel(1), RAX, false},
	} {
		if got := c.m.Uses(c.r); got != c.want {
			t.Errorf("%+v uses %s: %v", c.m, c.r, got)
		}
	}
}

// TestScaledByOne is not in the table because versions of llvm-mc print it differently.
func TestScaledByOne(t *testing.T) {
	code := assemble(t, func(a *Assembler) { a.Load(W64, RAX, Scaled(R13, 1, 8)) })
	if got := hex.EncodeToString(code); got != "4a8b042d08000000" {
		t.Error(got)
	}
}

// TestNoPanics calls every method with operands that are mostly wrong.
func TestNoPanics(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	skip := map[string]bool{"Data": true, "Finish": true, "Reset": true}
	for range 20_000 {
		var a Assembler
		a.Here()
		v := reflect.ValueOf(&a)
		for range 3 {
			m := v.Type().Method(r.IntN(v.NumMethod()))
			if skip[m.Name] {
				continue
			}
			args := []reflect.Value{v}
			for i := 1; i < m.Type.NumIn(); i++ {
				args = append(args, wild(r, m.Type.In(i)))
			}
			m.Func.Call(args)
		}
		_, err := a.Finish(nil)
		if e := (*EncodeError)(nil); err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
	}
}

// wild makes any value of a type.
func wild(r *rand.Rand, of reflect.Type) reflect.Value {
	v := reflect.New(of).Elem()
	n := r.Uint64() >> (r.IntN(15) * 4)
	switch {
	case of == reflect.TypeFor[Mem]():
		m := Mem{form: addressing(n), base: Reg(n >> 3), index: Reg(n >> 5), scale: uint8(n >> 2), label: Label(n), disp: int32(n)}
		v.Set(reflect.ValueOf(m))
	case of.Kind() == reflect.Int: // counts of bytes
		v.SetInt(int64(n)%10_000 - 100)
	case v.CanInt():
		v.SetInt(int64(n) << (64 - of.Bits()) >> (64 - of.Bits()))
	default:
		v.SetUint(n << (64 - of.Bits()) >> (64 - of.Bits()))
	}
	return v
}
