package vm

import (
	"github.com/carom-bpf/carom/internal/isa"
)

// tailCallID is bpf_tail_call in enum bpf_func_id.
const tailCallID = 12

// decode turns instruction slots into ops, one for one, so that an index means the same in
// both. What is no valid instruction becomes opBad and reports itself when it runs. Behind the
// last op stands opEnd, and one opBadJump for each instruction with a bad target.
func decode(code *Code) (ops []op, sites []int) {
	d := decoder{code: code, ops: make([]op, len(code.Insns), len(code.Insns)+2)}
	wide := false
	for n, i := range code.Insns {
		if wide {
			d.ops[n] = op{code: opBad} // second half of a wide load
			wide = false
			continue
		}
		d.ops[n] = d.decode(n, i)
		wide = i.IsWide() && n+1 < len(code.Insns)
	}
	d.ops = append(d.ops, op{code: opEnd})
	for _, n := range d.badJumps {
		// The trap is reached through the jump's own offset.
		d.ops[n].off = int32(len(d.ops) - n - 1)
		d.ops = append(d.ops, op{code: opBadJump, imm: uint64(n)})
	}
	return d.ops, d.sites
}

type decoder struct {
	code     *Code
	ops      []op
	sites    []int
	badJumps []int
}

func (d *decoder) decode(n int, i isa.Insn) op {
	bad := op{code: opBad}
	if i.Dst > isa.FP || i.Src > isa.FP && i.Op != isa.LDDW || usesReserved(i) {
		return bad
	}
	o := op{dst: i.Dst, src: i.Src, off: int32(i.Off), imm: uint64(int64(i.Imm))}
	switch i.Class() {
	case isa.ClassALU, isa.ClassALU64:
		return decodeALU(o, i)
	case isa.ClassJMP, isa.ClassJMP32:
		return d.decodeJump(n, o, i)
	case isa.ClassLD:
		return d.decodeLD(n, o, i)
	case isa.ClassLDX:
		return decodeLDX(o, i)
	}
	return decodeStore(o, i)
}

// usesReserved reports whether a field is set that the instruction does not have. RFC 9669,
// section 3, has those zero, and Linux refuses anything else ("uses reserved fields",
// kernel/bpf/verifier.c).
func usesReserved(i isa.Insn) bool {
	reg := i.Op&isa.SrcReg != 0
	left := i // what remains when the fields that it has are taken away
	left.Op = 0
	switch i.Class() {
	case isa.ClassALU, isa.ClassALU64:
		left.Dst, left.Off = 0, 0 // decodeALU knows which offsets there are
		if op := i.Op & 0xf0; reg && op != isa.END {
			left.Src = 0
		} else if op != isa.NEG {
			left.Imm = 0
		}
	case isa.ClassJMP, isa.ClassJMP32:
		return reservedInJump(i, left, reg)
	case isa.ClassLD:
		left.Imm = 0
		if i.IsWide() {
			left.Dst, left.Src = 0, 0
		} else if i.Op&0xe0 == isa.ModeIND {
			left.Src = 0
		}
	case isa.ClassLDX:
		left.Dst, left.Src, left.Off = 0, 0, 0
	case isa.ClassST:
		left.Dst, left.Off, left.Imm = 0, 0, 0
	case isa.ClassSTX:
		left.Dst, left.Src, left.Off = 0, 0, 0
		if i.Op&0xe0 == isa.ModeATOMIC {
			left.Imm = 0
		}
	}
	return left != isa.Insn{}
}

func reservedInJump(i, left isa.Insn, reg bool) bool {
	switch op := i.Op & 0xf0; {
	case op == isa.JA && i.Class() == isa.ClassJMP32:
		left.Imm = 0
	case op == isa.JA, op == isa.JCOND:
		left.Off = 0
	case op == isa.CALL && reg:
		left.Dst = 0
		if i.Dst == 0 && i.Imm >= 0 && i.Imm <= isa.FP { // the older encoding has the register in imm
			left.Imm = 0
		}
	case op == isa.CALL:
		left.Src, left.Imm = 0, 0
		if i.Src == isa.CallKfunc {
			left.Off = 0 // BTF of the module that has the function
		}
	case op == isa.EXIT:
	case reg:
		left.Dst, left.Src, left.Off = 0, 0, 0
	default:
		left.Dst, left.Off, left.Imm = 0, 0, 0
	}
	return left != isa.Insn{}
}

