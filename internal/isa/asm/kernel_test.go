package asm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// needKernel skips the test where programs cannot be loaded.
func needKernel(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs bpf(2)")
	}
	_ = rlimit.RemoveMemlock()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: mustParse(t, "r0 = 0\nexit")})
	if err != nil {
		t.Skipf("cannot load programs: %v", err)
	}
	_ = p.Close()
}

func mustParse(t *testing.T, text string) ebpfasm.Instructions {
	t.Helper()
	insns, err := asm.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return insns
}

// everyForm is accepted by Linux 6.18 and has one instruction of each form that a socket
// filter may use.
const everyForm = `
	r6 = r1
	r7 = 0x1122334455667788 ll
	r1 = 5
	r1 += 5
	r1 -= -7
	r1 *= 3
	r1 /= 3
	r1 %= 3
	r1 s/= 3
	r1 s%= 3
	r1 |= 3
	r1 &= 3
	r1 ^= 3
	r1 <<= 3
	r1 >>= 3
	r1 s>>= 3
	r1 = -r1
	w1 += 5
	w1 s/= -3
	w1 s>>= 3
	w1 = -w1
	r2 = r1
	r2 s/= r1
	w2 s%= w1
	r2 += r1
	w2 ^= w1
	r2 = (s8)r1
	r2 = (s16)r1
	r2 = (s32)r1
	w2 = (s8)w1
	w2 = (s16)w1
	r2 = be16 r2
	r2 = be32 r2
	r2 = be64 r2
	r2 = le16 r2
	r2 = bswap16 r2
	r2 = bswap32 r2
	r2 = bswap64 r2
	*(u64 *)(r10 -8) = 5
	*(u32 *)(r10 -12) = r1
	*(u8 *)(r10 -13) = -5
	r1 = *(u64 *)(r10 -8)
	r1 = *(u32 *)(r10 -8)
	r1 = *(s8 *)(r10 -13)
	r1 = *(s32 *)(r10 -8)
	lock *(u64 *)(r10 -8) += r1
	lock *(u32 *)(r10 -8) |= r1
	lock *(u64 *)(r10 -8) &= r1
	lock *(u64 *)(r10 -8) ^= r1
	r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)
	r1 = atomic_fetch_or((u32 *)(r10 -8), r1)
	r1 = atomic64_fetch_and((u64 *)(r10 -8), r1)
	r1 = atomic64_fetch_xor((u64 *)(r10 -8), r1)
	r1 = atomic64_xchg((u64 *)(r10 -8), r1)
	r1 = atomic_xchg((u32 *)(r10 -8), r1)
	r0 = 0
	r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)
	r0 = atomic_cmpxchg((u32 *)(r10 -8), r0, r1)
	r1 = load_acquire((u64 *)(r10 -8))
	store_release((u64 *)(r10 -8), r1)
	r0 = *(u16 *)skb[12]
	r7 = 0
	r0 = *(u8 *)skb[r7 + 4]
	call bpf_get_prandom_u32
	if r0 == 5 goto +0
	if r0 != r7 goto +0
	if w0 s> -5 goto +0
	if r0 & 5 goto +0
	if w0 s<= w7 goto +0
	may_goto +0
	gotol +0
	goto +0
	r0 = 0
	exit`

// TestDisassembleAgreesWithTheVerifierLog takes the expected text from the running kernel.
func TestDisassembleAgreesWithTheVerifierLog(t *testing.T) {
	needKernel(t)
	slots, err := asm.Assemble(everyForm)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ebpf.NewProgramWithOptions(
		&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: mustParse(t, everyForm)},
		ebpf.ProgramOptions{LogLevel: ebpf.LogLevelInstruction})
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			t.Skipf("this kernel does not take every form: %v", ve)
		}
		t.Fatal(err)
	}
	defer p.Close()
	seen := map[int]bool{}
	// The state of the registers follows a semicolon.
	for _, m := range regexp.MustCompile(`(?m)^(?:from \d+ to \d+: .*\n)?(\d+): (\([0-9a-f]{2}\) [^;\n]*?)\s*(?:;.*)?$`).FindAllStringSubmatch(p.VerifierLog, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil || n >= len(slots) {
			t.Fatalf("instruction %s", m[1])
		}
		var next isa.Insn
		if n+1 < len(slots) {
			next = slots[n+1]
		}
		if got := isa.Disassemble(slots[n], next, isa.Names{}); got != m[2] {
			t.Errorf("instruction %d: got %q, Linux prints %q", n, got, m[2])
		}
		seen[n] = true
	}
	if len(seen) != len(slots)-1 { // the second slot of the wide load is not printed
		t.Errorf("the log shows %d of %d instructions\n%s", len(seen), len(slots)-1, p.VerifierLog)
	}
}

