package printf

import (
	"errors"
	"strings"
	"testing"
)

// arg is one argument: a number, or memory whose address is passed.
type arg struct {
	value uint64
	mem   []byte
	user  bool // mem is user memory
}

func n(v int64) arg       { return arg{value: uint64(v)} }
func str(s string) arg    { return arg{mem: []byte(s + "\x00")} }
func raw(s string) arg    { return arg{mem: []byte(s)} }
func ustr(s string) arg   { return arg{mem: []byte(s + "\x00"), user: true} }
func args(a ...arg) []arg { return a }

// testCase is one row, confirmed by Linux 6.18.44.
type testCase struct {
	name   string
	format string // with its NUL
	args   []arg
	want   string
	errno  Errno
	length int    // of the whole text when it isn't len(want)
	traced int    // length by the trace helpers, when their larger buffer changes it
	size   int    // of the output buffer; 0: 4096
	carom  string // why this row is carom's own and the kernel is not asked
}

func (c *testCase) outSize() int {
	if c.size != 0 {
		return c.size
	}
	return 4096
}

func (c *testCase) snprintf() int64 {
	switch {
	case c.errno != 0:
		return -int64(c.errno)
	case c.length != 0:
		return int64(c.length) + 1
	}
	return int64(len(c.want)) + 1
}

func (c *testCase) vprintk() int64 {
	if c.errno != 0 {
		return -int64(c.errno)
	}
	if c.traced != 0 {
		return int64(c.traced)
	}
	return c.snprintf() - 1
}

// memory serves the arguments' memory: kernel memory high, user memory low.
type memory struct{ args []arg }

func (m memory) address(i int) uint64 {
	if m.args[i].user {
		return 0x7f0000000000 + uint64(i)<<16
	}
	return 0xffff888000000000 + uint64(i)<<16
}

func (m memory) find(addr uint64, space Space) []byte {
	for i, a := range m.args {
		if a.mem == nil || space == KernelSpace && a.user || space == UserSpace && !a.user {
			continue
		}
		if off := addr - m.address(i); off < uint64(len(a.mem)) {
			return a.mem[off:]
		}
	}
	return nil
}

func (m memory) ReadString(dst []byte, addr uint64, space Space) (int, bool) {
	src := m.find(addr, space)
	for i := range dst {
		if i >= len(src) {
			return 0, false
		}
		if src[i] == 0 {
			return i, true
		}
		dst[i] = src[i]
	}
	return len(dst), true
}

func (m memory) ReadBytes(dst []byte, addr uint64, space Space) bool {
	src := m.find(addr, space)
	return copy(dst, src) == len(dst)
}

func (m memory) values() []uint64 {
	v := make([]uint64, len(m.args))
	for i, a := range m.args {
		if v[i] = a.value; a.mem != nil {
			v[i] = m.address(i)
		}
	}
	return v
}

var x600 = strings.Repeat("x", 600)

