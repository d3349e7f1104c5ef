package vm

import (
	"errors"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
)

// good reports whether code at n is an instruction.
func good(n int, insns ...isa.Insn) bool {
	ops, _ := decode(&Code{Insns: insns})
	return ops[n].code != opBad
}

// reference says which opcodes RFC 9669 and include/uapi/linux/bpf.h have, with the fields below
// all zero but those that an opcode needs.
func reference(op uint8) bool {
	hi, src := op&0xf0, op&isa.SrcReg != 0
	switch op & 7 {
	case isa.ClassALU, isa.ClassALU64:
		switch {
		case hi == isa.NEG:
			return !src
		case hi == isa.END:
			return !src || op&7 == isa.ClassALU
		}
		return hi < 0xe0
	case isa.ClassJMP:
		switch hi {
		case isa.JA, isa.EXIT, isa.JCOND:
			return !src
		}
		return hi < 0xf0 // calls of helpers and by register included
	case isa.ClassJMP32:
		switch hi {
		case isa.CALL, isa.EXIT, isa.JCOND, 0xf0:
			return false
		case isa.JA:
			return !src
		}
		return true
	}
	mode, size := op&0xe0, op&0x18
	switch op & 7 {
	case isa.ClassLD:
		return mode == isa.ModeIMM && size == isa.SizeDW || (mode == isa.ModeABS || mode == isa.ModeIND) && size != isa.SizeDW
	case isa.ClassLDX:
		return mode == isa.ModeMEM || mode == isa.ModeMEMSX && size != isa.SizeDW
	case isa.ClassST:
		return mode == isa.ModeMEM
	}
	return mode == isa.ModeMEM || mode == isa.ModeATOMIC && (size == isa.SizeW || size == isa.SizeDW)
}

func TestDecodeEveryOpcode(t *testing.T) {
	h := &Helper{}
	h.ID = 1
	for op := range 256 {
		i := isa.Insn{Op: uint8(op)}
		switch {
		case i.Op&0xf0 == isa.END && (i.Class() == isa.ClassALU || i.Class() == isa.ClassALU64):
			i.Imm = 16
		case i.Class() == isa.ClassJMP && i.Op&0xf0 == isa.CALL && i.Op&isa.SrcReg == 0:
			i.Imm = 1
		}
		ops, _ := decode(&Code{Insns: []isa.Insn{i, {}}, Helpers: map[int]*Helper{0: h}})
		if got, want := ops[0].code != opBad, reference(i.Op); got != want {
			t.Errorf("opcode %#02x: an instruction %v, want %v", op, got, want)
		}
	}
}

