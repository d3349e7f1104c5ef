package asm_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

// same says that llvm-mc takes the text as it is.
const same = "="

// forms has every instruction form of RFC 9669 (section and table in the group's comment) and
// of include/uapi/linux/bpf.h beyond it, with the bytes that the specification gives. llvm is
// the text of the same instruction for llvm-mc, empty when LLVM 19 does not know it.
var forms = []struct{ text, hex, llvm string }{
	// Section 4.1, arithmetic: opcode = operation | source | class.
	{"r1 += 5", "07 01 0000 05000000", same},
	{"r1 += r2", "0f 21 0000 00000000", same},
	{"w1 += 5", "04 01 0000 05000000", same},
	{"w1 += w2", "0c 21 0000 00000000", same},
	{"r1 -= -7", "17 01 0000 f9ffffff", same},
	{"r1 -= r2", "1f 21 0000 00000000", same},
	{"w1 -= 7", "14 01 0000 07000000", same},
	{"w1 -= w2", "1c 21 0000 00000000", same},
	{"r1 *= 3", "27 01 0000 03000000", same},
	{"r1 *= r2", "2f 21 0000 00000000", same},
	{"w1 *= 3", "24 01 0000 03000000", same},
	{"w1 *= w2", "2c 21 0000 00000000", same},
	{"r1 /= 3", "37 01 0000 03000000", same},
	{"r1 /= r2", "3f 21 0000 00000000", same},
	{"w1 /= 3", "34 01 0000 03000000", same},
	{"w1 /= w2", "3c 21 0000 00000000", same},
	{"r1 s/= 3", "37 01 0100 03000000", same},
	{"r1 s/= r2", "3f 21 0100 00000000", same},
	{"w1 s/= -3", "34 01 0100 fdffffff", same},
	{"w1 s/= w2", "3c 21 0100 00000000", same},
	{"r1 |= 3", "47 01 0000 03000000", same},
	{"r1 |= r2", "4f 21 0000 00000000", same},
	{"w1 |= 3", "44 01 0000 03000000", same},
	{"w1 |= w2", "4c 21 0000 00000000", same},
	{"r1 &= 0x7fffffff", "57 01 0000 ffffff7f", same},
	{"r1 &= r2", "5f 21 0000 00000000", same},
	{"w1 &= 3", "54 01 0000 03000000", same},
	{"w1 &= w2", "5c 21 0000 00000000", same},
	{"r1 <<= 63", "67 01 0000 3f000000", same},
	{"r1 <<= r2", "6f 21 0000 00000000", same},
	{"w1 <<= 31", "64 01 0000 1f000000", same},
	{"w1 <<= w2", "6c 21 0000 00000000", same},
	{"r1 >>= 63", "77 01 0000 3f000000", same},
	{"r1 >>= r2", "7f 21 0000 00000000", same},
	{"w1 >>= 31", "74 01 0000 1f000000", same},
	{"w1 >>= w2", "7c 21 0000 00000000", same},
	{"r1 = -r1", "87 01 0000 00000000", same},
	{"w1 = -w1", "84 01 0000 00000000", same},
	{"r1 %= 3", "97 01 0000 03000000", same},
	{"r1 %= r2", "9f 21 0000 00000000", same},
	{"w1 %= 3", "94 01 0000 03000000", same},
	{"w1 %= w2", "9c 21 0000 00000000", same},
	{"r1 s%= 3", "97 01 0100 03000000", same},
	{"r1 s%= r2", "9f 21 0100 00000000", same},
	{"w1 s%= 3", "94 01 0100 03000000", same},
	{"w1 s%= w2", "9c 21 0100 00000000", same},
	{"r1 ^= 3", "a7 01 0000 03000000", same},
	{"r1 ^= r2", "af 21 0000 00000000", same},
	{"w1 ^= 3", "a4 01 0000 03000000", same},
	{"w1 ^= w2", "ac 21 0000 00000000", same},
	{"r1 = 5", "b7 01 0000 05000000", same},
	{"r1 = -1", "b7 01 0000 ffffffff", same},
	{"r10 = 0x80000000", "b7 0a 0000 00000080", ""},
	{"r1 = r2", "bf 21 0000 00000000", same},
	{"w1 = 5", "b4 01 0000 05000000", same},
	{"w1 = w2", "bc 21 0000 00000000", same},
	{"r1 = (s8)r2", "bf 21 0800 00000000", same},
	{"r1 = (s16)r2", "bf 21 1000 00000000", same},
	{"r1 = (s32)r2", "bf 21 2000 00000000", same},
	{"w1 = (s8)w2", "bc 21 0800 00000000", same},
	{"w1 = (s16)w2", "bc 21 1000 00000000", same},
	{"r1 s>>= 63", "c7 01 0000 3f000000", same},
	{"r1 s>>= r2", "cf 21 0000 00000000", same},
	{"w1 s>>= 31", "c4 01 0000 1f000000", same},
	{"w1 s>>= w2", "cc 21 0000 00000000", same},

	// Section 4.2, byte swap.
	{"r1 = le16 r1", "d4 01 0000 10000000", same},
	{"r1 = le32 r1", "d4 01 0000 20000000", same},
	{"r1 = le64 r1", "d4 01 0000 40000000", same},
	{"r1 = be16 r1", "dc 01 0000 10000000", same},
	{"r1 = be32 r1", "dc 01 0000 20000000", same},
	{"r1 = be64 r1", "dc 01 0000 40000000", same},
	{"r1 = bswap16 r1", "d7 01 0000 10000000", same},
	{"r1 = bswap32 r1", "d7 01 0000 20000000", same},
	{"r1 = bswap64 r1", "d7 01 0000 40000000", same},

	// Section 4.3, jumps.
	{"goto +3", "05 00 0300 00000000", same},
	{"goto pc-2", "05 00 feff 00000000", ""},
	{"gotol +3", "06 00 0000 03000000", same},
	{"gotol pc-70000", "06 00 0000 90eefeff", ""},
	{"may_goto +3", "e5 00 0300 00000000", same},
	{"if r1 == 5 goto +3", "15 01 0300 05000000", same},
	{"if r1 == r2 goto -3", "1d 21 fdff 00000000", same},
	{"if w1 == 5 goto +3", "16 01 0300 05000000", same},
	{"if w1 == w2 goto +3", "1e 21 0300 00000000", same},
	{"if r1 > 0xffffffff goto +3", "25 01 0300 ffffffff", ""},
	{"if r1 > r2 goto +3", "2d 21 0300 00000000", same},
	{"if w1 > 5 goto +3", "26 01 0300 05000000", same},
	{"if w1 > w2 goto +3", "2e 21 0300 00000000", same},
	{"if r1 >= 5 goto +3", "35 01 0300 05000000", same},
	{"if r1 >= r2 goto +3", "3d 21 0300 00000000", same},
	{"if w1 >= 5 goto +3", "36 01 0300 05000000", same},
	{"if w1 >= w2 goto +3", "3e 21 0300 00000000", same},
	{"if r1 & 5 goto +3", "45 01 0300 05000000", same},
	{"if r1 & r2 goto +3", "4d 21 0300 00000000", same},
	{"if w1 & 5 goto +3", "46 01 0300 05000000", same},
	{"if w1 & w2 goto +3", "4e 21 0300 00000000", same},
	{"if r1 != 5 goto +3", "55 01 0300 05000000", same},
	{"if r1 != r2 goto +3", "5d 21 0300 00000000", same},
	{"if w1 != 5 goto +3", "56 01 0300 05000000", same},
	{"if w1 != w2 goto +3", "5e 21 0300 00000000", same},
	{"if r1 s> -5 goto +3", "65 01 0300 fbffffff", same},
	{"if r1 s> r2 goto +3", "6d 21 0300 00000000", same},
	{"if w1 s> 5 goto +3", "66 01 0300 05000000", same},
	{"if w1 s> w2 goto +3", "6e 21 0300 00000000", same},
	{"if r1 s>= 5 goto +3", "75 01 0300 05000000", same},
	{"if r1 s>= r2 goto +3", "7d 21 0300 00000000", same},
	{"if w1 s>= 5 goto +3", "76 01 0300 05000000", same},
	{"if w1 s>= w2 goto +3", "7e 21 0300 00000000", same},
	{"if r1 < 5 goto +3", "a5 01 0300 05000000", same},
	{"if r1 < r2 goto +3", "ad 21 0300 00000000", same},
	{"if w1 < 5 goto +3", "a6 01 0300 05000000", same},
	{"if w1 < w2 goto +3", "ae 21 0300 00000000", same},
	{"if r1 <= 5 goto +3", "b5 01 0300 05000000", same},
	{"if r1 <= r2 goto +3", "bd 21 0300 00000000", same},
	{"if w1 <= 5 goto +3", "b6 01 0300 05000000", same},
	{"if w1 <= w2 goto +3", "be 21 0300 00000000", same},
	{"if r1 s< 5 goto +3", "c5 01 0300 05000000", same},
	{"if r1 s< r2 goto +3", "cd 21 0300 00000000", same},
	{"if w1 s< 5 goto +3", "c6 01 0300 05000000", same},
	{"if w1 s< w2 goto +3", "ce 21 0300 00000000", same},
	{"if r1 s<= 5 goto +3", "d5 01 0300 05000000", same},
	{"if r1 s<= r2 goto +3", "dd 21 0300 00000000", same},
	{"if w1 s<= 5 goto +3", "d6 01 0300 05000000", same},
	{"if w1 s<= w2 goto +3", "de 21 0300 00000000", same},
	{"exit", "95 00 0000 00000000", same},

	// Section 4.3.1, calls: the source register tells helper, subprogram and kernel function.
	{"call 12", "85 00 0000 0c000000", same},
	{"call bpf_tail_call", "85 00 0000 0c000000", ""},
	{"call bpf_map_lookup_elem#1", "85 00 0000 01000000", ""},
	{"call unknown#300", "85 00 0000 2c010000", ""},
	{"call pc+3", "85 10 0000 03000000", ""},
	{"call pc-3#bpf_prog_f", "85 10 0000 fdffffff", ""},
	{"call kfunc:4711", "85 20 0000 67120000", ""},
	{"call kernel-function#4711", "85 20 0000 67120000", ""},
	{"callx r2", "8d 02 0000 00000000", same},
	{"gotox r2", "0d 02 0000 00000000", ""},

	// Section 5.1 and 5.2, regular and sign-extending loads, stores.
	{"r1 = *(u8 *)(r2 +4)", "71 21 0400 00000000", same},
	{"r1 = *(u16 *)(r2 -4)", "69 21 fcff 00000000", same},
	{"r1 = *(u32 *)(r2 +0)", "61 21 0000 00000000", same},
	{"w1 = *(u32 *)(r2 + 0)", "61 21 0000 00000000", same},
	{"r1 = *(u64 *)(r10 -32768)", "79 a1 0080 00000000", same},
	{"r1 = *(s8 *)(r2 +4)", "91 21 0400 00000000", same},
	{"r1 = *(s16 *)(r2 +4)", "89 21 0400 00000000", same},
	{"r1 = *(s32 *)(r2 +32767)", "81 21 ff7f 00000000", same},
	{"*(u8 *)(r10 -4) = r1", "73 1a fcff 00000000", same},
	{"*(u16 *)(r10 -4) = r1", "6b 1a fcff 00000000", same},
	{"*(u32 *)(r10 -4) = r1", "63 1a fcff 00000000", same},
	{"*(u32 *)(r10 -4) = w1", "63 1a fcff 00000000", same},
	{"*(u64 *)(r10 -8) = r1", "7b 1a f8ff 00000000", same},
	{"*(u8 *)(r10 -8) = 5", "72 0a f8ff 05000000", same},
	{"*(u16 *)(r10 -8) = 5", "6a 0a f8ff 05000000", same},
	{"*(u32 *)(r10 -8) = 5", "62 0a f8ff 05000000", same},
	{"*(u64 *)(r10 -8) = -5", "7a 0a f8ff fbffffff", same},

	// Section 5.3, atomics, and BPF_LOAD_ACQ and BPF_STORE_REL of Linux.
	{"lock *(u64 *)(r1 +8) += r2", "db 21 0800 00000000", same},
	{"lock *(u64 *)(r1 +8) |= r2", "db 21 0800 40000000", same},
	{"lock *(u64 *)(r1 +8) &= r2", "db 21 0800 50000000", same},
	{"lock *(u64 *)(r1 +8) ^= r2", "db 21 0800 a0000000", same},
	{"lock *(u32 *)(r1 +0) += r2", "c3 21 0000 00000000", "lock *(u32 *)(r1 +0) += w2"},
	{"lock *(u32 *)(r1 +0) |= r2", "c3 21 0000 40000000", "lock *(u32 *)(r1 +0) |= w2"},
	{"lock *(u32 *)(r1 +0) &= w2", "c3 21 0000 50000000", same},
	{"lock *(u32 *)(r1 +0) ^= w2", "c3 21 0000 a0000000", same},
	{"r2 = atomic64_fetch_add((u64 *)(r1 +8), r2)", "db 21 0800 01000000", "r2 = atomic_fetch_add((u64 *)(r1 + 8), r2)"},
	{"r2 = atomic64_fetch_or((u64 *)(r1 +8), r2)", "db 21 0800 41000000", "r2 = atomic_fetch_or((u64 *)(r1 + 8), r2)"},
	{"r2 = atomic64_fetch_and((u64 *)(r1 +8), r2)", "db 21 0800 51000000", "r2 = atomic_fetch_and((u64 *)(r1 + 8), r2)"},
	{"r2 = atomic_fetch_xor((u64 *)(r1 +8), r2)", "db 21 0800 a1000000", same},
	{"r2 = atomic_fetch_add((u32 *)(r1 +0), r2)", "c3 21 0000 01000000", "w2 = atomic_fetch_add((u32 *)(r1 + 0), w2)"},
	{"r2 = atomic_fetch_or((u32 *)(r1 +0), r2)", "c3 21 0000 41000000", "w2 = atomic_fetch_or((u32 *)(r1 + 0), w2)"},
	{"r2 = atomic_fetch_and((u32 *)(r1 +0), r2)", "c3 21 0000 51000000", "w2 = atomic_fetch_and((u32 *)(r1 + 0), w2)"},
	{"w2 = atomic_fetch_xor((u32 *)(r1 +0), w2)", "c3 21 0000 a1000000", same},
	{"r2 = atomic64_xchg((u64 *)(r1 +8), r2)", "db 21 0800 e1000000", "r2 = xchg_64(r1 + 8, r2)"},
	{"r2 = atomic_xchg((u32 *)(r1 +8), r2)", "c3 21 0800 e1000000", "w2 = xchg32_32(r1 + 8, w2)"},
	{"r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)", "db 21 0800 f1000000", "r0 = cmpxchg_64(r1 + 8, r0, r2)"},
	{"r0 = atomic_cmpxchg((u32 *)(r1 +8), r0, r2)", "c3 21 0800 f1000000", "w0 = cmpxchg32_32(r1 + 8, w0, w2)"},
	{"r1 = load_acquire((u8 *)(r2 +1))", "d3 21 0100 00010000", ""},
	{"r1 = load_acquire((u16 *)(r2 +2))", "cb 21 0200 00010000", ""},
	{"r1 = load_acquire((u32 *)(r2 +4))", "c3 21 0400 00010000", ""},
	{"r1 = load_acquire((u64 *)(r2 +8))", "db 21 0800 00010000", ""},
	{"store_release((u8 *)(r1 +1), r2)", "d3 21 0100 10010000", ""},
	{"store_release((u16 *)(r1 +2), r2)", "cb 21 0200 10010000", ""},
	{"store_release((u32 *)(r1 +4), r2)", "c3 21 0400 10010000", ""},
	{"store_release((u64 *)(r1 -8), r2)", "db 21 f8ff 10010000", ""},

	// Section 5.4, wide loads, with every pseudo source.
	{"r1 = 0x1122334455667788 ll", "18 01 0000 88776655 00 00 0000 44332211", same},
	{"r1 = -1 ll", "18 01 0000 ffffffff 00 00 0000 ffffffff", same},
	{"r1 = 18446744073709551615 ll", "18 01 0000 ffffffff 00 00 0000 ffffffff", ""},
	{"(18) r1 = 0x5", "18 01 0000 05000000 00 00 0000 00000000", ""},
	{"r1 = map[fd:7] ll", "18 11 0000 07000000 00 00 0000 00000000", ""},
	{"r1 = map[id:7]", "18 11 0000 07000000 00 00 0000 00000000", ""},
	{"r1 = map[id:7][0]+16", "18 21 0000 07000000 00 00 0000 10000000", ""},
	{"r1 = btf[id:7 fd:9] ll", "18 31 0000 07000000 00 00 0000 09000000", ""},
	{"r1 = subprog[+3]", "18 41 0000 03000000 00 00 0000 00000000", ""},
	{"r1 = map[idx:7] ll", "18 51 0000 07000000 00 00 0000 00000000", ""},
	{"r1 = map[idx:7]+16 ll", "18 61 0000 07000000 00 00 0000 10000000", ""},
	{"lddw r1, 15, 0x1122334455667788", "18 f1 0000 88776655 00 00 0000 44332211", ""},

	// Section 5.5, legacy packet access.
	{"r0 = *(u8 *)skb[12]", "30 00 0000 0c000000", same},
	{"r0 = *(u16 *)skb[12]", "28 00 0000 0c000000", same},
	{"r0 = *(u32 *)skb[-1048576]", "20 00 0000 0000f0ff", ""},
	{"r0 = *(u8 *)skb[r6]", "50 60 0000 00000000", same},
	{"r0 = *(u8 *)skb[r6 + 4]", "50 60 0000 04000000", ""},
	{"r0 = *(u16 *)skb[r6 + -4]", "48 60 0000 fcffffff", ""},
	{"r0 = *(u32 *)skb[r6 - 4]", "40 60 0000 fcffffff", ""},

	// Slots without a text.
	{"raw 0xfe 15 r11 -1 0xffffffff", "", ""},
	{"raw 0xfe 15 11 -1 0xffffffff", "fe bf ffff ffffffff", ""},
	{"raw 0x3f 1 2 1 0", "3f 21 0100 00000000", ""},
	{"raw 0xdb 1 2 0 0x300", "db 21 0000 00030000", ""},
	{"raw 0x85 1 0 0 -1", "85 01 0000 ffffffff", ""},
	{"raw 0 0 0 0 0", "00 00 0000 00000000", ""},
	{"raw 0x18 1 0 0 5\nraw 0 0 0 0 6", "18 01 0000 05000000 00 00 0000 06000000", ""},
}