// aluOp maps the operation bits to the immediate form of the 64-bit op; the register form and
// the 32-bit forms lie at fixed distances in ops.go.
func aluOp(operation uint8) (uint16, bool) {
	codes := [16]uint16{
		isa.ADD >> 4: opAdd64I, isa.SUB >> 4: opSub64I, isa.MUL >> 4: opMul64I, isa.DIV >> 4: opDiv64I,
		isa.OR >> 4: opOr64I, isa.AND >> 4: opAnd64I, isa.LSH >> 4: opLsh64I, isa.RSH >> 4: opRsh64I,
		isa.MOD >> 4: opMod64I, isa.XOR >> 4: opXor64I, isa.MOV >> 4: opMov64I, isa.ARSH >> 4: opArsh64I,
	}
	switch operation {
	case isa.NEG, isa.END, 0xe0, 0xf0:
		return 0, false
	}
	return codes[operation>>4], true
}

const (
	regForm   = opAdd64R - opAdd64I
	form32    = opAdd32I - opAdd64I
	jumpReg   = opJEq64R - opJEq64I
	jumpForm3 = opJEq32I - opJEq64I
)

func decodeALU(o op, i isa.Insn) op {
	bad := op{code: opBad}
	if i.Dst == isa.FP {
		return bad // the frame pointer is read-only
	}
	is32 := i.Class() == isa.ClassALU
	reg := i.Op&isa.SrcReg != 0
	operation := i.Op & 0xf0
	switch operation {
	case isa.END:
		return decodeEnd(o, i)
	case isa.NEG:
		if i.Off != 0 || reg {
			return bad
		}
		o.code = opNeg64
		if is32 {
			o.code = opNeg32
		}
		return o
	}
	code, ok := aluOp(operation)
	if !ok {
		return bad
	}
	switch {
	case i.Off == 0:
	case i.Off == 1 && operation == isa.DIV:
		code = opSDiv64I
	case i.Off == 1 && operation == isa.MOD:
		code = opSMod64I
	case operation == isa.MOV && reg:
		return decodeMovSX(o, i, is32)
	default:
		return bad
	}
	if reg {
		code += regForm
	}
	if is32 {
		code += form32
	}
	o.code, o.off = code, 0
	return o
}

func decodeMovSX(o op, i isa.Insn, is32 bool) op {
	codes := map[int16]uint16{8: opMovSX8, 16: opMovSX16, 32: opMovSX32}
	if is32 {
		codes = map[int16]uint16{8: opMovSX8W, 16: opMovSX16W}
	}
	code, ok := codes[i.Off]
	if !ok {
		return op{code: opBad}
	}
	o.code, o.off = code, 0
	return o
}

// decodeEnd handles byte order conversion (RFC 9669, section 4.2) for a little-endian machine:
// conversion to little-endian only cuts off, the other two swap.
func decodeEnd(o op, i isa.Insn) op {
	swap := map[int32]uint16{16: opSwap16, 32: opSwap32, 64: opSwap64}
	le := map[int32]uint16{16: opLE16, 32: opLE32, 64: opNop}
	table := swap
	switch {
	case i.Class() == isa.ClassALU64 && i.Op&isa.SrcReg != 0, i.Off != 0:
		return op{code: opBad}
	case i.Class() == isa.ClassALU && i.Op&isa.SrcReg == 0:
		table = le
	}
	code, ok := table[i.Imm]
	if !ok {
		return op{code: opBad}
	}
	o.code = code
	return o
}

