package tracefs

import (
	"reflect"
	"testing"
)

// What Linux 6.18 wrote with the options stacktrace and sym-addr; the second text has a newline
// inside, and its stack comes behind that of the line that interrupted it on the same CPU.
const pipeWithStacks = `    tracefs.test-12228   [001] b..11  6514.557963: bpf_trace_printk: n42
    tracefs.test-12228   [001] b..11  6514.558616: <stack trace>
 => trace_event_raw_event_bpf_trace_printk <ffffffff814bbc23>
 => bpf_prog_c3bb7022bb5a676a_zzprobe <ffffffffc00221e8>
            bash-8       [010] ...11  6515.000000: bpf_trace_printk: one
two

            bash-8       [010] ..s11  6515.000001: bpf_trace_printk: inner
            bash-8       [010] ..s11  6515.000002: <stack trace>
 => bpf_prog_1_inner <ffffffffc0000001>
            bash-8       [010] ...11  6515.000003: <stack trace>
 => bpf_prog_2_outer <ffffffffc0000002>
CPU:1 [LOST 12 EVENTS]
`

func TestStream(t *testing.T) {
	want := []Entry{
		{Line{12228, 1, "n42"}, "    tracefs.test-12228   [001] b..11  6514.557963: bpf_trace_printk: ", "tracefs.test", 6514557963000,
			[]Frame{{0xffffffff814bbc23, "trace_event_raw_event_bpf_trace_printk"}, {0xffffffffc00221e8, "bpf_prog_c3bb7022bb5a676a_zzprobe"}}},
		{Line{8, 10, "one\ntwo"}, "            bash-8       [010] ...11  6515.000000: bpf_trace_printk: ", "bash", 6515000000000,
			[]Frame{{0xffffffffc0000002, "bpf_prog_2_outer"}}},
		{Line{8, 10, "inner"}, "            bash-8       [010] ..s11  6515.000001: bpf_trace_printk: ", "bash", 6515000001000,
			[]Frame{{0xffffffffc0000001, "bpf_prog_1_inner"}}},
	}
	// In one piece, and byte by byte.
	for _, size := range []int{len(pipeWithStacks), 1} {
		s := stream{stack: -1}
		var got []Entry
		var lost uint64
		for at := 0; at < len(pipeWithStacks); at += size {
			s.feed(pipeWithStacks[at : at+size])
			if size > 1 {
				b := s.take(true)
				got, lost = append(got, b.Entries...), lost+b.Lost
			}
		}
		b := s.take(true)
		got, lost = append(got, b.Entries...), lost+b.Lost
		if !reflect.DeepEqual(got, want) || lost != 12 {
			t.Errorf("pieces of %d: lost %d\ngot  %+v\nwant %+v", size, lost, got, want)
		}
	}
}

// A line whose stack has not come is held back for one call, and only for one.
func TestStreamHoldsBack(t *testing.T) {
	s := stream{stack: -1}
	s.feed("            bash-8       [010] ...11  6515.000000: bpf_trace_printk: one\n")
	if b := s.take(true); len(b.Entries) != 0 {
		t.Errorf("a line without its stack was not held back: %+v", b)
	}
	s.feed("            bash-8       [010] ...11  6515.000003: <stack trace>\n => f <1>\n")
	if b := s.take(true); len(b.Entries) != 1 || len(b.Entries[0].Stack) != 1 {
		t.Errorf("got %+v", b)
	}
	s.feed("            bash-8       [010] ...11  6515.000000: bpf_trace_printk: two\n")
	s.take(true)
	if b := s.take(true); len(b.Entries) != 1 || b.Entries[0].Text != "two" {
		t.Errorf("got %+v", b)
	}
}
