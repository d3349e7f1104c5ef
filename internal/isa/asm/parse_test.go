package asm_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
)

func TestJumpsCountFromTheNextSlot(t *testing.T) {
	slots, err := asm.Assemble(`
	// a wide load takes two slots
	start:  r1 = 1 ll        ; slot 0 and 1
	        if r1 == 0 goto out
	        gotol out
	again:
	        may_goto again   # slot 4
	        goto start
	out:    exit`)
	if err != nil {
		t.Fatal(err)
	}
	want := []isa.Insn{
		{Op: 0x18, Dst: 1, Imm: 1}, {},
		{Op: 0x15, Dst: 1, Off: 3},
		{Op: 0x06, Imm: 2},
		{Op: 0xe5, Off: -1},
		{Op: 0x05, Off: -6},
		{Op: 0x95},
	}
	if !slices.Equal(slots, want) {
		t.Errorf("got  %v\nwant %v", slots, want)
	}
}

func TestLabelsBelongToTheirFunction(t *testing.T) {
	slots, err := asm.Assemble(`
	func main
		goto out
	out:	exit
	func sub
		r0 = 1
		goto out
		r0 = 2
	out:	exit`)
	if err != nil {
		t.Fatal(err)
	}
	if slots[0].Off != 0 || slots[3].Off != 1 {
		t.Errorf("offsets %d and %d, want 0 and 1", slots[0].Off, slots[3].Off)
	}
}

func TestSubprogramsCarrySymbolsAndBTF(t *testing.T) {
	insns, err := asm.Parse(`
		call sub
		r2 = func[callback] ll
		call pc+5
		call bpf_ktime_get_ns
		exit
	func sub(struct xdp_md *ctx, u64 n) u64
		exit
	global func callback() void
		exit
		r0 = 0
		exit`)
	if err != nil {
		t.Fatal(err)
	}
	type fn struct {
		name    string
		linkage btf.FuncLinkage
		params  int
	}
	got := map[int]fn{}
	for n, ins := range insns {
		f := btf.FuncMetadata(&ins)
		if f == nil {
			if ins.Symbol() != "" {
				t.Errorf("instruction %d has symbol %s and no BTF", n, ins.Symbol())
			}
			continue
		}
		if f.Name != ins.Symbol() {
			t.Errorf("instruction %d has symbol %s, BTF %s", n, ins.Symbol(), f.Name)
		}
		got[n] = fn{f.Name, f.Linkage, len(f.Type.(*btf.FuncProto).Params)}
	}
	want := map[int]fn{
		0: {"main", btf.GlobalFunc, 1},
		5: {"sub", btf.StaticFunc, 2},
		6: {"callback", btf.GlobalFunc, 0},
		8: {"sub_9", btf.StaticFunc, 1}, // the target of call pc+5, named after its slot
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for n, w := range want {
		if got[n] != w {
			t.Errorf("instruction %d: got %v, want %v", n, got[n], w)
		}
	}
	if refs := insns.FunctionReferences(); !slices.Equal(refs, []string{"callback", "sub"}) {
		t.Errorf("references %v", refs)
	}
}

func TestCalledLabelBecomesAFunction(t *testing.T) {
	text := `
		call twice
		exit
	twice:
		r0 = 2
		exit`
	insns, err := asm.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if f := btf.FuncMetadata(&insns[2]); f == nil || f.Name != "twice" || f.Linkage != btf.StaticFunc {
		t.Errorf("twice is %v", f)
	}
	slots, err := asm.Assemble(text)
	if err != nil {
		t.Fatal(err)
	}
	if want := (isa.Insn{Op: 0x85, Src: 1, Imm: 1}); slots[0] != want {
		t.Errorf("call is %v, want %v", slots[0], want)
	}
}

func TestSingleFunctionHasNoBTF(t *testing.T) {
	insns, err := asm.Parse("r0 = 0\nexit")
	if err != nil {
		t.Fatal(err)
	}
	if btf.FuncMetadata(&insns[0]) != nil || insns.Name() != "" {
		t.Errorf("a program without subprograms needs no BTF and no name, has %q", insns.Name())
	}
	if insns, err = asm.Parse("func filter\nr0 = 0\nexit"); err != nil || insns.Name() != "filter" {
		t.Errorf("name %q, error %v, want filter", insns.Name(), err)
	}
	if insns, err = asm.Parse("self: call self\nexit"); err != nil || insns.Name() != "self" {
		t.Errorf("name %q, error %v, want self", insns.Name(), err)
	}
}

func TestMapsAndKfuncsAreReferences(t *testing.T) {
	insns, err := asm.Parse(`
		r1 = map[jmp_table] ll
		r2 = map[.rodata][0]+8 ll
		r3 = map[.bss]+4
		call kfunc:bpf_rcu_read_lock`)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		ref string
		src ebpfasm.Register
		imm int64
	}{
		{"jmp_table", ebpfasm.PseudoMapFD, 0},
		{".rodata", ebpfasm.PseudoMapValue, 8 << 32},
		{".bss", ebpfasm.PseudoMapValue, 4 << 32},
		{"bpf_rcu_read_lock", ebpfasm.PseudoKfuncCall, 0},
	}
	for n, w := range want {
		if i := insns[n]; i.Reference() != w.ref || i.Src != w.src || i.Constant != w.imm {
			t.Errorf("instruction %d: reference %q src %v constant %#x, want %v", n, i.Reference(), i.Src, i.Constant, w)
		}
	}
}

