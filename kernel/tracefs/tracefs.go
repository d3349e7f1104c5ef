// Package tracefs reads what BPF programs print with bpf_trace_printk in the Linux kernel, from a
// trace instance of its own, so that nobody else's trace is disturbed.
package tracefs

import (
	"regexp"
	"strconv"
	"strings"
)

// Line is one call of bpf_trace_printk.
type Line struct {
	TID  int    // thread that the program ran in
	CPU  int    // where it ran
	Text string // what it printed, without the newline that ends it
}

// header is what the kernel writes before the text: comm (16 characters), -tid [cpu] flags time: event:
var header = regexp.MustCompile(`^.{16}-(\d+) +\[(\d+)\] .*?: bpf_trace_printk: `)

// parse splits the text of trace_pipe into lines. Text after a newline in what a program printed
// has no header and belongs to the line before.
func parse(pipe string) []Line {
	var lines []Line
	for row := range strings.Lines(pipe) {
		row = strings.TrimSuffix(row, "\n")
		m := header.FindStringSubmatch(row)
		if m == nil {
			if n := len(lines); n > 0 && !strings.HasPrefix(row, "CPU:") {
				lines[n-1].Text += "\n" + row
			}
			continue
		}
		tid, _ := strconv.Atoi(m[1])
		cpu, _ := strconv.Atoi(m[2])
		lines = append(lines, Line{tid, cpu, row[len(m[0]):]})
	}
	for i := range lines {
		lines[i].Text = strings.TrimSuffix(lines[i].Text, "\n")
	}
	return lines
}