func (d *decoder) decodeJump(n int, o op, i isa.Insn) op {
	bad := op{code: opBad}
	operation := i.Op & 0xf0
	is32 := i.Class() == isa.ClassJMP32
	switch operation {
	case isa.JA:
		if i.Op&isa.SrcReg != 0 {
			return bad
		}
		if is32 {
			o.off = i.Imm
		}
		o.code = opJa
		return d.target(n, o)
	case isa.JCOND:
		if is32 || i.Src != 0 || i.Op&isa.SrcReg != 0 {
			return bad
		}
		o.code = opMayGoto
		return d.target(n, o)
	case isa.CALL:
		if is32 {
			return bad
		}
		return d.decodeCall(n, o, i)
	case isa.EXIT:
		if is32 || i.Op&isa.SrcReg != 0 {
			return bad
		}
		o.code = opExit
		return o
	}
	codes := [16]uint16{
		isa.JEQ >> 4: opJEq64I, isa.JGT >> 4: opJGt64I, isa.JGE >> 4: opJGe64I, isa.JSET >> 4: opJSet64I,
		isa.JNE >> 4: opJNe64I, isa.JSGT >> 4: opJSGt64I, isa.JSGE >> 4: opJSGe64I, isa.JLT >> 4: opJLt64I,
		isa.JLE >> 4: opJLe64I, isa.JSLT >> 4: opJSLt64I, isa.JSLE >> 4: opJSLe64I,
	}
	o.code = codes[operation>>4]
	if o.code == 0 {
		return bad
	}
	if i.Op&isa.SrcReg != 0 {
		o.code += jumpReg
	}
	if is32 {
		o.code += jumpForm3
	}
	return d.target(n, o)
}

// target checks where a jump goes: to the first slot of an instruction.
func (d *decoder) target(n int, o op) op {
	to := int64(n) + 1 + int64(o.off)
	if to < 0 || to >= int64(len(d.code.Insns)) || d.isSecondHalf(int(to)) {
		d.badJumps = append(d.badJumps, n)
	}
	return o
}

func (d *decoder) isSecondHalf(n int) bool {
	// Wide loads cannot overlap, so look back as long as slots could be either half.
	half := false
	for m := n - 1; m >= 0 && d.code.Insns[m].IsWide(); m-- {
		half = !half
	}
	return half
}

func (d *decoder) decodeCall(n int, o op, i isa.Insn) op {
	if i.Op&isa.SrcReg != 0 { // by register
		if i.Dst == 0 {
			o.dst = uint8(i.Imm)
		}
		o.code = opCallReg
		return o
	}
	if i.Src == isa.CallLocal {
		to := int64(n) + 1 + int64(i.Imm)
		if to < 0 || to >= int64(len(d.code.Insns)) || d.isSecondHalf(int(to)) {
			return op{code: opBad}
		}
		o.code, o.imm = opCall, uint64(to)
		return o
	}
	h := d.code.Helpers[n]
	if h == nil {
		return op{code: opBad}
	}
	if h.ID == tailCallID && i.Src == isa.CallHelper {
		o.code, o.imm = opTailCall, uint64(len(d.sites))
		d.sites = append(d.sites, n)
		return o
	}
	o.code, o.imm = opHelper, uint64(n)
	return o
}

func (d *decoder) decodeLD(n int, o op, i isa.Insn) op {
	switch {
	case i.IsWide():
		if n+1 >= len(d.code.Insns) || i.Dst == isa.FP || !d.knownWide(n, i) {
			return op{code: opBad}
		}
		o.code, o.imm = opLddw, i.Imm64(d.code.Insns[n+1])
		return o
	case i.Op&0xe0 == isa.ModeABS, i.Op&0xe0 == isa.ModeIND:
		size := map[uint8]int32{isa.SizeB: 0, isa.SizeH: 1, isa.SizeW: 2}
		k, ok := size[i.Op&0x18]
		if !ok {
			return op{code: opBad}
		}
		o.off = k
		o.code = opLdAbs
		if i.Op&0xe0 == isa.ModeIND {
			o.code = opLdInd
		}
		return o
	}
	return op{code: opBad}
}

