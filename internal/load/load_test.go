package load

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// testEnv has the map m of one value of 8 bytes, helpers 1 and 12 and the kfunc known.
func testEnv() *Env {
	h := func(id uint32, name string) *vm.Helper { return &vm.Helper{Proto: linux.Proto{ID: id, Name: name}} }
	return &Env{
		Map: func(name string) (MapAddress, bool) {
			return MapAddress{Desc: 0x1000, Value: 0x2000, Size: 8}, name == "m"
		},
		Helper: func(id uint32) *vm.Helper {
			return map[uint32]*vm.Helper{1: h(1, "map_lookup_elem"), 12: h(12, "tail_call")}[id]
		},
		Kfunc:    func(name string) *vm.Helper { return map[string]*vm.Helper{"known": h(0, "known")}[name] },
		Ksym:     Ksyms(map[string]uint64{"jiffies": 0x1234}),
		Contexts: linux.NewContexts(),
	}
}

func xdp(insns ...asm.Instruction) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "p", Type: ebpf.XDP, Instructions: insns}
}

func TestLinkErrors(t *testing.T) {
	lddw := func(src asm.Register) asm.Instruction {
		return asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R1, Src: src}
	}
	loaded := lddw(asm.PseudoMapFD)
	for _, tt := range []struct {
		name   string
		spec   *ebpf.ProgramSpec
		insn   int
		reason string
	}{
		{"no instructions", xdp(), -1, "no instructions"},
		{"no type", &ebpf.ProgramSpec{Name: "p", Instructions: asm.Instructions{asm.Return()}}, -1, "names no program type"},
		{"unsupported helper", xdp(asm.Mov.Imm(asm.R0, 0), asm.FnSkLookupTcp.Call(), asm.Return()), 1, "bpf_sk_lookup_tcp#84"},
		{"unknown helper, behind a wide load", xdp(lddw(0), asm.BuiltinFunc(99999).Call(), asm.Return()), 2, "helper 99999 is not known"},
		{"unknown map", xdp(lddw(asm.PseudoMapFD).WithReference("x"), asm.Return()), 0, "map x is not in the object"},
		{"a map without a name", xdp(loaded, asm.Return()), 0, "MapReplacements"},
		{"offset in a value", xdp(asm.LoadMapValue(asm.R1, 0, 8).WithReference("m"), asm.Return()), 0, "offset 8 is past the 8 bytes"},
		{"unknown symbol", xdp(lddw(0).WithReference("no_such_symbol"), asm.Return()), 0, "no_such_symbol"},
		{"unknown pseudo source", xdp(lddw(isa.PseudoBTFID), asm.Return()), 0, "pseudo source 3"},
		{"unknown function", xdp(asm.Call.Label("f"), asm.Return()), 0, `function "f"`},
		{"unknown label", xdp(asm.Mov.Imm(asm.R0, 0), asm.Ja.Label("x"), asm.Return()), 1, `jump target "x"`},
		{"a symbol twice", xdp(asm.Mov.Imm(asm.R0, 0).WithSymbol("s"), asm.Return().WithSymbol("s")), -1, "symbol s is defined twice"},
	} {
		_, err := Link(tt.spec, testEnv())
		var e *Error
		if !errors.As(err, &e) || e.Program != "p" || e.Insn != tt.insn || !strings.Contains(e.Error(), tt.reason) || !errors.Is(err, linux.EINVAL) {
			t.Errorf("%s: %v, want EINVAL at insn %d with %q", tt.name, err, tt.insn, tt.reason)
		}
	}
}

func TestLinkResolves(t *testing.T) {
	spec := xdp(
		asm.LoadMapPtr(asm.R1, 0).WithReference("m").WithSymbol("p"),                            // 0, 1
		asm.LoadMapValue(asm.R2, 0, 4).WithReference("m"),                                       // 2, 3
		asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R3}.WithReference("jiffies"), // 4, 5
		asm.FnTailCall.Call(),                                  // 6
		asm.Call.Label("sub"),                                  // 7
		asm.JEq.Imm(asm.R0, 0, "end"),                          // 8
		asm.Mov.Imm(asm.R0, 1),                                 // 9
		asm.Return().WithSymbol("end"),                         // 10
		asm.Mov.Imm(asm.R0, 0).WithSymbol("sub"), asm.Return(), // 11, 12
	)
	linked, err := Link(spec, testEnv())
	if err != nil {
		t.Fatal(err)
	}
	code := linked.Code
	for slot, want := range map[int]uint64{0: 0x1000, 2: 0x2004, 4: 0x1234} {
		if got := code.Wide[slot]; got != want {
			t.Errorf("wide load %d puts %#x into the register, want %#x", slot, got, want)
		}
	}
	if h := code.Helpers[6]; h == nil || h.ID != 12 || !linked.TailCalls {
		t.Errorf("the tail call is %v", h)
	}
	if got := code.Insns[7].Imm; got != 3 {
		t.Errorf("the call goes %d slots on, want 3", got)
	}
	if got := code.Insns[8].Off; got != 1 {
		t.Errorf("the jump goes %d slots on, want 1", got)
	}
	want := []vm.Func{{Name: "p", Start: 0, End: 11}, {Name: "sub", Start: 11, End: 13}}
	if len(code.Funcs) != 2 || code.Funcs[0] != want[0] || code.Funcs[1] != want[1] {
		t.Errorf("functions %v, want %v", code.Funcs, want)
	}
	if len(linked.Maps) != 1 || linked.Maps[0] != "m" {
		t.Errorf("maps %v, want m once", linked.Maps)
	}
	if got := spec.Instructions[4].Constant; got != -1 {
		t.Errorf("the spec was changed: the call has the constant %d", got)
	}
}

