package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// cases have one program or more for each instruction group. Results follow RFC 9669.
var cases = []struct {
	group, memory, program, want string
}{
	{"alu64", "", "r0 = 7; r0 *= 6; r0 -= 2; r0 |= 1; r0 ^= 3; r0 /= 2; r0 %= 16; exit", "5"},
	{"alu64: immediates are signed", "", "r0 = -1; exit", "ffffffffffffffff"},
	{"alu64: shift past the width", "", "r0 = 5; raw 0x67 0 0 0 65; exit", "a"},
	{"alu64: arithmetic shift past the width", "", "r0 = -8; raw 0xc7 0 0 0 65; exit", "fffffffffffffffc"},
	{"alu32: the upper half is cleared", "", "r0 = -1; w0 += 2; exit", "1"},
	{"alu32: shift past the width", "", "w0 = 3; raw 0x64 0 0 0 33; exit", "6"},
	{"alu: division by zero", "", "r0 = 9; r1 = 0; r0 /= r1; exit", "0"},
	{"alu: modulo zero", "", "r0 = 9; r1 = 0; r0 %= r1; exit", "9"},
	{"alu32: modulo zero clears the upper half", "", "r0 = -1; r1 = 0; w0 %= w1; exit", "ffffffff"},
	{"alu: sdiv", "", "r0 = -13; r1 = 4; r0 s/= r1; exit", "fffffffffffffffd"},
	{"alu: smod", "", "r0 = -13; r1 = 4; r0 s%= r1; exit", "ffffffffffffffff"},
	{"alu32: sdiv of INT_MIN by -1", "", "w0 = 0x80000000; w1 = -1; w0 s/= w1; exit", "80000000"},
	{"alu: movsx", "", "r1 = 0x80; r0 = (s8)r1; exit", "ffffffffffffff80"},
	{"alu: neg", "", "r0 = 2; r0 = -r0; exit", "fffffffffffffffe"},
	{"byte swap", "", "r0 = 0x1122334455667788 ll; r0 = be32 r0; exit", "88776655"},
	{"byte swap: bswap", "", "r0 = 0x1122334455667788 ll; r0 = bswap64 r0; exit", "8877665544332211"},
	{"byte swap: le cuts", "", "r0 = 0x1122334455667788 ll; r0 = le16 r0; exit", "7788"},
	{"wide load", "", "r0 = 0x1122334455667788 ll; exit", "1122334455667788"},
	{"jmp: unsigned", "", "r0 = 0; r1 = -1; if r1 > 5 goto out; exit; out: r0 = 1; exit", "1"},
	{"jmp: signed", "", "r0 = 0; r1 = -1; if r1 s> 5 goto out; exit; out: r0 = 1; exit", "0"},
	{"jmp: set", "", "r0 = 0; r1 = 6; if r1 & 4 goto out; exit; out: r0 = 1; exit", "1"},
	{"jmp32: low halves only", "", "r0 = 0; r1 = 0x100000005 ll; if w1 == 5 goto out; exit; out: r0 = 1; exit", "1"},
	{"jmp32: gotol", "", "r0 = 1; gotol out; r0 = 2; out: exit", "1"},
	{"jmp: loop", "", "r0 = 0; r1 = 100; again: r0 += r1; r1 -= 1; if r1 != 0 goto again; exit", "13ba"},
	{"load and store: stack", "", "r1 = 0x1122334455667788 ll; *(u64 *)(r10 -8) = r1; r0 = *(u16 *)(r10 -6); exit", "5566"},
	{"load and store: immediate", "", "*(u32 *)(r10 -4) = -2; r0 = *(u32 *)(r10 -4); exit", "fffffffe"},
	{"load: memory", "00 11 22 33 44 55 66 77", "r0 = *(u32 *)(r1 +2); exit", "55443322"},
	{"load: sign-extending", "00 80", "r0 = *(s16 *)(r1 +0); exit", "ffffffffffff8000"},
	{"load: length of the memory", "aa bb cc", "r0 = r2; exit", "3"},
	{"load: no memory", "", "r0 = r1; r0 |= r2; exit", "0"},
	{"store: memory", "00 00 00 00", "*(u8 *)(r1 +3) = 0x7f; r0 = *(u32 *)(r1 +0); exit", "7f000000"},
	{"atomic: add", "01 00 00 00 00 00 00 00", "r2 = 5; lock *(u64 *)(r1 +0) += r2; r0 = *(u64 *)(r1 +0); exit", "6"},
	{"atomic: fetch and add, 32 bits", "ff ff ff ff", "r0 = 1; r0 = atomic_fetch_add((u32 *)(r1 +0), r0); exit", "ffffffff"},
	{"atomic: xchg", "07 00 00 00 00 00 00 00", "r0 = 9; r0 = atomic64_xchg((u64 *)(r1 +0), r0); exit", "7"},
	{"atomic: cmpxchg", "07 00 00 00 00 00 00 00", "r0 = 7; r2 = 3; r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2); r0 = *(u64 *)(r1 +0); exit", "3"},
	{"atomic: load-acquire", "07 00 00 00 00 00 00 00", "r0 = load_acquire((u64 *)(r1 +0)); exit", "7"},
	{"call: subprogram", "", "r1 = 2; call double; r0 += 1; exit; double: r0 = r1; r0 += r1; exit", "5"},
	{"call: the caller's registers survive", "", "r6 = 4; call f; r0 += r6; exit; f: r6 = 9; r0 = r6; exit", "d"},
	{"call: gather_bytes", "", "r1 = 1; r2 = 2; r3 = 3; r4 = 4; r5 = 0x105; raw 0x85 0 0 0 0; exit", "102030405"},
	{"call: memfrob", "00 01", "r6 = r1; raw 0x85 0 0 0 1; r0 = *(u16 *)(r6 +0); exit", "2b2a"},
	{"call: no_op", "", "r0 = 1; raw 0x85 0 0 0 2; exit", "0"},
	{"call: sqrti", "", "r1 = 17; raw 0x85 0 0 0 3; exit", "4"},
	{"call: strcmp_ext, same", "61 62 00 61 62 00", "r2 = r1; r2 += 3; raw 0x85 0 0 0 4; exit", "0"},
	{"call: strcmp_ext, less", "61 62 00 61 63 00", "r2 = r1; r2 += 3; raw 0x85 0 0 0 4; exit", "ffffffffffffffff"},
	{"unwind: not with another value", "", "r1 = 3; raw 0x85 0 0 0 5; r0 += 1; exit", "4"},
	{"unwind: with 0", "", "r1 = 0; raw 0x85 0 0 0 5; r0 = 7; exit", "0"},
	{"unwind: from a subprogram", "", "r1 = 0; call f; r0 = 7; exit; f: raw 0x85 0 0 0 5; r0 = 8; exit", "0"},
	{"callx: helper", "", "r1 = 9; r2 = 5; callx r2; r0 += 1; exit", "a"},
	{"callx: unwind", "", "r1 = 0; r2 = 5; callx r2; r0 = 2; exit", "0"},
	{"callx: subprogram", "", "r2 = func[f] ll; r1 = 4; callx r2; exit; func f (int a) int; r0 = r1; r0 += 1; exit", "5"},
}