// knownWide reports whether the second half of a wide load is one and the loader has resolved what
// the load refers to.
func (d *decoder) knownWide(n int, i isa.Insn) bool {
	second := d.code.Insns[n+1]
	second.Imm = 0
	_, address := d.code.Wide[n]
	_, function := d.code.FuncLoads[n]
	return second == isa.Insn{} && (i.Src == 0 || address || function)
}

// sizeCode is log2 of the bytes of an access.
func sizeCode(opcode uint8) uint16 {
	return [...]uint16{isa.SizeW >> 3: 2, isa.SizeH >> 3: 1, isa.SizeB >> 3: 0, isa.SizeDW >> 3: 3}[opcode&0x18>>3]
}

// inFrame reports whether an access relative to the frame pointer stays in the frame, so that it
// needs no check at run time.
func inFrame(base uint8, off int16, k uint16) bool {
	return base == isa.FP && off >= -frameSize && int(off)+1<<k <= 0
}

func decodeLDX(o op, i isa.Insn) op {
	k := sizeCode(i.Op)
	if i.Dst == isa.FP {
		return op{code: opBad}
	}
	switch i.Op & 0xe0 {
	case isa.ModeMEM:
		if inFrame(i.Src, i.Off, k) {
			o.code = [...]uint16{opLdxFB, opLdxFH, opLdxFW, opLdxFDW}[k]
		} else {
			o.code = [...]uint16{opLdxB, opLdxH, opLdxW, opLdxDW}[k]
		}
		return o
	case isa.ModeMEMSX:
		if k < 3 {
			o.code = [...]uint16{opLdxSB, opLdxSH, opLdxSW}[k]
			return o
		}
	}
	return op{code: opBad}
}

func decodeStore(o op, i isa.Insn) op {
	k := sizeCode(i.Op)
	mode := i.Op & 0xe0
	fp := inFrame(i.Dst, i.Off, k)
	switch {
	case i.Class() == isa.ClassST && mode == isa.ModeMEM && fp:
		o.code = [...]uint16{opStFB, opStFH, opStFW, opStFDW}[k]
	case i.Class() == isa.ClassST && mode == isa.ModeMEM:
		o.code = [...]uint16{opStB, opStH, opStW, opStDW}[k]
	case i.Class() == isa.ClassSTX && mode == isa.ModeMEM && fp:
		o.code = [...]uint16{opStxFB, opStxFH, opStxFW, opStxFDW}[k]
	case i.Class() == isa.ClassSTX && mode == isa.ModeMEM:
		o.code = [...]uint16{opStxB, opStxH, opStxW, opStxDW}[k]
	case i.Class() == isa.ClassSTX && mode == isa.ModeATOMIC:
		return decodeAtomic(o, i, k)
	default:
		return op{code: opBad}
	}
	return o
}

func decodeAtomic(o op, i isa.Insn, k uint16) op {
	switch {
	case i.Imm == isa.AtomicLoadAcq && i.Dst != isa.FP:
		o.code, o.imm = opLoadAcq, uint64(k)
	case i.Imm == isa.AtomicStoreRel:
		o.code, o.imm = opStoreRel, uint64(k)
	case k >= 2 && validAtomic(i.Imm) && !(i.Src == isa.FP && i.Imm&isa.AtomicFetch != 0):
		o.code, o.imm = opAtomic, uint64(uint32(i.Imm))
		if k == 3 {
			o.imm |= wideAtomic
		}
	default:
		return op{code: opBad}
	}
	return o
}

// whyBad explains what decode refused.
func whyBad(i isa.Insn) string {
	writes := i.Class() == isa.ClassALU || i.Class() == isa.ClassALU64 || i.Class() == isa.ClassLDX || i.IsWide()
	switch {
	case i.Dst > isa.FP || i.Src > isa.FP && !i.IsWide():
		return ": there are registers r0 to r10 only"
	case writes && i.Dst == isa.FP:
		return ": the frame pointer is read-only"
	case i == isa.Insn{}:
		return ": the second half of a wide load is no instruction"
	case i.IsWide() && i.Src != 0:
		return ": the wide load refers to something that was not resolved, or its second half is damaged"
	case usesReserved(i):
		return ": it uses reserved fields, which must be 0"
	}
	return ""
}
