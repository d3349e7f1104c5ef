package scalar

import (
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
)

// The values below are from the verifier log of Linux 6.18.44 at log level 2.

// TestAddDelta: "r7 = r6; r7 += 5; if r6 < 10 goto" and its kin print R7 at the target so.
func TestAddDelta(t *testing.T) {
	for _, c := range []struct {
		name, r6 string
		w        Width
		delta    int32
		r7       string
	}{
		{"r7 += 5; if r6 < 10", "scalar(smin=smin32=0,smax=umax=smax32=umax32=9,var_off=(0x0; 0xf))", W64, 5,
			"scalar(smin=umin=smin32=umin32=5,smax=umax=smax32=umax32=14,var_off=(0x0; 0xf))"},
		{"r7 -= 5; if r6 < 10", "scalar(smin=smin32=0,smax=umax=smax32=umax32=9,var_off=(0x0; 0xf))", W64, -5,
			"scalar(smin=smin32=-5,smax=smax32=4)"},
		{"r7 += 5; if w6 < 10", "scalar(smax=0x7fffffff00000009,umax=0xffffffff00000009,smin32=0,smax32=umax32=9,var_off=(0x0; 0xffffffff0000000f))", W64, 5,
			"scalar(smin=0x8000000000000005,smax=0x7fffffff0000000e,umin=smin32=umin32=5,umax=0xffffffff0000000e,smax32=umax32=14,var_off=(0x0; 0xffffffff0000000f))"},
		{"w7 -= 5; if w6 < 10", "scalar(smin=smin32=0,smax=umax=smax32=umax32=9,var_off=(0x0; 0xf))", W32, -5,
			"scalar(smin=0,smax=umax=0xffffffff,smin32=-5,smax32=4,var_off=(0x0; 0xffffffff))"},
	} {
		s, err := parseScalar(c.r6)
		if err != nil {
			t.Fatal(err)
		}
		if s.AddDelta(c.w, c.delta); s.String() != c.r7 {
			t.Errorf("%s: got %s, want %s", c.name, s, c.r7)
		}
	}
}

// TestFork: "r6 s>>= 63; r6 &= 12" is followed for -1 and, from the same instruction, for 0.
func TestFork(t *testing.T) {
	for _, c := range []struct {
		name, dst string
		op        uint8
		src       uint64
		w         Width
		minus     string // after the operation on the one way
		zero      string // and on the other
	}{
		{"r7 &= 12", "scalar(smin=smin32=-1,smax=smax32=0)", isa.AND, 12, W64, "12", "0"},
		{"w7 |= 12", "scalar(smin=0,smax=umax=0xffffffff,smin32=-1,smax32=0,var_off=(0x0; 0xffffffff))", isa.OR, 12, W32, "0xffffffff", "12"},
		{"r8 |= 128", "scalar(smin=smin32=-1,smax=smax32=0)", isa.OR, 128, W64, "-1", "128"},
	} {
		dst, err := parseScalar(c.dst)
		if err != nil {
			t.Fatal(err)
		}
		zero, src := dst, Const(c.src)
		if !Fork(c.op, &dst, &src, &zero) {
			t.Errorf("%s is not followed twice", c.name)
			continue
		}
		ALU(c.op, c.w, &dst, &src)
		ALU(c.op, c.w, &zero, &src)
		if dst.String() != c.minus || zero.String() != c.zero {
			t.Errorf("%s: got %s and %s, want %s and %s", c.name, dst, zero, c.minus, c.zero)
		}
	}
	one := Const(1)
	if dst := Unknown(); Fork(isa.AND, &dst, &one, &one) {
		t.Error("an unknown number is followed twice")
	}
}

