package arm64

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
)

// evalMov runs the instructions that MovImm may emit into X0 and gives the register's value. The
// register starts with rubbish.
func evalMov(code []byte) (uint64, error) {
	x := uint64(0x0123456789abcdef)
	for i := 0; i < len(code); i += 4 {
		w := binary.LittleEndian.Uint32(code[i:])
		if w&31 != 0 {
			return 0, fmt.Errorf("%08x writes another register", w)
		}
		shift := w >> 21 & 3 * 16
		imm := uint64(w>>5&0xffff) << shift
		switch w >> 23 & 0xff {
		case 0x25, 0xa5: // movn, movz
			if x = imm; w>>30&1 == 0 {
				x = ^imm
			}
		case 0xe5: // movk
			x = x&^(0xffff<<shift) | imm
		case 0x64: // orr with a constant
			v, ok := decodeBitmask(w >> 10 & 0x1fff)
			if !ok || w>>5&31 != 31 {
				return 0, fmt.Errorf("%08x is not a move", w)
			}
			x = v
		default:
			return 0, fmt.Errorf("%08x is not a move", w)
		}
		if w>>31 == 0 {
			x &= 0xffffffff
		}
	}
	return x, nil
}

// constants are values that matter and random ones of several shapes.
func constants(count int) []uint64 {
	list := []uint64{0, 1, 0xffff, 0x10000, 0xffff0000, 0xffffffff, 0xfffffffe, 1 << 32, 1 << 48, 1<<63 - 1, 1 << 63,
		^uint64(0), ^uint64(1), 0x8000000080000000, 0x7fffffff, 0xffffffff80000000, 0xffff0000ffff0000, 0x00ff00ff00ff00ff}
	d := draw{rand.New(rand.NewPCG(3, 0))}
	parts := func() uint64 { return [...]uint64{0, 0xffff, 0xff00, d.Uint64N(1 << 16)}[d.IntN(4)] }
	for range count {
		switch d.IntN(5) {
		case 0:
			list = append(list, d.Uint64()>>d.IntN(64))
		case 1:
			list = append(list, uint64(int64(int32(d.Uint32()))))
		case 2:
			list = append(list, d.bitmask(W64))
		case 3: // a bit mask with one part changed
			at := 16 * d.IntN(4)
			list = append(list, d.bitmask(W64)&^(0xffff<<at)|parts()<<at)
		default:
			list = append(list, parts()|parts()<<16|parts()<<32|parts()<<48)
		}
	}
	return list
}

// isMov says whether one movz, movn or orr of either width gives v.
func isMov(v uint64) bool {
	wide := func(v uint64) bool {
		for s := 0; s < 64; s += 16 {
			if v&^(0xffff<<s) == 0 {
				return true
			}
		}
		return false
	}
	return wide(v) || wide(^v) || v>>32 == 0 && wide(^v&0xffffffff) || FitsLogical(W64, v) || FitsLogical(W32, v)
}

func TestMovImmValue(t *testing.T) {
	for _, v := range constants(100000) {
		for _, w := range []Width{W64, W32} {
			if w == W32 {
				v &= 0xffffffff
			}
			var a Assembler
			a.MovImm(w, X0, v)
			code, err := a.Finish()
			if err != nil {
				t.Fatalf("%#x: %v", v, err)
			}
			got, err := evalMov(code)
			if err != nil || got != v {
				t.Fatalf("%d bits, %#x: the code makes %#x (%v)", w.Bits(), v, got, err)
			}
			if n := MovImmLen(w, v); 4*n != len(code) {
				t.Fatalf("%#x: MovImmLen says %d, the code has %d bytes", v, n, len(code))
			}
			if len(code) > 4*w.Bits()/16 {
				t.Fatalf("%#x: %d bytes", v, len(code))
			}
			if (len(code) == 4) != isMov(v) {
				t.Fatalf("%#x: %d bytes, one instruction is enough: %v", v, len(code), isMov(v))
			}
		}
	}
}

