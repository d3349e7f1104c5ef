package cfg_test

import (
	"math/rand/v2"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
)

// helperIDs are the numbers that callees knows, and one that Linux does not have.
var helperIDs = []int32{1, 2, 3, 5, 6, 7, 8, 12, 13, 23, 25, 26, 28, 39, 43, 181, 164, 170, 9999}

// randomInsn makes an instruction at slot n of a function from start to end.
func randomInsn(r *rand.Rand, n, start, end int) isa.Insn {
	reg := func() uint8 { return uint8(r.IntN(10)) }
	pick := func(ops ...uint8) uint8 { return ops[r.IntN(len(ops))] }
	src := uint8(r.IntN(2) * isa.SrcReg)
	jump := int16(start + r.IntN(end-start) - n - 1)
	switch r.IntN(12) {
	case 0, 1:
		op := pick(isa.ADD, isa.SUB, isa.MUL, isa.XOR, isa.MOV, isa.LSH, isa.ARSH)
		return isa.Insn{Op: pick(isa.ClassALU, isa.ClassALU64) | op | src, Dst: reg(), Src: reg()}
	case 2:
		return isa.Insn{Op: pick(isa.ClassALU|isa.END, isa.ClassALU|isa.END|isa.SrcReg, isa.ClassALU64|isa.END, isa.ClassALU64|isa.NEG), Dst: reg(), Imm: 16}
	case 3:
		return isa.Insn{Op: isa.ClassLDX | pick(isa.ModeMEM, isa.ModeMEMSX) | pick(isa.SizeB, isa.SizeH, isa.SizeW), Dst: reg(), Src: reg()}
	case 4:
		return isa.Insn{Op: pick(isa.ClassST, isa.ClassSTX) | isa.ModeMEM | pick(isa.SizeB, isa.SizeDW), Dst: reg(), Src: reg()}
	case 5:
		imms := []int32{isa.AtomicADD, isa.AtomicOR | isa.AtomicFetch, isa.AtomicXCHG, isa.AtomicCMPXCHG, isa.AtomicLoadAcq, isa.AtomicStoreRel}
		return isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | pick(isa.SizeW, isa.SizeDW), Dst: reg(), Src: reg(), Imm: imms[r.IntN(len(imms))]}
	case 6:
		return isa.Insn{Op: isa.ClassJMP | isa.CALL, Imm: helperIDs[r.IntN(len(helperIDs))]}
	case 7:
		return isa.Insn{Op: isa.ClassLD | pick(isa.ModeABS, isa.ModeIND) | isa.SizeW, Src: reg()}
	case 8:
		return isa.Insn{Op: pick(isa.ClassJMP|isa.JCOND, isa.ClassJMP|isa.JA), Off: jump}
	case 9:
		return isa.Insn{Op: isa.ClassJMP32 | isa.JA, Imm: int32(jump)}
	}
	op := pick(isa.JEQ, isa.JNE, isa.JSET, isa.JSLT)
	return isa.Insn{Op: pick(isa.ClassJMP, isa.ClassJMP32) | op | src, Dst: reg(), Src: reg(), Off: jump}
}

// randomProgram makes a program of a few functions that call one another in any order.
func randomProgram(r *rand.Rand) []isa.Insn {
	starts := []int{0}
	for range r.IntN(4) {
		starts = append(starts, starts[len(starts)-1]+2+r.IntN(10))
	}
	end := starts[len(starts)-1] + 2 + r.IntN(30)
	insns := make([]isa.Insn, end)
	for f, start := range starts {
		last := end - 1
		if f+1 < len(starts) {
			last = starts[f+1] - 1
		}
		for n := start; n < last; n++ {
			target := int32(starts[r.IntN(len(starts))] - n - 1)
			switch {
			case r.IntN(8) == 0:
				insns[n] = isa.Insn{Op: isa.ClassJMP | isa.CALL, Src: isa.CallLocal, Imm: target}
			case r.IntN(12) == 0 && n+1 < last:
				insns[n] = isa.Insn{Op: isa.LDDW, Dst: uint8(r.IntN(10)), Src: uint8(r.IntN(2) * isa.PseudoFunc), Imm: target}
				insns[n+1] = isa.Insn{}
				n++
			default:
				insns[n] = randomInsn(r, n, start, last+1)
			}
		}
		insns[last] = isa.Insn{Op: isa.ClassJMP | isa.EXIT}
	}
	return insns
}