// assemble turns the ';' of the table into lines.
func assemble(t *testing.T, text string) []byte {
	t.Helper()
	insns, err := asm.Assemble(strings.NewReplacer(";", "\n", ":", ":\n").Replace(text))
	if err != nil {
		t.Fatal(err)
	}
	return isa.Encode(insns)
}

// spaced is the suite's way to write bytes: two spaces behind each.
func spaced(b []byte) string {
	var s strings.Builder
	for _, v := range b {
		fmt.Fprintf(&s, "%02x  ", v)
	}
	return s.String() + "\n"
}

func plugin(stdin string, args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(stdin), &o, &e)
	return code, o.String(), e.String()
}

func TestPrograms(t *testing.T) {
	for _, c := range cases {
		t.Run(c.group, func(t *testing.T) {
			raw := assemble(t, c.program)
			var args []string
			if c.memory != "" {
				args = append(args, c.memory)
			}
			forms := []struct {
				name, stdin string
				args        []string
			}{
				{"raw", spaced(raw), args},
				{"elf", spaced(object("xdp", raw)), append(args[:len(args):len(args)], "--elf")},
			}
			for _, f := range forms {
				code, out, errOut := plugin(f.stdin, f.args...)
				if code != 0 || out != c.want+"\n" || errOut != "" {
					t.Errorf("%s: exit %d, %q, %q, want %s", f.name, code, out, errOut, c.want)
				}
			}
		})
	}
}

func TestForms(t *testing.T) {
	const five = "b7 00 00 00 05 00 00 00 95 00 00 00 00 00 00 00"
	for name, c := range map[string]struct {
		stdin string
		args  []string
	}{
		"tabs and lines":      {strings.ReplaceAll(five, " ", "\n\t"), nil},
		"no space":            {strings.ReplaceAll(five, " ", ""), nil},
		"empty options":       {five, []string{"", ""}},
		"memory with spaces":  {five, []string{"01  02  "}},
		"program option":      {"", []string{"--program", five}},
		"memory, then option": {"", []string{"aa", "--program", five, "--debug"}},
		".text of an object":  {spaced(object(".text", mustHex(five))), []string{"--elf"}},
	} {
		code, out, errOut := plugin(c.stdin, c.args...)
		if code != 0 || out != "5\n" {
			t.Errorf("%s: exit %d, %q, %q", name, code, out, errOut)
		}
	}
}

