package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

const root = "../../.."

// TestUpToDate runs the check as .ci/run does.
func TestUpToDate(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("the go command is not installed")
	}
	var out, errs bytes.Buffer
	if code := run([]string{"-root", root, "-check"}, &out, &errs); code != 0 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// reason is the last line of a log that is no state of a loop.
func reason(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.HasPrefix(lines[i], "cur state:") && !strings.HasPrefix(lines[i], "old state:") {
			return lines[i]
		}
	}
	return ""
}

// TestReasons compares the reason of every rejection with Linux's, and demands an explanation.
func TestReasons(t *testing.T) {
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			dir := filepath.Join(root, "docs", "rejections")
			spec, err := ebpf.LoadCollectionSpec(filepath.Join(dir, p.name+".o"))
			if err != nil {
				t.Fatal(err)
			}
			log, err := os.ReadFile(filepath.Join(dir, p.name+".log"))
			if err != nil {
				t.Fatal(err)
			}
			for name := range spec.Programs {
				_, err := carom.Verify(spec, name, nil)
				var e *carom.VerifierError
				if !errors.As(err, &e) {
					t.Fatalf("%s: %v", name, err)
				}
				if want := reason(string(log)); e.Reason.Message != want {
					t.Errorf("%s: reason %q, Linux says %q", name, e.Reason.Message, want)
				}
				if e.Explanation == "" || e.Suggestion == "" {
					t.Errorf("%s: explanation %q, suggestion %q", name, e.Explanation, e.Suggestion)
				}
			}
		})
	}
}

func TestStaleDocument(t *testing.T) {
	name := filepath.Join(t.TempDir(), "rejections.md")
	if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := compare(name, "new")
	if err == nil || !strings.Contains(err.Error(), "go generate") {
		t.Errorf("got %v, want what to do", err)
	}
}

func TestExcerpt(t *testing.T) {
	source := "// SPDX\n/* About. */\n#include <linux/bpf.h>\n\n#include <bpf/bpf_helpers.h>\n\nint f;\n\nchar _license[] SEC(\"license\") = \"Dual BSD/GPL\";\n"
	if got := excerpt(source); got != "int f;\n" {
		t.Errorf("got %q", got)
	}
	if got := about(source); got != "About." {
		t.Errorf("got %q", got)
	}
	if got := anchor("A loop without an end, or two"); got != "a-loop-without-an-end-or-two" {
		t.Errorf("got %q", got)
	}
}
