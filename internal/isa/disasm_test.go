package isa_test

import (
	"encoding/hex"
	"strings"
	"testing"

	ebpfasm "github.com/cilium/ebpf/asm"

	"github.com/carom-bpf/carom/internal/isa"
)

// TestDisassemble has the texts of kernel/bpf/disasm.c and tools/bpf/bpftool/xlated_dumper.c.
func TestDisassemble(t *testing.T) {
	for _, c := range []struct{ hex, text string }{
		{"07 01 0000 05000000", "(07) r1 += 5"},
		{"0c 21 0000 00000000", "(0c) w1 += w2"},
		{"37 01 0100 fdffffff", "(37) r1 s/= -3"},
		{"9c 21 0100 00000000", "(9c) w1 s%= w2"},
		{"87 01 0000 00000000", "(87) r1 = -r1"},
		{"bf 21 2000 00000000", "(bf) r1 = (s32)r2"},
		{"bc 21 0800 00000000", "(bc) w1 = (s8)w2"},
		{"bf 21 0100 01000200", "(bf) r1 = addr_space_cast(r2, 2, 1)"},
		{"bf 21 ffff 00000000", "(bf) r1 = &(void __percpu *)(r2)"},
		{"c7 01 0000 3f000000", "(c7) r1 s>>= 63"},
		{"dc 01 0000 10000000", "(dc) r1 = be16 r1"},
		{"d4 01 0000 40000000", "(d4) r1 = le64 r1"},
		{"d7 01 0000 20000000", "(d7) r1 = bswap32 r1"},
		{"71 21 0400 00000000", "(71) r1 = *(u8 *)(r2 +4)"},
		{"81 a1 f8ff 00000000", "(81) r1 = *(s32 *)(r10 -8)"},
		{"7a 0a f8ff fbffffff", "(7a) *(u64 *)(r10 -8) = -5"},
		{"63 1a fcff 00000000", "(63) *(u32 *)(r10 -4) = r1"},
		{"c2 00 0000 00000000", "(c2) nospec"},
		{"db 21 0800 a0000000", "(db) lock *(u64 *)(r1 +8) ^= r2"},
		{"c3 21 0800 41000000", "(c3) r2 = atomic_fetch_or((u32 *)(r1 +8), r2)"},
		{"db 21 0800 e1000000", "(db) r2 = atomic64_xchg((u64 *)(r1 +8), r2)"},
		{"db 21 0800 f1000000", "(db) r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)"},
		{"d3 21 0100 00010000", "(d3) r1 = load_acquire((u8 *)(r2 +1))"},
		{"c3 21 0400 10010000", "(c3) store_release((u32 *)(r1 +4), r2)"},
		{"28 00 0000 0c000000", "(28) r0 = *(u16 *)skb[12]"},
		{"50 60 0000 fcffffff", "(50) r0 = *(u8 *)skb[r6 + -4]"},
		{"05 00 0300 00000000", "(05) goto pc+3"},
		{"06 00 0000 f8ffffff", "(06) gotol pc-8"},
		{"0d 01 0000 00000000", "(0d) gotox r1"},
		{"e5 00 0300 00000000", "(e5) may_goto pc+3"},
		{"15 01 0300 ffffffff", "(15) if r1 == 0xffffffff goto pc+3"},
		{"4e 21 fdff 00000000", "(4e) if w1 & w2 goto pc-3"},
		{"d5 01 0000 05000000", "(d5) if r1 s<= 0x5 goto pc+0"},
		{"95 00 0000 00000000", "(95) exit"},
		{"85 00 0000 0c000000", "(85) call bpf_tail_call#12"},
		{"85 00 0000 d3000000", "(85) call bpf_cgrp_storage_delete#211"},
		{"85 00 0000 2c010000", "(85) call unknown#300"},
		{"85 10 0000 05000000", "(85) call pc+5"},
		{"85 20 0000 67120000", "(85) call kernel-function#4711"},
		{"8d 02 0000 00000000", "(8d) callx r2"},
		{"18 01 0000 88776655 00 00 0000 44332211", "(18) r1 = 0x1122334455667788"},
		{"18 11 0000 07000000 00 00 0000 00000000", "(18) r1 = map[id:7]"},
		{"18 21 0000 07000000 00 00 0000 10000000", "(18) r1 = map[id:7][0]+16"},
		{"18 61 0000 07000000 00 00 0000 10000000", "(18) r1 = map[idx:7]+16"},
		{"18 41 0000 03000000 00 00 0000 00000000", "(18) r1 = subprog[+3]"},
		// Opcodes without a meaning.
		{"db 21 0000 00020000", "BUG_db"},
		{"e3 00 0000 00000000", "BUG_e3"},
		{"22 00 0000 00000000", "BUG_st_22"},
		{"99 21 0000 00000000", "BUG_ldx_99"},
		{"00 00 0000 00000000", "BUG_ld_00"},
		{"e7 01 0000 00000000", "BUG_alu64_e7"},
		{"f4 01 0000 00000000", "BUG_alu_f4"},
		{"e5 10 0000 00000000", "BUG_jmp_e5"},
		{"96 00 0000 00000000", "BUG_jmp32_96"},
	} {
		code, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		insns, err := isa.Decode(code)
		if err != nil {
			t.Fatal(err)
		}
		insns = append(insns, isa.Insn{})
		if got := isa.Disassemble(insns[0], insns[1], isa.Names{}); got != c.text {
			t.Errorf("%s: got %q, want %q", c.hex, got, c.text)
		}
	}
}