func TestDumpCanBePasted(t *testing.T) {
	slots, err := asm.Assemble(`
   0: (b7) r0 = 0
; if (ctx->len > 4)
   1: (18) r1 = map[id:5]
   3: (85) call bpf_map_lookup_elem#1
   4: (15) if r0 == 0x0 goto pc+1
   5: (85) call pc+1#bpf_prog_9f2a_sub
   6: (95) exit                      ; R0_w=scalar()
7: (bf) r0 = r1
8: (95) exit`)
	if err != nil {
		t.Fatal(err)
	}
	want := []isa.Insn{
		{Op: 0xb7}, {Op: 0x18, Dst: 1, Src: 1, Imm: 5}, {}, {Op: 0x85, Imm: 1}, {Op: 0x15, Off: 1},
		{Op: 0x85, Src: 1, Imm: 1}, {Op: 0x95}, {Op: 0xbf, Src: 1}, {Op: 0x95},
	}
	if !slices.Equal(slots, want) {
		t.Errorf("got  %v\nwant %v", slots, want)
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
		reason       string
	}{
		{"r1 = 5\n r11 = 5", 2, 2, "expected an instruction"},
		{"r1 += w2", 1, 7, "expected a register r0 to r10"},
		{"r1 = 2147483648", 1, 6, "does not fit 32 bits"},
		{"r1 = (s64)r2", 1, 7, "expected s8, s16 or s32"},
		{"r1 = -r2", 1, 7, "expected r1, the destination"},
		{"r1 = be16 r2", 1, 11, "expected r1, the destination"},
		{"w1 = 5 ll", 1, 6, "a wide load needs a register r0 to r10"},
		{"r1 = *(u32 *)(r2 +32768)", 1, 18, "does not fit 16 bits"},
		{"r1 = *(u128 *)(r2 +0)", 1, 8, "expected u8, u16"},
		{"*(s8 *)(r1 +0) = 5", 1, 2, "only loads may be signed"},
		{"r1 = *(u16 *)skb[0]", 1, 17, "r0 = *(u8 *)skb"},
		{"r1 = atomic64_cmpxchg((u64 *)(r2 +0), r0, r3)", 1, 37, "returns its value in r0"},
		{"r1 = atomic64_xchg((u32 *)(r2 +0), r1)", 1, 20, "atomic64 takes (u64 *)"},
		{"r1 = r2 r3", 1, 9, "unexpected \"r3\""},
		{"r1 = ?", 1, 6, "unexpected character '?'"},
		{"goto nowhere", 1, 1, "there is no label nowhere"},
		{"goto 3", 1, 6, "expected a label or a distance"},
		{"a: exit\na: exit", 2, 1, "declared twice"},
		{"func f\nexit\nfunc f\nexit", 3, 1, "declared twice"},
		{"exit\nfunc f", 2, 1, "has no instruction"},
		{"call bpf_no_such_helper", 1, 1, "no function, label or helper"},
		{"call bpf_map_lookup_elem#2", 1, 26, "no helper bpf_map_lookup_elem has the number 2"},
		{"(07) r1 -= 5", 1, 6, "the text has opcode 17, not 07"},
		{"func f(int", 1, 11, "expected \",\""},
		{"func f() float", 1, 10, "expected a type"},
		{"raw 0x100 0 0 0 0", 1, 5, "expected a number from 0 to 255"},
		{"r1 = map[x:5]", 1, 12, "expected id, fd or idx"},
		{"if r1 = 5 goto +1", 1, 7, "expected a comparison"},
	} {
		_, err := asm.Parse(c.text)
		var e *asm.Error
		if !errors.As(err, &e) {
			t.Errorf("%q: error %v", c.text, err)
			continue
		}
		if e.Line != c.line || e.Column != c.column || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%q: line %d column %d %q, want %d %d %q", c.text, e.Line, e.Column, e.Reason, c.line, c.column, c.reason)
		}
		if want := strings.TrimSpace(strings.Split(c.text, "\n")[c.line-1]); e.Text != want {
			t.Errorf("%q: text %q, want %q", c.text, e.Text, want)
		}
	}
}

func TestFarLabelNeedsALongJump(t *testing.T) {
	far := strings.Repeat("r0 = 0\n", 40000) + "out: exit"
	if _, err := asm.Assemble("goto out\n" + far); err == nil || !strings.Contains(err.Error(), "use gotol") {
		t.Errorf("error %v", err)
	}
	slots, err := asm.Assemble("gotol out\n" + far)
	if err != nil {
		t.Fatal(err)
	}
	if slots[0].Imm != 40000 {
		t.Errorf("distance %d, want 40000", slots[0].Imm)
	}
}

// TestWhatCiliumCannotHold lists the slots that Assemble takes and Parse refuses.
func TestWhatCiliumCannotHold(t *testing.T) {
	for _, c := range []struct{ text, reason string }{
		{"r1 = addr_space_cast(r2, 0, 1)", "offset"},
		{"r1 = &(void __percpu *)(r2)", "offset"},
		{"raw 0x07 1 0 5 5", "offset"},
		{"raw 0x87 1 0 1 0", "offset"},
		{"raw 0x18 1 0 0 5", "second slot"},
		{"raw 0x18 1 0 0 5\nraw 0 1 0 0 5", "second slot"},
		{"call -1", "helper number"},
		{"call 0x10000000", "helper number"},
	} {
		if _, err := asm.Assemble(c.text); err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		_, err := asm.Parse(c.text)
		var e *asm.Error
		if !errors.As(err, &e) || !strings.Contains(e.Reason, c.reason) {
			t.Errorf("%s: error %v, want %s", c.text, err, c.reason)
		}
	}
}

func TestAssembleNeedsNumbers(t *testing.T) {
	for _, text := range []string{"r1 = map[m] ll", "call kfunc:f"} {
		if _, err := asm.Assemble(text); err == nil || !strings.Contains(err.Error(), "has no number here") {
			t.Errorf("%s: error %v", text, err)
		}
	}
}
