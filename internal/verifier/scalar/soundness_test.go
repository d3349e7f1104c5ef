package scalar

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
)

var (
	soundBits   = flag.Int("scalar.bits", 4, "how many adjacent bits of both operands may be unknown in the exhaustive tests")
	soundRandom = flag.Int("scalar.random", 60000, "how many pairs of random scalars to try")
)

var widths = [...]Width{W32, W64}

// tnums returns every Tnum of n bits with its members.
func tnums(n int) (all []Tnum, members [][]uint64) {
	for mask := uint64(0); mask < 1<<n; mask++ {
		for value := uint64(0); value < 1<<n; value++ {
			if value&mask != 0 {
				continue
			}
			t := Tnum{value, mask}
			var in []uint64
			for v := uint64(0); v < 1<<n; v++ {
				if t.Contains(v) {
					in = append(in, v)
				}
			}
			all, members = append(all, t), append(members, in)
		}
	}
	return all, members
}

// hull is the narrowest Tnum that contains all values.
func hull(values []uint64) Tnum {
	t := TnumConst(values[0])
	for _, v := range values[1:] {
		t = t.Union(TnumConst(v))
	}
	return t
}

// TestTnumExhaustive tries every pair of tnums of 4 bits: no operation loses a result, and all
// but multiplication give the narrowest tnum there is.
func TestTnumExhaustive(t *testing.T) {
	ops := []struct {
		name     string
		abstract func(a, b Tnum) Tnum
		concrete func(a, b uint64) uint64
		exact    bool
	}{
		{"add", Tnum.Add, func(a, b uint64) uint64 { return a + b }, true},
		{"sub", Tnum.Sub, func(a, b uint64) uint64 { return a - b }, true},
		{"and", Tnum.And, func(a, b uint64) uint64 { return a & b }, true},
		{"or", Tnum.Or, func(a, b uint64) uint64 { return a | b }, true},
		{"xor", Tnum.Xor, func(a, b uint64) uint64 { return a ^ b }, true},
		{"mul", Tnum.Mul, func(a, b uint64) uint64 { return a * b }, false},
	}
	all, members := tnums(4)
	var results []uint64
	for _, op := range ops {
		for i, a := range all {
			for j, b := range all {
				results = results[:0]
				for _, va := range members[i] {
					for _, vb := range members[j] {
						results = append(results, op.concrete(va, vb))
					}
				}
				got, want := op.abstract(a, b), hull(results)
				if !want.In(got) || op.exact && got != want {
					t.Fatalf("%s %s %s: got %s, want %s", a, op.name, b, got, want)
				}
			}
		}
	}
}

func TestTnumSetsExhaustive(t *testing.T) {
	all, members := tnums(5)
	for i, a := range all {
		for j, b := range all {
			common, subset := 0, true
			for _, v := range members[i] {
				if b.Contains(v) {
					common++
				} else {
					subset = false
				}
			}
			if got := a.In(b); got != subset {
				t.Fatalf("%s in %s: %v", a, b, got)
			}
			if got := a.Overlaps(b); got != (common > 0) {
				t.Fatalf("%s overlaps %s: %v", a, b, got)
			}
			if inter := a.Intersect(b); common > 0 {
				for _, v := range members[i] {
					if b.Contains(v) != inter.Contains(v) {
						t.Fatalf("%s intersect %s is %s: %d", a, b, inter, v)
					}
				}
			}
			if got, want := a.Union(b), hull(append(append([]uint64{}, members[i]...), members[j]...)); got != want {
				t.Fatalf("%s union %s: got %s, want %s", a, b, got, want)
			}
		}
		for z := uint64(0); z < 40; z++ {
			want := a.Max()
			for _, v := range members[i] {
				if v > z {
					want = v
					break
				}
			}
			if got := a.Next(z); got != want {
				t.Fatalf("after %d in %s: got %d, want %d", z, a, got, want)
			}
		}
	}
	for lo := uint64(0); lo < 40; lo++ {
		for hi := lo; hi < 40; hi++ {
			if got, want := TnumRange(lo, hi), hull([]uint64{lo, hi}); !want.In(got) || got.Value > lo || got.Max() < hi {
				t.Fatalf("range %d to %d: %s", lo, hi, got)
			}
		}
	}
}

// case64 is a Scalar with some of its concrete members.
type case64 struct {
	s       Scalar
	members []uint64
}

// placed returns every tnum of n bits at bit position at, above base, with full ranges and with
// its range cut at a member.
func placed(n, at int, base uint64) []case64 {
	all, members := tnums(n)
	var out []case64
	for i, t := range all {
		var c case64
		c.s.ResetBounds()
		c.s.Var = t.Lsh(uint8(at)).Or(TnumConst(base))
		for _, v := range members[i] {
			c.members = append(c.members, v<<at|base)
		}
		c.s.Sync()
		out = append(out, c)
		if k := len(c.members); k > 2 {
			cut := c
			cut.s.Umin = c.members[k/2]
			cut.s.Sync()
			cut.members = c.members[k/2:]
			out = append(out, cut)
		}
	}
	return out
}