func wantBytes(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFormsEncodeAsSpecified(t *testing.T) {
	for _, f := range forms {
		slots, err := asm.Assemble(f.text)
		if f.hex == "" {
			if err == nil {
				t.Errorf("%s: no error", f.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", f.text, err)
			continue
		}
		want := wantBytes(t, f.hex)
		if got := isa.Encode(slots); !bytes.Equal(got, want) {
			t.Errorf("%s: Assemble gives % x, want % x", f.text, got, want)
		}
		insns, err := asm.Parse(f.text)
		if err != nil {
			t.Errorf("%s: %v", f.text, err)
			continue
		}
		// cilium marshals helper calls only for the operating system that has them.
		if runtime.GOOS != "linux" && want[0] == isa.ClassJMP|isa.CALL {
			continue
		}
		var got bytes.Buffer
		if err := insns.Marshal(&got, binary.LittleEndian); err != nil {
			t.Errorf("%s: %v", f.text, err)
		} else if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: cilium marshals % x, want % x", f.text, got.Bytes(), want)
		}
	}
}

// TestFormsAgreeWithLLVM checks the expected bytes themselves.
func TestFormsAgreeWithLLVM(t *testing.T) {
	mc, err := exec.LookPath("llvm-mc-19")
	if err != nil {
		t.Skip("llvm-mc-19 is not installed")
	}
	var text strings.Builder
	var want [][]byte
	var names []string
	for _, f := range forms {
		line := f.llvm
		if line == "" {
			continue
		}
		if line == same {
			line = f.text
		}
		// LLVM's jumps to a distance are written without pc.
		text.WriteString(line + "\n")
		want = append(want, wantBytes(t, f.hex))
		names = append(names, line)
	}
	cmd := exec.Command(mc, "--triple=bpfel", "-mcpu=v4", "-show-encoding")
	cmd.Stdin = strings.NewReader(text.String())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := regexp.MustCompile(`encoding: \[([^\]]*)\]`).FindAllSubmatch(out, -1)
	if len(found) != len(want) {
		t.Fatalf("%d encodings for %d lines\n%s", len(found), len(want), out)
	}
	for n, f := range found {
		got := wantBytes(t, strings.NewReplacer("0x", "", ",", "").Replace(string(f[1])))
		if !bytes.Equal(got, want[n]) {
			t.Errorf("%s: LLVM gives % x, the table % x", names[n], got, want[n])
		}
	}
}
