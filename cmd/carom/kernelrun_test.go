package main

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/kernel/tracefs"
	"github.com/cilium/ebpf"
)

func needKernel(t *testing.T) {
	t.Helper()
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	pipe, err := tracefs.Open()
	if err != nil {
		t.Skip(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestKernelEngine(t *testing.T) {
	needKernel(t)
	out := ok(t, "run", dispatch, "--pcap", traffic, "--engine", "kernel",
		"--slot", "prog_array[0]=port8080_prog", "--slot", "prog_array[1]=port22_prog", "--dump", "prog_array")
	wantLines(t, out, "prog_array[0] = port8080_prog", "prog_array[1] = port22_prog", "xdp_dispatch 12", "XDP_PASS 10", "XDP_DROP 2")
	for _, want := range []string{
		"bpf_trace_printk: port 8080: pass 60 bytes\n", "bpf_trace_printk: port 22: drop 71 bytes\n",
		"12 packets, 12 runs in the kernel, tail calls not counted",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "bpf_trace_printk"); n != 5 {
		t.Errorf("%d printed lines, want 5", n)
	}
}

func TestCountEdges(t *testing.T) {
	needKernel(t)
	out := ok(t, "run", examples+"static-call/static_call.o", "--pcap", examples+"static-call/traffic.pcap",
		"--engine", "kernel", "--count-edges")
	wantLines(t, out, "start 2", "classify 2", "count_up 62", "set_mark 2",
		"classify -> calls[4] -> set_mark 2", "count_up -> calls[9] -> count_up 60",
		"set_mark -> calls[9] -> count_up 2", "start -> calls[1] -> classify 2", "TC_ACT_OK 2")
	for _, want := range []string{
		"count_up -> calls[9]  limit of 33 reached      2", "start -> calls[6]     empty slot               2",
		"2 packets, 2 runs in the kernel of an instrumented copy, 66 tail calls, 4 not taken",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestBothEngines(t *testing.T) {
	needKernel(t)
	cpus := strconv.Itoa(min(2, runtime.NumCPU()))
	for name, args := range map[string][]string{
		"dispatch":     {dispatch, "--pcap", traffic, "--slot", "prog_array[0]=port8080_prog", "--slot", "prog_array[1]=port22_prog"},
		"missed":       {dispatch, "--pcap", traffic},
		"tail-context": {examples + "tail-context/tail_context.o", "--pcap", examples + "tail-context/traffic.pcap", "--cpus", cpus},
		"static-call":  {examples + "static-call/static_call.o", "--pcap", examples + "static-call/traffic.pcap"},
	} {
		out := ok(t, append([]string{"run", "--engine", "both"}, args...)...)
		if !strings.HasSuffix(out, " inputs: no difference\n") {
			t.Errorf("%s: no verdict at the end of\n%s", name, out)
		}
		out = ok(t, append([]string{"run", "--engine", "both", "--count-edges", "--json"}, args...)...)
		if !strings.Contains(out, `{"kind":"comparison","differences":0}`+"\n") {
			t.Errorf("%s: no verdict in\n%s", name, out)
		}
	}
}

// Both engines refuse a packet shorter than a link header, so they agree.
func TestBothEnginesRefuse(t *testing.T) {
	needKernel(t)
	data := filepath.Join(t.TempDir(), "packet")
	if err := os.WriteFile(data, make([]byte, 13), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := cli(t, "", "run", dispatch, "--engine", "both", "--data-in", data)
	if code != exitFailed || !strings.Contains(out, "1 input: no difference") || !strings.Contains(errOut, "every input was refused") {
		t.Errorf("packet of 13 bytes: exit %d\n%s%s", code, out, errOut)
	}
}

func TestDifferences(t *testing.T) {
	spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{
		"h": {Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 4},
	}}
	var colls []*carom.Collection
	for value := range uint32(2) {
		c, err := carom.NewCollection(spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Maps["h"].Put(uint32(7), value); err != nil {
			t.Fatal(err)
		}
		colls = append(colls, c)
	}
	if err := colls[1].Maps["h"].Put(uint32(9), uint32(1)); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	j := &judge{out: &text, coll: colls[1]}
	if err := errors.Join(
		j.differLists(3, "printed lines", []string{"a", "b"}, []string{"a"}),
		j.compareResults(4, verdicts{ebpf.XDP, verdictNames(ebpf.XDP, 0)}, &carom.Input{}, &carom.Result{Return: 1, Data: []byte{1}}),
		j.finish(colls[0], 4),
	); err != nil {
		t.Fatal(err)
	}
	want := `difference, input 3: printed lines, number 2: user space "b", kernel none
difference, input 4: verdict: user space XDP_DROP, kernel XDP_ABORTED
difference, input 4: packet: user space 1 bytes, from 0 on 01, kernel 0 bytes, from 0 on 
difference, after all runs: map h[7]: user space 4 bytes, from 0 on 00000000, kernel 4 bytes, from 0 on 01000000
difference, after all runs: map h[9]: user space absent, kernel 4 bytes, from 0 on 01000000
user space and kernel, 4 inputs: 5 differences
`
	if text.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", text.String(), want)
	}
	if err := j.verdict(); err == nil || exitCode(err) != exitFailed {
		t.Errorf("verdict %v, want an error", err)
	}
}

func TestKernelEngineErrors(t *testing.T) {
	needKernel(t)
	packet := filepath.Join(t.TempDir(), "packet")
	if err := os.WriteFile(packet, binary.BigEndian.AppendUint64(make([]byte, 64), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	unwind, line := examples+"unwind/unwind.o", examples+"readline/readline.o"
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{unwind, "--data-in", packet, "--engine", "kernel"}, exitUnsupported, "calls helper 65537, which Linux does not have"},
		{[]string{unwind, "--data-in", packet, "--engine", "both"}, exitUnsupported, "calls helper 65537, which Linux does not have"},
		{[]string{line, "--engine", "kernel"}, exitUnsupported, "only where it is attached"},
		{[]string{dispatch, "--data-in", packet, "--engine", "magic"}, exitUsage, "use auto, interp, jit, kernel or both"},
		{[]string{dispatch, "--data-in", packet, "--engine", "kernel", "--trace"}, exitUsage, "--trace is for user space"},
		{[]string{dispatch, "--data-in", packet, "--engine", "kernel", "--cpus", "256"}, exitFailed, "there is no CPU"},
	} {
		code, _, errOut := cli(t, "", append([]string{"run"}, tt.args...)...)
		if code != tt.code || !strings.Contains(errOut, tt.want) {
			t.Errorf("carom run %s: exit %d, %s; want %d and %q", strings.Join(tt.args, " "), code, errOut, tt.code, tt.want)
		}
	}
}