func TestTailCallInCallback(t *testing.T) {
	spec := xdp(
		asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference("cb"),
		asm.Return(),
		asm.Call.Label("sub").WithSymbol("cb"), asm.Return(),
		asm.FnTailCall.Call().WithSymbol("sub"), asm.Return(),
	)
	_, err := Link(spec, testEnv())
	var e *Error
	if !errors.Is(err, ErrTailCallInCallback) || !errors.As(err, &e) || e.Insn != 5 {
		t.Errorf("%v, want the tail call at insn 5", err)
	}
}

func TestParseKconfig(t *testing.T) {
	boolean, tristate := &btf.Int{Size: 1, Encoding: btf.Bool}, &btf.Enum{Name: "libbpf_tristate", Size: 4}
	char, s32, u16 := &btf.Int{Size: 1, Encoding: btf.Signed}, &btf.Int{Size: 4, Encoding: btf.Signed}, &btf.Int{Size: 2}
	u64 := &btf.Int{Size: 8}
	text := &btf.Array{Type: char, Nelems: 4}
	for _, tt := range []struct {
		typ   btf.Type
		text  string
		want  string // bytes
		errno linux.Errno
	}{
		{typ: boolean, text: "y", want: "\x01"},
		{typ: boolean, text: "n", want: "\x00"},
		{typ: boolean, text: "m", errno: linux.EINVAL},
		{typ: tristate, text: "n", want: "\x00\x00\x00\x00"},
		{typ: tristate, text: "y", want: "\x01\x00\x00\x00"},
		{typ: tristate, text: "m", want: "\x02\x00\x00\x00"},
		{typ: char, text: "y", want: "y"},
		{typ: char, text: "n", want: "n"},
		{typ: char, text: "m", want: "m"},
		{typ: s32, text: "1000", want: "\xe8\x03\x00\x00"},
		{typ: s32, text: "-2", want: "\xfe\xff\xff\xff"},
		{typ: s32, text: "0x80000000", errno: linux.ERANGE},
		{typ: u16, text: "0xffff", want: "\xff\xff"},
		{typ: u16, text: "65536", errno: linux.ERANGE},
		{typ: u16, text: "-1", errno: linux.ERANGE},
		{typ: u64, text: "0xdead000000000000", want: "\x00\x00\x00\x00\x00\x00\xad\xde"},
		{typ: s32, text: "many", errno: linux.EINVAL},
		{typ: s32, text: "", errno: linux.EINVAL},
		{typ: text, text: `"ab"`, want: "ab\x00\x00"},
		{typ: text, text: `"abcdef"`, want: "abc\x00"},
	} {
		size, err := btf.Sizeof(tt.typ)
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, size)
		err = parseKconfig(dst, tt.typ, tt.text)
		switch {
		case tt.errno != linux.OK:
			if !errors.Is(err, tt.errno) {
				t.Errorf("%v = %q: %v, want %v", tt.typ, tt.text, err, tt.errno)
			}
		case err != nil || string(dst) != tt.want:
			t.Errorf("%v = %q: %q, %v, want %q", tt.typ, tt.text, dst, err, tt.want)
		}
	}
}

func TestReadConfig(t *testing.T) {
	config, err := readConfig(strings.NewReader("# comment\nCONFIG_HZ=1000\nCONFIG_A=\"x=y\"\n# CONFIG_B is not set\n"))
	if err != nil || len(config) != 3 || config["CONFIG_HZ"] != "1000" || config["CONFIG_A"] != `"x=y"` || config["CONFIG_B"] != "n" {
		t.Errorf("%v, %v", config, err)
	}
}

// TestOwnTypes resolves the CO-RE relocations of the corpus against the objects' own BTF.
func TestOwnTypes(t *testing.T) {
	files, err := filepath.Glob("../../caromtest/testdata/*.o")
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := Object(file, data)
		if err != nil {
			t.Fatal(err)
		}
		env := testEnv()
		env.Map = func(string) (MapAddress, bool) { return MapAddress{Size: 1 << 32}, true }
		env.Helper = func(id uint32) *vm.Helper { return &vm.Helper{Proto: linux.Proto{ID: id}} }
		env.Kfunc = func(name string) *vm.Helper { return &vm.Helper{Proto: linux.Proto{Name: name}} }
		if spec.Types != nil {
			env.Types = []*btf.Spec{spec.Types}
		}
		for name, p := range spec.Programs {
			if _, err := Link(p, env); err != nil && !errors.Is(err, ErrTailCallInCallback) {
				t.Errorf("%s: %s: %v", filepath.Base(file), name, err)
			}
		}
	}
}
