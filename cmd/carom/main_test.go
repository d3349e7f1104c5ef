package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	examples = "../../examples/"
	testdata = "../../caromtest/testdata/"
	dispatch = examples + "xdp-dispatch/xdp_dispatch.o"
	traffic  = examples + "xdp-dispatch/traffic.pcap"
)

// cli runs the command in this process.
func cli(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(stdin), &o, &e)
	return code, o.String(), e.String()
}

// ok runs the command, which must succeed without a word on standard error.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := cli(t, "", args...)
	if code != exitOK || errOut != "" {
		t.Fatalf("carom %s: exit %d, %s", strings.Join(args, " "), code, errOut)
	}
	return out
}

// wantLines checks that lines come in this order; spaces are not counted.
func wantLines(t *testing.T, out string, want ...string) {
	t.Helper()
	lines := strings.Split(out, "\n")
	at := 0
	for _, w := range want {
		for at < len(lines) && strings.Join(strings.Fields(lines[at]), " ") != w {
			at++
		}
		if at == len(lines) {
			t.Errorf("line %q is missing or out of order in\n%s", w, out)
			return
		}
		at++
	}
}

func fixed(args ...string) []string { return append(args, "--clock", "fixed", "--seed", "1") }

func TestDispatchWithSlots(t *testing.T) {
	out := ok(t, fixed("run", dispatch, "--pcap", traffic, "--slot", "prog_array[0]=port8080_prog", "--slot", "prog_array[0x1]=port22_prog")...)
	wantLines(t, out,
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: port 8080: pass 60 bytes",
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: port 22: drop 60 bytes",
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: port 8080: pass 72 bytes",
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: port 22: drop 71 bytes",
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: port 8080: pass 60 bytes",
		"xdp_dispatch 12", "port22_prog 2", "port8080_prog 3",
		"xdp_dispatch -> prog_array[0] -> port8080_prog 3",
		"xdp_dispatch -> prog_array[1] -> port22_prog 2",
		"XDP_PASS 10", "XDP_DROP 2")
	if !strings.Contains(out, "12 packets, 12 runs, 5 tail calls, 0 not taken") {
		t.Errorf("no totals in\n%s", out)
	}
}