var cases = []testCase{
	{name: "plain", format: "hello\n\x00", want: "hello\n"},
	{name: "empty", format: "\x00", want: ""},
	{name: "percent", format: "100%% of%%%%\x00", want: "100% of%%"},
	{name: "tabs", format: "a\tb\v\f\r\n\x00", want: "a\tb\v\f\r\n"},
	{name: "after NUL", format: "ab\x00%q", want: "ab"},
	{name: "unused arguments", format: "%d\x00", args: args(n(1), n(2), n(3)), want: "1"},

	{name: "d", format: "%d %i\x00", args: args(n(-5), n(7)), want: "-5 7"},
	{name: "d is 32 bits", format: "%d %u\x00", args: args(n(0x1_8000_0000), n(0x1_8000_0000)), want: "-2147483648 2147483648"},
	{name: "ld", format: "%ld %lu %lld %llu\x00", args: args(n(-1), n(-1), n(-1<<63), n(-1<<63)), want: "-1 18446744073709551615 -9223372036854775808 9223372036854775808"},
	{name: "x", format: "%x %X %lx %llX\x00", args: args(n(0xabcdef), n(0xabcdef), n(-1), n(-2)), want: "abcdef ABCDEF ffffffffffffffff FFFFFFFFFFFFFFFE"},
	{name: "x is 32 bits", format: "%x\x00", args: args(n(-1)), want: "ffffffff"},
	{name: "width", format: "[%5d] [%-5d] [%05d] [%5x]\x00", args: args(n(-42), n(-42), n(-42), n(0xab)), want: "[  -42] [-42  ] [-0042] [   ab]"},
	{name: "minus beats zero", format: "[%-05d] [%0-5d]\x00", args: args(n(42), n(42)), want: "[42   ] [42   ]"},
	{name: "plus and space", format: "[%+d] [% d] [%+ d] [% +5d] [%+05d]\x00", args: args(n(1), n(1), n(1), n(1), n(1)), want: "[+1] [ 1] [+1] [   +1] [+0001]"},
	{name: "plus on unsigned", format: "[%+u] [% x] [%+lx]\x00", args: args(n(1), n(1), n(1)), want: "[1] [1] [1]"},
	{name: "zero", format: "%d %u %x %lx\x00", args: args(n(0), n(0), n(0), n(0)), want: "0 0 0 0"},
	{name: "glued", format: "%d%d%xz\x00", args: args(n(1), n(2), n(3)), want: "123z"},
	{name: "wide", format: "%020lld|\x00", args: args(n(-9)), want: "-0000000000000000009|"},

	{name: "c", format: "%c%c%c\x00", args: args(n('a'), n(0x162), n('c')), want: "abc"},
	{name: "c zero", format: "a%cb\x00", args: args(n(0)), want: "a\x00b"},
	{name: "c width", format: "[%3c] [%-3c] [%03c]\x00", args: args(n('a'), n('b'), n('c')), want: "[  a] [b  ] [  c]"},
	{name: "c then d is aligned", format: "%c%d%c%ld\x00", args: args(n('a'), n(1), n('b'), n(2)), want: "a1b2"},

	{name: "s", format: "<%s>\x00", args: args(str("tail")), want: "<tail>"},
	{name: "s NULL", format: "<%s>\x00", args: args(n(0)), want: "<>"},
	{name: "s bad user", format: "<%s>\x00", args: args(n(8)), want: "<>"},
	{name: "s bad kernel", format: "<%s>\x00", args: args(n(-0x2152411100000000)), want: "<>"},
	{name: "s width", format: "[%6s] [%-6s] [%06s] [%2s]\x00", args: args(str("abc"), str("abc"), str("abc"), str("abc")), want: "[   abc] [abc   ] [   abc] [abc]"},
	{name: "s width NULL", format: "[%3s]\x00", args: args(n(0)), want: "[   ]"},
	{name: "s non-ASCII value", format: "%s\x00", args: args(str("h\xc3\xa9\x01")), want: "h\xc3\xa9\x01"},
	{name: "s user", format: "<%s>\x00", args: args(ustr("user text")), want: "<user text>"},
	{name: "pus", format: "<%pus>\x00", args: args(ustr("user text")), want: "<user text>"},
	{name: "pus of kernel", format: "<%pus>\x00", args: args(str("k")), want: "<>"},
	{name: "pks", format: "<%pks>\x00", args: args(str("k")), want: "<k>"},
	{name: "pks of user", format: "<%pks>\x00", args: args(ustr("u")), want: "<>"},
	{name: "pks ignores width", format: "[%6pks] [%-6pks]\x00", args: args(str("abc"), str("abc")), want: "[abc] [abc]"},
	{name: "pks NULL", format: "<%pks %pus>\x00", args: args(n(0), n(0)), want: "< >"},
	{name: "s long", format: "%s\x00", args: args(str(x600)), want: x600[:511]},
	{name: "s 511 fits", format: "%s\x00", args: args(str(x600[:511])), want: x600[:511]},
	{name: "s long, then d", format: "%s %d\x00", args: args(str(x600), n(1)), errno: ENOSPC},
	{name: "s long, then s", format: "%s %s\x00", args: args(str(x600), str("a")), errno: ENOSPC},
	{name: "s long, then c", format: "%s %c\x00", args: args(str(x600), n('a')), errno: ENOSPC},
	{name: "s 508, then s", format: "%s %s\x00", args: args(str(x600[:508]), str("abcdef")), want: x600[:508] + " ab"},
	{name: "s 507, then d", format: "%s %d\x00", args: args(str(x600[:507]), n(-3)), want: x600[:507] + " -3"},
	{name: "s 508, then d", format: "%s %d\x00", args: args(str(x600[:508]), n(-3)), errno: ENOSPC},
	{name: "s 503, then ld", format: "%s %ld\x00", args: args(str(x600[:503]), n(-3)), want: x600[:503] + " -3"},
	{name: "s 504, then ld", format: "%s %ld\x00", args: args(str(x600[:504]), n(-3)), errno: ENOSPC},

	{name: "s then punctuation", format: "%s,%s.%s\x00", args: args(str("a"), str("b"), str("c")), want: "a,b.c"},
	{name: "s then letter", format: "%sa\x00", args: args(str("a")), errno: EINVAL},
	{name: "s then digit", format: "%s1\x00", args: args(str("a")), errno: EINVAL},
	{name: "pks then letter", format: "%pksa\x00", args: args(str("a")), errno: EINVAL},
	{name: "s then s", format: "%s%s\x00", args: args(str("a"), str("b")), want: "ab"},

	{name: "px", format: "%px\x00", args: args(n(0x1234abcd)), want: "000000001234abcd"},
	{name: "px all bits", format: "%px|\x00", args: args(n(-0x123456789abcdef1)), want: "edcba9876543210f|"},
	{name: "px width", format: "[%20px] [%-20px] [%020px] [%1px]\x00", args: args(n(0xab), n(0xab), n(0xab), n(0xab)), want: "[                  ab] [ab                  ] [000000000000000000ab] [ab]"},
	{name: "px swallows letters", format: "%pxyz9-z\x00", args: args(n(1)), want: "0000000000000001-z"},
	{name: "p NULL", format: "%p\x00", args: args(n(0)), want: "0000000000000000"},
	{name: "p error pointers", format: "%p %p\x00", args: args(n(-1), n(-4095)), want: "ffffffffffffffff fffffffffffff001"},
	{name: "pK NULL", format: "%pK\x00", args: args(n(0)), want: "0000000000000000"},
	{name: "p then percent", format: "%p%d\x00", args: args(n(0), n(5)), want: "00000000000000005"},
	{name: "p then two percents", format: "%p%%\x00", args: args(n(0)), want: "0000000000000000%"},
	{name: "p then letter", format: "%pa\x00", args: args(n(0)), errno: EINVAL},
	{name: "p then digit", format: "%p1\x00", args: args(n(0)), errno: EINVAL},
	{name: "ps unknown", format: "%ps %pS %pB\x00", args: args(n(0x1000), n(0x1000), n(0x1000)), want: "0x1000 0x1000 0x1000"},
	{name: "ps width", format: "[%10ps] [%-10pS] [%10pB]\x00", args: args(n(0x1000), n(0x1000), n(0x1000)), want: "[    0x1000] [0x1000    ] [0x1000]"},
	{name: "ps NULL", format: "%ps %pS %pB\x00", args: args(n(0), n(0), n(0)), want: "0x0 0x0 0x0"},
	{name: "ps swallows letters", format: "%psx %pSx %pBx\x00", args: args(n(16), n(16), n(16)), want: "0x10 0x10 0x10"},

	{name: "pi4", format: "%pI4 %pi4\x00", args: args(raw("\x0a\x00\xff\x07"), raw("\x0a\x00\xff\x07")), want: "10.0.255.7 010.000.255.007"},
	{name: "pi6", format: "%pI6 %pi6\x00", args: args(raw("\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xab\xcd"), raw("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")), want: "fe80:0000:0000:0000:0000:0000:0000:abcd 20010db8000000000000000000000001"},
	{name: "pi fault", format: "%pI4 %pi4 %pI6 %pi6\x00", args: args(n(0), n(8), n(0), n(0)), want: "0.0.0.0 000.000.000.000 0000:0000:0000:0000:0000:0000:0000:0000 00000000000000000000000000000000"},
	{name: "pi4 of user memory", format: "%pI4\x00", args: args(ustr("abcd")), want: "0.0.0.0"},
	{name: "pI4 ignores width", format: "[%20pI4]\x00", args: args(raw("\x01\x02\x03\x04")), want: "[1.2.3.4]"},
	{name: "pI4 swallows letters", format: "%pI4abc9 %pI6c\x00", args: args(raw("\x01\x02\x03\x04"), n(0)), want: "1.2.3.4 0000:0000:0000:0000:0000:0000:0000:0000"},
	{name: "pI5", format: "%pI5\x00", args: args(n(0)), errno: EINVAL},
	{name: "pM", format: "%pM\x00", args: args(n(0)), errno: EINVAL},

	{name: "o", format: "%o\x00", args: args(n(8)), errno: EINVAL},
	{name: "h", format: "%hd\x00", args: args(n(8)), errno: EINVAL},
	{name: "hh", format: "%hhx\x00", args: args(n(8)), errno: EINVAL},
	{name: "z", format: "%zu\x00", args: args(n(8)), errno: EINVAL},
	{name: "lll", format: "%llld\x00", args: args(n(8)), errno: EINVAL},
	{name: "ls", format: "%ls\x00", args: args(n(0)), errno: EINVAL},
	{name: "lc", format: "%lc\x00", args: args(n(0)), errno: EINVAL},
	{name: "lp", format: "%lp\x00", args: args(n(0)), errno: EINVAL},
	{name: "hash", format: "%#x\x00", args: args(n(8)), errno: EINVAL},
	{name: "precision", format: "%.3d\x00", args: args(n(8)), errno: EINVAL},
	{name: "string precision", format: "%.3s\x00", args: args(n(0)), errno: EINVAL},
	{name: "star", format: "%*d\x00", args: args(n(3), n(8)), errno: EINVAL},
	{name: "n", format: "%n\x00", args: args(n(0)), errno: EINVAL},
	{name: "f", format: "%f\x00", args: args(n(0)), errno: EINVAL},
	{name: "flag after width", format: "%5-d\x00", args: args(n(0)), errno: EINVAL},
	{name: "percent with width", format: "%5%\x00", args: args(n(0)), errno: EINVAL},
	{name: "trailing percent", format: "ab%\x00", args: args(n(0)), errno: EINVAL},
	{name: "trailing percent, no argument", format: "ab%\x00", errno: EINVAL},
	{name: "trailing l", format: "%l\x00", args: args(n(0)), errno: EINVAL},
	{name: "no argument", format: "%d\x00", errno: EINVAL},
	{name: "too few arguments", format: "%d %d\x00", args: args(n(1)), errno: EINVAL},
	{name: "twelve", format: "%d%d%d%d%d%d%d%d%d%d%d%d\x00", args: args(n(1), n(2), n(3), n(4), n(5), n(6), n(7), n(8), n(9), n(10), n(11), n(12)), want: "123456789101112"},
	{name: "control character", format: "a\x01b\x00", errno: EINVAL},
	{name: "escape", format: "\x1b[1m\x00", errno: EINVAL},
	{name: "delete", format: "\x7f\x00", errno: EINVAL},
	{name: "UTF-8 text", format: "h\xc3\xa9\x00", want: "h\xc3\xa9"},
	{name: "UTF-8 after percent", format: "%\xc3\xa9\x00", args: args(n(0)), errno: EINVAL},
	{name: "UTF-8 after s", format: "%s\xc3\xa9\x00", args: args(str("a")), errno: EINVAL},
	{name: "Latin-1 space after s", format: "%s\xa0\x00", args: args(str("a")), want: "a\xa0"},
	{name: "UTF-8 after p", format: "%p\xc3\xa9\x00", args: args(n(0)), errno: EINVAL},
	{name: "UTF-8 after pI4", format: "%pI4\xc3\xa9.\x00", args: args(n(0)), want: "0.0.0.0\xa9."},
	{name: "UTF-8 after d", format: "%d\xc3\xa9\x00", args: args(n(4)), want: "4\xc3\xa9"},

	{name: "cut", format: "hello %d\x00", args: args(n(42)), size: 5, want: "hell\x00", length: 8},
	{name: "cut to fit", format: "hello\x00", size: 6, want: "hello\x00", length: 5},
	{name: "cut to NUL", format: "hello\x00", size: 1, want: "\x00", length: 5},
	{name: "cut in number", format: "%d|\x00", args: args(n(123456)), size: 4, want: "123\x00", length: 7},
	{name: "cut in padding", format: "%10d|\x00", args: args(n(1)), size: 4, want: "   \x00", length: 11},
	{name: "width above 24 bits", format: "%16777221d\x00", args: args(n(1)), size: 4, want: "   \x00", length: 8388607, carom: "Linux cuts the width to 8388607 but logs a kernel warning, so it was measured once"},
	{name: "cut before pI4", format: "abcd%pI4|%s\x00", args: args(n(0), str("x")), size: 4, want: "abc\x00", length: 12, traced: 13},
	{name: "cut at the end before pks", format: "abcd%pks|%d\x00", args: args(str("xyz"), n(7)), size: 5, want: "abcd\x00", length: 9},
	{name: "cut in pks", format: "abcd%pks|%d\x00", args: args(str("xyz"), n(7)), size: 6, want: "abcdx\x00", length: 9},
}

