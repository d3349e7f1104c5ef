package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// programs are the examples, in the order in which they are shown.
var programs = []struct{ name, title string }{
	{"null_check", "The result of a lookup may be NULL"},
	{"packet_no_check", "The packet may be too short"},
	{"packet_short_check", "The check covers less than what is read"},
	{"packet_moved", "A helper moves the packet"},
	{"index_unbounded", "An index without a limit"},
	{"index_signed", "An index that may be negative"},
	{"argument_missing", "An argument that is not set"},
	{"stack_frames", "More than 512 bytes of stack"},
	{"stack_tail_call", "The 256 bytes below a tail call"},
	{"stack_misaligned", "A misaligned access on the stack"},
	{"loop_forever", "A loop without an end"},
	{"loop_too_long", "A loop with too many rounds"},
	{"helper_type", "A helper that the program type does not have"},
	{"licence", "A helper for GPL-compatible programs"},
	{"map_type", "A map that the helper does not take"},
	{"tail_call_context", "A tail call without the context"},
	{"tail_call_reference", "A reference that is held at a tail call"},
	{"use_after_submit", "A record that was given up"},
	{"context_write", "A field of the context that is read-only"},
	{"constant_written", "A constant that is written"},
	{"return_value", "A return value out of range"},
	{"pointer_masked", "Arithmetic on a pointer"},
	{"global_argument", "An argument of a global function"},
}

const intro = `# Rejected programs, explained

<!-- Written by internal/cmd/genrejections. Do not edit. -->

What carom says of a program that Linux would not load, beside the end of Linux's own log. Each
program is in [docs/rejections](rejections), as C and as the object that clang makes of it. The
command above each explanation prints it, on any system and without root; the table with the time
above the explanation is left out here. Linux's lines are those of a 6.18 kernel at log level 1,
without the statistics.

`

// document is the whole file.
func document(root, dir string) (string, error) {
	if err := allListed(dir); err != nil {
		return "", err
	}
	carom, done, err := build(root)
	if err != nil {
		return "", err
	}
	defer done()
	var b strings.Builder
	b.WriteString(intro)
	for i, p := range programs {
		fmt.Fprintf(&b, "%d. [%s](#%s)\n", i+1, p.title, anchor(p.title))
	}
	for _, p := range programs {
		source, err := os.ReadFile(filepath.Join(dir, p.name+".c"))
		if err != nil {
			return "", err
		}
		log, err := os.ReadFile(filepath.Join(dir, p.name+".log"))
		if err != nil {
			return "", fmt.Errorf("%w: record it with -record as root", err)
		}
		object := "docs/rejections/" + p.name + ".o"
		says, err := explain(root, carom, object)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```c\n%s```\n\n", p.title, about(string(source)), excerpt(string(source)))
		fmt.Fprintf(&b, "`carom verify %s`:\n\n```text\n%s```\n\nLinux:\n\n```text\n%s```\n", object, says, log)
	}
	return b.String(), nil
}

// allListed checks that every program is shown.
func allListed(dir string) error {
	sources, err := filepath.Glob(filepath.Join(dir, "*.c"))
	if err != nil {
		return err
	}
	for _, s := range sources {
		name := strings.TrimSuffix(filepath.Base(s), ".c")
		if !slices.ContainsFunc(programs, func(p struct{ name, title string }) bool { return p.name == name }) {
			return fmt.Errorf("%s is not in the list of programs: add it", s)
		}
	}
	return nil
}

var comment = regexp.MustCompile(`(?s)/\* (.*?) \*/`)

// about is the comment at the top of a source.
func about(source string) string {
	if m := comment.FindStringSubmatch(source); m != nil {
		return m[1]
	}
	return ""
}

// excerpt is a source without what stands in all of them.
func excerpt(source string) string {
	if i := strings.LastIndex(source, "#include"); i >= 0 {
		_, source, _ = strings.Cut(source[i:], "\n")
	}
	const licence = "\nchar _license[] SEC(\"license\") = \"Dual BSD/GPL\";\n"
	return strings.TrimLeft(strings.TrimSuffix(source, licence), "\n")
}

// anchor is what GitHub makes of a title.
func anchor(title string) string {
	keep := func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(title))
}

// build builds carom.
func build(root string) (path string, done func(), err error) {
	dir, err := os.MkdirTemp("", "genrejections")
	if err != nil {
		return "", nil, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "carom")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/carom")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		done()
		return "", nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, done, nil
}

// exitRejected is the exit code of carom verify for a program that is rejected.
const exitRejected = 3

// explain runs carom verify and returns what follows its table.
func explain(root, carom, object string) (string, error) {
	cmd := exec.Command(carom, "verify", object)
	cmd.Dir = root
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitRejected {
		return "", fmt.Errorf("carom verify %s: want exit code %d, got %v\n%s", object, exitRejected, err, out)
	}
	_, says, ok := strings.Cut(string(out), "\n\n")
	if !ok {
		return "", fmt.Errorf("carom verify %s prints no reason:\n%s", object, out)
	}
	return strings.TrimSpace(says) + "\n", nil
}
