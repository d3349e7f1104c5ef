package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

const needsSkip = testdata + "u8_key.o"

func TestVerifyAccepted(t *testing.T) {
	out := ok(t, "verify", dispatch, testdata+"bpf2bpf4.o")
	text := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"object program type verdict insns peak states stack time",
		"xdp_dispatch.o port22_prog XDP accepted 8 0 0 ",
		"xdp_dispatch.o xdp_dispatch XDP accepted 50 5 0 ",
		"stack of target_2: target_2 0, third_level 0, make_noise 8",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestVerifyRejected(t *testing.T) {
	code, out, errOut := cli(t, "", "verify", needsSkip)
	if code != exitRejected || errOut != "carom: 1 of 1 verdicts: rejected\n" {
		t.Errorf("exit %d, %q", code, errOut)
	}
	wantLines(t, out, "u8_key.o: entry: rejected (EINVAL)", "invalid read from stack R2 off=-1 size=4",
		"at ./u8_key.c:17, insn 6", "__u32 *number = bpf_map_lookup_elem(&numbers, &key);")
}

// Both frames and their variables are named; the program with smaller ones loads.
func TestVerifyFrames(t *testing.T) {
	code, out, _ := cli(t, "", "verify", testdata+"line_buffers.o")
	if code != exitRejected {
		t.Errorf("exit %d", code)
	}
	text := strings.Join(strings.Fields(out), " ")
	for _, want := range []string{
		"line_buffers.o narrow Kprobe accepted", "combined stack size of 2 calls is 704. Too large",
		"wide() 352 bytes", "report_wide() 352 bytes", "in wide(): line (256), event (44)", "in report_wide(): line (256), event (44)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestVerifyJSON(t *testing.T) {
	code, out, _ := cli(t, "", "verify", needsSkip, dispatch, "--json")
	if code != exitRejected {
		t.Errorf("exit %d", code)
	}
	var all []verified
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var v verified
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, v)
	}
	if len(all) != 4 || all[0].Verdict != verdictRejected || all[3].Verdict != verdictAccepted {
		t.Fatalf("%+v", all)
	}
	r := all[0].Reason
	if r.Errno != "EINVAL" || *r.Insn != 6 || r.Register != "R2" || r.Line != 17 || r.Message != "invalid read from stack R2 off=-1 size=4" {
		t.Errorf("%+v", r)
	}
	if all[3].Program != "xdp_dispatch" || all[3].Insns != 50 || all[3].Kernel != "6.18" || all[3].Functions[0].Name != "xdp_dispatch" {
		t.Errorf("%+v", all[3])
	}
}

// Linux 6.12 makes packet pointers invalid at every tail call, 6.18 does not.
func TestVerifyKernels(t *testing.T) {
	code, out, _ := cli(t, "", "verify", testdata+"packet_main.o", needsSkip, "--kernel", "6.12,6.18")
	if code != exitRejected {
		t.Errorf("exit %d", code)
	}
	wantLines(t, out, "object program type 6.12 6.18", "packet_main.o entry SchedCLS rejected loads", "packet_main.o target SchedCLS loads loads",
		"packet_main.o: entry on Linux 6.12: rejected (EACCES)", "R7 invalid mem access 'scalar'",
		"u8_key.o: entry on Linux 6.12, 6.18: rejected (EINVAL)",
		"TailCall changes the packet yes no from source net/core/filter.c, 1a4607ffba35")
}

func TestVerifyLog(t *testing.T) {
	out := ok(t, "verify", dispatch, "--program", "port22_prog", "--log")
	wantLines(t, out, "xdp_dispatch.o: port22_prog, Linux 6.18", "; return XDP_DROP; @ xdp_dispatch.c:68", "object program type verdict insns peak states stack time")
	if !strings.Contains(out, "call bpf_trace_printk#6") || !strings.Contains(out, "processed 8 insns") {
		t.Error(out)
	}
}

func TestVerifyUnsupported(t *testing.T) {
	code, out, errOut := cli(t, "", "verify", testdata+"extension.o", "--prog", "extension")
	if code != exitUnsupported || !strings.Contains(errOut, "not supported") || !strings.Contains(out, "extensions") {
		t.Errorf("exit %d, %q\n%s", code, errOut, out)
	}
}

// Maps that cannot be made or filled keep an object from loading, too.
func TestVerifyMaps(t *testing.T) {
	for object, want := range map[string]string{
		"u8_prog_array.o": "key_size is 1", "values_too_many.o": "past max_entries 1", "values_other_type.o": "program type",
	} {
		code, out, errOut := cli(t, "", "verify", testdata+object)
		if text := strings.Join(strings.Fields(out), " "); code != exitFailed || !strings.Contains(text, want) || !strings.Contains(text, "(maps)") {
			t.Errorf("%s: exit %d, %q\n%s", object, code, errOut, out)
		}
	}
}

// Helpers that a host adds are known by number only.
func TestVerifyHelper(t *testing.T) {
	if code, _, _ := cli(t, "", "verify", examples+"unwind/unwind.o"); code != exitRejected {
		t.Errorf("exit %d", code)
	}
	for _, helper := range []string{"65537", "65537:unwind", "0x10001"} {
		wantLines(t, strings.ReplaceAll(ok(t, "verify", examples+"unwind/unwind.o", "--kernel", "6.18,6.12", "--helper", helper), "SchedCLS", ""),
			"unwind.o classify loads loads", "unwind.o receive loads loads")
	}
}

func TestVerifyUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"no object file":        {"verify"},
		"6.1, 6.6, 6.12, 6.18":  {"verify", dispatch, "--kernel", "5.4"},
		`no object has a progr`: {"verify", dispatch, "--prog", "nope"},
		"--helper x":            {"verify", dispatch, "--helper", "x"},
		"--no-verify":           {"run", dispatch, "--pcap", traffic, "--engine", "kernel", "--no-verify"},
	} {
		code, _, errOut := cli(t, "", args...)
		if code != exitUsage || !strings.Contains(errOut, want) || strings.Count(errOut, "\n") != 1 {
			t.Errorf("%q: exit %d, %q", args, code, errOut)
		}
	}
}

func TestVerifyColumns(t *testing.T) {
	for _, args := range [][]string{
		{"verify", testdata + "line_buffers.o"}, {"verify", testdata + "owner_entry.o"}, {"verify", "--help"},
		{"verify", testdata + "packet_main.o", testdata + "stack_256.o", "--kernel", "6.1,6.6,6.12,6.18"},
	} {
		_, out, _ := cli(t, "", args...)
		for _, line := range strings.Split(out, "\n") {
			if n := utf8.RuneCountInString(line); n > maxColumns {
				t.Errorf("carom %s: %d columns: %s", strings.Join(args, " "), n, line)
			}
		}
	}
}

// --no-verify runs what is rejected, and says who runs it.
func TestNoVerify(t *testing.T) {
	code, _, errOut := cli(t, "", "run", needsSkip, "--pcap", traffic)
	if code != exitRejected || !strings.Contains(errOut, "invalid read from stack R2 off=-1 size=4") {
		t.Errorf("exit %d, %q", code, errOut)
	}
	for _, flag := range []string{"--no-verify", "--skip-verify"} {
		code, out, errOut := cli(t, "", "run", dispatch, "--pcap", traffic, flag)
		if code != exitOK || !strings.Contains(out, "XDP_PASS") ||
			errOut != "carom: programs are not verified: the interpreter runs them and checks every access\n" {
			t.Errorf("%s: exit %d, %q", flag, code, errOut)
		}
	}
}
