package arm64

import (
	"encoding/binary"
	"errors"
	"testing"
)

// pad emits n words.
func pad(a *Assembler, n int) {
	for range n {
		a.Word32(0xd503201f)
	}
}

type reachCase struct {
	name  string
	reach int // bytes backward
	emit  func(*Assembler, Label)
}

// reachCases has the distances of the Arm manual: 19 and 14 bits of words, 21 bits of bytes.
func reachCases() []reachCase {
	return []reachCase{
		{"b.lt", 1 << 20, func(a *Assembler, l Label) { a.BCond(LT, l) }},
		{"cbz", 1 << 20, func(a *Assembler, l Label) { a.Cbz(W64, X1, l) }},
		{"cbnz", 1 << 20, func(a *Assembler, l Label) { a.Cbnz(W32, X1, l) }},
		{"tbz", 1 << 15, func(a *Assembler, l Label) { a.Tbz(X1, 40, l) }},
		{"tbnz", 1 << 15, func(a *Assembler, l Label) { a.Tbnz(X1, 3, l) }},
		{"ldr", 1 << 20, func(a *Assembler, l Label) { a.LdrLit(W64, X1, l) }},
		{"ldrsw", 1 << 20, func(a *Assembler, l Label) { a.LdrswLit(X1, l) }},
		{"adr", 1 << 20, func(a *Assembler, l Label) { a.Adr(X1, l) }},
	}
}

func backward(reach Reach, c reachCase, words int) ([]byte, error) {
	a := New(reach)
	l := a.Here()
	pad(a, words)
	c.emit(a, l)
	return a.Finish()
}

func forward(reach Reach, c reachCase, words int) ([]byte, error) {
	a := New(reach)
	l := a.NewLabel()
	c.emit(a, l)
	pad(a, words-1)
	a.Bind(l)
	return a.Finish()
}

// field is the displacement of an instruction in words, as the field of its kind says.
func field(code []byte, at, shift, width int) int {
	w := int32(binary.LittleEndian.Uint32(code[at:]))
	return int(w << (32 - shift - width) >> (32 - width))
}

func TestRangeLimits(t *testing.T) {
	for _, c := range reachCases() {
		limit := c.reach / 4
		width := 19
		if c.reach == 1<<15 {
			width = 14
		}
		code, err := backward(Near, c, limit)
		if err != nil {
			t.Errorf("%s back %d bytes: %v", c.name, c.reach, err)
		} else if got := field(code, 4*limit, 5, width); got != -limit {
			t.Errorf("%s back: the field says %d words, want %d", c.name, got, -limit)
		}
		code, err = forward(Near, c, limit-1)
		if err != nil {
			t.Errorf("%s forward %d bytes: %v", c.name, c.reach-4, err)
		} else if got := field(code, 0, 5, width); got != limit-1 {
			t.Errorf("%s forward: the field says %d words, want %d", c.name, got, limit-1)
		}
		var re *RangeError
		if _, err = backward(Near, c, limit+1); !errors.As(err, &re) {
			t.Errorf("%s back %d bytes: %v", c.name, c.reach+4, err)
		} else if *re != (RangeError{c.name, c.reach + 4, 0, c.reach}) {
			t.Errorf("%s back: %+v", c.name, *re)
		}
		if _, err = forward(Near, c, limit); !errors.As(err, &re) {
			t.Errorf("%s forward %d bytes: %v", c.name, c.reach, err)
		} else if *re != (RangeError{c.name, 0, c.reach, c.reach}) {
			t.Errorf("%s forward: %+v", c.name, *re)
		}
	}
}

