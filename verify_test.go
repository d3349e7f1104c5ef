package carom_test

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/cilium/ebpf"
)

// Ask whether Linux would load a program, and why not, without a kernel.
func ExampleVerify() {
	spec, err := ebpf.LoadCollectionSpec("caromtest/testdata/u8_key.o")
	if err != nil {
		log.Fatal(err)
	}
	_, err = carom.Verify(spec, "entry", nil)
	var rejected *carom.VerifierError
	if errors.As(err, &rejected) {
		r := &rejected.Reason
		fmt.Printf("%s, instruction %d, R%d: %s\n", r.Errno.Name(), r.Insn, r.Reg, r.Message)
		fmt.Printf("%s:%d: %s\n", rejected.File, rejected.Line, rejected.Source)
	}
	// Output:
	// EINVAL, instruction 6, R2: invalid read from stack R2 off=-1 size=4
	// ./u8_key.c:17: __u32 *number = bpf_map_lookup_elem(&numbers, &key);
}

// Ask which kernels would load a program: a tail call makes packet pointers invalid in Linux 6.12.
func ExampleVerifyOptions_kernel() {
	spec, err := ebpf.LoadCollectionSpec("caromtest/testdata/packet_main.o")
	if err != nil {
		log.Fatal(err)
	}
	for _, kernel := range []string{"6.12", "6.18"} {
		verdict, err := carom.Verify(spec, "entry", &carom.VerifyOptions{Kernel: kernel})
		if err != nil {
			fmt.Printf("%s: %v\n", kernel, err)
			continue
		}
		fmt.Printf("%s: loads, %d instructions processed\n", kernel, verdict.Stats.Insns)
	}
	// Output:
	// 6.12: program entry: insn 13 at ./packet_main.c:20: R7 invalid mem access 'scalar'
	// 6.18: loads, 15 instructions processed
}

// TestNewCollectionVerifies: what Linux rejects does not load, unless verification is skipped.
func TestNewCollectionVerifies(t *testing.T) {
	spec := single("r1 = 0\nr0 = *(u64 *)(r1 +8)\nexit").spec(t)
	_, err := carom.NewCollection(spec, nil)
	var load *carom.LoadError
	var rejected *carom.VerifierError
	if !errors.As(err, &load) || load.Kind != "program" || load.Name != "p" {
		t.Errorf("%v is no LoadError of program p", err)
	}
	if !errors.As(err, &rejected) || !errors.Is(err, carom.Errno(13)) {
		t.Fatalf("%v is no VerifierError with EACCES", err)
	}
	if r := rejected.Reason; r.Insn != 1 || r.Reg != 1 || r.Message != "R1 invalid mem access 'scalar'" {
		t.Errorf("%+v", r)
	}
	if want := "load program p: insn 1: R1 invalid mem access 'scalar'"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}

	coll := newCollection(t, spec, &carom.Options{Verify: carom.VerifySkip})
	if p := coll.Programs["p"]; p.Verified() || !errors.Is(p.Unverified(), carom.ErrVerifySkipped) {
		t.Errorf("verified %v, %v", p.Verified(), p.Unverified())
	}
	if p := single("r0 = 2; exit").load(t, nil).Programs["p"]; !p.Verified() || p.Unverified() != nil {
		t.Errorf("verified %v, %v", p.Verified(), p.Unverified())
	}
}

// TestUnjudgedLoads: a program that needs rules which the verifier does not have loads, and says so.
func TestUnjudgedLoads(t *testing.T) {
	spec := loadSpec(t, "caromtest/testdata/extension.o")
	coll := newCollection(t, spec, nil)
	var why *carom.VerifierError
	if err := coll.Programs["extension"].Unverified(); !errors.As(err, &why) || why.Reason.Code != carom.VerifierUnsupported {
		t.Errorf("%v", err)
	}
	if !coll.Programs["entry"].Verified() {
		t.Errorf("entry: %v", coll.Programs["entry"].Unverified())
	}
	if _, err := carom.Verify(spec, "extension", nil); !errors.As(err, &why) || why.Reason.Code != carom.VerifierUnsupported {
		t.Errorf("%v", err)
	}
}

func TestVerify(t *testing.T) {
	spec := loadSpec(t, "examples/unwind/unwind.o")
	before := fmt.Sprintf("%+v", spec)
	own := carom.Helper{Proto: carom.Proto{ID: 65537, Name: "choose", Ret: carom.RetInteger}, UnwindOnZero: true}
	own.Args = [5]carom.ArgType{carom.ArgAnything}
	if _, err := carom.Verify(spec, "classify", nil); err == nil || !strings.Contains(err.Error(), "unknown#65537") {
		t.Errorf("without the helper: %v", err)
	}
	var trace bytes.Buffer
	verdict, err := carom.Verify(spec, "classify", &carom.VerifyOptions{Helpers: []carom.Helper{own}, Log: &trace})
	if err != nil {
		t.Fatal(err)
	}
	if verdict.Stats.Insns == 0 || !strings.Contains(trace.String(), fmt.Sprintf("processed %d insns", verdict.Stats.Insns)) {
		t.Errorf("%+v\n%s", verdict.Stats, &trace)
	}
	if after := fmt.Sprintf("%+v", spec); after != before {
		t.Error("the spec was changed")
	}
	for _, c := range []struct {
		spec *ebpf.CollectionSpec
		prog string
		opts *carom.VerifyOptions
		want string
	}{
		{nil, "classify", nil, "no collection spec"},
		{spec, "nobody", nil, "nobody"},
		{spec, "classify", &carom.VerifyOptions{Kernel: "2.4"}, "6.1, 6.6, 6.12, 6.18"},
	} {
		if _, err := carom.Verify(c.spec, c.prog, c.opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestReplacedConstants: constants that programs rely on come from the map that is really used.
func TestReplacedConstants(t *testing.T) {
	const text = "r1 = map[.rodata][0]+0 ll\nr2 = *(u64 *)(r1 +0)\nr0 = 0\nif r2 == 7 goto +1\nr0 = *(u64 *)(r2 +0)\nexit"
	spec := func(n uint64) *ebpf.CollectionSpec {
		ro := array(8, 1)
		ro.Flags = 1 << 7 // BPF_F_RDONLY_PROG
		ro.Contents = []ebpf.MapKV{{Key: uint32(0), Value: n}}
		return source{progs: map[string]string{"p": text}, maps: map[string]*ebpf.MapSpec{".rodata": ro}}.spec(t)
	}
	var rejected *carom.VerifierError
	if _, err := carom.NewCollection(spec(8), nil); !errors.As(err, &rejected) {
		t.Errorf("with 8: %v", err)
	}
	good := newCollection(t, spec(7), nil)
	newCollection(t, spec(8), &carom.Options{MapReplacements: map[string]*carom.Map{".rodata": good.Maps[".rodata"]}})
}
