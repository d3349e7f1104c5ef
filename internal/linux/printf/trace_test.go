//go:build linux

package printf

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestKernelTrace asks the kernel for the texts of TestTrace. The tracefs
// instance is only read.
func TestKernelTrace(t *testing.T) {
	const trace = "/sys/kernel/tracing/trace"
	if _, err := os.Stat(trace); err != nil {
		t.Skipf("tracefs is not mounted: %v", err)
	}
	for i, c := range traceCases {
		if len(c.format) == 0 {
			continue // a map value can't be empty
		}
		mark := fmt.Sprintf("carom-%d-%d:", os.Getpid(), i)
		j := &judge{t, []byte(mark + c.format), c.args}
		ret, err := j.vprintk()
		if err != nil {
			t.Fatal(err)
		}
		if c.ret < 0 {
			if ret != c.ret {
				t.Errorf("bpf_trace_vprintk(%q) = %d, want %d", c.format, ret, c.ret)
			}
			continue
		}
		if want := c.ret + int64(len(mark)); ret != want {
			t.Errorf("bpf_trace_vprintk(%q) = %d, want %d", mark+c.format, ret, want)
		}
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Skip(err)
		}
		_, after, _ := bytes.Cut(text, []byte(": "+mark))
		want := c.text
		if over := len(mark) + len(want) - (TraceBufferSize - 1); over > 0 {
			want = want[:len(want)-over]
		}
		if !strings.HasPrefix(string(after), want+"\n") {
			t.Errorf("%q shows %.60q, want %q", c.format, after, want)
		}
	}
}

// TestKernelSymbols compares %ps, %pS and %pB of an address inside a kernel
// function.
func TestKernelSymbols(t *testing.T) {
	kallsyms, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Skip(err)
	}
	m := regexp.MustCompile(`(?m)^([0-9a-f]{16}) T (bpf_prog_free)$`).FindSubmatch(kallsyms)
	var addr uint64
	if m != nil {
		fmt.Sscanf(string(m[1]), "%x", &addr)
	}
	if addr == 0 {
		t.Skip("kernel addresses are hidden")
	}
	format := "%ps|%pS|%pB|%20ps|%pS\x00"
	values := []uint64{addr + 4, addr + 4, addr + 5, addr, addr}
	j := &judge{t, []byte(format), []arg{{value: values[0]}, {value: values[1]}, {value: values[2]}, {value: values[3]}, {value: values[4]}}}
	ret, out, err := j.snprintf(4096)
	if err != nil {
		t.Fatal(err)
	}
	got := string(out[:ret-1])
	var size uint64
	fmt.Sscanf(got, "bpf_prog_free|bpf_prog_free+0x4/0x%x", &size)
	p := &Printer{Symbol: func(a uint64) (Symbol, bool) {
		return Symbol{"bpf_prog_free", "", a - addr, size}, true
	}}
	ours := make([]byte, 200)
	k, err := p.Format(ours, []byte(format), values)
	if err != nil || string(ours[:k]) != got {
		t.Errorf("got %q, %v, Linux says %q", ours[:k], err, got)
	}
}

// TestKernelPrintkArguments: bpf_trace_printk always has three arguments.
func TestKernelPrintkArguments(t *testing.T) {
	for format, want := range map[string]int64{"%d%d%d\x00": 3, "%d%d%d%d\x00": -22, "\x00": 0} {
		j := &judge{t, []byte(format), args(n(1), n(2), n(3))}
		ret, err := j.printk()
		if err != nil || ret != want {
			t.Errorf("bpf_trace_printk(%q) = %d, %v, want %d", format, ret, err, want)
		}
		var buf [TraceBufferSize]byte
		if _, ret, _ := new(Printer).Trace(&buf, []byte(format), []uint64{1, 2, 3}); ret != want {
			t.Errorf("Trace(%q) = %d, want %d", format, ret, want)
		}
	}
}
