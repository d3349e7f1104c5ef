package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// repeated writes a capture whose packets come n times.
func repeated(t *testing.T, n int) string {
	t.Helper()
	b, err := os.ReadFile(traffic)
	if err != nil {
		t.Fatal(err)
	}
	const header = 24
	out := b[:header:header]
	for range n {
		out = append(out, b[header:]...)
	}
	name := filepath.Join(t.TempDir(), "repeated.pcap")
	if err := os.WriteFile(name, out, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// More packets than a batch holds give the same output in batches, one by one (--write needs that)
// and, but for the order of lines, on two virtual CPUs at once.
func TestBatches(t *testing.T) {
	capture := repeated(t, 50) // 600 packets
	args := fixed("run", dispatch, "--pcap", capture, "--slot", "prog_array[0]=port8080_prog")
	want := []string{
		"xdp_dispatch 600", "port22_prog 0", "port8080_prog 150",
		"xdp_dispatch -> prog_array[0] -> port8080_prog 150",
		"XDP_PASS 600",
	}
	batches := ok(t, args...)
	wantLines(t, batches, want...)
	if single := ok(t, append(args, "--write", filepath.Join(t.TempDir(), "out.pcap"))...); single != batches {
		t.Errorf("one by one:\n%s\nin batches:\n%s", single, batches)
	}
	wantLines(t, ok(t, append(args, "--cpus", "2", "--parallel")...), want...)
	wantLines(t, ok(t, append(args, "--engine", "interp")...), want...)
	totals := regexp.MustCompile(`600 packets, 600 runs, 150 tail calls, 100 not taken`)
	if !totals.MatchString(batches) {
		t.Errorf("no totals in\n%s", batches)
	}
}

func TestBatchesRefused(t *testing.T) {
	out := ok(t, fixed("run", examples+"tail-context/tail_context.o", "--pcap", repeated(t, 30))...)
	wantLines(t, out, "refused count reason")
}

func TestParallelFlags(t *testing.T) {
	for _, extra := range [][]string{{"--trace"}, {"--write", "x"}, {"--clock", "pcap"}, {"--engine", "kernel"}} {
		args := append([]string{"run", dispatch, "--pcap", traffic, "--parallel"}, extra...)
		if code, _, _ := cli(t, "", args...); code != exitUsage {
			t.Errorf("%v: exit %d, want %d", extra, code, exitUsage)
		}
	}
}
