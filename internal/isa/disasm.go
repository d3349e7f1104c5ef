package isa

import "fmt"

// Names resolves the numbers in an instruction to names for Disassemble. Every field may be
// left nil, and a callback may return the empty string; the number is printed then.
type Names struct {
	// PC is the instruction number of the instruction, which turns a relative call target
	// into the absolute one that Func takes.
	PC int
	// Map names the map of a wide load with one of the four map sources.
	Map func(load Insn) string
	// Func names the subprogram that starts at an instruction number.
	Func func(pc int) string
	// Helper names a helper; HelperName is used when it is nil or returns nothing.
	Helper func(id int32) string
	// Kfunc names the target of a kfunc call.
	Kfunc func(call Insn) string
}

func (n Names) mapName(i Insn) string {
	if n.Map == nil {
		return ""
	}
	return n.Map(i)
}

// fn names the function at a distance from the next instruction, as calls count.
func (n Names) fn(rel int32) string {
	if n.Func == nil {
		return ""
	}
	return n.Func(n.PC + 1 + int(rel))
}

func (n Names) helper(id int32) string {
	if n.Helper != nil {
		if name := n.Helper(id); name != "" {
			return name
		}
	}
	if name := HelperName(id); name != "" {
		return name
	}
	return "unknown"
}

func (n Names) kfunc(i Insn) string {
	if n.Kfunc != nil {
		if name := n.Kfunc(i); name != "" {
			return name
		}
	}
	return "kernel-function"
}

// Operator texts of kernel/bpf/disasm.c, indexed by the operation bits shifted right by four.
var (
	aluText = [16]string{
		ADD >> 4: "+=", SUB >> 4: "-=", MUL >> 4: "*=", DIV >> 4: "/=", OR >> 4: "|=",
		AND >> 4: "&=", LSH >> 4: "<<=", RSH >> 4: ">>=", MOD >> 4: "%=", XOR >> 4: "^=",
		MOV >> 4: "=", ARSH >> 4: "s>>=",
	}
	jumpText = [16]string{
		JEQ >> 4: "==", JGT >> 4: ">", JGE >> 4: ">=", JSET >> 4: "&", JNE >> 4: "!=",
		JSGT >> 4: "s>", JSGE >> 4: "s>=", JLT >> 4: "<", JLE >> 4: "<=",
		JSLT >> 4: "s<", JSLE >> 4: "s<=",
	}
	atomicText = [16]string{
		AtomicADD >> 4: "add", AtomicOR >> 4: "or", AtomicAND >> 4: "and", AtomicXOR >> 4: "xor",
	}
	sizeText   = [4]string{SizeW >> 3: "u32", SizeH >> 3: "u16", SizeB >> 3: "u8", SizeDW >> 3: "u64"}
	signedText = [4]string{SizeW >> 3: "s32", SizeH >> 3: "s16", SizeB >> 3: "s8"}
	classText  = [8]string{"ld", "ldx", "st", "stx", "alu", "jmp", "jmp32", "alu64"}
)

// Offsets that turn a 64-bit register move into another instruction (include/linux/filter.h
// and include/uapi/linux/bpf.h).
const (
	movAddrSpaceCast = 1
	movPercpuAddr    = -1
)

// Disassemble prints one instruction as bpftool prog dump xlated and the verifier log do: the
// opcode in parentheses, then the pseudo C of kernel/bpf/disasm.c. The second slot of a wide
// load goes in next, which is ignored otherwise. An opcode without a meaning gives BUG_ and
// the opcode, as in Linux; callx and the wide loads for which Linux prints a bare number
// (BTF id, map index) have a form of their own, so that the assembler can read all of it back.
func Disassemble(i, next Insn, names Names) string {
	var text string
	switch i.Class() {
	case ClassLD:
		text = disasmLD(i, next, names)
	case ClassLDX:
		text = disasmLDX(i)
	case ClassST:
		text = disasmST(i)
	case ClassSTX:
		text = disasmSTX(i)
	case ClassALU, ClassALU64:
		text = disasmALU(i)
	default:
		text = disasmJump(i, names)
	}
	if text == "" {
		return bug(i)
	}
	return fmt.Sprintf("(%02x) %s", i.Op, text)
}