func TestDecodeForms(t *testing.T) {
	const (
		add64, addX  = isa.ClassALU64 | isa.ADD, isa.ClassALU64 | isa.ADD | isa.SrcReg
		div64, mod32 = isa.ClassALU64 | isa.DIV, isa.ClassALU | isa.MOD | isa.SrcReg
		mov64, mov32 = isa.ClassALU64 | isa.MOV | isa.SrcReg, isa.ClassALU | isa.MOV | isa.SrcReg
		jeq, ja      = isa.ClassJMP | isa.JEQ, isa.ClassJMP | isa.JA
		call, callx  = isa.ClassJMP | isa.CALL, isa.ClassJMP | isa.CALL | isa.SrcReg
		atomic       = isa.ClassSTX | isa.ModeATOMIC | isa.SizeDW
		atomic8      = isa.ClassSTX | isa.ModeATOMIC | isa.SizeB
		swap, toLE   = isa.ClassALU64 | isa.END, isa.ClassALU | isa.END
		absW         = isa.ClassLD | isa.ModeABS | isa.SizeW
		indW         = isa.ClassLD | isa.ModeIND | isa.SizeW
	)
	for _, c := range []struct {
		name string
		insn isa.Insn
		want bool
	}{
		{"add imm", isa.Insn{Op: add64, Dst: 9, Imm: -1}, true},
		{"add imm with a source", isa.Insn{Op: add64, Src: 1}, false},
		{"add imm with an offset", isa.Insn{Op: add64, Off: 1}, false},
		{"add reg", isa.Insn{Op: addX, Dst: 1, Src: 10}, true},
		{"add reg with an immediate", isa.Insn{Op: addX, Imm: 1}, false},
		{"write to r10", isa.Insn{Op: add64, Dst: 10}, false},
		{"r11", isa.Insn{Op: add64, Dst: 11}, false},
		{"source r11", isa.Insn{Op: addX, Src: 11}, false},
		{"signed division", isa.Insn{Op: div64, Off: 1, Imm: 1}, true},
		{"division with offset 2", isa.Insn{Op: div64, Off: 2, Imm: 1}, false},
		{"signed modulo", isa.Insn{Op: mod32, Off: 1}, true},
		{"movsx 8", isa.Insn{Op: mov64, Off: 8}, true},
		{"movsx 32", isa.Insn{Op: mov64, Off: 32}, true},
		{"movsx 64", isa.Insn{Op: mov64, Off: 64}, false},
		{"movsx 16 to 32 bits", isa.Insn{Op: mov32, Off: 16}, true},
		{"movsx 32 to 32 bits", isa.Insn{Op: mov32, Off: 32}, false},
		{"movsx of an immediate", isa.Insn{Op: isa.ClassALU64 | isa.MOV, Off: 8}, false},
		{"neg", isa.Insn{Op: isa.ClassALU64 | isa.NEG, Dst: 3}, true},
		{"neg with an immediate", isa.Insn{Op: isa.ClassALU64 | isa.NEG, Imm: 1}, false},
		{"bswap 64", isa.Insn{Op: swap, Imm: 64}, true},
		{"bswap 8", isa.Insn{Op: swap, Imm: 8}, false},
		{"bswap with a source", isa.Insn{Op: swap, Src: 1, Imm: 16}, false},
		{"le 16", isa.Insn{Op: toLE, Imm: 16}, true},
		{"be 32", isa.Insn{Op: toLE | isa.SrcReg, Imm: 32}, true},
		{"be 32 with an offset", isa.Insn{Op: toLE | isa.SrcReg, Off: 1, Imm: 32}, false},
		{"jeq imm", isa.Insn{Op: jeq, Imm: 7}, true},
		{"jeq imm with a source", isa.Insn{Op: jeq, Src: 1}, false},
		{"jeq reg with an immediate", isa.Insn{Op: jeq | isa.SrcReg, Imm: 1}, false},
		{"ja", isa.Insn{Op: ja}, true},
		{"ja with an immediate", isa.Insn{Op: ja, Imm: 1}, false},
		{"ja with a register", isa.Insn{Op: ja, Dst: 1}, false},
		{"long ja with an offset", isa.Insn{Op: isa.ClassJMP32 | isa.JA, Off: 1}, false},
		{"may_goto with an immediate", isa.Insn{Op: isa.ClassJMP | isa.JCOND, Imm: 1}, false},
		{"JCOND of an unknown kind", isa.Insn{Op: isa.ClassJMP | isa.JCOND, Src: 1}, false},
		{"local call", isa.Insn{Op: call, Src: isa.CallLocal}, true},
		{"local call past the end", isa.Insn{Op: call, Src: isa.CallLocal, Imm: 2}, false},
		{"local call before the start", isa.Insn{Op: call, Src: isa.CallLocal, Imm: -2}, false},
		{"local call with an offset", isa.Insn{Op: call, Src: isa.CallLocal, Off: 1}, false},
		{"unknown helper", isa.Insn{Op: call, Imm: -1}, false},
		{"unknown kind of call", isa.Insn{Op: call, Src: 3}, false},
		{"call by register", isa.Insn{Op: callx, Dst: 5}, true},
		{"call by register, older encoding", isa.Insn{Op: callx, Imm: 5}, true},
		{"call by register 11", isa.Insn{Op: callx, Imm: 11}, false},
		{"call by register with both", isa.Insn{Op: callx, Dst: 1, Imm: 5}, false},
		{"exit with an immediate", isa.Insn{Op: isa.ClassJMP | isa.EXIT, Imm: 1}, false},
		{"atomic add", isa.Insn{Op: atomic, Imm: isa.AtomicADD}, true},
		{"cmpxchg without fetch", isa.Insn{Op: atomic, Imm: isa.AtomicCMPXCHG &^ 1}, false},
		{"atomic sub", isa.Insn{Op: atomic, Imm: 0x10}, false},
		{"atomic add of a byte", isa.Insn{Op: atomic8, Imm: isa.AtomicADD}, false},
		{"load_acquire of a byte", isa.Insn{Op: atomic8, Imm: isa.AtomicLoadAcq}, true},
		{"load_acquire into r10", isa.Insn{Op: atomic, Dst: 10, Imm: isa.AtomicLoadAcq}, false},
		{"store_release of a byte", isa.Insn{Op: atomic8, Dst: 10, Imm: isa.AtomicStoreRel}, true},
		{"fetch into r10", isa.Insn{Op: atomic, Src: 10, Imm: isa.AtomicADD | isa.AtomicFetch}, false},
		{"load into r10", isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeB, Dst: 10}, false},
		{"load with an immediate", isa.Insn{Op: isa.ClassLDX | isa.ModeMEM, Imm: 1}, false},
		{"store of a register with an immediate", isa.Insn{Op: isa.ClassSTX | isa.ModeMEM, Imm: 1}, false},
		{"store of an immediate with a source", isa.Insn{Op: isa.ClassST | isa.ModeMEM, Src: 1}, false},
		{"ldabs", isa.Insn{Op: absW, Imm: -1}, true},
		{"ldabs with a source", isa.Insn{Op: absW, Src: 1}, false},
		{"ldind", isa.Insn{Op: indW, Src: 1, Imm: 1}, true},
		{"ldind with a destination", isa.Insn{Op: indW, Dst: 1}, false},
	} {
		if got := good(0, c.insn, isa.Insn{}); got != c.want {
			t.Errorf("%s (%+v): an instruction %v, want %v", c.name, c.insn, got, c.want)
		}
	}
}

