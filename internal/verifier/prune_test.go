package verifier

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// stateCase is a program and what Linux 6.18 prints of its states.
type stateCase struct {
	name string
	text string
	// Insns, MaxPerInsn, TotalStates and PeakStates as in "processed 11 insns (limit 1000000)
	// max_states_per_insn 0 total_states 1 peak_states 1".
	want Stats
	err  string // the reason, empty for an accepted program
}

var stateCases = []stateCase{
	{
		name: "loop with a branch", want: Stats{Insns: 3205, MaxPerInsn: 16, TotalStates: 247, PeakStates: 53},
		text: `r6 = 0
again:
r6 += 1
call bpf_get_prandom_u32
if r0 > 5 goto over
r7 = 1
over:
if r6 < 200 goto again
r0 = 0
exit`,
	}, {
		name: "a tied register covers a free one", want: Stats{Insns: 48, TotalStates: 4, PeakStates: 4},
		text: `call bpf_get_prandom_u32
r6 = r0
r6 &= 7
call bpf_get_prandom_u32
r7 = r0
r7 &= 7
call bpf_get_prandom_u32
r8 = r0
if r8 > 100 goto tied
r9 = 1
goto join
tied:
r7 = r6
goto join
join:
if r8 s> 77 goto second
second:
r0 = 0
if r8 s> 78 goto third
r0 = 0
r0 = 0
r0 = 0
third:
r1 = r10
r1 += -16
*(u64 *)(r1 +0) = r0
*(u64 *)(r1 +8) = r0
r1 += r6
*(u8 *)(r1 +0) = r0
r1 = r10
r1 += -16
r1 += r7
*(u8 *)(r1 +0) = r0
r0 = 0
exit`,
	}, {
		name: "packet past its end", want: Stats{Insns: 53, MaxPerInsn: 1, TotalStates: 4, PeakStates: 4},
		text: `r2 = *(u32 *)(r1 +76)
r3 = *(u32 *)(r1 +80)
r6 = r1
call bpf_get_prandom_u32
r8 = r0
r2 = *(u32 *)(r6 +76)
r3 = *(u32 *)(r6 +80)
r4 = r2
r4 += 8
if r4 <= r3 goto inside
r5 = 1
goto join
inside:
r5 = 1
goto join
join:
if r8 s> 77 goto second
second:
r0 = 0
if r8 s> 78 goto third
r0 = 0
r0 = 0
r0 = 0
third:
if r4 > r3 goto out
r0 = 0
out:
r0 = 0
exit`,
	}, {
		name: "a mask of sign bits is two values", want: Stats{Insns: 13, TotalStates: 1, PeakStates: 1},
		text: `call bpf_get_prandom_u32
r6 = r0
r6 <<= 63
r6 s>>= 63
r6 &= 5
if r6 == 5 goto +1
if r6 == 0 goto +0
r0 = 0
exit`,
	}, {
		name: "one hundred thousand rounds", want: Stats{Insns: 200003, MaxPerInsn: 4, TotalStates: 5001, PeakStates: 5001},
		text: `r6 = 0
again:
r6 += 1
if r6 < 100000 goto again
r0 = 0
exit`,
	}, {
		name: "endless loop", err: "infinite loop detected at insn 1",
		text: `r6 = 0
again:
call bpf_get_prandom_u32
if r0 == 7 goto out
goto again
out:
r0 = 0
exit`,
	}, {
		name: "endless loop that changes nothing any more", err: "infinite loop detected at insn 3",
		text: `r6 = 3
call bpf_get_prandom_u32
r7 = r0
again:
r6 &= 1
if r7 s> 5 goto again
r0 = 0
exit`,
	}, {
		name: "too many branches", err: "The sequence of 8193 jumps is too complex.",
		text: `call bpf_get_prandom_u32
r6 = r0
r7 = 0
again:
r7 += 1
if r6 == r7 goto over
r6 -= 1
over:
if r7 < 900000 goto again
r0 = 0
exit`,
	},
}

// program assembles a traffic control classifier.
func stateProgram(t testing.TB, text string) *Program {
	t.Helper()
	insns, err := asm.Assemble(text)
	if err != nil {
		t.Fatal(err)
	}
	return &Program{Type: ebpf.SchedCLS, Insns: insns, GPL: true}
}