// places are where the unknown bits lie: at the bottom, and across the signs of both widths.
var places = []struct {
	at   int
	base uint64
}{{0, 0}, {30, 0}, {0, 0xffff_fff0_0000_0000}, {61, 3}}

func checkALU(op uint8, w Width, a, b *case64) error {
	got := a.s
	ALU(op, w, &got, &b.s)
	for _, va := range a.members {
		for _, vb := range b.members {
			if want := concreteALU(op, w, va, vb); !got.Contains(want) {
				return fmt.Errorf("op %#x of %d bits: %s and %s give %s, which lacks %#x of %#x and %#x", op, w, a.s, b.s, got, want, va, vb)
			}
		}
	}
	return nil
}

func checkBranch(op uint8, w Width, a, b *case64) error {
	d := Branch(op, w, &a.s, &b.s)
	ta, tb, fa, fb := a.s, b.s, a.s, b.s
	if d == Undecided {
		Refine(op, w, &ta, &tb)
		Refine(RevOp(op), w, &fa, &fb)
	}
	for _, va := range a.members {
		for _, vb := range b.members {
			taken := concreteJump(op, w, va, vb)
			if d == Taken && !taken || d == NotTaken && taken {
				return fmt.Errorf("jump %#x of %d bits: %s and %s: %s, but not for %#x and %#x", op, w, a.s, b.s, d, va, vb)
			}
			ra, rb := &fa, &fb
			if taken {
				ra, rb = &ta, &tb
			}
			if !ra.Contains(va) || !rb.Contains(vb) {
				return fmt.Errorf("jump %#x of %d bits, %v: %s and %s become %s and %s, which lack %#x and %#x", op, w, taken, a.s, b.s, ra, rb, va, vb)
			}
		}
	}
	return nil
}