// allBitmasks lists what orr can make from xzr in either width.
func allBitmasks() []uint64 {
	var list []uint64
	for fields := range uint32(1 << 13) {
		if v, ok := decodeBitmask(fields); ok {
			list = append(list, v)
			if fields>>12 == 0 {
				list = append(list, v&0xffffffff)
			}
		}
	}
	return list
}

// without zeroes the 16-bit parts of v that are named by the bits of parts.
func without(v uint64, parts int) uint64 {
	for i := range 4 {
		if parts>>i&1 != 0 {
			v &^= 0xffff << (16 * i)
		}
	}
	return v
}

// TestMovImmShortest checks lengths against the definition: the fewest parts after whose change by
// movk the rest is that of a bit mask, a movz or a movn.
func TestMovImmShortest(t *testing.T) {
	rest := [16]map[uint64]bool{}
	masks := allBitmasks()
	for parts := range rest {
		rest[parts] = map[uint64]bool{}
		for _, v := range masks {
			rest[parts][without(v, parts)] = true
		}
	}
	best := func(v uint64) int {
		n := 4
		for parts := range rest {
			if rest[parts][without(v, parts)] {
				n = min(n, 1+bits.OnesCount(uint(parts)))
			}
		}
		for _, start := range []uint64{0, ^uint64(0), 0xffffffff} {
			differ := 0
			for i := range uint8(4) {
				if chunk(v, i) != chunk(start, i) {
					differ++
				}
			}
			// The 32-bit movn itself cannot make a part of the upper half.
			if start == 0xffffffff && v&0xffffffff == start && v != start {
				differ++
			}
			n = min(n, max(differ, 1))
		}
		return n
	}
	for _, v := range constants(200000) {
		if got, want := MovImmLen(W64, v), best(v); got != want {
			t.Fatalf("%#x: %d instructions, %d are enough", v, got, want)
		}
	}
	for v, want := range map[uint64]int{
		0: 1, 0x12345678: 2, 0x7fff_1234_5678: 3, 0xffff_8000_1234_5678: 3, 0x1234_5678_9abc_def0: 4,
		0x5555_5555_1234_5555: 2, 0xffff_ffff_8000_0000: 1, 0x1234_5555_5555_5678: 3,
		0x0000_00ff_1234_ff00: 2, 0x0000_ffff_1234_ffff: 2, 0xff00_ff00_ff00_1234: 2,
	} {
		if got := MovImmLen(W64, v); got != want {
			t.Errorf("%#x: %d instructions, want %d", v, got, want)
		}
	}
}

// TestMovImmAgainstLLVM lets llvm-mc make the constants of one instruction; where it chooses another
// form of the same length the value must still agree.
func TestMovImmAgainstLLVM(t *testing.T) {
	var texts []string
	var values []uint64
	for _, v := range constants(3000) {
		if (MovImmLen(W64, v) == 1) && (v>>32 != 0 || v < 1<<16) {
			texts, values = append(texts, fmt.Sprintf("mov x0, #%#x", v)), append(values, v)
		}
	}
	for i, want := range llvm(t, texts) {
		got := assemble(t, func(a *Assembler) { a.MovImm(W64, X0, values[i]) }, texts[i])
		if got != want {
			t.Errorf("%s: got %s, llvm-mc says %s", texts[i], got, want)
		}
	}
}

func TestMovImmRefused(t *testing.T) {
	for text, build := range map[string]func(*Assembler){
		"exceeds 32 bits": func(a *Assembler) { a.MovImm(W32, X0, 1<<32) },
		"sp cannot":       func(a *Assembler) { a.MovImm(W64, SP, 1) },
		"xzr cannot":      func(a *Assembler) { a.MovImm(W64, XZR, 1) },
	} {
		var a Assembler
		build(&a)
		if _, err := a.Finish(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("want an error with %q, got %v", text, err)
		}
	}
}