// TestStates has the numbers that Linux 6.18 prints.
func TestStates(t *testing.T) {
	for _, c := range stateCases {
		t.Run(c.name, func(t *testing.T) {
			v, err := Verify(stateProgram(t, c.text), nil)
			if c.err != "" {
				if e, ok := err.(*Error); !ok || e.Reason.Message != c.err {
					t.Fatalf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := v.Stats
			got.Subprogs, got.StackDepth = nil, 0
			if got.Insns != c.want.Insns || got.TotalStates != c.want.TotalStates ||
				got.PeakStates != c.want.PeakStates || got.MaxPerInsn != c.want.MaxPerInsn {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestLinkedDistance has the ranges that Linux 6.18 prints of registers at a distance from one
// that is compared.
func TestLinkedDistance(t *testing.T) {
	v := &verifier{}
	known := numbers(0, 100, false)
	known.ID = 1
	for _, c := range []struct {
		name   string
		id     uint32
		off    int32
		lo, hi int64
	}{
		{"same", 1, 0, 0, 100},
		{"8 more", 1 | addConst64, 8, 8, 108},
		{"3 less", 1 | addConst64, -3, -3, 97},
		{"8 more in 32 bits", 1 | addConst32, 8, 8, 108},
		{"another", 2, 0, -5, 5},
	} {
		r := reg{Type: ScalarValue, Scalar: scalarRange(-5, 5), ID: c.id, Off: c.off, Subreg: 7}
		f := &frame{}
		f.Regs[1], f.Regs[2] = known, r
		l := linkedRegs{n: 2}
		l.regs[0].place, l.regs[1].place = 1, 2
		v.syncLinked(&state{frames: []*frame{f}}, &f.Regs[1], &l)
		got := f.Regs[2]
		if got.Smin != c.lo || got.Smax != c.hi || got.ID != c.id || got.Off != c.off || got.Subreg != 7 {
			t.Errorf("%s: %d to %d with id %x%+d, want %d to %d", c.name, got.Smin, got.Smax, got.ID, got.Off, c.lo, c.hi)
		}
	}
	for _, c := range []struct {
		name  string
		op    uint8
		wide  bool
		src   uint64
		umax  uint64
		delta int32
		ok    bool
	}{
		{"r += 5", isa.ADD, true, 5, 9, 5, true},
		{"r -= 5", isa.SUB, true, 5, 9, -5, true},
		{"r += -5", isa.ADD, true, ^uint64(4), 9, -5, true},
		{"r += 0x80000001", isa.ADD, true, 0x80000001, 9, 0, false},
		{"r += -0x80000000", isa.ADD, true, 0xffffffff80000000, 9, -0x80000000, true},
		{"r -= -0x80000000", isa.SUB, true, 0xffffffff80000000, 9, 0, false},
		{"w += 5", isa.ADD, false, 5, 1<<32 - 1, 5, true},
		{"w += 5 cuts", isa.ADD, false, 5, 1 << 32, 0, false},
		{"r *= 5", isa.MUL, true, 5, 9, 0, false},
	} {
		dst, src := numbers(0, c.umax, false), reg{}
		src.setConst(c.src)
		if delta, ok := distance(c.op, c.wide, &dst.Scalar, &src.Scalar); ok != c.ok || delta != c.delta {
			t.Errorf("%s: %d, %v, want %d, %v", c.name, delta, ok, c.delta, c.ok)
		}
	}
}

func scalarRange(lo, hi int64) scalar.Scalar {
	s := scalar.Unknown()
	s.Smin, s.Smax = lo, hi
	s.Sync()
	return s
}

// TestAtomicFetchIsFollowed: whether R6 is read depends on what was fetched from the stack, so the
// second path may not end where the first one was saved, before may_goto. Linux 6.18.44 accepts
// the program.
func TestAtomicFetchIsFollowed(t *testing.T) {
	_, err := Verify(stateProgram(t, `*(u64 *)(r10 -8) = 0
call bpf_get_prandom_u32
if r0 > 5 goto over
*(u64 *)(r10 -8) = 1
over:
may_goto pc+0
r1 = 0
r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)
if r1 == 1 goto out
r0 = r6
out:
r0 = 0
exit`), nil)
	var e *Error
	if !errors.As(err, &e) || e.Reason.Message != "R6 !read_ok" {
		t.Errorf("%v", err)
	}
}
