package scalar

import (
	"fmt"
	"math/rand/v2"

	"github.com/carom-bpf/carom/internal/isa"
)

// A small verifier for the programs that randomProgram writes: registers r0 and r6 to r8, one
// spilled slot, and forward jumps each of which has a landing place of its own.
type machine struct {
	code []isa.Insn
	path
	done    bool     // the path has ended
	pending []path   // ways to be followed, the last one first
	jumps   int      // jumps that were not decided
	bugs    []string // contradictions, as Linux reports them
}

// path is a state: what is known before the instruction at pc, reached from the one at from.
type path struct {
	from, pc int
	regs     [9]Scalar
	slot     Scalar // what is spilled at fp-8
}

// step executes one instruction.
func (m *machine) step() {
	i := m.code[m.pc]
	next := m.pc + 1
	switch i.Class() {
	case isa.ClassALU, isa.ClassALU64:
		m.alu(i)
		m.check(&m.regs[i.Dst], "alu")
	case isa.ClassSTX:
		m.slot = m.regs[i.Src]
	case isa.ClassLDX:
		m.load(i)
	default:
		switch i.Op {
		case isa.ClassJMP | isa.EXIT:
			m.done = true
		case isa.ClassJMP | isa.CALL:
			m.regs[0].SetUnknown()
		default:
			next = m.jump(i)
		}
	}
	m.from, m.pc = m.pc, next
}

// pop goes on with the way that was queued last.
func (m *machine) pop() bool {
	n := len(m.pending)
	if n == 0 {
		return false
	}
	m.path, m.pending, m.done = m.pending[n-1], m.pending[:n-1], false
	return true
}

// push queues a copy of the state before the instruction at to and returns its registers.
func (m *machine) push(to int) *[9]Scalar {
	next := m.path
	next.from, next.pc = m.pc, to
	m.pending = append(m.pending, next)
	return &m.pending[len(m.pending)-1].regs
}

func (m *machine) check(s *Scalar, where string) {
	if v := s.Check(); v != Consistent {
		m.bugs = append(m.bugs, string(s.AppendViolation(nil, v, where)))
		s.ResetBounds()
	}
}

func width(i isa.Insn) Width {
	if i.Class() == isa.ClassALU || i.Class() == isa.ClassJMP32 {
		return W32
	}
	return W64
}

func (m *machine) alu(i isa.Insn) {
	w, op := width(i), i.Op&0xf0
	dst, src := &m.regs[i.Dst], &m.regs[i.Src]
	if i.Op&isa.SrcReg == 0 {
		imm := Const(uint64(int64(i.Imm)))
		src = &imm
	}
	switch {
	case op == isa.MOV && i.Off != 0:
		*dst = *src
		dst.MovSX(w, int(i.Off/8))
		return
	case op == isa.END:
		End(i.Op, i.Imm, dst)
		return
	}
	if zero := *dst; Fork(op, dst, src, &zero) {
		m.push(m.pc)[i.Dst] = zero
	}
	ALU(op, w, dst, src)
}

func (m *machine) load(i isa.Insn) {
	dst := &m.regs[i.Dst]
	*dst = m.slot
	size := map[uint8]int{isa.SizeB: 1, isa.SizeH: 2, isa.SizeW: 4, isa.SizeDW: 8}[i.Op&0x18]
	if i.Op&0xe0 == isa.ModeMEMSX {
		dst.CoerceSX(size)
	} else {
		dst.Coerce(size)
	}
}

func (m *machine) jump(i isa.Insn) int {
	w, op := width(i), i.Op&0xf0
	target := m.pc + 1 + int(i.Off)
	imm := Const(uint64(int64(i.Imm)))
	a, b := &m.regs[i.Dst], &m.regs[i.Src]
	if i.Op&isa.SrcReg == 0 {
		b = &imm
	}
	switch Branch(op, w, a, b) {
	case Taken:
		return target
	case NotTaken:
		return m.pc + 1
	}
	m.jumps++
	immTaken := imm
	taken := m.push(target)
	ta, tb := &taken[i.Dst], &taken[i.Src]
	if b == &imm {
		tb = &immTaken
	}
	Refine(RevOp(op), w, a, b)
	Refine(op, w, ta, tb)
	m.check(ta, "true_reg1")
	m.check(tb, "true_reg2")
	m.check(a, "false_reg1")
	m.check(b, "false_reg2")
	return m.pc + 1
}