// run returns R0 of a program that Linux runs once.
func run(t *testing.T, spec *ebpf.ProgramSpec) uint32 {
	t.Helper()
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	defer p.Close()
	ret, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		t.Fatal(err)
	}
	return ret
}

func TestLinuxRunsSubprograms(t *testing.T) {
	needKernel(t)
	got := run(t, &ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: mustParse(t, `
		r6 = r1
		r2 = 20
		call double
		r7 = r0
		r1 = 5
		r2 = func[count] ll
		r3 = r10
		r3 += -8
		*(u64 *)(r10 -8) = 0
		r4 = 0
		call bpf_loop
		r0 = *(u64 *)(r10 -8)
		r0 += r7
		exit
	global func double(struct xdp_md *ctx, u64 n) int
		r0 = r2
		r0 += r2
		exit
	func count(u32 index, void *ctx) long
		r0 = 0
		r1 = *(u64 *)(r2 +0)
		r1 += 1
		*(u64 *)(r2 +0) = r1
		exit`)})
	if got != 45 {
		t.Errorf("returned %d, want 45", got)
	}
}

// TestLinuxTakesTailCallsInSubprograms needs the BTF that Parse adds.
func TestLinuxTakesTailCallsInSubprograms(t *testing.T) {
	needKernel(t)
	for name, text := range map[string]string{
		"func":     "func sub\n",
		"label":    "sub:\n",
		"distance": "",
	} {
		call := "call sub"
		if text == "" {
			call = "call pc+2"
		}
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		if err != nil {
			t.Fatal(err)
		}
		insns, err := asm.Parse(call + `
			r0 = 7
			exit
		` + text + `
			r2 = map[jmp_table] ll
			r3 = 0
			call bpf_tail_call
			r0 = 0
			exit`)
		if err != nil {
			t.Fatal(err)
		}
		if err := insns.AssociateMap("jmp_table", m); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			got := run(t, &ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: insns})
			if got != 7 {
				t.Errorf("returned %d, want 7", got)
			}
		})
		_ = m.Close()
	}
}

func TestLinuxCallsKernelFunctions(t *testing.T) {
	needKernel(t)
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skipf("no kernel BTF: %v", err)
	}
	insns, err := asm.ResolveKfuncs(mustParse(t, `
		call kfunc:bpf_rcu_read_lock
		call kfunc:bpf_rcu_read_unlock
		r0 = 3
		exit`), kernel)
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, &ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: insns}); got != 3 {
		t.Errorf("returned %d, want 3", got)
	}
	if _, err := asm.ResolveKfuncs(mustParse(t, "call kfunc:no_such_kfunc"), kernel); !errors.Is(err, btf.ErrNotFound) || !strings.Contains(err.Error(), "no_such_kfunc") {
		t.Errorf("error %v", err)
	}
}

func TestCollectionResolvesMaps(t *testing.T) {
	needKernel(t)
	coll, err := ebpf.NewCollection(&ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{
			"counter": {Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		},
		Programs: map[string]*ebpf.ProgramSpec{
			"count": {Type: ebpf.XDP, License: "GPL", Instructions: mustParse(t, `
				r1 = map[counter][0]+8 ll
				r2 = 41
				lock *(u64 *)(r1 +0) += r2
				r3 = 1
				r3 = atomic64_fetch_add((u64 *)(r1 +0), r3)
				r0 = r3
				exit`)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	ret, err := coll.Programs["count"].Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	if err != nil {
		t.Fatal(err)
	}
	var value [16]byte
	if err := coll.Maps["counter"].Lookup(uint32(0), &value); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 16)
	binary.NativeEndian.PutUint64(want[8:], 42)
	if ret != 41 || !bytes.Equal(value[:], want) {
		t.Errorf("returned %d, value % x", ret, value)
	}
}