func TestErrors(t *testing.T) {
	const exit = "95 00 00 00 00 00 00 00"
	for _, c := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", nil, "the program is empty"},
		{"95 0", nil, "odd number"},
		{"zz", nil, "not hex"},
		{"95", nil, "not a multiple of 8"},
		{exit, []string{"xy"}, "memory is not hex"},
		{exit, []string{"00", "00"}, "second memory argument"},
		{exit, []string{"--jit"}, "--jit is not known"},
		{exit, []string{"--program"}, "needs the program"},
		{exit, []string{"--elf"}, "not a BPF object"},
		{"85 00 00 00 63 00 00 00" + exit, nil, "helper 99"},
		{"71 10 00 00 00 00 00 00" + exit, nil, "invalid memory access"},
		{"ff 00 00 00 00 00 00 00" + exit, nil, "invalid instruction"},
		{"b7 00 00 00 00 00 00 00", nil, "jump out of range"},
	} {
		code, out, errOut := plugin(c.stdin, c.args...)
		if code == 0 || out != "" || !strings.Contains(errOut, c.want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%q %q: exit %d, out %q, err %q, want %q", c.stdin, c.args, code, out, errOut, c.want)
		}
	}
}

// Objects of a compiler are linked: this one has its subprogram in .text.
func TestCompiledObject(t *testing.T) {
	const source = `
static __attribute__((noinline)) int twice(int a) { return a * 2; }
__attribute__((section("xdp"))) int program(unsigned char *memory, unsigned long length)
{
	int sum = 0;
	for (unsigned long i = 0; i < length; i++)
		sum += twice(memory[i]);
	return sum;
}`
	clang := "clang"
	if _, err := exec.LookPath("clang-19"); err == nil {
		clang = "clang-19"
	}
	object := filepath.Join(t.TempDir(), "twice.o")
	cmd := exec.Command(clang, "-target", "bpf", "-O2", "-g", "-c", "-x", "c", "-", "-o", object)
	cmd.Stdin = strings.NewReader(source)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("no clang that compiles for BPF: %v %s", err, text)
	}
	b, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	code, out, errOut := plugin(spaced(b), "01 02 03", "--elf")
	if code != 0 || out != "c\n" {
		t.Errorf("exit %d, %q, %q, want c", code, out, errOut)
	}
}

// An object whose program needs maps cannot be run here, and says so.
func TestObjectWithMaps(t *testing.T) {
	b, err := os.ReadFile("../../caromtest/testdata/tailcall1.o")
	if err != nil {
		t.Fatal(err)
	}
	code, out, errOut := plugin(spaced(b), "--elf")
	if code == 0 || out != "" || !strings.Contains(errOut, "jmp_table") {
		t.Errorf("an object with maps: exit %d, %q, %q", code, out, errOut)
	}
}

func mustHex(s string) []byte {
	b, err := unhex("test", s)
	if err != nil {
		panic(err)
	}
	return b
}

// object writes what the suite's own ELF writer does: one section with instructions, a symbol
// for it, no relocations, BTF or license.
func object(section string, code []byte) []byte {
	le := binary.LittleEndian
	names := "\x00" + section + "\x00.symtab\x00.strtab\x00bpf_main\x00"
	at := func(s string) uint32 { return uint32(strings.Index(names, s+"\x00")) }
	codeAt := uint64(64)
	symAt := codeAt + uint64(len(code))
	namesAt := symAt + 48
	table := (namesAt + uint64(len(names)) + 7) &^ 7

	b := []byte("\x7fELF\x02\x01\x01")
	b = append(b, make([]byte, 9)...)
	for _, v := range []uint16{1, 247} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1)
	for _, v := range []uint64{0, 0, table} {
		b = le.AppendUint64(b, v)
	}
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 0, 0, 64, 4, 3} {
		b = le.AppendUint16(b, v)
	}
	b = append(b, code...)
	b = append(b, make([]byte, 24)...) // the null symbol
	b = le.AppendUint32(b, at("bpf_main"))
	b = append(b, 0x12, 0) // a global function
	b = le.AppendUint16(b, 1)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint64(b, uint64(len(code)))
	b = append(b, names...)
	b = append(b, make([]byte, table-uint64(len(b)))...)
	header := func(name string, typ uint32, flags, offset, size uint64, link, info uint32, entry uint64) {
		b = le.AppendUint32(b, at(name))
		b = le.AppendUint32(b, typ)
		for _, v := range []uint64{flags, 0, offset, size} {
			b = le.AppendUint64(b, v)
		}
		b = le.AppendUint32(b, link)
		b = le.AppendUint32(b, info)
		b = le.AppendUint64(b, 8)
		b = le.AppendUint64(b, entry)
	}
	b = append(b, make([]byte, 64)...)
	header(section, 1, 6, codeAt, uint64(len(code)), 0, 0, 0)
	header(".symtab", 2, 0, symAt, 48, 3, 1, 24)
	header(".strtab", 3, 0, namesAt, uint64(len(names)), 0, 0, 0)
	return b
}