func TestDecodeWide(t *testing.T) {
	wide := isa.Insn{Op: isa.LDDW, Dst: 1, Imm: 1}
	for _, c := range []struct {
		name          string
		first, second isa.Insn
		want          bool
	}{
		{"plain", wide, isa.Insn{Imm: -1}, true},
		{"second half with an opcode", wide, isa.Insn{Op: 0x95}, false},
		{"second half with a register", wide, isa.Insn{Dst: 1}, false},
		{"second half with an offset", wide, isa.Insn{Off: 1}, false},
		{"with an offset", isa.Insn{Op: isa.LDDW, Off: 1}, isa.Insn{}, false},
		{"of a map that nobody resolved", isa.Insn{Op: isa.LDDW, Src: isa.PseudoMapFD}, isa.Insn{}, false},
		{"into r10", isa.Insn{Op: isa.LDDW, Dst: 10}, isa.Insn{}, false},
	} {
		if got := good(0, c.first, c.second); got != c.want {
			t.Errorf("%s: an instruction %v, want %v", c.name, got, c.want)
		}
	}
	if good(0, wide) {
		t.Error("a wide load without a second half is an instruction")
	}
	if good(1, wide, isa.Insn{}) {
		t.Error("the second half of a wide load is an instruction")
	}
}

func TestBadJumps(t *testing.T) {
	m, c := testMachine(t)
	wide, ja := isa.Insn{Op: isa.LDDW}, isa.Insn{Op: isa.ClassJMP | isa.JA}
	at := func(i isa.Insn, off int16) isa.Insn { i.Off = off; return i }
	for _, tt := range []struct {
		name  string
		insns []isa.Insn
		want  ErrorCode
	}{
		{"before the start", []isa.Insn{at(ja, -2), exit()}, ErrBadJump},
		{"behind the end", []isa.Insn{at(ja, 1), exit()}, ErrBadJump},
		{"far behind the end", []isa.Insn{{Op: isa.ClassJMP32 | isa.JA, Imm: 1<<31 - 1}, exit()}, ErrBadJump},
		{"far before the start", []isa.Insn{{Op: isa.ClassJMP32 | isa.JA, Imm: -1 << 31}, exit()}, ErrBadJump},
		{"into a wide load", []isa.Insn{at(ja, 1), wide, {}, exit()}, ErrBadJump},
		{"into the second of two wide loads", []isa.Insn{at(ja, 3), wide, {}, wide, {}, exit()}, ErrBadJump},
		{"off the end", []isa.Insn{mov(0, 1)}, ErrBadJump},
		{"nothing at all", nil, ErrBadJump},
	} {
		var e *Error
		if err := run(t, c, testProgram(t, m, tt.insns...), Limits{}, nil); !errors.As(err, &e) || e.Code != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
