package amd64

import (
	"encoding/hex"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// llvmMC is LLVM's assembler.
type llvmMC string

func findLLVM(t *testing.T) llvmMC {
	t.Helper()
	for _, name := range []string{"llvm-mc-19", "llvm-mc", "llvm-mc-20", "llvm-mc-18"} {
		if path, err := exec.LookPath(name); err == nil {
			return llvmMC(path)
		}
	}
	t.Skip("llvm-mc is not installed")
	return ""
}

func (l llvmMC) run(t *testing.T, input string, args ...string) string {
	t.Helper()
	args = append([]string{"-triple=x86_64", "-mattr=+bmi,+bmi2,+movbe"}, args...)
	cmd := exec.Command(string(l), args...)
	cmd.Stdin = strings.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("llvm-mc: %v\n%.2000s", err, stderr.String())
	}
	return string(out)
}

// assemble returns the hexadecimal bytes of instructions in Intel's syntax.
func (l llvmMC) assemble(t *testing.T, texts []string) []string {
	t.Helper()
	out := l.run(t, ".intel_syntax noprefix\n"+strings.Join(texts, "\n")+"\n", "-show-encoding")
	var lines []string
	strip := strings.NewReplacer("0x", "", ",", "")
	for _, m := range regexp.MustCompile(`encoding: \[(.*)\]`).FindAllStringSubmatch(out, -1) {
		lines = append(lines, strip.Replace(m[1]))
	}
	return lines
}

// disassemble returns the text of instructions in Intel's syntax, with single spaces.
func (l llvmMC) disassemble(t *testing.T, hexes []string) []string {
	t.Helper()
	var input strings.Builder
	for _, h := range hexes {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range b {
			input.WriteString(" 0x" + hex.EncodeToString([]byte{c}))
		}
		input.WriteByte('\n')
	}
	var lines []string
	for line := range strings.Lines(l.run(t, input.String(), "-disassemble", "-output-asm-variant=1")) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" && !strings.HasPrefix(line, ".") {
			lines = append(lines, line)
		}
	}
	return lines
}