func TestTable(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := memory{c.args}
			p := &Printer{Mem: m}
			out := make([]byte, c.outSize())
			ret, err := p.Snprintf(out, []byte(c.format), m.values())
			if ret != c.snprintf() {
				t.Errorf("Snprintf(%q) = %d, %v, want %d", c.format, ret, err, c.snprintf())
			}
			if got := string(out[:len(c.want)]); got != c.want {
				t.Errorf("Snprintf(%q) wrote %q, want %q", c.format, got, c.want)
			}
			var e *Error
			if errors.As(err, &e) != (c.errno != 0) || e != nil && e.Errno != c.errno {
				t.Errorf("Snprintf(%q): %v, want errno %d", c.format, err, c.errno)
			}
			if err := Check([]byte(c.format), len(c.args)); (err != nil) != (c.errno == EINVAL) {
				t.Errorf("Check(%q) = %v", c.format, err)
			}
			var buf [TraceBufferSize]byte
			text, ret, _ := p.Trace(&buf, []byte(c.format), m.values())
			if ret != c.vprintk() {
				t.Errorf("Trace(%q) = %q, %d, want %d", c.format, text, ret, c.vprintk())
			}
		})
	}
}

// traceCases are texts of the trace event, as Linux 6.18.44 shows them in
// tracefs after "bpf_trace_printk: ", where a newline is always added.
var traceCases = []struct {
	format string
	args   []arg
	text   string
	ret    int64
}{
	{"plain\x00", nil, "plain", 5},
	{"newline\n\x00", nil, "newline\n", 8},
	{"zero %c after\x00", args(n(0)), "zero ", 12},
	{"cut %1100d end\x00", args(n(5)), "cut " + strings.Repeat(" ", 1019), 1108},
	{"\x00", nil, "", 0},
	{"value %s\x00", args(str("\x01\x1b\xc3\xa9")), "value \x01\x1b\xc3\xa9", 10},
	{"plain", nil, "", -22},
	{"", nil, "", -22},
}