// bug names an opcode that has no text; atomics carry no class name in Linux.
func bug(i Insn) string {
	if i.Class() == ClassSTX {
		return fmt.Sprintf("BUG_%02x", i.Op)
	}
	return fmt.Sprintf("BUG_%s_%02x", classText[i.Class()], i.Op)
}

func disasmALU(i Insn) string {
	r := byte('r')
	if i.Class() == ClassALU {
		r = 'w'
	}
	op := i.Op & 0xf0
	switch {
	case op == END:
		return disasmEnd(i)
	case op == NEG:
		return fmt.Sprintf("%c%d = -%c%d", r, i.Dst, r, i.Dst)
	case i.Op == ClassALU64|MOV|SrcReg && i.Off == movAddrSpaceCast:
		return fmt.Sprintf("r%d = addr_space_cast(r%d, %d, %d)", i.Dst, i.Src, uint32(i.Imm)>>16, uint16(i.Imm))
	case i.Op == ClassALU64|MOV|SrcReg && i.Off == movPercpuAddr:
		return fmt.Sprintf("r%d = &(void __percpu *)(r%d)", i.Dst, i.Src)
	case aluText[op>>4] == "":
		return ""
	}
	sign, cast := "", ""
	if (op == DIV || op == MOD) && i.Off == 1 {
		sign = "s"
	}
	if op == MOV && (i.Off == 8 || i.Off == 16 || i.Off == 32) {
		cast = fmt.Sprintf("(s%d)", i.Off)
	}
	if i.Op&SrcReg != 0 {
		return fmt.Sprintf("%c%d %s%s %s%c%d", r, i.Dst, sign, aluText[op>>4], cast, r, i.Src)
	}
	return fmt.Sprintf("%c%d %s%s %d", r, i.Dst, sign, aluText[op>>4], i.Imm)
}

func disasmEnd(i Insn) string {
	name := "le"
	switch {
	case i.Class() == ClassALU64:
		name = "bswap"
	case i.Op&SrcReg != 0:
		name = "be"
	}
	return fmt.Sprintf("r%d = %s%d r%d", i.Dst, name, i.Imm, i.Dst)
}

func disasmLD(i, next Insn, names Names) string {
	size := sizeText[i.Op>>3&3]
	switch i.Op & 0xe0 {
	case ModeABS:
		return fmt.Sprintf("r0 = *(%s *)skb[%d]", size, i.Imm)
	case ModeIND:
		return fmt.Sprintf("r0 = *(%s *)skb[r%d + %d]", size, i.Src, i.Imm)
	}
	if !i.IsWide() {
		return ""
	}
	if i.Src > PseudoMapIdxValue {
		return fmt.Sprintf("lddw r%d, %d, %#x", i.Dst, i.Src, i.Imm64(next))
	}
	return fmt.Sprintf("r%d = %s", i.Dst, wideValue(i, next, names))
}

// wideValue follows print_imm of tools/bpf/bpftool/xlated_dumper.c.
func wideValue(i, next Insn, names Names) string {
	switch i.Src {
	case PseudoMapFD:
		return fmt.Sprintf("map[%s]", mapKey("id", i, names))
	case PseudoMapValue:
		return fmt.Sprintf("map[%s][0]+%d", mapKey("id", i, names), next.Imm)
	case PseudoMapIdx:
		return fmt.Sprintf("map[%s]", mapKey("idx", i, names))
	case PseudoMapIdxValue:
		return fmt.Sprintf("map[%s]+%d", mapKey("idx", i, names), next.Imm)
	case PseudoBTFID:
		return fmt.Sprintf("btf[id:%d fd:%d]", i.Imm, next.Imm)
	case PseudoFunc:
		if name := names.fn(i.Imm); name != "" {
			return fmt.Sprintf("func[%s]", name)
		}
		return fmt.Sprintf("subprog[%+d]", i.Imm)
	}
	return fmt.Sprintf("%#x", i.Imm64(next))
}

func mapKey(kind string, i Insn, names Names) string {
	if name := names.mapName(i); name != "" {
		return name
	}
	return fmt.Sprintf("%s:%d", kind, i.Imm)
}

func disasmLDX(i Insn) string {
	size := ""
	switch i.Op & 0xe0 {
	case ModeMEM:
		size = sizeText[i.Op>>3&3]
	case ModeMEMSX:
		size = signedText[i.Op>>3&3]
	}
	if size == "" {
		return ""
	}
	return fmt.Sprintf("r%d = *(%s *)(r%d %+d)", i.Dst, size, i.Src, i.Off)
}