// Building blocks of random programs.

var aluOps = []uint8{isa.ADD, isa.SUB, isa.MUL, isa.AND, isa.OR, isa.XOR, isa.LSH, isa.RSH, isa.ARSH, isa.NEG}

var jumpOps = []uint8{isa.JEQ, isa.JNE, isa.JSET, isa.JGT, isa.JGE, isa.JLT, isa.JLE, isa.JSGT, isa.JSGE, isa.JSLT, isa.JSLE}

type programGen struct {
	*rand.Rand
	code  []isa.Insn
	jumps []int
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// imm returns an immediate that is likely to be near an end of something.
func (g *programGen) imm() int32 {
	switch g.IntN(7) {
	case 0:
		return int32(g.IntN(8)) - 3
	case 1:
		return 1<<g.IntN(32) - int32(g.IntN(3)) + 1
	case 2:
		return -(1 << g.IntN(31)) + int32(g.IntN(3)) - 1
	case 3:
		return int32(g.Uint32())
	case 4:
		return int32(g.Uint32()) >> g.IntN(32)
	case 5:
		return int32(g.Uint32() >> g.IntN(32))
	}
	return int32(g.IntN(512)) - 128
}

func (g *programGen) reg() uint8 { return 6 + uint8(g.IntN(3)) }

func (g *programGen) emit(i ...isa.Insn) { g.code = append(g.code, i...) }

// randomProgram makes three unknown numbers, works on them with n steps, and exits.
func randomProgram(r *rand.Rand, n int) []isa.Insn {
	g := &programGen{Rand: r}
	for dst := uint8(6); dst <= 8; dst++ {
		g.emit(isa.Insn{Op: isa.ClassJMP | isa.CALL, Imm: 7}, isa.Insn{Op: isa.ClassALU64 | isa.MOV | isa.SrcReg, Dst: dst})
	}
	g.emit(isa.Insn{Op: isa.ClassALU64 | isa.MOV})
	for range n {
		g.step()
	}
	exit := []isa.Insn{{Op: isa.ClassALU64 | isa.MOV}, {Op: isa.ClassJMP | isa.EXIT}}
	g.emit(exit...)
	for _, at := range g.jumps {
		g.code[at].Off = int16(len(g.code) - at - 1)
		g.emit(exit...)
	}
	return g.code
}

func (g *programGen) step() {
	switch g.IntN(20) {
	case 0, 1, 2, 3:
		g.alu(0)
	case 4, 5, 6:
		g.alu(isa.SrcReg)
	case 7:
		// Bits that are known make the rest worth while.
		g.emit(isa.Insn{Op: pick(g.Rand, uint8(isa.ClassALU), isa.ClassALU64) | pick(g.Rand, uint8(isa.AND), isa.OR, isa.AND), Dst: g.reg(), Imm: g.imm()})
	case 8, 9, 10, 11, 12:
		g.jump(0)
	case 13, 14, 15:
		g.jump(isa.SrcReg)
	case 16, 17:
		g.resize()
	case 18:
		g.copy()
	case 19:
		g.rare()
	}
}

func (g *programGen) alu(source uint8) {
	op := pick(g.Rand, aluOps...)
	i := isa.Insn{Op: pick(g.Rand, uint8(isa.ClassALU), isa.ClassALU64) | op, Dst: g.reg()}
	bits := 32
	if i.Class() == isa.ClassALU64 {
		bits = 64
	}
	switch {
	case op == isa.NEG:
	case source != 0:
		i.Op |= isa.SrcReg
		i.Src = g.reg()
	case op == isa.LSH || op == isa.RSH || op == isa.ARSH:
		i.Imm = int32(g.IntN(bits))
		if g.IntN(8) == 0 {
			i.Imm = int32(bits / 2)
		}
	default:
		i.Imm = g.imm()
	}
	g.emit(i)
}

func (g *programGen) jump(source uint8) {
	i := isa.Insn{Op: pick(g.Rand, uint8(isa.ClassJMP), isa.ClassJMP32) | pick(g.Rand, jumpOps...) | source, Dst: g.reg()}
	if source == 0 {
		i.Imm = g.imm()
	} else {
		i.Src = g.reg()
	}
	g.jumps = append(g.jumps, len(g.code))
	g.emit(i)
}

// resize truncates or extends: by a spill and a narrower fill, or by a move.
func (g *programGen) resize() {
	r := g.reg()
	switch g.IntN(4) {
	case 0:
		g.fill(r, isa.ModeMEM, pick(g.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW))
	case 1:
		g.fill(r, isa.ModeMEMSX, pick(g.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW))
	case 2:
		g.emit(isa.Insn{Op: isa.ClassALU64 | isa.MOV | isa.SrcReg, Dst: r, Src: r, Off: pick(g.Rand, int16(8), 16, 32)})
	case 3:
		g.emit(isa.Insn{Op: isa.ClassALU | isa.MOV | isa.SrcReg, Dst: r, Src: r, Off: pick(g.Rand, int16(0), 8, 16)})
	}
}

func (g *programGen) fill(r, mode, size uint8) {
	g.emit(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.FP, Src: r, Off: -8},
		isa.Insn{Op: isa.ClassLDX | mode | size, Dst: r, Src: isa.FP, Off: -8})
}

