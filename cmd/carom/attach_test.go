package main

import (
	"strings"
	"testing"
)

// TestAttachUsage: a wrong command line is found before anything is loaded, on every system.
func TestAttachUsage(t *testing.T) {
	const (
		readline = examples + "readline/readline.o"
		context  = examples + "tail-context/tail_context.o"
		static   = examples + "static-call/static_call.o"
	)
	for _, c := range []struct {
		args []string
		want string // in the message
	}{
		{[]string{dispatch}, "section xdp of port22_prog names no place to attach to; give --xdp INTERFACE"},
		{[]string{context}, "give --cgroup PATH"},
		{[]string{context, "--cgroup", ""}, "--cgroup: it is empty"},
		{[]string{static, "--tc", "lo"}, "write ingress or egress behind the interface"},
		{[]string{static, "--tc", "lo", "ingress", "egress"}, `"egress" is one more`},
		{[]string{dispatch, "--xdp", "lo", "--xdp-mode", "fast"}, "use generic or native"},
		{[]string{dispatch, "--xdp-mode", "generic"}, "--xdp-mode goes with --xdp"},
		{[]string{dispatch, "--cgroup", "/"}, "the object has no CGroupSKB program"},
		{[]string{readline, "--prog", "none"}, `no program "none"`},
		{[]string{readline, "--uprobe", "/bin/bash"}, "BINARY:SYMBOL"},
		{[]string{readline, "--uprobe", "/bin/bash:"}, "BINARY:SYMBOL"},
		{[]string{readline, "--uprobe", "/bin/bash:readline+x"}, `the offset "x" is not a number`},
		{[]string{readline, "--uretprobe", "/bin/bash:readline+4"}, "leave out the offset"},
		{[]string{readline, "--tracepoint", "sched"}, "GROUP:NAME"},
		{[]string{readline, "--raw-tracepoint", "sys_enter"}, "no RawTracepoint program"},
		{[]string{readline, "--pid", "-1"}, "--pid -1"},
		{[]string{dispatch, "--xdp", "lo", "--pid", "1"}, "--pid goes with --uprobe"},
		{[]string{readline, "--duration", "-1s"}, "use a positive time"},
		{[]string{readline, "--slot", "events[0]=odd_length"}, "use --set for other maps"},
		{[]string{readline, "--set", "none=1"}, `no variable "none"`},
		{[]string{}, "no object file"},
	} {
		code, out, errOut := cli(t, "", append([]string{"attach"}, c.args...)...)
		if code != exitUsage || out != "" || !strings.Contains(errOut, c.want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("carom attach %s: exit %d, %q, want %q", strings.Join(c.args, " "), code, errOut, c.want)
		}
	}
}

// TestSections: places that sections name, as libbpf reads them.
func TestSections(t *testing.T) {
	spec, err := readObject(examples + "readline/readline.o")
	if err != nil {
		t.Fatal(err)
	}
	f := &attachFlags{places: map[string]*[]string{}}
	for section, ok := range map[string]bool{
		"uretprobe//bin/bash:readline": true, "uprobe//bin/bash:readline+4": true, "uprobe.s//bin/bash:readline": true,
		"uprobe.multi//bin/bash:readline": true, "kprobe/do_exit": true, "kretprobe/do_exit": true,
		"uprobe": false, "uprobe/": false, "kprobe": false, "usdt/x": false, "xdp": false,
	} {
		p := spec.Programs["readline_return"].Copy()
		p.SectionName = section
		if _, err := sectionPlace(p, f); (err == nil) != ok {
			t.Errorf("%s: %v", section, err)
		}
	}
	todo, err := assignPrograms(spec, f, nil, nil)
	if err != nil || len(todo) != 1 || todo[0].program != "readline_return" {
		t.Errorf("got %v, %v; the other programs are in slots", todo, err)
	}
}
