package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/kernel"
)

const (
	benchSet    = examples + "bench/bench.o"
	benchNative = examples + "bench/native/native.c"
)

func TestBench(t *testing.T) {
	out := ok(t, "bench", benchSet, "--prog", "empty", "--prog", "parse", "--time", "1us", "--json")
	var r benchReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(r.Programs) != 2 || r.Programs[0].Program != "empty" || r.Programs[0].Insns != 2 {
		t.Fatalf("%+v", r)
	}
	for _, p := range r.Programs {
		e := p.times(engineInterp)
		if e == nil || e.Ns == nil || e.Ns.Min <= 0 || e.Ns.Min > e.Ns.Median || e.Ns.Median > e.Ns.Max || e.PerInsn <= 0 || e.Mpps <= 0 {
			t.Errorf("%s: %+v", p.Program, e)
		}
		if kernel.Available() == nil && (e.Ratio == nil || e.Ratio.Least <= 0 || e.Ratio.Rounds.Min > e.Ratio.Rounds.Max) {
			t.Errorf("%s: ratio %+v", p.Program, e.Ratio)
		}
		if len(p.Differs) > 0 {
			t.Errorf("%s: %v return something else", p.Program, p.Differs)
		}
	}
}

func TestBenchText(t *testing.T) {
	out := ok(t, "bench", dispatch, "--pcap", traffic, "--engine", "interp", "--time", "1us", "--slot", "prog_array[0]=port8080_prog")
	if !strings.HasPrefix(out, "ns per run") || !strings.Contains(out, "\nxdp_dispatch") || !strings.Contains(out, "interp Mpps") {
		t.Errorf("no table in\n%s", out)
	}
}

func TestBenchProbe(t *testing.T) {
	out := ok(t, "bench", examples+"readline/readline.o", "--time", "1us")
	if !strings.Contains(out, "ns per run") {
		t.Errorf("no table in\n%s", out)
	}
}

func TestBenchNative(t *testing.T) {
	if _, err := exec.LookPath("clang"); err != nil {
		if _, err := exec.LookPath("clang-19"); err != nil {
			t.Skip("clang is not here")
		}
	}
	out := ok(t, "bench", benchSet, "--prog", "alu_10k", "--prog", "lpm_1k", "--engine", "interp", "--native", benchNative, "--time", "1us", "--json")
	var r benchReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if e := r.Programs[0].times(nativeName); e == nil || e.Ns == nil || e.Ns.Min <= 0 {
		t.Errorf("alu_10k: %+v", e)
	}
	if e := r.Programs[1].times(nativeName); e == nil || e.Ns != nil || e.Why == "" {
		t.Errorf("lpm_1k, which the C file leaves out: %+v", e)
	}
}

func TestBenchErrors(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"bench", benchSet, "--engine", "ubpf"}, exitUsage},
		{[]string{"bench", benchSet, "--prog", "nobody"}, exitUsage},
		{[]string{"bench", benchSet, "--time", "0s"}, exitUsage},
		{[]string{"bench", benchSet, "--size", "20"}, exitUsage},
		{[]string{"bench", benchSet, "--pcap", traffic, "--data-in", traffic}, exitUsage},
		{[]string{"bench", "nothing.o"}, exitFailed},
	} {
		if code, _, errOut := cli(t, "", c.args...); code != c.code {
			t.Errorf("%v: exit %d, want %d: %s", c.args, code, c.code, errOut)
		}
	}
}

// The kernel's own time is that of whole nanoseconds; the clock adds digits, and nothing else.
func TestWithin(t *testing.T) {
	for _, c := range []struct{ clock, own, want float64 }{{5.3, 5, 5.3}, {9, 5, 6}, {4, 5, 5}, {103.5, 100, 101}} {
		if got := within(c.clock, c.own); got != c.want {
			t.Errorf("within(%v, %v) = %v, want %v", c.clock, c.own, got, c.want)
		}
	}
}