func TestTrace(t *testing.T) {
	for _, c := range traceCases {
		m := memory{c.args}
		p := &Printer{Mem: m}
		var buf [TraceBufferSize]byte
		text, ret, err := p.Trace(&buf, []byte(c.format), m.values())
		if string(text) != c.text || ret != c.ret || (err != nil) != (ret < 0) {
			t.Errorf("Trace(%q) = %q, %d, %v, want %q, %d", c.format, text, ret, err, c.text, c.ret)
		}
	}
}

func TestTooManyArguments(t *testing.T) {
	_, err := new(Printer).Format(nil, []byte("a\x00"), make([]uint64, MaxArgs+1))
	want := "format, byte 0: 13 arguments, at most 12 are allowed (EINVAL)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The addresses and names are of the form that Linux prints; TestKernelSymbols
// asks it.
func TestSymbols(t *testing.T) {
	p := &Printer{Symbol: func(addr uint64) (Symbol, bool) {
		switch {
		case addr >= 0x1000 && addr < 0x1020:
			return Symbol{"bpf_prog_a", "", addr - 0x1000, 0x20}, true
		case addr >= 0x2000 && addr < 0x2040:
			return Symbol{"f", "mod", addr - 0x2000, 0x40}, true
		}
		return Symbol{}, false
	}}
	out := make([]byte, 200)
	k, err := p.Format(out, []byte("%ps %pS %pB|%pS|%ps|[%-12ps]\x00"), []uint64{0x1000, 0x1004, 0x1000 + 0x20, 0x2001, 0x2001, 0x1000})
	want := "bpf_prog_a bpf_prog_a+0x4/0x20 bpf_prog_a+0x20/0x20|f+0x1/0x40 [mod]|f [mod]|[bpf_prog_a  ]"
	if err != nil || string(out[:k]) != want {
		t.Errorf("got %q, %v, want %q", out[:k], err, want)
	}
}

func TestHashedPointers(t *testing.T) {
	out := make([]byte, 100)
	p := new(Printer)
	k, _ := p.Format(out, []byte("%p %pK\x00"), []uint64{0xffff888000000000, 0xffff888000000000})
	first := string(out[:k])
	if len(first) != 33 || first[:8] != "00000000" || first[:16] != first[17:] {
		t.Errorf("got %q, want twice the same 32-bit value on 16 digits", first)
	}
	p.Hash = func(uint64) uint32 { return 0xabc }
	k, _ = p.Format(out, []byte("%p\x00"), []uint64{0xffff888000000000})
	if string(out[:k]) != "0000000000000abc" {
		t.Errorf("got %q with our own hash", out[:k])
	}
}

func TestNoAllocation(t *testing.T) {
	m := memory{args(str("text"), n(3))}
	p := &Printer{Mem: m}
	format, values := []byte("%s %d %px\x00"), append(m.values(), 7)
	var buf [TraceBufferSize]byte
	if got := testing.AllocsPerRun(100, func() { p.Trace(&buf, format, values) }); got != 0 {
		t.Errorf("%v allocations per call, want 0", got)
	}
}

// FuzzFormat checks that nothing panics, that the length does not depend on
// the room for what Linux counts, and that Check and Format agree.
func FuzzFormat(f *testing.F) {
	for _, c := range cases {
		f.Add([]byte(c.format), uint8(len(c.args)), uint64(5), "abc")
	}
	f.Fuzz(func(t *testing.T, format []byte, nargs uint8, value uint64, text string) {
		a := make([]arg, nargs%14)
		for i := range a {
			if a[i] = n(int64(value >> i)); i%2 == 0 {
				a[i] = str(text)
			}
		}
		m := memory{a}
		p := &Printer{Mem: m}
		out := make([]byte, 64)
		k, err := p.Format(out[:32], format, m.values())
		checked := Check(format, len(a))
		var e *Error
		if errors.As(err, &e) && e.Errno == ENOSPC {
			return
		}
		if (err != nil) != (checked != nil) {
			t.Fatalf("Format(%q): %v, Check: %v", format, err, checked)
		}
		if err == nil && (k < 0 || out[min(k, 31)] != 0 || out[32] != 0) {
			t.Fatalf("Format(%q) = %d, wrote %q", format, k, out)
		}
	})
}