// TestViolation: the messages that the kernel writes where a way that it follows is impossible.
func TestViolation(t *testing.T) {
	for _, c := range []struct {
		s     Scalar
		v     Violation
		where string
		want  string
	}{
		{Scalar{Tnum{0x10, 1}, 0x10, 0x11, 0x10, 0x11, 0x10, 0x11, 0x11, 0x10}, EmptyRange, "true_reg1",
			"REG INVARIANTS VIOLATION (true_reg1): range bounds violation u64=[0x10, 0x11] s64=[0x10, 0x11] u32=[0x11, 0x10] s32=[0x10, 0x11] var_off=(0x10, 0x1)"},
		{withFullRanges(Tnum{0, 0xffff_ffff_0000_0000}), Const32OutSync, "true_reg2",
			"REG INVARIANTS VIOLATION (true_reg2): const subreg tnum out of sync with range bounds u64=[0x0, 0xffffffffffffffff] s64=[0x8000000000000000, 0x7fffffffffffffff] u32=[0x0, 0xffffffff] s32=[0x80000000, 0x7fffffff] var_off=(0x0, 0xffffffff00000000)"},
	} {
		if got := c.s.Check(); got != c.v {
			t.Errorf("%+v: %q, want %q", c.s, got, c.v)
		}
		if got := string(c.s.AppendViolation(nil, c.v, c.where)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if s := withFullRanges(TnumConst(3)); s.Check() != ConstOutOfSync || s.Sane() {
		t.Errorf("%+v: %q", s, s.Check())
	}
	if s := Const(3); !s.Sane() {
		t.Errorf("%+v: %q", s, s.Check())
	}
}

func withFullRanges(v Tnum) Scalar {
	s := Unknown()
	s.Var = v
	return s
}

// TestOpcodes: RevOp is its own inverse, and FlipOp too.
func TestOpcodes(t *testing.T) {
	for _, op := range append(jumpOps, NotJSET) {
		if RevOp(RevOp(op)) != op {
			t.Errorf("RevOp(RevOp(%#x)) is %#x", op, RevOp(RevOp(op)))
		}
	}
	for _, op := range jumpOps {
		for a := uint64(0); a < 4; a++ {
			for b := uint64(0); b < 4; b++ {
				if concreteJump(op, W64, a-2, b-2) != concreteJump(FlipOp(op), W64, b-2, a-2) {
					t.Errorf("FlipOp(%#x) is %#x", op, FlipOp(op))
				}
				if op != isa.JSET && concreteJump(op, W64, a-2, b-2) == concreteJump(RevOp(op), W64, a-2, b-2) {
					t.Errorf("RevOp(%#x) is %#x", op, RevOp(op))
				}
			}
		}
	}
}

// TestBinary: tnum_sbin.
func TestBinary(t *testing.T) {
	got := Tnum{0b0101, 0b1000}.Binary()
	if want := "x101"; len(got) != 64 || got[60:] != want {
		t.Errorf("got %s, want it to end with %s", got, want)
	}
}

// TestIsAligned: tnum_is_aligned.
func TestIsAligned(t *testing.T) {
	for _, c := range []struct {
		n    Tnum
		size uint64
		want bool
	}{
		{Tnum{8, 0x10}, 8, true}, {Tnum{8, 0x10}, 16, false}, {Tnum{0, 0xf0}, 16, true}, {Tnum{0, 1}, 2, false},
		{Tnum{1, 0}, 1, true}, {TnumUnknown(), 1, true}, {TnumUnknown(), 0, true}, {TnumUnknown(), 2, false},
	} {
		if got := c.n.IsAligned(c.size); got != c.want {
			t.Errorf("%s to %d: %v", c.n, c.size, got)
		}
	}
}

// TestNarrow: by the rules of __mark_reg_s32_range.
func TestNarrow(t *testing.T) {
	s := Unknown()
	if s.NarrowS32(-4095, 0); s.String() != "scalar(smin=smin32=-4095,smax=smax32=0)" {
		t.Error(s)
	}
	if s.NarrowS32(-9000, -5); s.Smin != -4095 || s.Smax != -5 || !s.Sane() {
		t.Error(s)
	}
}

func TestConst(t *testing.T) {
	s := Unknown()
	s.SetConst32(7)
	if !s.IsConst(W32) || s.IsConst(W64) || s.ConstValue(W32) != 7 || s.Var.IsConst() || !s.Var.SubregIsConst() {
		t.Errorf("%+v", s)
	}
	if s = Const(7); !s.IsConst(W64) || !s.Var.IsConst() || !s.Var.Equals(7) || s.Var.Equals(8) || s.IsUnknown() {
		t.Errorf("%+v", s)
	}
	if s = Unknown(); !s.IsUnknown() || !s.Var.IsUnknown() || s.AppendRanges(nil) != nil {
		t.Errorf("%+v", s)
	}
}
