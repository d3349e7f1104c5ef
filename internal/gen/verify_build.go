package gen

import (
	"math/rand/v2"
	"sort"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// vb builds one program for verifiers.
type vb struct {
	*rand.Rand
	k       *vkind
	table   *linux.HelperTable
	license string
	btf     bool // functions have func_info
	made    []string
	insns   []isa.Insn
	fixes   []vfix
	labels  []int // by label, the instruction or -1
	outs    []int // labels of the epilogue
	funcs   []VerifyFunc
	queue   []vsub
	ended   bool // the template has ended the program
	inSub   bool
	calls   bool // has subprograms
	mayGoto bool
}

// vfix is a jump or call to a label.
type vfix struct {
	insn, label int
	call        bool
}

// vsub is a subprogram that is yet to be made.
type vsub struct {
	label, fn int
	make      func()
}

func (b *vb) pick(weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := b.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return len(weights) - 1
}

func (b *vb) chance(percent int) bool { return b.IntN(100) < percent }

// one chooses one of the values.
func one[T any](r *rand.Rand, v ...T) T { return v[r.IntN(len(v))] }

func (b *vb) emit(op uint8, dst, src int, off int, imm int32) {
	b.insns = append(b.insns, isa.Insn{Op: op, Dst: uint8(dst), Src: uint8(src), Off: int16(off), Imm: imm})
}

func (b *vb) mov(dst, src int)           { b.emit(isa.ClassALU64|isa.MOV|isa.SrcReg, dst, src, 0, 0) }
func (b *vb) movImm(dst int, v int32)    { b.emit(isa.ClassALU64|isa.MOV, dst, 0, 0, v) }
func (b *vb) addImm(dst int, v int32)    { b.emit(isa.ClassALU64|isa.ADD, dst, 0, 0, v) }
func (b *vb) alu(op uint8, dst, src int) { b.emit(isa.ClassALU64|op|isa.SrcReg, dst, src, 0, 0) }
func (b *vb) aluImm(op uint8, dst int, v int32) {
	b.emit(isa.ClassALU64|op, dst, 0, 0, v)
}
func (b *vb) aluImm32(op uint8, dst int, v int32) { b.emit(isa.ClassALU|op, dst, 0, 0, v) }

func (b *vb) load(size uint8, dst, src, off int) {
	b.emit(isa.ClassLDX|isa.ModeMEM|size, dst, src, off, 0)
}
func (b *vb) loadSX(size uint8, dst, src, off int) {
	b.emit(isa.ClassLDX|isa.ModeMEMSX|size, dst, src, off, 0)
}
func (b *vb) store(size uint8, dst, off, src int) {
	b.emit(isa.ClassSTX|isa.ModeMEM|size, dst, src, off, 0)
}
func (b *vb) storeImm(size uint8, dst, off int, v int32) {
	b.emit(isa.ClassST|isa.ModeMEM|size, dst, 0, off, v)
}
func (b *vb) atomic(size uint8, dst, off, src int, op int32) {
	b.emit(isa.ClassSTX|isa.ModeATOMIC|size, dst, src, off, op)
}
func (b *vb) exit()           { b.emit(isa.ClassJMP|isa.EXIT, 0, 0, 0, 0) }
func (b *vb) helper(id int32) { b.emit(isa.ClassJMP|isa.CALL, 0, 0, 0, id) }

func (b *vb) wide(dst, src int, v uint64) {
	b.emit(isa.LDDW, dst, src, 0, int32(uint32(v)))
	b.emit(0, 0, 0, 0, int32(uint32(v>>32)))
}

// mapPtr loads the address of a map, mapValue that of a byte of its first value.
func (b *vb) mapPtr(dst, m int) { b.wide(dst, isa.PseudoMapIdx, uint64(m)) }
func (b *vb) mapValue(dst, m, off int) {
	b.wide(dst, isa.PseudoMapIdxValue, uint64(m)|uint64(uint32(off))<<32)
}

func (b *vb) label() int { b.labels = append(b.labels, -1); return len(b.labels) - 1 }
func (b *vb) bind(l int) { b.labels[l] = len(b.insns) }

// jmp emits a jump to a label; op has class, operation and source.
func (b *vb) jmp(op uint8, dst, src int, imm int32, label int) {
	b.fixes = append(b.fixes, vfix{len(b.insns), label, false})
	b.emit(op, dst, src, 0, imm)
}
func (b *vb) jump(label int) { b.jmp(isa.ClassJMP|isa.JA, 0, 0, 0, label) }
func (b *vb) ifImm(op uint8, dst int, imm int32, label int) {
	b.jmp(isa.ClassJMP|op, dst, 0, imm, label)
}
func (b *vb) ifReg(op uint8, dst, src int, label int) {
	if dst == src { // Linux 6.18 logs a warning when a register is compared with itself
		b.jmp(isa.ClassJMP|op, dst, 0, 1, label)
		return
	}
	b.jmp(isa.ClassJMP|op|isa.SrcReg, dst, src, 0, label)
}

// out is a label at the end of the program, where r0 is set.
func (b *vb) out() int {
	if len(b.outs) > 0 && b.chance(80) {
		return b.outs[len(b.outs)-1]
	}
	l := b.label()
	b.outs = append(b.outs, l)
	return l
}

// sub queues a subprogram and returns the label to call; fn is its entry in VerifyFuncs.
func (b *vb) sub(fn int, make func()) int {
	b.calls = true
	l := b.label()
	b.queue = append(b.queue, vsub{l, fn, make})
	return l
}

func (b *vb) call(label int) {
	b.calls = true
	b.fixes = append(b.fixes, vfix{len(b.insns), label, true})
	b.emit(isa.ClassJMP|isa.CALL, 0, isa.CallLocal, 0, 0)
}

// function notes that a function begins here.
func (b *vb) function(fn int) { b.funcs = append(b.funcs, VerifyFunc{len(b.insns), fn}) }

// link resolves labels.
func (b *vb) link() *VerifyProg {
	for _, f := range b.fixes {
		at := b.labels[f.label]
		if at < 0 {
			at = len(b.insns)
		}
		d := at - f.insn - 1
		if f.call {
			b.insns[f.insn].Imm = int32(d)
		} else {
			b.insns[f.insn].Off = int16(d)
		}
	}
	p := &VerifyProg{Made: b.made, Type: b.k.typ, Attach: b.k.attach, Flags: b.k.flags, License: b.license, Insns: b.insns}
	if b.btf {
		p.Funcs = b.funcs
		sort.Slice(p.Funcs, func(i, j int) bool { return p.Funcs[i].Insn < p.Funcs[j].Insn })
	}
	return p
}

// imm chooses an immediate, often an edge.
func (b *vb) imm() int32 {
	switch b.IntN(6) {
	case 0:
		return one(b.Rand, int32(0), 1, -1, 2, 7, 8, 15, 16, 63, 64, 127, 128, 255, 256, -128, -129, 0x7fff, 0x8000, 0xffff, 0x10000)
	case 1:
		return one(b.Rand, int32(0x7fffffff), -0x80000000, -0x7fffffff, 0x7ffffffe, 0x40000000)
	case 2:
		return int32(1) << b.IntN(31)
	case 3:
		return int32(b.IntN(64))
	case 4:
		return -int32(b.IntN(64))
	}
	return int32(b.Uint32()) >> b.IntN(32)
}

func (b *vb) size() uint8 {
	return one(b.Rand, uint8(isa.SizeB), isa.SizeH, isa.SizeW, isa.SizeDW)
}

// bytesOf is the number of bytes of an access.
func bytesOf(size uint8) int {
	switch size {
	case isa.SizeB:
		return 1
	case isa.SizeH:
		return 2
	case isa.SizeW:
		return 4
	}
	return 8
}

// access emits a load or a store at an address.
func (b *vb) access(reg, off int, size uint8) {
	switch b.IntN(5) {
	case 0, 1:
		b.load(size, b.scratchNot(reg), reg, off)
	case 2:
		b.storeImm(size, reg, off, b.imm())
	case 3:
		v := b.scratchNot(reg)
		b.movImm(v, b.imm())
		b.store(size, reg, off, v)
	default:
		if size == isa.SizeDW {
			size = isa.SizeW
		}
		b.loadSX(size, b.scratchNot(reg), reg, off)
	}
}

// scratchNot is a register of r0 to r5 other than those given.
func (b *vb) scratchNot(not ...int) int {
	for {
		r := b.IntN(6)
		ok := true
		for _, n := range not {
			ok = ok && n != r
		}
		if ok {
			return r
		}
	}
}
