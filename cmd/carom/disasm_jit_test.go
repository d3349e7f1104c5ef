package main

import (
	"encoding/hex"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
)

func TestDisasmJIT(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("machine code is asserted for Linux on amd64")
	}
	out := ok(t, "disasm", "--jit", benchSet, "empty")
	wantLines(t, out, "empty: XDP, section xdp, 6 bytes of amd64 code",
		"0: (b4) w0 = 2", "0: b802000000 mov eax, 0x2", "1: (95) exit", "5: c3 ret")
	if other := ok(t, "disasm", "--jit", "--prog", "empty", benchSet); other != out {
		t.Errorf("--prog gives\n%s", other)
	}
	var all []programLines
	if err := json.Unmarshal([]byte(ok(t, "disasm", "--jit", "--json", dispatch)), &all); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Native == nil || p.Native.Arch != "amd64" {
			t.Fatalf("%s: no machine code", p.Program)
		}
		covered := 0
		for _, i := range p.Insns {
			covered += bytesOf(i.Native)
		}
		if covered += bytesOf(p.Native.Rare); covered != p.Native.Size {
			t.Errorf("%s: lines cover %d bytes of %d", p.Program, covered, p.Native.Size)
		}
	}
}

func bytesOf(code []nativeLine) (n int) {
	for _, l := range code {
		n += len(l.Bytes) / 2
	}
	return n
}

// What is expected is what llvm-objdump prints, in Intel's syntax and GNU's.
func TestDecodeNative(t *testing.T) {
	for _, c := range []struct{ arch, code, want string }{
		{"amd64", "775b", "jnbe 0x5d"},
		{"amd64", "ebfe", "jmp 0x0"},
		{"amd64", "c4e2f9f7c3", "shlx rax, rbx, rax"},
		{"amd64", "c442bbf7f9", "shrx r15, r9, r8"},
		{"amd64", "c4c27af7c0", "sarx eax, r8d, eax"},
		{"amd64", "c4e3fbf0c108", "rorx rax, rcx, 0x8"},
		{"arm64", "02000014", "b 0x8"},
		{"arm64", "20000054", "b.eq 0x4"},
		{"arm64", "1f2003d5", "nop"},
	} {
		code, err := hex.DecodeString(c.code)
		if err != nil {
			t.Fatal(err)
		}
		if got := decodeNative(c.arch, code, 0); len(got) != 1 || got[0].Text != c.want {
			t.Errorf("%s %s: %+v, want %s", c.arch, c.code, got, c.want)
		}
	}
	if got := decodeNative("riscv64", []byte{1, 2}, 0); len(got) != 2 || !strings.Contains(got[0].Text, "not known") {
		t.Errorf("%+v", got)
	}
}

func TestMachineCodeOfInterpreter(t *testing.T) {
	spec, err := readObject(benchSet)
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: carom.Interpreter})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	if m := coll.Programs["empty"].MachineCode(); m != nil {
		t.Errorf("interpreted, with %d bytes of machine code", len(m.Code))
	}
}
