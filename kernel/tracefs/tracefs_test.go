package tracefs

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	// As Linux 6.18 writes it; the second text has a newline inside and one at its end.
	const pipe = `           <...>-1234    [001] ...11  1234.567890: bpf_trace_printk: first=11 second=22
     a-b c [0] x-77    [000] b..4.  1.000001: bpf_trace_printk: one
two

CPU:1 [LOST 12 EVENTS]
            bash-8     [010] ...11  2.000000: bpf_trace_printk: : bpf_trace_printk: 
`
	want := []Line{
		{1234, 1, "first=11 second=22"},
		{77, 0, "one\ntwo"},
		{8, 10, ": bpf_trace_printk: "},
	}
	if got := parse(pipe); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