func disasmST(i Insn) string {
	switch i.Op & 0xe0 {
	case ModeMEM:
		return fmt.Sprintf("*(%s *)(r%d %+d) = %d", sizeText[i.Op>>3&3], i.Dst, i.Off, i.Imm)
	case ModeATOMIC: // the kernel's own speculation barrier, not for programs to use
		return "nospec"
	}
	return ""
}

func disasmSTX(i Insn) string {
	at := fmt.Sprintf("*(%s *)(r%d %+d)", sizeText[i.Op>>3&3], i.Dst, i.Off)
	switch i.Op & 0xe0 {
	case ModeMEM:
		return fmt.Sprintf("%s = r%d", at, i.Src)
	case ModeATOMIC:
		return disasmAtomic(i, at)
	}
	return ""
}

func disasmAtomic(i Insn, at string) string {
	wide := ""
	if i.Op&SizeDW == SizeDW {
		wide = "64"
	}
	ptr := at[1:]
	switch i.Imm {
	case AtomicADD, AtomicOR, AtomicAND, AtomicXOR:
		return fmt.Sprintf("lock %s %s r%d", at, aluText[i.Imm>>4], i.Src)
	case AtomicADD | AtomicFetch, AtomicOR | AtomicFetch, AtomicAND | AtomicFetch, AtomicXOR | AtomicFetch:
		return fmt.Sprintf("r%d = atomic%s_fetch_%s(%s, r%d)", i.Src, wide, atomicText[i.Imm>>4], ptr, i.Src)
	case AtomicXCHG:
		return fmt.Sprintf("r%d = atomic%s_xchg(%s, r%d)", i.Src, wide, ptr, i.Src)
	case AtomicCMPXCHG:
		return fmt.Sprintf("r0 = atomic%s_cmpxchg(%s, r0, r%d)", wide, ptr, i.Src)
	case AtomicLoadAcq: // the only atomic that reads through the source register
		return fmt.Sprintf("r%d = load_acquire((%s *)(r%d %+d))", i.Dst, sizeText[i.Op>>3&3], i.Src, i.Off)
	case AtomicStoreRel:
		return fmt.Sprintf("store_release(%s, r%d)", ptr, i.Src)
	}
	return ""
}

func disasmJump(i Insn, names Names) string {
	switch i.Op {
	case ClassJMP | JA:
		return fmt.Sprintf("goto pc%+d", i.Off)
	case ClassJMP32 | JA:
		return fmt.Sprintf("gotol pc%+d", i.Imm)
	case ClassJMP | JA | SrcReg:
		return fmt.Sprintf("gotox r%d", i.Dst)
	case ClassJMP | EXIT:
		return "exit"
	case ClassJMP | CALL:
		return disasmCall(i, names)
	case ClassJMP | CALL | SrcReg:
		return fmt.Sprintf("callx r%d", i.Dst)
	case ClassJMP | JCOND:
		if i.Src == 0 { // BPF_MAY_GOTO
			return fmt.Sprintf("may_goto pc%+d", i.Off)
		}
	}
	op := jumpText[i.Op>>4]
	if op == "" {
		return ""
	}
	r := byte('r')
	if i.Class() == ClassJMP32 {
		r = 'w'
	}
	if i.Op&SrcReg != 0 {
		return fmt.Sprintf("if %c%d %s %c%d goto pc%+d", r, i.Dst, op, r, i.Src, i.Off)
	}
	return fmt.Sprintf("if %c%d %s 0x%x goto pc%+d", r, i.Dst, op, uint32(i.Imm), i.Off)
}

func disasmCall(i Insn, names Names) string {
	switch i.Src {
	case CallHelper:
		return fmt.Sprintf("call %s#%d", names.helper(i.Imm), i.Imm)
	case CallLocal:
		if name := names.fn(i.Imm); name != "" {
			return fmt.Sprintf("call pc%+d#%s", i.Imm, name)
		}
		return fmt.Sprintf("call pc%+d", i.Imm)
	case CallKfunc:
		return fmt.Sprintf("call %s#%d", names.kfunc(i), i.Imm)
	}
	return fmt.Sprintf("call unknown#%d", i.Imm)
}
