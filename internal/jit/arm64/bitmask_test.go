package arm64

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// decodeBitmask follows the function DecodeBitMasks of the Arm manual (DDI 0487).
func decodeBitmask(fields uint32) (uint64, bool) {
	n, immr, imms := fields>>12&1, fields>>6&0x3f, fields&0x3f
	log2 := -1
	for i := range 7 {
		if (n<<6|^imms&0x3f)>>i&1 != 0 {
			log2 = i
		}
	}
	if log2 < 1 {
		return 0, false
	}
	size := uint32(1) << log2
	s, r := imms&(size-1), immr&(size-1)
	if s == size-1 {
		return 0, false
	}
	var v uint64
	for i := range uint32(64) {
		if (i+r)%size <= s {
			v |= 1 << i
		}
	}
	return v, true
}

// TestBitmaskAll enumerates the constants by their fields: there are 5334 of 64 bits and 1302 of 32
// bits, and each is found again.
func TestBitmaskAll(t *testing.T) {
	for _, c := range []struct {
		w    Width
		top  uint32
		want int
	}{{W64, 1 << 13, 5334}, {W32, 1 << 12, 1302}} {
		seen := map[uint64]bool{}
		for fields := range c.top {
			v, ok := decodeBitmask(fields)
			if !ok {
				continue
			}
			if c.w == W32 {
				v &= 0xffffffff
			}
			seen[v] = true
			got, ok := encodeBitmask(c.w, v)
			if !ok {
				t.Fatalf("%#x is not found", v)
			}
			back, ok := decodeBitmask(got)
			if c.w == W32 {
				back &= 0xffffffff
			}
			if !ok || back != v {
				t.Fatalf("%#x: the fields %#x mean %#x", v, got, back)
			}
		}
		if len(seen) != c.want {
			t.Errorf("%d bits: %d constants, want %d", c.w.Bits(), len(seen), c.want)
		}
		checkRefused(t, c.w, seen)
	}
}

// checkRefused looks at constants that are near or far from those that can be encoded.
func checkRefused(t *testing.T, w Width, seen map[uint64]bool) {
	t.Helper()
	try := func(v uint64) {
		if w == W32 {
			v &= 0xffffffff
		}
		if got := FitsLogical(w, v); got != seen[v] {
			t.Fatalf("FitsLogical(%d bits, %#x) = %v", w.Bits(), v, got)
		}
	}
	try(0)
	try(^uint64(0))
	for v := range uint64(1 << 12) {
		try(v)
		try(^v)
	}
	for v := range seen {
		for bit := range w.Bits() {
			try(v ^ 1<<bit)
		}
	}
	r := rand.New(rand.NewPCG(2, 0))
	for range 10000 {
		try(r.Uint64())
	}
}

func TestLogicalConstantRefused(t *testing.T) {
	for _, c := range []struct {
		w Width
		v uint64
	}{{W64, 0}, {W64, ^uint64(0)}, {W64, 5}, {W32, 0}, {W32, 0xffffffff}, {W32, 1 << 32}, {W32, 0xffffffff_fffffff0}} {
		var a Assembler
		a.And(c.w, X0, X1, Imm(c.v))
		_, err := a.Finish()
		var oe *OperandError
		if !errors.As(err, &oe) || oe.Insn != "and" {
			t.Errorf("and with %#x in %d bits: %v", c.v, c.w.Bits(), err)
		}
	}
}
