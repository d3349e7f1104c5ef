package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badFiles makes the broken files of TestErrors.
func badFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	object, err := os.ReadFile(dispatch)
	if err != nil {
		t.Fatal(err)
	}
	capture, err := os.ReadFile(traffic)
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(b []byte)) []byte {
		b := append([]byte(nil), object...)
		f(b)
		return b
	}
	little := binary.LittleEndian
	for name, b := range map[string][]byte{
		"empty.o":   nil,
		"header.o":  object[:30],
		"cut.o":     object[:len(object)/2],
		"text.c":    []byte("#include <linux/bpf.h>\n"),
		"random.o":  []byte("\x01\x02\x03\x04\x05"),
		"bitcode.o": []byte("BC\xc0\xde...."),
		"foreign.o": change(func(b []byte) { b[18], b[19] = 62, 0 }),
		"big.o":     change(func(b []byte) { b[5], b[16], b[17], b[18], b[19] = 2, 0, 1, 0, 247 }),
		"narrow.o":  change(func(b []byte) { b[4] = 1 }),
		"exe.o":     change(func(b []byte) { b[16] = 2 }),
		"table.o":   change(func(b []byte) { little.PutUint16(b[58:], 7) }),
		"section.o": change(func(b []byte) {
			at := little.Uint64(b[40:])
			little.PutUint64(b[at+64+32:], 1<<40) // size of section 1
		}),
		"strings.o":      change(func(b []byte) { little.PutUint16(b[62:], 2) }),
		"cut.pcap":       capture[:len(capture)-10],
		"text.pcap":      []byte("not a capture"),
		"empty.pcap":     nil,
		"json.jsonl":     []byte("{\"pid\": 1}\n{\"pid\": \n"),
		"unknown.jsonl":  []byte("{\"pud\": 1}\n"),
		"register.jsonl": []byte("{\"regs\": {\"eax1\": 1}}\n"),
		"ref.jsonl":      []byte("\n{\"regs\": {\"ax\": \"&line\"}}\n"),
		"number.jsonl":   []byte("{\"regs\": {\"ax\": 1.5}}\n"),
		"hex.jsonl":      []byte("{\"memory\": {\"m\": \"zz\"}}\n"),
		"two.jsonl":      []byte("{} {}\n"),
		"comm.jsonl":     []byte("{\"comm\": \"0123456789abcdef\"}\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir + "/"
}

// TestErrors: every mistake is one line that names the thing and what to do.
func TestErrors(t *testing.T) {
	bad := badFiles(t)
	readline := examples + "readline/readline.o"
	pcap := []string{"--pcap", traffic}
	for _, c := range []struct {
		name string
		code int
		args []string
		want []string // all in the message
	}{
		{"empty object", 1, append([]string{"run", bad + "empty.o"}, pcap...), []string{"empty.o", "empty", "compile it"}},
		{"cut in the header", 1, []string{"run", bad + "header.o"}, []string{"header.o", "cut", "30 of the 64", "again"}},
		{"cut object", 1, []string{"run", bad + "cut.o"}, []string{"cut.o", "cut", "section table", "again"}},
		{"source", 1, []string{"run", bad + "text.c"}, []string{"text.c", "C source", "clang"}},
		{"random bytes", 1, []string{"run", bad + "random.o"}, []string{"random.o", "not an ELF", "01020304", "clang"}},
		{"bitcode", 1, []string{"run", bad + "bitcode.o"}, []string{"bitcode.o", "LLVM bitcode", "clang"}},
		{"another machine", 1, []string{"run", bad + "foreign.o"}, []string{"foreign.o", "X86_64", "-target bpf"}},
		{"big-endian", 1, []string{"run", bad + "big.o"}, []string{"big.o", "big-endian", "-target bpfel"}},
		{"32 bits", 1, []string{"run", bad + "narrow.o"}, []string{"narrow.o", "32-bit"}},
		{"not relocatable", 1, []string{"run", bad + "exe.o"}, []string{"exe.o", "not a relocatable"}},
		{"section table", 1, []string{"run", bad + "table.o"}, []string{"table.o", "corrupt"}},
		{"section too long", 1, []string{"run", bad + "section.o"}, []string{"section.o", "corrupt", "section 1"}},
		{"wrong string table", 1, []string{"run", bad + "strings.o"}, []string{"strings.o", "compile it again"}},
		{"capture as object", 1, []string{"run", traffic}, []string{"traffic.pcap", "packet capture", "--pcap"}},
		{"no such object", 1, []string{"disasm", bad + "nope.o"}, []string{"nope.o", "no such file"}},
		{"folder as object", 1, []string{"disasm", bad}, []string{"directory"}},

		{"capture cut mid-packet", 1, []string{"run", dispatch, "--pcap", bad + "cut.pcap"}, []string{"cut.pcap", "packet 12", "editcap"}},
		{"not a capture", 1, []string{"run", dispatch, "--pcap", bad + "text.pcap"}, []string{"text.pcap", "not a capture", "give a pcap"}},
		{"empty capture", 1, []string{"run", dispatch, "--pcap", bad + "empty.pcap"}, []string{"empty.pcap", "empty"}},
		{"no such capture", 1, []string{"run", dispatch, "--pcap", bad + "nope.pcap"}, []string{"nope.pcap", "no such file", "--pcap"}},

		{"too few slots", 1, append([]string{"run", testdata + "values_too_many.o"}, pcap...), []string{"jmp_table", "max_entries 1", "raise max_entries"}},
		{"no size", 1, append([]string{"run", testdata + "values_no_size.o"}, pcap...), []string{"jmp_table", "max_entries is 0", "set it"}},
		{"other type", 1, append([]string{"run", testdata + "values_other_type.o"}, pcap...), []string{"jmp_table", "target", "XDP", "SchedCLS"}},
		{"u8 key", 1, append([]string{"run", testdata + "u8_prog_array.o"}, pcap...), []string{"jmp_table", "key_size is 1", "4 bytes", "correct the definition"}},
		{"u8 key", 3, append([]string{"run", testdata + "u8_key.o"}, pcap...), []string{"bpf_map_lookup_elem", "u8_key.c:17", "invalid read from stack R2 off=-1 size=4", "carom verify"}},
		{"unknown helper", 1, append([]string{"run", testdata + "unknown_helper.o"}, pcap...), []string{"entry", "helper 9999", "unknown_helper.c", "supply it"}},
		{"slot of another type", 1, append([]string{"run", testdata + "owner.o", "--prog", "tc_prog", "--slot", "jmp_table[0]=tc_prog", "--slot", "jmp_table[1]=xdp_prog"}, pcap...),
			[]string{"jmp_table[1]", "xdp_prog", "XDP", "SchedCLS"}},
		{"endless run", 1, append([]string{"run", dispatch, "--budget", "5"}, pcap...), []string{"xdp_dispatch", "budget"}},

		{"a type that cannot be run", 4, []string{"run", testdata + "owner.o", "--prog", "cgroup_connect4_prog"}, []string{"cgroup_connect4_prog", "cannot be run", "--prog"}},

		{"no such program", 2, append([]string{"run", dispatch, "--prog", "nope"}, pcap...), []string{`"nope"`, "xdp_dispatch"}},
		{"no such program to print", 2, []string{"disasm", dispatch, "--prog", "nope"}, []string{`"nope"`, "port22_prog"}},
		{"no such program for a slot", 2, append([]string{"run", dispatch, "--slot", "prog_array[0]=nope"}, pcap...), []string{`"nope"`, "port22_prog"}},
		{"no such map", 2, append([]string{"run", dispatch, "--slot", "m[0]=port22_prog"}, pcap...), []string{`"m"`, "prog_array"}},
		{"slot past the end", 2, append([]string{"run", dispatch, "--slot", "prog_array[2]=port22_prog"}, pcap...), []string{"prog_array", "2 slots", "0 to 1"}},
		{"slot of another map", 2, append([]string{"run", dispatch, "--slot", ".rodata[0]=port22_prog"}, pcap...), []string{".rodata", "ProgramArray", "--set"}},
		{"slot without index", 2, append([]string{"run", dispatch, "--slot", "prog_array=port22_prog"}, pcap...), []string{"MAP[INDEX]=PROGRAM"}},
		{"slot with a bad index", 2, append([]string{"run", dispatch, "--slot", "prog_array[-1]=port22_prog"}, pcap...), []string{`"-1"`, "decimal"}},
		{"no such variable", 2, append([]string{"run", testdata + "values_sparse.o", "--set", "nope=1"}, pcap...), []string{`"nope"`, "selector"}},
		{"variable out of range", 2, append([]string{"run", testdata + "values_sparse.o", "--set", "selector=0x1ffffffffffffffff"}, pcap...), []string{"selector"}},
		{"set without value", 2, append([]string{"run", dispatch, "--set", "x"}, pcap...), []string{"MAP[KEY]=VALUE"}},
		{"set a program", 2, append([]string{"run", dispatch, "--set", "prog_array[0]=1"}, pcap...), []string{"--slot"}},
		{"no map to dump", 2, append([]string{"run", dispatch, "--dump", "nope"}, pcap...), []string{`"nope"`, "prog_array"}},
		{"no elements to dump", 2, []string{"run", readline, "--event", "x", "--dump", "events"}, []string{"events", "no elements"}},
		{"no such struct", 2, []string{"run", readline, "--event", examples + "readline/events.jsonl", "--events", "events:nope"}, []string{"nope", "BTF", "unused"}},
		{"several entries", 2, append([]string{"run", examples + "unwind/unwind.o"}, pcap...), []string{"--prog", "classify, large, receive, small"}},
		{"no packets", 2, []string{"run", dispatch}, []string{"xdp_dispatch", "XDP", "--pcap"}},
		{"packets for a probe", 2, append([]string{"run", readline}, pcap...), []string{"readline_return", "--event"}},
		{"events for packets", 2, []string{"run", dispatch, "--event", "x"}, []string{"xdp_dispatch", "--pcap"}},
		{"two inputs", 2, append([]string{"run", dispatch, "--data-in", "x"}, pcap...), []string{"one of them"}},
		{"unknown flag", 2, []string{"run", dispatch, "--nope"}, []string{"--nope", "--help"}},
		{"bad number", 2, append([]string{"run", dispatch, "--repeat", "x"}, pcap...), []string{"--repeat"}},
		{"bad clock", 2, append([]string{"run", dispatch, "--clock", "x"}, pcap...), []string{"real, pcap or fixed"}},
		{"bad cpus", 2, append([]string{"run", dispatch, "--cpus", "0"}, pcap...), []string{"1 to 256"}},
		{"no object", 2, []string{"run"}, []string{"no object file"}},
		{"two objects", 2, []string{"run", "a.o", "b.o"}, []string{"b.o"}},
		{"no such command", 2, []string{"nope"}, []string{`"nope"`, "--help"}},

		{"event cut", 1, []string{"run", readline, "--event", bad + "json.jsonl"}, []string{"json.jsonl", "line 2", "one event a line"}},
		{"event with an unknown field", 1, []string{"run", readline, "--event", bad + "unknown.jsonl"}, []string{"line 1", `"pud"`, "regs"}},
		{"event with an unknown name", 1, []string{"run", readline, "--event", bad + "ref.jsonl"}, []string{"line 2", `"line"`, "strings"}},
		{"event with a fraction", 1, []string{"run", readline, "--event", bad + "number.jsonl"}, []string{"line 1", "ax", "64 bits"}},
		{"event with bad hex", 1, []string{"run", readline, "--event", bad + "hex.jsonl"}, []string{"line 1", `"m"`, "hexadecimal"}},
		{"two events a line", 1, []string{"run", readline, "--event", bad + "two.jsonl"}, []string{"line 1", "one event a line"}},
		{"long comm", 1, []string{"run", readline, "--event", bad + "comm.jsonl"}, []string{"line 1", "15"}},
		{"unknown register", 1, []string{"run", readline, "--event", bad + "register.jsonl"}, []string{"eax1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errOut := cli(t, "", c.args...)
			if code != c.code {
				t.Errorf("exit %d, want %d: %s", code, c.code, errOut)
			}
			if !strings.HasPrefix(errOut, "carom: ") || strings.Count(errOut, "\n") != 1 {
				t.Errorf("not one line: %q", errOut)
			}
			for _, w := range c.want {
				if !strings.Contains(errOut, w) {
					t.Errorf("%q is missing in %s", w, errOut)
				}
			}
		})
	}
}

// TestDamagedObjects changes one byte at a time: there is an error or a result, never a panic.
func TestDamagedObjects(t *testing.T) {
	object, err := os.ReadFile(dispatch)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "damaged.o")
	for at := 0; at < len(object); at += 41 {
		b := append([]byte(nil), object...)
		b[at] ^= 0xff
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errOut := cli(t, "", "disasm", path); code != exitOK && (code != exitFailed || strings.Count(errOut, "\n") != 1) {
			t.Errorf("byte %d: exit %d, %q", at, code, errOut)
		}
	}
}