// copy moves a register. Linux then links the two; the operation after it cuts the link.
func (g *programGen) copy() {
	i := isa.Insn{Op: isa.ClassALU64 | isa.MOV | isa.SrcReg, Dst: g.reg(), Src: g.reg()}
	if g.IntN(3) == 0 {
		i.Op = isa.ClassALU | isa.MOV | isa.SrcReg
		i.Off = pick(g.Rand, int16(0), 8, 16)
	}
	g.emit(i, isa.Insn{Op: isa.ClassALU64 | isa.XOR, Dst: i.Dst})
}

func (g *programGen) rare() {
	i := isa.Insn{Op: pick(g.Rand, uint8(isa.ClassALU), isa.ClassALU64), Dst: g.reg()}
	switch g.IntN(6) {
	case 0:
		i.Op |= isa.MOV
		i.Imm = g.imm()
	case 1, 2:
		i.Op |= pick(g.Rand, uint8(isa.DIV), isa.MOD)
		i.Off = int16(g.IntN(2))
		i.Imm = g.imm()
		if i.Imm == 0 {
			i.Imm = 3
		}
	case 3:
		i.Op |= pick(g.Rand, uint8(isa.DIV), isa.MOD) | isa.SrcReg
		i.Src = g.reg()
	case 4:
		i.Op |= isa.END
		if i.Class() == isa.ClassALU {
			i.Op |= pick(g.Rand, uint8(0), isa.SrcReg)
		}
		i.Imm = pick(g.Rand, int32(16), 32, 64)
	case 5:
		// A constant in a register, as shift amounts need it.
		g.emit(isa.Insn{Op: i.Op | isa.MOV, Dst: i.Dst, Imm: int32(g.IntN(70)) - 2})
		i = isa.Insn{Op: pick(g.Rand, uint8(isa.ClassALU), isa.ClassALU64) | pick(g.Rand, uint8(isa.LSH), isa.RSH, isa.ARSH) | isa.SrcReg,
			Dst: g.reg(), Src: i.Dst}
	}
	g.emit(i)
}

func listing(code []isa.Insn) string {
	var out string
	for n, i := range code {
		out += fmt.Sprintf("%3d %+v\n", n, i)
	}
	return out
}
