package arm64

import (
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"
)

// form is one instruction form: how it is built, what the LLVM assembler calls it (instructions
// separated by semicolons), and its bytes as llvm-mc gives them, one word per instruction.
type form struct {
	build func(*Assembler)
	text  string
	hex   string
}

func allForms() []form {
	var all []form
	for _, f := range [][]form{
		arithForms(), logicForms(), dataprocForms(), bitfieldForms(), memoryForms(), memory2Forms(),
		atomicForms(), branchForms(), systemForms(), vectorForms(),
	} {
		all = append(all, f...)
	}
	return all
}

// assemble gives the code as hex, one group per instruction.
func assemble(t *testing.T, build func(*Assembler), text string) string {
	t.Helper()
	a := New(Near)
	build(a)
	code, err := a.Finish()
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return ""
	}
	return words(code)
}

func words(code []byte) string {
	var groups []string
	for i := 0; i < len(code); i += 4 {
		groups = append(groups, hex.EncodeToString(code[i:i+4]))
	}
	return strings.Join(groups, " ")
}

func TestForms(t *testing.T) {
	for _, f := range allForms() {
		if got := assemble(t, f.build, f.text); got != f.hex {
			t.Errorf("%s: got %s, want %s", f.text, got, f.hex)
		}
	}
}

// llvm assembles each text with one run of llvm-mc.
func llvm(t *testing.T, texts []string) []string {
	t.Helper()
	mc := ""
	for _, name := range []string{"llvm-mc-19", "llvm-mc"} {
		if path, err := exec.LookPath(name); err == nil {
			mc = path
			break
		}
	}
	if mc == "" {
		t.Skip("llvm-mc is not installed: nothing to compare with")
	}
	cmd := exec.Command(mc, "-triple=aarch64", "-mattr=+lse", "--show-encoding")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(strings.Join(texts, "\n"), "; ", "\n") + "\n")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() != 0 {
		t.Fatalf("llvm-mc: %v\n%.2000s", err, stderr.String())
	}
	var encodings []string
	for line := range strings.Lines(string(out)) {
		if _, rest, ok := strings.Cut(line, "encoding: ["); ok {
			list, _, _ := strings.Cut(rest, "]")
			encodings = append(encodings, strings.ReplaceAll(strings.ReplaceAll(list, "0x", ""), ",", ""))
		}
	}
	var result []string
	for _, text := range texts {
		n := strings.Count(text, ";") + 1
		if n > len(encodings) {
			t.Fatalf("llvm-mc gave too few encodings, at %q", text)
		}
		result = append(result, strings.Join(encodings[:n], " "))
		encodings = encodings[n:]
	}
	if len(encodings) != 0 {
		t.Fatalf("llvm-mc gave %d encodings too many", len(encodings))
	}
	return result
}

func TestFormsAgainstLLVM(t *testing.T) {
	var texts []string
	forms := allForms()
	for _, f := range forms {
		texts = append(texts, f.text)
	}
	for i, want := range llvm(t, texts) {
		if forms[i].hex != want {
			t.Errorf("%s: the table says %s, llvm-mc says %s", forms[i].text, forms[i].hex, want)
		}
	}
}