func TestDispatchWithoutSlots(t *testing.T) {
	out := ok(t, fixed("run", dispatch, "--pcap", traffic)...)
	if strings.Contains(out, "bpf_trace_printk") || strings.Contains(out, "tail call taken") {
		t.Errorf("something was called:\n%s", out)
	}
	for _, want := range []string{
		"xdp_dispatch -> prog_array[0]  empty slot      3  xdp_dispatch.c:87  bpf_tail_call(ctx",
		"xdp_dispatch -> prog_array[1]  empty slot      2  xdp_dispatch.c:87  bpf_tail_call(ctx",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	wantLines(t, out, "XDP_PASS 12")
}

// Output for people fits 100 columns, except for what programs print and maps hold.
func TestColumns(t *testing.T) {
	for _, args := range [][]string{
		fixed("run", dispatch, "--pcap", traffic, "--trace"),
		fixed("run", examples+"static-call/static_call.o", "--pcap", examples+"static-call/traffic.pcap"),
		{"disasm", dispatch}, {"run", "--help"}, {"--help"},
	} {
		for _, line := range strings.Split(ok(t, args...), "\n") {
			if n := utf8.RuneCountInString(line); n > maxColumns {
				t.Errorf("carom %s: %d columns: %s", strings.Join(args[:1], " "), n, line)
			}
		}
	}
}

func TestSameBytes(t *testing.T) {
	for _, extra := range [][]string{nil, {"--json"}, {"--trace"}, {"--cpus", "2"}} {
		args := append(fixed("run", dispatch, "--pcap", traffic, "--slot", "prog_array[0]=port8080_prog"), extra...)
		if a, b := ok(t, args...), ok(t, args...); a != b {
			t.Errorf("%v: two runs differ:\n%s\n%s", extra, a, b)
		}
	}
}

func TestTailContext(t *testing.T) {
	out := ok(t, fixed("run", examples+"tail-context/tail_context.o", "--pcap", examples+"tail-context/traffic.pcap",
		"--dump", "context", "--dump", "chain", "--cpus", "2")...)
	wantLines(t, out,
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: first=11 second=22",
		"carom-1 [001] b..11 1.000000: bpf_trace_printk: first=11 second=22",
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: first=11 second=22",
		"carom-1 [001] b..11 1.000000: bpf_trace_printk: first=11 second=22",
		`context[0] cpu 0 = {"first": 11, "second": 22}`,
		`context[0] cpu 1 = {"first": 11, "second": 22}`,
		"chain[0] = second_prog", "chain[1] = third_prog",
		"first_prog -> chain[0] -> second_prog 4", "second_prog -> chain[1] -> third_prog 4",
		"allow (1) 4")
}

func TestStaticCall(t *testing.T) {
	out := ok(t, fixed("run", examples+"static-call/static_call.o", "--pcap", examples+"static-call/traffic.pcap", "--dump", ".bss")...)
	wantLines(t, out,
		`.bss[0] = {"counted": 62, "stopped": 2, "optional_missed": 2}`,
		"start 2", "classify 2", "count_up 62", "set_mark 2",
		"count_up -> calls[9] -> count_up 60", "TC_ACT_OK 2")
	for _, want := range []string{"count_up -> calls[9]  limit of 33 reached      2", "start -> calls[6]     empty slot               2"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// jsonLines parses the lines of one kind.
func jsonLines(t *testing.T, out, kind string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if v["kind"] == kind {
			all = append(all, v)
		}
	}
	return all
}

// The type of an event is its first byte: 1 line, 2 odd, 3 even.
func TestReadline(t *testing.T) {
	args := fixed("run", examples+"readline/readline.o", "--event", examples+"readline/events.jsonl", "--json", "--trace")
	out := ok(t, args...)
	var types string
	for _, r := range jsonLines(t, out, "record") {
		if r["map"] != "events" || r["bytes"] != 92.0 {
			t.Errorf("record %v", r)
		}
		types += r["data"].(string)[:2] + " "
	}
	if types != "01 03 01 02 01 02 " {
		t.Errorf("types of events %s, want line and even for ll, line and odd for the other two", types)
	}
	first := jsonLines(t, out, "record")[0]["data"].(string)
	// type 1, pid 4211, 2 bytes, "ll"
	if want := "01000000" + "73100000" + "02000000" + "6c6c00"; !strings.HasPrefix(first, want) {
		t.Errorf("first event %s, want %s…", first, want)
	}
	var slots []any
	for _, h := range jsonLines(t, out, "hop") {
		slots = append(slots, h["index"])
	}
	if len(slots) != 3 || slots[0] != 146.0 || slots[1] != 135.0 || slots[2] != 135.0 {
		t.Errorf("slots %v, want 146, 135, 135", slots)
	}
}

// The object's BTF has a struct event, so events are printed field by field.
func TestReadlineText(t *testing.T) {
	args := fixed("run", examples+"readline/readline.o", "--event", examples+"readline/events.jsonl")
	want := []string{
		`events: {"type": 1, "pid": 4211, "length": 2, "line": "ll"}`,
		`events: {"type": 3, "pid": 4211, "length": 2, "line": "ll"}`,
		`events: {"type": 1, "pid": 4211, "length": 3, "line": "odd"}`,
		`events: {"type": 2, "pid": 4211, "length": 3, "line": "odd"}`,
		`events: {"type": 1, "pid": 5077, "length": 17, "line": "git log --oneline"}`,
		`events: {"type": 2, "pid": 5077, "length": 17, "line": "git log --oneline"}`,
		"readline_return 4", "even_length 1", "odd_length 2", "events 6 0",
	}
	wantLines(t, ok(t, args...), want...)
	wantLines(t, ok(t, append(args, "--events", "events:event")...), want...)
}

func TestSummaryJSON(t *testing.T) {
	out := ok(t, fixed("run", dispatch, "--pcap", traffic, "--json")...)
	s := jsonLines(t, out, "summary")
	if len(s) != 1 || !strings.HasSuffix(strings.TrimSpace(out), "}") {
		t.Fatalf("%d summaries", len(s))
	}
	for k, want := range map[string]any{"entry": "xdp_dispatch", "type": "XDP", "inputs": 12.0, "runs": 12.0, "tail_calls": 0.0, "not_taken": 5.0} {
		if s[0][k] != want {
			t.Errorf("%s = %v, want %v", k, s[0][k], want)
		}
	}
	miss := s[0]["misses"].([]any)[0].(map[string]any)
	if miss["reason"] != "empty slot" || miss["map"] != "prog_array" || miss["index"] != 0.0 || miss["line"] != 87.0 || miss["count"] != 3.0 {
		t.Errorf("miss %v", miss)
	}
	if _, there := s[0]["elapsed_ns"]; there {
		t.Error("a fixed clock has no time")
	}
	out = ok(t, "run", dispatch, "--pcap", traffic, "--json")
	if _, there := jsonLines(t, out, "summary")[0]["elapsed_ns"]; !there {
		t.Error("no time with the real clock")
	}
}

func TestTrace(t *testing.T) {
	out := ok(t, fixed("run", dispatch, "--pcap", traffic, "--trace", "--slot", "prog_array[0]=port8080_prog")...)
	wantLines(t, out,
		"xdp_dispatch[33] xdp_dispatch.c:87 -> prog_array[0] -> port8080_prog (1)",
		"carom-1 [000] b..11 1.000000: bpf_trace_printk: port 8080: pass 60 bytes",
		"xdp_dispatch[33] xdp_dispatch.c:87 -> prog_array[1]: not taken, empty slot (0)")
}

// The packets of the capture are stamped 2026-01-02 03:04:05 and later.
func TestPcapClock(t *testing.T) {
	out := ok(t, "run", dispatch, "--pcap", traffic, "--clock", "pcap", "--slot", "prog_array[0]=port8080_prog")
	if !strings.Contains(out, "[000] b..11 1767323045.000000: bpf_trace_printk: port 8080: pass 60 bytes\n") {
		t.Errorf("no packet time in\n%s", out)
	}
}

func TestDataIn(t *testing.T) {
	dir := t.TempDir()
	p := filepath.Join(dir, "packet.bin")
	data, ctx := filepath.Join(dir, "data.bin"), filepath.Join(dir, "ctx.bin")
	frame := strings.Repeat("\x01", 60)
	if err := os.WriteFile(p, []byte(frame), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ok(t, "run", dispatch, "--data-in", p, "--data-out", data, "--ctx-out", ctx, "--repeat", "100")
	wantLines(t, out, "xdp_dispatch 100", "XDP_PASS 1")
	if b, _ := os.ReadFile(data); string(b) != frame {
		t.Errorf("data out % x", b)
	}
	if b, _ := os.ReadFile(ctx); len(b) != 24 || b[4] != 60 { // xdp_md.data_end
		t.Errorf("context out % x", b)
	}
	code, out, errOut := cli(t, frame, "run", dispatch, "--data-in", "-", "--data-out", "-")
	if code != 0 || !strings.Contains(out, "data_out: 60 bytes\n  00000000  01 01 01") {
		t.Errorf("exit %d, %s\n%s", code, errOut, out)
	}
}

func TestWrite(t *testing.T) {
	to := filepath.Join(t.TempDir(), "out.pcap")
	ok(t, "run", dispatch, "--pcap", traffic, "--write", to)
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(traffic)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("a program that changes nothing changed the capture")
	}
	// state_meta puts 4 bytes of metadata before the packet, which are no part of it.
	ok(t, "run", testdata+"state_meta.o", "--prog", "entry", "--pcap", traffic, "--write", to)
	if got, err = os.ReadFile(to); err != nil || !bytes.Equal(got, want) {
		t.Errorf("metadata got into the packets: %v", err)
	}
}

func TestStdin(t *testing.T) {
	b, err := os.ReadFile(traffic)
	if err != nil {
		t.Fatal(err)
	}
	code, out, errOut := cli(t, string(b), "run", dispatch, "--pcap", "-")
	if code != 0 {
		t.Fatal(errOut)
	}
	wantLines(t, out, "XDP_PASS 12")
}

func TestSet(t *testing.T) {
	sparse := testdata + "values_sparse.o"
	for selector, want := range map[string]string{"0": "9", "1": "11", "3": "33", "0x3": "33"} {
		out := ok(t, "run", sparse, "--pcap", traffic, "--set", "selector="+selector, "--json")
		v := jsonLines(t, out, "summary")[0]["verdicts"].([]any)[0].(map[string]any)
		if s, _ := json.Marshal(v["value"]); string(s) != want {
			t.Errorf("selector %s gives %s, want %s", selector, s, want)
		}
	}
	out := ok(t, "run", testdata+"partial_key.o", "--prog", "clean_key", "--pcap", traffic, "--set", "numbers[1]=77", "--dump", "numbers", "--json")
	v := jsonLines(t, out, "summary")[0]["verdicts"].([]any)[0].(map[string]any)
	if v["value"] != 77.0 {
		t.Errorf("the program read %v, want 77", v["value"])
	}
	e := jsonLines(t, out, "element")
	if len(e) < 2 || e[1]["key"] != 1.0 || e[1]["value"] != 77.0 {
		t.Errorf("dump %v", e)
	}
	out = ok(t, fixed("run", examples+"tail-context/tail_context.o", "--prog", "third_prog", "--pcap", examples+"tail-context/traffic.pcap",
		"--set", "context[0]={first: 5, second: 6}", "--cpus", "2")...)
	wantLines(t, out, "carom-1 [000] b..11 1.000000: bpf_trace_printk: first=5 second=6",
		"carom-1 [001] b..11 1.000000: bpf_trace_printk: first=5 second=6")
}

// Frames shorter than an Ethernet header are refused with EINVAL, as BPF_PROG_TEST_RUN does.
func TestRefused(t *testing.T) {
	short := pcapOf(60, 4, 60)
	code, out, errOut := cli(t, short, "run", dispatch, "--pcap", "-")
	if code != exitOK || errOut != "" {
		t.Fatalf("exit %d, %s", code, errOut)
	}
	wantLines(t, out, "XDP_PASS 2")
	if !strings.Contains(out, "EINVAL") || !strings.Contains(out, "3 packets, 2 runs") {
		t.Errorf("the refused packet is not in\n%s", out)
	}
	code, _, errOut = cli(t, pcapOf(4), "run", dispatch, "--pcap", "-")
	if code != exitFailed || !strings.Contains(errOut, "every input was refused") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

// pcapOf makes a capture of frames of zeros.
func pcapOf(sizes ...int) string {
	b := "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00\x00"
	for _, n := range sizes {
		b += strings.Repeat("\x00", 8) + strings.Repeat(string([]byte{byte(n), 0, 0, 0}), 2) + strings.Repeat("\x00", n)
	}
	return b
}

// A raw tracepoint gets the bytes of its arguments.
func TestContextIn(t *testing.T) {
	ctx := filepath.Join(t.TempDir(), "ctx.bin")
	if err := os.WriteFile(ctx, make([]byte, 16), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ok(t, fixed("run", testdata+"prog_array_init.o", "--ctx-in", ctx, "--dump", ".bss")...)
	wantLines(t, out, `.bss[0] = {"value": 42}`, "entry -> jmp_table[1] -> set_value 1")
}

// carom stops between inputs when it is interrupted, and shows what it has.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var o, e bytes.Buffer
	code := run(ctx, []string{"run", dispatch, "--pcap", traffic}, strings.NewReader(""), &o, &e)
	if code != exitFailed || strings.Count(e.String(), "\n") != 1 {
		t.Errorf("exit %d, %q", code, e.String())
	}
}

func TestFault(t *testing.T) {
	code, out, errOut := cli(t, "", "run", testdata+"u8_key.o", "--pcap", traffic, "--no-verify")
	if code != exitFailed || strings.Count(errOut, "\n") != 2 {
		t.Errorf("exit %d, %q", code, errOut)
	}
	for _, want := range []string{"not verified", "the interpreter", "entry", "insn 6", "call bpf_map_lookup_elem#1", "u8_key.c:17", "read of 4 bytes", "key_size"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("%q is missing in %s", want, errOut)
		}
	}
	wantLines(t, out, "entry 1")
}

func TestDisasm(t *testing.T) {
	out := ok(t, "disasm", dispatch, "--prog", "port22_prog")
	wantLines(t, out, "port22_prog: XDP, section xdp", "port22_prog:",
		`; bpf_printk("port 22: drop %u bytes", bytes); [file:xdp_dispatch.c line_num:67 line_col:2]`,
		"3: (18) r1 = map[.rodata][0]+25", "6: (85) call bpf_trace_printk#6",
		"; return XDP_DROP; [file:xdp_dispatch.c line_num:68 line_col:2]", "7: (b4) w0 = 1", "8: (95) exit")
	// A program that no engine here runs can be read all the same.
	if out := ok(t, "disasm", examples+"unwind/unwind.o", "--prog", "classify"); !strings.Contains(out, "unknown#65537") || !strings.Contains(out, "#choose") {
		t.Errorf("the call of the host's helper or of a subprogram is missing in\n%s", out)
	}
	var all []programLines
	if err := json.Unmarshal([]byte(ok(t, "disasm", dispatch, "--json")), &all); err != nil || len(all) != 3 {
		t.Errorf("%d programs, %v", len(all), err)
	}
}

func TestVersion(t *testing.T) {
	if out := ok(t, "version"); !strings.HasPrefix(out, "carom ") {
		t.Error(out)
	}
	var v map[string]string
	if err := json.Unmarshal([]byte(ok(t, "version", "--json")), &v); err != nil || v["profile"] != "6.18" {
		t.Errorf("%v, %v", v, err)
	}
}