// TestExhaustive tries all pairs of small tnums at places where signs and halves meet, with every
// operation and comparison, against all concrete pairs.
func TestExhaustive(t *testing.T) {
	for _, p := range places {
		as := placed(*soundBits, p.at, p.base)
		bs := append(placed(*soundBits, 0, 0), as...)
		for i := range as {
			for j := range bs {
				for _, w := range widths {
					for _, op := range aluOps {
						if err := checkALU(op, w, &as[i], &bs[j]); err != nil {
							t.Fatal(err)
						}
					}
					for _, op := range jumpOps {
						if err := checkBranch(op, w, &as[i], &bs[j]); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
}

// edgy returns a number that is likely to be near the end of a range of either width.
func edgy(r *rand.Rand) uint64 {
	v := r.Uint64()
	switch r.IntN(5) {
	case 0:
		v >>= r.IntN(64)
	case 1:
		v = uint64(1)<<r.IntN(64) + uint64(r.IntN(5)) - 2
	case 2:
		v = -(uint64(1) << r.IntN(64)) + uint64(r.IntN(5)) - 2
	case 3:
		v = uint64(int64(v) >> r.IntN(64))
	}
	return v
}

// around returns a range that contains v and lies within lo to hi.
func around[T signed | unsigned](r *rand.Rand, v, lo, hi T) (T, T) {
	if a := T(edgy(r)); r.IntN(2) == 0 && a <= v {
		lo = a
	}
	if b := T(edgy(r)); r.IntN(2) == 0 && b >= v {
		hi = b
	}
	return lo, hi
}

// randomCase returns a Scalar of arbitrary bits and ranges and a member of it.
func randomCase(r *rand.Rand) case64 {
	v := edgy(r)
	s := Unknown()
	if r.IntN(2) == 0 {
		s.Var.Mask = edgy(r) | edgy(r)
		s.Var.Value = v &^ s.Var.Mask
	}
	s.Umin, s.Umax = around(r, v, s.Umin, s.Umax)
	s.Smin, s.Smax = around(r, int64(v), s.Smin, s.Smax)
	s.U32min, s.U32max = around(r, uint32(v), s.U32min, s.U32max)
	s.S32min, s.S32max = around(r, int32(v), s.S32min, s.S32max)
	return case64{s, []uint64{v}}
}

// TestRandom tries random scalars of 64 bits: nothing loses the member that is known of each.
func TestRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range *soundRandom {
		a, b := randomCase(r), randomCase(r)
		if n%3 == 0 {
			b.s.SetConst(b.members[0])
		}
		if n%6 == 0 {
			// An amount that shifts take.
			b.members[0] = uint64(r.IntN(64))
			b.s.SetConst(b.members[0])
		}
		for _, c := range []*case64{&a, &b} {
			was := c.s
			if c.s.Sync(); !c.s.Contains(c.members[0]) || !c.s.Sane() {
				t.Fatalf("sync of %+v gives %+v, which lacks %#x", was, c.s, c.members[0])
			}
		}
		w := widths[n&1]
		if err := checkALU(pick(r, aluOps...), w, &a, &b); err != nil {
			t.Fatal(err)
		}
		if err := checkBranch(pick(r, jumpOps...), w, &a, &b); err != nil {
			t.Fatal(err)
		}
		if err := checkResize(r, &a); err != nil {
			t.Fatal(err)
		}
		if err := checkSets(&a, &b); err != nil {
			t.Fatal(err)
		}
	}
}

func checkResize(r *rand.Rand, c *case64) error {
	v := c.members[0]
	size := pick(r, 1, 2, 4)
	swap := pick(r, int32(16), 32, 64)
	small := pick(r, 1, 2)
	for _, x := range []struct {
		name string
		do   func(s *Scalar)
		want uint64
	}{
		{"zero extension", func(s *Scalar) { s.Mov(W32) }, keepBytes(v, 4)},
		{"truncation", func(s *Scalar) { s.Coerce(size) }, keepBytes(v, size)},
		{"sign extension", func(s *Scalar) { s.MovSX(W64, size) }, concreteSX(v, size)},
		{"sign extension to 32 bits", func(s *Scalar) { s.MovSX(W32, small) }, keepBytes(concreteSX(v, small), 4)},
		{"byte swap", func(s *Scalar) { End(isa.ClassALU64|isa.END, swap, s) }, concreteSwap(v, int(swap/8))},
		{"to big-endian", func(s *Scalar) { End(isa.ClassALU|isa.END|isa.SrcReg, swap, s) }, concreteSwap(v, int(swap/8))},
		{"to little-endian", func(s *Scalar) { End(isa.ClassALU|isa.END, swap, s) }, keepBytes(v, int(swap/8))},
		{"addition of a distance", func(s *Scalar) { s.AddDelta(W64, -77) }, v - 77},
		{"addition of a distance in 32 bits", func(s *Scalar) { s.AddDelta(W32, -77) }, keepBytes(v-77, 4)},
	} {
		got := c.s
		if x.do(&got); !got.Contains(x.want) || !got.Sane() {
			return fmt.Errorf("%s (%d, %d, %d) of %s gives %s, which lacks %#x of %#x", x.name, size, small, swap, c.s, got, x.want, v)
		}
	}
	return nil
}

func checkSets(a, b *case64) error {
	join := a.s
	join.Join(&b.s)
	if !a.s.Within(&join) || !b.s.Within(&join) || !join.Contains(a.members[0]) || !join.Contains(b.members[0]) {
		return fmt.Errorf("join of %s and %s is %s", a.s, b.s, join)
	}
	if a.s.Within(&b.s) && !b.s.Contains(a.members[0]) {
		return fmt.Errorf("%s is within %s, but not %#x", a.s, b.s, a.members[0])
	}
	zero := a.s
	minus := a.s
	if Fork(isa.AND, &minus, &b.s, &zero) && !zero.Contains(a.members[0]) && !minus.Contains(a.members[0]) && uint32(a.members[0])+1 > 1 {
		return fmt.Errorf("fork of %s gives %s and %s, both without %#x", a.s, zero, minus, a.members[0])
	}
	return nil
}

// TestNoAllocation: the innermost loop of verification does not allocate.
func TestNoAllocation(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	a, b := randomCase(r), randomCase(r)
	if n := testing.AllocsPerRun(100, func() {
		for _, op := range aluOps {
			x, y := a.s, b.s
			ALU(op, W64, &x, &y)
			ALU(op, W32, &x, &x)
		}
		for _, op := range jumpOps {
			x, y := a.s, b.s
			if Branch(op, W64, &x, &y) == Undecided && BranchConst(op, W32, &x, 7) == Undecided {
				Refine(op, W64, &x, &y)
				RefineConst(RevOp(op), W32, &x, 7)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkALU(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	var in [64][2]Scalar
	for i := range in {
		x, y := randomCase(r), randomCase(r)
		x.s.Sync()
		y.s.Sync()
		in[i] = [2]Scalar{x.s, y.s}
	}
	n := 0
	for b.Loop() {
		x := in[n&63]
		ALU(aluOps[n%len(aluOps)], widths[n>>6&1], &x[0], &x[1])
		n++
	}
}

func BenchmarkBranch(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 8))
	var in [64][2]Scalar
	for i := range in {
		x, y := randomCase(r), randomCase(r)
		x.s.Sync()
		y.s.Sync()
		in[i] = [2]Scalar{x.s, y.s}
	}
	n := 0
	for b.Loop() {
		x := in[n&63]
		y := x
		op, w := jumpOps[n%len(jumpOps)], widths[n>>6&1]
		if Branch(op, w, &x[0], &x[1]) == Undecided {
			Refine(op, w, &x[0], &x[1])
			Refine(RevOp(op), w, &y[0], &y[1])
		}
		n++
	}
}
