package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs the command of the README's first screen, as it is and without its --slot
// options, and compares what it prints with what the README shows. Only the time may differ.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	blocks := indented(string(text))
	if len(blocks) < 3 {
		t.Fatalf("the README has %d indented blocks", len(blocks))
	}
	command, shown := splitCommand(t, blocks[0])
	compare(t, command, shown)

	var bare []string
	for i := 0; i < len(command); i++ {
		if command[i] == "--slot" {
			i++
			continue
		}
		bare = append(bare, command[i])
	}
	compare(t, bare, blocks[2])
}

// TestReadmeVerify compares what the README shows of carom verify with what it prints.
func TestReadmeVerify(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const command = "verify line_buffers.o"
	t.Chdir(testdata)
	for _, block := range indented(string(text)) {
		if block[0] != "$ carom "+command {
			continue
		}
		code, out, errOut := cli(t, "", strings.Fields(command)...)
		time := regexp.MustCompile(`[0-9.]+[nµm]?s$`)
		clean := func(s string) string {
			lines := strings.Split(strings.TrimSpace(s), "\n")
			for i := range lines {
				lines[i] = strings.TrimRight(time.ReplaceAllString(lines[i], ""), " ")
			}
			return strings.Join(strings.Fields(strings.Join(lines, "\n")), " ")
		}
		if got, want := clean(out+errOut), clean(strings.Join(block[1:], "\n")); code != exitRejected || got != want {
			t.Errorf("exit %d, carom %s prints\n%s\nthe README shows\n%s", code, command, got, want)
		}
		return
	}
	t.Error("the README has no carom " + command)
}

// indented returns the indented blocks; a block starts at "$ " or behind other text.
func indented(text string) [][]string {
	var blocks [][]string
	open := false
	for _, line := range strings.Split(text, "\n") {
		code, ok := strings.CutPrefix(line, "    ")
		switch {
		case !ok && line != "":
			open = false
		case ok && (!open || strings.HasPrefix(code, "$ ")):
			blocks = append(blocks, []string{code})
			open = true
		case open:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], code)
		}
	}
	return blocks
}

// splitCommand takes the arguments of the carom command off the front of a block.
func splitCommand(t *testing.T, block []string) (args, output []string) {
	t.Helper()
	line, ok := strings.CutPrefix(block[0], "$ go run ./cmd/carom ")
	if !ok {
		t.Fatalf("the first block starts with %q", block[0])
	}
	n := 1
	for strings.HasSuffix(line, `\`) {
		line = strings.TrimSuffix(line, `\`) + strings.TrimPrefix(block[n], ">")
		n++
	}
	return strings.Fields(line), block[n:]
}

func compare(t *testing.T, args, shown []string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), args, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("carom %s: exit code %d: %s", strings.Join(args, " "), code, &errs)
	}
	// Only the interpreter counts instructions, and machine code is not made on every system.
	time := regexp.MustCompile(`(, [0-9]+ instructions)?, [0-9.]+[nµm]?s \([0-9.]+[nµm]?s a run\)`)
	clean := func(s string) string { return strings.TrimSpace(time.ReplaceAllString(s, "")) }
	got, want := clean(out.String()), clean(strings.Join(shown, "\n"))
	if !time.MatchString(out.String()) || got != want {
		t.Errorf("carom %s prints\n%s\nthe README shows\n%s", strings.Join(args, " "), got, want)
	}
}
