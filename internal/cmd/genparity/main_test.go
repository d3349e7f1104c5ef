package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommittedFileIsCurrent(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"-root", "../../..", "-check"}, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

// A file that is missing or stale is an error, and writing it mends that.
func TestCheck(t *testing.T) {
	root := t.TempDir()
	testdata, err := filepath.Abs("../../../caromtest")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(testdata, filepath.Join(root, "caromtest")); err != nil {
		t.Skip(err)
	}
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	expect := func(code int, text string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		got := run(append([]string{"-root", root}, args...), &out, &errs)
		if got != code || !strings.Contains(errs.String(), text) {
			t.Errorf("%q: exit code %d, %q; want %d and %q", args, got, &errs, code, text)
		}
	}
	expect(1, "parity.md", "-check")
	expect(0, "")
	if got, err := os.ReadFile(filepath.Join(root, "docs", "parity.md")); err != nil || !bytes.HasPrefix(got, []byte("# What is checked")) {
		t.Errorf("%.40q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(root, "docs", "parity.md"), []byte("stale"), 0o644); err != nil {
		t.Fatal(err)
	}
	expect(1, "run go generate", "-check")
	expect(2, "flag", "-nothing")
}
