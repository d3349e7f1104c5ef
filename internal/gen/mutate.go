package gen

import (
	"math/rand/v2"

	"github.com/carom-bpf/carom/internal/isa"
)

// mutate changes one place of a program.
func mutate(r *rand.Rand, p *VerifyProg) *VerifyProg {
	p = p.Clone()
	n := len(p.Insns)
	at := r.IntN(n)
	in := &p.Insns[at]
	if in.Op == 0 || in.IsWide() {
		if r.IntN(3) > 0 {
			return p
		}
		p.Made = append(p.Made, "m:wide")
		if in.IsWide() && in.Src != 0 {
			in.Imm = int32(r.IntN(len(p.MapSpecs())))
		}
		return p
	}
	switch r.IntN(13) {
	case 0:
		p.Made = append(p.Made, "m:dst")
		in.Dst = uint8(r.IntN(11))
	case 1:
		p.Made = append(p.Made, "m:src")
		if in.Op != isa.ClassJMP|isa.CALL {
			in.Src = uint8(r.IntN(11))
		}
	case 2, 3:
		p.Made = append(p.Made, "m:imm")
		if in.Op != isa.ClassJMP|isa.CALL {
			in.Imm += one(r, int32(1), -1, 8, -8, 64, int32(r.Uint32()>>r.IntN(32)))
		}
	case 4, 5:
		p.Made = append(p.Made, "m:off")
		in.Off += one(r, int16(1), -1, 8, -8, 4, -4)
	case 6:
		p.Made = append(p.Made, "m:size")
		if c := in.Class(); c == isa.ClassLDX || c == isa.ClassST || c == isa.ClassSTX {
			in.Op = in.Op&^0x18 | one(r, uint8(isa.SizeB), isa.SizeH, isa.SizeW, isa.SizeDW)
		}
	case 7, 8:
		p.Made = append(p.Made, "m:op")
		mutateOp(r, in)
	case 9:
		p.Made = append(p.Made, "m:delete")
		if q, ok := p.Without(at); ok {
			return q
		}
	case 10, 11:
		p.Made = append(p.Made, "m:swap")
		if at+1 < n && plain(*in) && plain(p.Insns[at+1]) {
			p.Insns[at], p.Insns[at+1] = p.Insns[at+1], p.Insns[at]
		}
	default:
		p.Made = append(p.Made, "m:copy")
		if from := p.Insns[r.IntN(n)]; plain(from) && plain(*in) {
			*in = from
		}
	}
	return p
}

// plain says that an instruction neither jumps nor is a part of a wide load.
func plain(i isa.Insn) bool {
	c := i.Class()
	return c != isa.ClassLD && c != isa.ClassJMP && c != isa.ClassJMP32
}

// mutateOp exchanges the operation within its class.
func mutateOp(r *rand.Rand, in *isa.Insn) {
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		in.Op = in.Op&0x0f | one(r, uint8(isa.ADD), isa.SUB, isa.MUL, isa.OR, isa.AND, isa.LSH, isa.RSH, isa.XOR, isa.MOV, isa.ARSH)
		if r.IntN(4) == 0 {
			in.Op ^= isa.ClassALU ^ isa.ClassALU64
		}
	case isa.ClassJMP, isa.ClassJMP32:
		switch in.Op & 0xf0 {
		case isa.CALL, isa.EXIT, isa.JA, isa.JCOND:
			return
		}
		in.Op = in.Op&0x0f | one(r, uint8(isa.JEQ), isa.JGT, isa.JGE, isa.JSET, isa.JNE, isa.JSGT, isa.JSGE, isa.JLT, isa.JLE, isa.JSLT, isa.JSLE)
		if r.IntN(4) == 0 {
			in.Op ^= isa.ClassJMP ^ isa.ClassJMP32
		}
	case isa.ClassLDX:
		in.Op ^= isa.ModeMEM ^ isa.ModeMEMSX
	}
}

// Without leaves an instruction out and mends jumps, calls and func_info. A jump to it goes to
// the next one. False says that the program would be empty or the place is half of a wide load.
func (p *VerifyProg) Without(at int) (*VerifyProg, bool) {
	n := 1
	switch {
	case at > 0 && p.Insns[at-1].IsWide():
		return nil, false
	case p.Insns[at].IsWide() && at+1 < len(p.Insns):
		n = 2
	}
	if len(p.Insns) <= n {
		return nil, false
	}
	moved := func(i int) int {
		switch {
		case i >= at+n:
			return i - n
		case i > at:
			return at
		}
		return i
	}
	q := p.Clone()
	q.Insns = q.Insns[:0]
	for i := 0; i < len(p.Insns); i++ {
		if i >= at && i < at+n {
			continue
		}
		in := p.Insns[i]
		if t, ok := target(in, i); ok && !(i > 0 && p.Insns[i-1].IsWide()) {
			d := moved(t) - moved(i) - 1
			if in.Op == isa.ClassJMP|isa.CALL || in.Op == isa.ClassJMP32|isa.JA {
				in.Imm = int32(d)
			} else {
				in.Off = int16(d)
			}
		}
		q.Insns = append(q.Insns, in)
	}
	q.Funcs = q.Funcs[:0]
	last := -1
	for _, f := range p.Funcs {
		f.Insn = moved(f.Insn)
		if f.Insn != last && f.Insn < len(q.Insns) {
			q.Funcs = append(q.Funcs, f)
			last = f.Insn
		}
	}
	return q, true
}

// target is where a jump or local call goes.
func target(in isa.Insn, at int) (int, bool) {
	switch in.Class() {
	case isa.ClassJMP, isa.ClassJMP32:
	default:
		return 0, false
	}
	switch in.Op & 0xf0 {
	case isa.EXIT:
		return 0, false
	case isa.CALL:
		return at + 1 + int(in.Imm), in.Src == isa.CallLocal
	}
	if in.Op == isa.ClassJMP32|isa.JA {
		return at + 1 + int(in.Imm), true
	}
	return at + 1 + int(in.Off), true
}

// Loadable says that a program may be given to a live kernel: no callbacks (none of them may reach
// a tail call), no may_goto beside subprograms and no register that is compared with itself, for
// which Linux 6.18 logs warnings.
func (p *VerifyProg) Loadable() bool {
	mayGoto, calls := false, false
	for i, in := range p.Insns {
		if i > 0 && p.Insns[i-1].IsWide() {
			continue
		}
		switch in.Class() {
		case isa.ClassLD:
			if in.IsWide() && in.Src == isa.PseudoFunc {
				return false
			}
		case isa.ClassJMP, isa.ClassJMP32:
			op := in.Op & 0xf0
			mayGoto = mayGoto || op == isa.JCOND
			calls = calls || op == isa.CALL && in.Src == isa.CallLocal
			if op != isa.JA && op != isa.CALL && op != isa.EXIT && op != isa.JCOND && in.Op&isa.SrcReg != 0 && in.Src == in.Dst {
				return false
			}
		}
	}
	return !mayGoto || !calls
}