func TestDisassembleNames(t *testing.T) {
	names := isa.Names{
		PC:  10,
		Map: func(i isa.Insn) string { return map[int32]string{7: "jmp_table"}[i.Imm] },
		Func: func(pc int) string {
			return map[int]string{16: "sub"}[pc]
		},
		Helper: func(id int32) string { return map[int32]string{1000: "unwind_next"}[id] },
		Kfunc:  func(i isa.Insn) string { return map[int32]string{3: "bpf_rcu_read_lock"}[i.Imm] },
	}
	for _, c := range []struct {
		insn isa.Insn
		text string
	}{
		{isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoMapFD, Imm: 7}, "(18) r2 = map[jmp_table]"},
		{isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoMapFD, Imm: 8}, "(18) r2 = map[id:8]"},
		{isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoMapValue, Imm: 7}, "(18) r2 = map[jmp_table][0]+4"},
		{isa.Insn{Op: isa.LDDW, Dst: 2, Src: isa.PseudoFunc, Imm: 5}, "(18) r2 = func[sub]"},
		{isa.Insn{Op: 0x85, Src: isa.CallLocal, Imm: 5}, "(85) call pc+5#sub"},
		{isa.Insn{Op: 0x85, Src: isa.CallLocal, Imm: 6}, "(85) call pc+6"},
		{isa.Insn{Op: 0x85, Imm: 1000}, "(85) call unwind_next#1000"},
		{isa.Insn{Op: 0x85, Imm: 12}, "(85) call bpf_tail_call#12"},
		{isa.Insn{Op: 0x85, Src: isa.CallKfunc, Imm: 3}, "(85) call bpf_rcu_read_lock#3"},
		{isa.Insn{Op: 0x85, Src: isa.CallKfunc, Imm: 4}, "(85) call kernel-function#4"},
	} {
		if got := isa.Disassemble(c.insn, isa.Insn{Imm: 4}, names); got != c.text {
			t.Errorf("got %q, want %q", got, c.text)
		}
	}
}

// TestHelperNames compares the table with the one cilium generates from Linux, whose names are
// in camel case.
func TestHelperNames(t *testing.T) {
	for id := int32(0); id <= 211; id++ {
		name := isa.HelperName(id)
		got := "fn" + strings.ReplaceAll(strings.TrimPrefix(name, "bpf_"), "_", "")
		if want := strings.ToLower(ebpfasm.BuiltinFunc(id).String()); got != want {
			t.Errorf("helper %d is %s, want %s", id, got, want)
		}
		if back, ok := isa.HelperID(name); !ok || back != id {
			t.Errorf("%s has the number %d, want %d", name, back, id)
		}
	}
	for _, id := range []int32{-1, 212, 1 << 30} {
		if name := isa.HelperName(id); name != "" {
			t.Errorf("helper %d is %s", id, name)
		}
	}
	for _, name := range []string{"", "bpf_", "tail_call", "bpf_no_such"} {
		if _, ok := isa.HelperID(name); ok {
			t.Errorf("%q is a helper", name)
		}
	}
}

// FuzzDisassemble: any bytes decode and print, and encode to the same bytes.
func FuzzDisassemble(f *testing.F) {
	f.Add([]byte{0x18, 0xf1, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 8})
	for op := 0; op < 256; op++ {
		f.Add([]byte{byte(op), 0x21, 0xff, 0xff, 0xe1, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		insns, err := isa.Decode(code)
		if err != nil {
			if len(code)%isa.InsnSize == 0 {
				t.Error(err)
			}
			return
		}
		for n, i := range insns {
			var next isa.Insn
			if n+1 < len(insns) {
				next = insns[n+1]
			}
			if isa.Disassemble(i, next, isa.Names{}) == "" {
				t.Errorf("%+v has no text", i)
			}
		}
		if string(isa.Encode(insns)) != string(code) {
			t.Error("encoding differs")
		}
	})
}
