package caromtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// probing sends the eight bytes that di points to.
func probing() Case {
	return Case{
		Name: "probing", Prog: "entry", Type: ebpf.Kprobe,
		Asm: map[string]string{"entry": `
			r3 = *(u64 *)(r1 +112)
			r1 = r10
			r1 += -8
			r2 = 8
			call bpf_probe_read_user
			r1 = map[ring] ll
			r2 = r10
			r2 += -8
			r3 = 8
			r4 = 0
			call bpf_ringbuf_output
			r0 = 0
			exit`},
		Maps: map[string]*ebpf.MapSpec{"ring": {Type: ebpf.RingBuf, MaxEntries: 4096}},
		Steps: []Step{{
			Probe: &Probe{
				Registers: []carom.Register{{Name: "rdi", Ref: "piece"}},
				Memory:    []carom.Memory{{Name: "piece", Data: []byte("carambol")}},
			},
			Want: &Want{Records: map[string][][]byte{"ring": {[]byte("carambol")}}},
		}},
	}
}

// TestProbeProblems has cases that are wrong in one way.
func TestProbeProblems(t *testing.T) {
	for _, tt := range []struct {
		name, problem string
		change        func(*Case)
	}{
		{"record", "records of ring are", func(c *Case) { c.Steps[0].Want.Records["ring"] = nil }},
		{"process", "want a process number at 8", func(c *Case) { c.Steps[0].Probe.PIDAt = []int{8} }},
		{"register", "yy", func(c *Case) { c.Steps[0].Probe.Registers[0].Name = "yy" }},
		{"memory", `"other"`, func(c *Case) { c.Steps[0].Probe.Registers[0].Ref = "other" }},
		{"map", "there is no map other", func(c *Case) { c.Steps[0].Probe.TaskMap = "other" }},
	} {
		for _, e := range Engines() {
			t.Run(tt.name+"/"+e.Name(), func(t *testing.T) {
				if err := kernel.Available(); e.Name() == kernel.Name && err != nil {
					t.Skip(err)
				}
				c := probing()
				tt.change(&c)
				var ended leftovers
				got := observe(t, &c, subject{engine: e}, &ended).problems
				ended.close(t)
				if text := strings.Join(got, "\n"); len(got) == 0 || !strings.Contains(text, tt.problem) {
					t.Errorf("problems %q, want one with %q", got, tt.problem)
				}
			})
		}
	}
}

// TestNoProbeIsLeft counts the files and the children of this process.
func TestNoProbeIsLeft(t *testing.T) {
	Run(t, probing()) // what is made once stays
	before := perfFiles(t)
	Run(t, probing())
	if now := perfFiles(t); now != before {
		t.Errorf("%d perf events and images are open, were %d", now, before)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks {
		if b, _ := os.ReadFile(f); len(b) != 0 {
			t.Errorf("processes %s are left", b)
		}
	}
}

func perfFiles(t *testing.T) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range links {
		to, _ := os.Readlink(l)
		if strings.Contains(to, "perf") || strings.Contains(to, "bpf") || strings.Contains(to, "carom-probed") {
			n++
		}
	}
	return n
}