// mutate changes a few fields of a few instructions.
func mutate(r *rand.Rand, insns []isa.Insn) {
	for range r.IntN(3) {
		i := &insns[r.IntN(len(insns))]
		switch r.IntN(6) {
		case 0:
			i.Op = uint8(r.IntN(256))
		case 1:
			i.Off = int16(r.IntN(20) - 10)
		case 2:
			i.Imm = int32(r.IntN(30) - 15)
		case 3:
			i.Dst = uint8(r.IntN(11))
		case 4:
			*i = isa.Insn{Op: isa.ClassJMP | isa.EXIT}
		case 5:
			*i, insns[0] = insns[0], *i
		}
	}
}

// loadable sees to it that the program is within what callees knows and that no callback can
// reach a tail call.
func loadable(insns []isa.Insn) bool {
	tail, callback := false, false
	for n := range insns {
		i := &insns[n]
		if i.Op == isa.ClassJMP|isa.CALL && i.Src == isa.CallHelper {
			if !callees(i.Imm).Known && i.Imm != 9999 {
				i.Imm = 7
			}
			tail = tail || i.Imm == 12
			callback = callback || callees(i.Imm).SyncCallback || callees(i.Imm).AsyncCallback
		}
		if i.Op == isa.ClassJMP|isa.CALL && i.Src > isa.CallLocal {
			i.Src = isa.CallHelper
			i.Imm = 7
		}
		if i.Op == isa.LDDW && i.Src != isa.PseudoFunc {
			i.Src = 0
		}
	}
	return !tail || !callback
}

func TestRandomProgramsAgreeWithLinux(t *testing.T) {
	needKernel(t)
	walked := 0
	const programs = 1500
	for n := range uint64(programs) {
		r := rand.New(rand.NewPCG(20, n))
		insns := randomProgram(r)
		if n%2 == 1 {
			mutate(r, insns)
		}
		if !loadable(insns) {
			continue
		}
		// With BTF for every function, tail calls and packet loads are allowed in them.
		in := cfg.Input{Insns: insns, Helper: callees}
		judge(t, in, nil)
		if t.Failed() {
			for i := range insns {
				t.Logf("%3d: %s   %v", i, isa.Disassemble(insns[i], isa.Insn{}, isa.Names{}), insns[i])
			}
			t.Fatalf("program %d", n)
		}
		if _, err := cfg.Analyze(in); err == nil {
			walked++
		}
	}
	t.Logf("%d of %d programs passed", walked, programs)
	if walked < programs/20 {
		t.Error("too few programs passed")
	}
}

// liveness has programs whose live registers and loops Linux prints.
var liveness = map[string]string{
	"registers of helpers": `
		r1 = 1
		r2 = 2
		r3 = 3
		r4 = 4
		r5 = 5
		call bpf_map_update_elem
		call bpf_ktime_get_ns
		call 9999
		r0 = 0
		exit`,
	"atomics": `
		r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)
		r2 = atomic64_xchg((u64 *)(r10 -8), r2)
		lock *(u64 *)(r10 -8) += r3
		r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r4)
		r5 = load_acquire((u64 *)(r10 -8))
		store_release((u64 *)(r10 -8), r5)
		exit`,
	"packet loads use all": `
		r6 = r1
		r7 = 1
		r0 = *(u16 *)skb[12]
		r0 = *(u8 *)skb[r7 + 4]
		exit`,
	"nested loops": `
		r1 = 0
		r2 = 0
		r3 = 7
		r2 += 1
		if r2 < 5 goto -2
		r1 += r3
		if r1 < 9 goto -5
		if r1 == 100 goto -1
		r0 = r2
		exit`,
	"loop of one instruction": `
		r0 = 0
		r0 += 1
		may_goto -2
		if r0 > 5 goto -1
		exit`,
	"far jump and may_goto": `
		r6 = r1
		r7 = r2
		may_goto +2
		r0 = r6
		gotol +1
		r0 = r7
		exit`,
	"calls": `
		r6 = 1
		r1 = 1
		r2 = 2
		call f
		r0 += r6
		exit
		func f
		r0 = r1
		exit`,
	"byte order and negation": `
		r2 = be16 r2
		r2 = bswap32 r2
		r3 = -r3
		r4 = (s8)r5
		r0 = r4
		exit`,
}

func TestLiveRegistersAndLoops(t *testing.T) {
	needKernel(t)
	for name, text := range liveness {
		t.Run(name, func(t *testing.T) {
			insns, err := asm.Assemble(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := cfg.Analyze(cfg.Input{Insns: insns, Helper: callees}); err != nil {
				t.Fatal(err)
			}
			judge(t, cfg.Input{Insns: insns, Helper: callees}, nil)
		})
	}
}