// TestBranchRange moves the place of a branch by hand: 128 MiB of code would be slow to make.
func TestBranchRange(t *testing.T) {
	for _, c := range []struct {
		at, target int32
		want       uint32
		ok         bool
	}{
		{0, 1<<25 - 1, 0x15ffffff, true},
		{0, 1 << 25, 0, false},
		{1 << 25, 0, 0x16000000, true},
		{1<<25 + 1, 0, 0, false},
	} {
		var a Assembler
		a.code = make([]uint32, c.at+1)
		a.code[c.at] = 0x14000000
		a.labels = []int32{c.target}
		got, err := a.resolve(fixup{"b", c.at, 1, fixBranch26})
		var re *RangeError
		if c.ok && (err != nil || got != c.want) || !c.ok && !errors.As(err, &re) {
			t.Errorf("from %d to %d: %08x, %v", c.at, c.target, got, err)
		}
	}
}

// TestFarBranches: the inverted branch skips an unconditional one.
func TestFarBranches(t *testing.T) {
	want := map[string]string{
		"b.lt": "4a000054 01000014", // b.ge #8; b #4
		"cbz":  "410000b5 01000014", // cbnz x1, #8; b #4
		"cbnz": "41000034 01000014", // cbz w1, #8; b #4
		"tbz":  "410040b7 01000014", // tbnz x1, #40, #8; b #4
		"tbnz": "41001836 01000014", // tbz w1, #3, #8; b #4
	}
	for _, c := range reachCases() {
		w, ok := want[c.name]
		if !ok {
			continue
		}
		code, err := forward(Far, c, 1)
		if err != nil || words(code) != w {
			t.Errorf("%s far: %s, %v; want %s", c.name, words(code), err, w)
		}
		limit := c.reach / 4
		if _, err := forward(Far, c, limit+10); err != nil {
			t.Errorf("%s far forward: %v", c.name, err)
		}
		// Back to a bound label the short form is taken as far as it goes.
		code, err = backward(Far, c, limit)
		if err != nil || len(code) != 4*(limit+1) {
			t.Errorf("%s far, back at the limit: %d bytes, %v", c.name, len(code), err)
		}
		code, err = backward(Far, c, limit+1)
		if err != nil || len(code) != 4*(limit+3) {
			t.Errorf("%s far, back beyond the limit: %d bytes, %v", c.name, len(code), err)
		} else if got := field(code, 4*(limit+2), 0, 26); got != -(limit + 2) {
			t.Errorf("%s far, back beyond the limit: b goes %d words", c.name, got)
		}
	}
}

func TestLabelMistakes(t *testing.T) {
	for name, build := range map[string]func(*Assembler){
		"never bound":      func(a *Assembler) { a.B(a.NewLabel()) },
		"bound twice":      func(a *Assembler) { a.Bind(a.Here()) },
		"zero":             func(a *Assembler) { a.B(0) },
		"foreign":          func(a *Assembler) { a.B(7) },
		"binds a foreign":  func(a *Assembler) { a.Bind(7) },
		"binds a negative": func(a *Assembler) { a.Bind(-1) },
	} {
		var a Assembler
		build(&a)
		var le *LabelError
		if _, err := a.Finish(); !errors.As(err, &le) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLabelOffset(t *testing.T) {
	var a Assembler
	l := a.NewLabel()
	if _, ok := a.LabelOffset(l); ok {
		t.Error("an unbound label has an offset")
	}
	pad(&a, 3)
	a.Bind(l)
	if off, ok := a.LabelOffset(l); !ok || off != 12 {
		t.Errorf("offset %d, %v; want 12", off, ok)
	}
	if _, ok := a.LabelOffset(99); ok {
		t.Error("a label that does not exist has an offset")
	}
}

// TestFinishTwice: finishing does not change the assembler, and Reset empties it.
func TestFinishTwice(t *testing.T) {
	a := New(Near)
	l := a.NewLabel()
	a.Cbz(W64, X0, l)
	a.Bind(l)
	first, err := a.Finish()
	if err != nil {
		t.Fatal(err)
	}
	a.Ret()
	second, err := a.Finish()
	if err != nil || words(second) != words(first)+" c0035fd6" {
		t.Errorf("%s, then %s (%v)", words(first), words(second), err)
	}
	a.Br(SP)
	a.Reset(Near)
	if code, err := a.Finish(); err != nil || len(code) != 0 {
		t.Errorf("after Reset: %d bytes, %v", len(code), err)
	}
}
