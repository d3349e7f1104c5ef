package verifier

import (
	"fmt"
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
)

// operands returns what is known of the operands of the rejected instruction.
func (x *explainer) mathOperands() (dst, src reg) {
	in := x.v.insns[x.r.Insn]
	if x.t == nil {
		return reg{}, reg{}
	}
	dst = x.t.regs[min(int(in.Dst), numRegs-1)]
	if in.Op&isa.SrcReg != 0 {
		src = x.t.regs[min(int(in.Src), numRegs-1)]
	} else {
		src.setConst(uint64(int64(in.Imm)))
	}
	return dst, src
}

func (x *explainer) pointerMath() explanation {
	dst, src := x.mathOperands()
	in := x.v.insns[x.r.Insn]
	ptr, n := dst, x.node(int(in.Dst))
	if dst.Type == ScalarValue {
		ptr, n = src, x.node(int(in.Src))
	}
	what := upper(x.value(n, int(in.Dst)))
	if !strings.Contains(strings.ToLower(what), kindPhrase(&ptr)) && !strings.HasPrefix(what, "A pointer") {
		what += " (" + kindPhrase(&ptr) + ")"
	}
	switch {
	case dst.Type != ScalarValue && src.Type != ScalarValue:
		return explanation{"Two pointers are combined with an operation that makes no sense for them; only a difference can be taken.", "Compute with numbers, and add one number to one pointer."}
	case in.Class() == isa.ClassALU:
		return explanation{
			what + " is used in 32-bit arithmetic, which would cut it.",
			"Keep pointers in variables of a pointer type or of 64 bits.",
		}
	case ptr.Type == PtrToPacketEnd:
		return explanation{
			"data_end is only for comparisons; nothing can be added to it.",
			"Compute with data instead: if (data + n > data_end) return …;",
		}
	case ptr.Type == ConstPtrToMap:
		return explanation{"A map is no memory: nothing can be added to " + mapName(ptr.Map) + ".", "Look its value up with bpf_map_lookup_elem."}
	}
	op := in.Op & 0xf0
	if op == isa.ADD || op == isa.SUB {
		return explanation{
			what + " does not allow this addition or subtraction.",
			"Add a known or bounded number to it, and do not subtract from the other side.",
		}
	}
	return explanation{
		what + " is changed by an operation other than adding or subtracting a number.",
		"Align and mask offsets before they are added to the pointer, not the pointer itself.",
	}
}

func (x *explainer) unbounded() explanation {
	dst, src := x.mathOperands()
	ptr, num, reg := dst, src, int(x.v.insns[x.r.Insn].Src)
	if dst.Type == ScalarValue {
		ptr, num, reg = src, dst, int(x.v.insns[x.r.Insn].Dst)
	}
	if op := x.v.insns[x.r.Insn].Op & 0xf0; op != isa.ADD && op != isa.SUB {
		return x.pointerMath()
	}
	n := x.node(reg)
	code, name := x.number(n)
	limit := "N"
	if ptr.Map != nil && n != nil {
		if e := max(int64(ptr.Map.ValueSize)-int64(ptr.Off), 0) / int64(x.element(n)); e > 0 {
			limit = fmt.Sprint(e)
		}
	}
	if num.Var.IsConst() {
		return explanation{
			fmt.Sprintf("%d is added to %s; offsets must stay below %d in size.", int64(num.Var.Value), kindPhrase(&ptr), maxVarOff),
			"Use an offset that can lie inside of the memory.",
		}
	}
	what := fmt.Sprintf("%s is added to %s and may be %s.", upper(name), kindPhrase(&ptr), rangeText(&num))
	if num.Smin < 0 {
		return explanation{
			what + " Nothing on this path excludes negative values.",
			fmt.Sprintf("Use an unsigned type for %s, and limit it before it is added: if (%s >= %s) return 0;", code, code, limit),
		}
	}
	return explanation{what, fmt.Sprintf("Limit it before it is added: if (%s >= %s) return 0;", code, limit)}
}

func (x *explainer) pointerLeak() explanation {
	return explanation{"A pointer is compared with, or treated as, something else than a pointer of its kind or NULL.", "Compare pointers with NULL or with pointers into the same memory."}
}

func (x *explainer) divZero() explanation {
	return explanation{
		"The divisor is the constant 0. (A divisor that is not known may be 0: the result is then 0, and that of a remainder the dividend.)",
		"Correct the constant. Often it is a const volatile variable or macro that was never set.",
	}
}

func (x *explainer) shift() explanation {
	bits := 64
	if x.v.insns[x.r.Insn].Class() == isa.ClassALU {
		bits = 32
	}
	return explanation{
		fmt.Sprintf("A value of %d bits is shifted by %d.", bits, x.v.insns[x.r.Insn].Imm),
		fmt.Sprintf("Shift by 0 to %d, or cast to a wider type first.", bits-1),
	}
}

func (x *explainer) framePointer() explanation {
	return explanation{"R10 is the frame pointer, and programs cannot change it.", "Copy it to another register first: r2 = r10; r2 += -8."}
}
