package amd64

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// row is one form of an instruction: what builds it, its text in Intel's syntax, and the bytes
// that llvm-mc makes of that text.
type row struct {
	build func(*Assembler)
	text  string
	hex   string
}

func table() []row {
	var rows []row
	for _, part := range [][]row{tableMove(), tableArith1(), tableArith2(), tableBits(), tableAtomic(), tableFlow()} {
		rows = append(rows, part...)
	}
	return rows
}

// tableDecoded are instructions for whose text llvm-mc has another encoding, and jumps, for
// which it has no encoding without a linker. The text is what it makes of the bytes.
func tableDecoded() []row {
	return []row{
		{func(a *Assembler) { a.Nop(2) }, "nop", "6690"},
		{func(a *Assembler) { a.Nop(4) }, "nop dword ptr [rax]", "0f1f4000"},
		{func(a *Assembler) { a.Nop(5) }, "nop dword ptr [rax + rax]", "0f1f440000"},
		{func(a *Assembler) { a.Nop(6) }, "nop word ptr [rax + rax]", "660f1f440000"},
		{func(a *Assembler) { a.Nop(7) }, "nop dword ptr [rax]", "0f1f8000000000"},
		{func(a *Assembler) { a.Nop(8) }, "nop dword ptr [rax + rax]", "0f1f840000000000"},
		{func(a *Assembler) { a.Nop(9) }, "nop word ptr [rax + rax]", "660f1f840000000000"},
		{jump(func(a *Assembler, l Label) { a.Jmp(l) }, 127), "jmp 127", "eb7f"},
		{jump(func(a *Assembler, l Label) { a.Jmp(l) }, 128), "jmp 128", "e980000000"},
		{jump(func(a *Assembler, l Label) { a.Call(l) }, 5), "call 5", "e805000000"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondO, l) }, 1), "jo 1", "7001"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondNO, l) }, 1), "jno 1", "7101"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondB, l) }, 1), "jb 1", "7201"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondAE, l) }, 1), "jae 1", "7301"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondE, l) }, 1), "je 1", "7401"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondNE, l) }, 1), "jne 1", "7501"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondBE, l) }, 1), "jbe 1", "7601"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondA, l) }, 1), "ja 1", "7701"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondS, l) }, 1), "js 1", "7801"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondNS, l) }, 1), "jns 1", "7901"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondP, l) }, 1), "jp 1", "7a01"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondNP, l) }, 1), "jnp 1", "7b01"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondL, l) }, 1), "jl 1", "7c01"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondGE, l) }, 1), "jge 1", "7d01"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondLE, l) }, 1), "jle 1", "7e01"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondG, l) }, 1), "jg 1", "7f01"},
		{jump(func(a *Assembler, l Label) { a.Jcc(CondNE, l) }, 200), "jne 200", "0f85c8000000"},
	}
}

// jump builds an instruction that refers to a label so many bytes after it. The bytes between
// are cut off by first.
func jump(insn func(*Assembler, Label), distance int) func(*Assembler) {
	return func(a *Assembler) {
		l := a.NewLabel()
		insn(a, l)
		a.Data(make([]byte, distance)...)
		a.Bind(l)
	}
}

func assemble(t *testing.T, build func(*Assembler)) []byte {
	t.Helper()
	var a Assembler
	build(&a)
	code, err := a.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	if size := a.Size(); size < len(code) {
		t.Errorf("Size is %d and the code has %d bytes", size, len(code))
	}
	return code
}

func TestTable(t *testing.T) {
	for _, r := range table() {
		if got := hex.EncodeToString(assemble(t, r.build)); got != r.hex {
			t.Errorf("%s: %s, want %s", r.text, got, r.hex)
		}
	}
	for _, r := range tableDecoded() {
		got := hex.EncodeToString(assemble(t, r.build))
		if code, filler, _ := strings.Cut(got, r.hex); code != "" || strings.Trim(filler, "0") != "" {
			t.Errorf("%s: %s, want %s", r.text, got, r.hex)
		}
	}
}

// TestTableLLVM compares the bytes in the table with those of llvm-mc.
func TestTableLLVM(t *testing.T) {
	llvm := findLLVM(t)
	var texts, want []string
	for _, r := range table() {
		texts = append(texts, r.text)
		want = append(want, r.hex)
	}
	compareLines(t, texts, llvm.assemble(t, texts), want)
	texts, want = nil, nil
	for _, r := range tableDecoded() {
		texts = append(texts, r.hex)
		want = append(want, r.text)
	}
	compareLines(t, texts, llvm.disassemble(t, texts), want)
}

func compareLines(t *testing.T, names, llvm, table []string) {
	t.Helper()
	if len(llvm) != len(table) {
		t.Fatalf("llvm-mc gives %d instructions for %d", len(llvm), len(table))
	}
	for i := range llvm {
		if llvm[i] != table[i] {
			t.Errorf("%s: the table has %q and llvm-mc %q", names[i], table[i], llvm[i])
		}
	}
}

// TestTableComplete finds methods without a row.
func TestTableComplete(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("table_*test.go")
	if err != nil || len(files) == 0 {
		t.Skipf("the sources of the test are not here: %v", err)
	}
	for _, f := range append(files, "table_test.go") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Skipf("the sources of the test are not here: %v", err)
		}
		source.Write(b)
	}
	other := map[string]bool{ // no instructions; label_test.go tests them
		"Align": true, "Bind": true, "Data": true, "Err": true, "Finish": true, "Here": true,
		"NewLabel": true, "Offset": true, "Quad": true, "Reset": true, "Size": true,
		"Together": true,
	}
	for m := range reflect.TypeFor[*Assembler]().Methods() {
		if !other[m.Name] && !strings.Contains(source.String(), "a."+m.Name+"(") {
			t.Errorf("the table has no row for %s", m.Name)
		}
	}
}
