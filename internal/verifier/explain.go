package verifier

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
)

// explainer puts a rejection in plain words.
type explainer struct {
	v     *verifier
	r     *reject.Error
	t     *trail         // nil where the rejection is not about a path
	steps []PathStep     // places that are no part of an explored path
	deep  []Frame        // of a chain of calls that is too deep
	notes map[int]string // what matters at instructions of the path
}

// explanation is what is wrong and what to do.
type explanation struct{ what, todo string }

// explainers are the functions that explain a class of reasons.
func explainers() map[reject.Code]func(*explainer) explanation {
	return map[reject.Code]func(*explainer) explanation{
		CodeNullAccess:          (*explainer).nullAccess,
		CodeNullMath:            (*explainer).nullAccess,
		CodePacketAccess:        (*explainer).packet,
		CodeMapAccess:           (*explainer).mapValue,
		CodeAccess:              (*explainer).access,
		CodeContextAccess:       (*explainer).context,
		CodeStackAccess:         (*explainer).stack,
		CodeStackUninit:         (*explainer).stackUninit,
		CodeStackDepth:          (*explainer).depth,
		CodeUninit:              (*explainer).uninit,
		CodeUnbounded:           (*explainer).unbounded,
		CodePointerMath:         (*explainer).pointerMath,
		CodePointerLeak:         (*explainer).pointerLeak,
		CodeDivZero:             (*explainer).divZero,
		CodeShift:               (*explainer).shift,
		CodeFramePointer:        (*explainer).framePointer,
		CodeAlignment:           (*explainer).alignment,
		CodeLoop:                (*explainer).loop,
		CodeTooComplex:          (*explainer).tooComplex,
		CodeMayGoto:             (*explainer).mayGoto,
		CodeHelper:              (*explainer).helper,
		CodeLicence:             (*explainer).licence,
		CodeArgument:            (*explainer).argument,
		CodeMapUse:              (*explainer).mapUse,
		CodeTailCall:            (*explainer).tailCall,
		CodeReference:           (*explainer).reference,
		CodeLock:                (*explainer).lock,
		CodeReturn:              (*explainer).result,
		CodeFuncInfo:            (*explainer).funcInfo,
		CodeUnsupported:         (*explainer).unsupported,
		CodeDynptr:              (*explainer).dynptr,
		CodeIter:                (*explainer).iterator,
		CodeTimer:               (*explainer).timer,
		CodeCallback:            (*explainer).callbacks,
		CodeProgram:             (*explainer).program,
		cfg.CodeUnreachable:     (*explainer).unreachable,
		cfg.CodeJumpOutOfRange:  (*explainer).jumpRange,
		cfg.CodeJumpIntoWide:    (*explainer).jumpWide,
		cfg.CodeFallThrough:     (*explainer).fallThrough,
		cfg.CodeCallTarget:      (*explainer).callTarget,
		cfg.CodeProgramSize:     (*explainer).programSize,
		cfg.CodeTailCallNoBTF:   (*explainer).tailCallBTF,
		cfg.CodeTailCallReturn:  (*explainer).tailCallReturn,
		cfg.CodeUnknownOpcode:   (*explainer).opcode,
		cfg.CodeReservedField:   (*explainer).reserved,
		cfg.CodeWideLoad:        (*explainer).reserved,
		cfg.CodeLoadAbsNoBTF:    (*explainer).tailCallBTF,
		cfg.CodeLoadAbsReturn:   (*explainer).tailCallReturn,
		cfg.CodeTooManySubprogs: (*explainer).programSize,
	}
}

// explain fills in the path, the explanation and the suggestion of an error.
func (v *verifier) explain(e *Error) {
	x := &explainer{v: v, r: &e.Reason}
	// An instruction that names registers which do not exist says everything itself.
	known := e.Reason.Insn < 0 || v.insns[e.Reason.Insn].Dst < numRegs && v.insns[e.Reason.Insn].Src < numRegs
	if known && v.exploring(&e.Reason) && e.Reason.Code != CodeTooComplex {
		x.t = v.follow(&e.Reason)
	}
	if f := explainers()[e.Reason.Code]; f != nil {
		got := f(x)
		e.Explanation, e.Suggestion = got.what, got.todo
	}
	e.Path, e.Frames = x.path(), x.deep
}

// lineAt returns the source line of an instruction, nil where there is none.
func (v *verifier) lineAt(insn int) *Line {
	if insn < 0 {
		return nil
	}
	if n := v.lineOf(insn); n >= 0 {
		return &v.prog.Lines[n]
	}
	return nil
}

// sourceOf returns the text of the source line of an instruction.
func (v *verifier) sourceOf(insn int) string {
	if l := v.lineAt(insn); l != nil {
		return l.Text
	}
	return ""
}

// where says where an instruction is: "line 12", or "insn 7".
func (v *verifier) where(insn int) string {
	if l := v.lineAt(insn); l != nil && l.Line > 0 {
		return fmt.Sprintf("line %d", l.Line)
	}
	return fmt.Sprintf("insn %d", insn)
}

// whereNode is where for a value of the path.
func (x *explainer) whereNode(n *node) string {
	if n == nil || n.at < 0 {
		return "the start"
	}
	return x.v.where(x.t.insns[n.at])
}

// insnOf returns the instruction that made a value.
func (x *explainer) insnOf(n *node) isa.Insn { return x.v.insns[x.t.insns[n.at]] }

// node returns the value of a register before the rejected instruction, nil if it is not known.
func (x *explainer) node(n int) *node {
	if x.t == nil {
		return nil
	}
	return x.t.reg(n)
}

// reg returns what is known of the register that the reason names, or an empty one.
func (x *explainer) reg() reg {
	if x.t == nil || x.r.Reg < 0 || x.r.Reg >= numRegs {
		return reg{}
	}
	return x.t.regs[x.r.Reg]
}

// assignment finds what a line of C assigns to: a variable, a field or an element.
var assignment = regexp.MustCompile(`([A-Za-z_]\w*(?:(?:->|\.)\w+|\[[^\]]*\])*)\s*=([^=].*)$`)

// operators that make the right side of an assignment more than the value itself.
var operators = regexp.MustCompile(`[-+*/%&|^?] | <<|>> |,`)

// variable returns the name of the variable that a value was assigned to, empty if the source
// does not tell.
func (x *explainer) variable(n *node) string {
	if n == nil || n.at < 0 || x.t == nil {
		return ""
	}
	insn := x.t.insns[n.at]
	l, here := x.v.lineAt(insn), x.v.lineAt(x.r.Insn)
	if l == nil {
		return ""
	}
	m := assignment.FindStringSubmatch(l.Text)
	if m == nil || n.val.Type == PtrToStack || here != nil && l.Line == here.Line && n.kind != fromCall {
		return ""
	}
	right := strings.TrimSpace(m[2])
	switch n.kind {
	case fromCall:
		name := x.callName(insn)
		if name == "" || !strings.Contains(right, name+"(") {
			return ""
		}
	case fromMemory:
		if operators.MatchString(stripCasts(right)) {
			return ""
		}
	}
	return m[1]
}

// casts in C.
var casts = regexp.MustCompile(`\(\s*(?:const\s+|struct\s+|unsigned\s+|volatile\s+)*\w+\s*\**\s*\)`)

func stripCasts(s string) string { return casts.ReplaceAllString(s, "") }

// callName returns the name of the function that an instruction calls.
func (x *explainer) callName(insn int) string {
	in := x.v.insns[insn]
	switch {
	case in.Class() == isa.ClassLD && in.Op&0xe0 != isa.ModeIMM:
		return "BPF_LD_ABS"
	case in.Op != opCall:
		return ""
	}
	switch in.Src {
	case isa.CallHelper:
		if p, _ := x.v.proto(in.Imm); p != nil && p.Name != "" {
			return p.Name
		}
		return helperName(in.Imm)
	case isa.CallKfunc:
		return x.v.prog.Kfuncs[in.Imm]
	}
	return x.v.functionName(x.v.graph.SubprogAt(insn + int(in.Imm) + 1))
}

// functionName returns the name of a function, or its number.
func (v *verifier) functionName(sub int) string {
	if s := v.subprogName(sub); s != "" {
		return s
	}
	if sub == 0 {
		return v.prog.Name
	}
	return fmt.Sprintf("func#%d", sub) // as Linux's log has it
}

// callText is a call as text: bpf_map_lookup_elem(&scratch).
func (x *explainer) callText(n *node) string {
	name := x.callName(x.t.insns[n.at])
	if name == "" {
		name = "a call"
	}
	for _, from := range n.from {
		if from != nil && from.val.Type == ConstPtrToMap {
			return name + "(&" + mapName(from.val.Map) + ")"
		}
	}
	return name + "()"
}

// mapName names a map.
func mapName(m *Map) string {
	if m == nil || m.Name == "" {
		return "map"
	}
	return m.Name
}

// kindPhrases say what registers hold.
var kindPhrases = map[RegType]string{
	NotInit: "nothing", ScalarValue: "a number", PtrToCtx: "the context", ConstPtrToMap: "a map",
	PtrToMapValue: "a pointer to a map value", PtrToMapKey: "a pointer to a map key",
	PtrToStack: "a pointer to the stack", PtrToPacketMeta: "a pointer to the packet's metadata",
	PtrToPacket: "a pointer into the packet", PtrToPacketEnd: "the end of the packet",
	PtrToFlowKeys: "a pointer to flow keys", PtrToSocket: "a socket", PtrToSockCommon: "a socket",
	PtrToTCPSock: "a TCP socket", PtrToXDPSock: "an XDP socket", PtrToTPBuffer: "a tracepoint buffer",
	PtrToBTFID: "a pointer to a kernel structure", PtrToMem: "a pointer to memory",
	PtrToBuf: "a pointer to a buffer", PtrToFunc: "a function", PtrToArena: "a pointer into an arena",
}

// kindPhrase says what a register holds in words.
func kindPhrase(r *reg) string {
	s := kindPhrases[r.Type.base()]
	if s == "" {
		s = r.Type.String()
	}
	if (r.Type.base() == PtrToMapValue || r.Type.base() == PtrToMapKey) && r.Map != nil {
		s = strings.Replace(s, "a map value", "a value of map "+mapName(r.Map), 1)
		s = strings.Replace(s, "a map key", "a key of map "+mapName(r.Map), 1)
	}
	if r.Type == ConstPtrToMap && r.Map != nil {
		s = "map " + mapName(r.Map)
	}
	if r.Type == PtrToMem|MemRingbuf || r.Type == PtrToMem|MemRingbuf|MaybeNull {
		s = "a ring buffer record"
	}
	if r.Type.mayBeNull() {
		s += " or NULL"
	}
	return s
}

// rangeText says which values a number may have.
func rangeText(r *reg) string {
	switch {
	case r.Var.IsConst():
		return fmt.Sprintf("%d", int64(r.Var.Value))
	case r.Smin >= 0 && r.Umax < math.MaxInt64:
		return fmt.Sprintf("%d to %d", r.Umin, r.Umax)
	case r.Smin == math.MinInt64 && r.Smax == math.MaxInt64:
		return "any value"
	case r.Smax == math.MaxInt64 && r.Smin >= 0:
		return fmt.Sprintf("%d or more, without a limit", r.Smin)
	}
	const large = 1 << 40 // more than any offset or size
	switch {
	case r.Smin <= -large && r.Smax >= large:
		return "any value, also a negative one"
	case r.Smin <= -large:
		return fmt.Sprintf("any negative value, and up to %d", r.Smax)
	case r.Smax >= large:
		return fmt.Sprintf("%d or more, without a limit", r.Smin)
	}
	return fmt.Sprintf("%d to %d", r.Smin, r.Smax)
}

// value names a value: its variable, what it comes from, or the register.
func (x *explainer) value(n *node, register int) string {
	if name := x.variable(n); name != "" {
		return name
	}
	if d := x.origin(n); d != "" {
		return d
	}
	if n != nil && n.kind == fromMath && n.val.Type == ScalarValue {
		if _, s := x.number(n); s != "a number" {
			return s
		}
	}
	return fmt.Sprintf("R%d", register)
}

// number names a number that was computed: for code and in a sentence.
func (x *explainer) number(n *node) (code, sentence string) {
	made := ""
	for d := 0; n != nil && d < 8; d++ {
		if name := x.variable(n); name != "" {
			return name, name
		}
		if s := x.origin(n); s != "" {
			if strings.HasPrefix(s, "a number") {
				return "index", s
			}
			return "index", made + s
		}
		made = "a number made of "
		n = n.from[0]
	}
	return "index", "a number"
}

// origin says where a value comes from, empty if that is not known.
func (x *explainer) origin(n *node) string {
	if n == nil {
		return ""
	}
	switch n.kind {
	case fromEntry:
		if n.val.Type == PtrToCtx {
			return "the context"
		}
		return "an argument of the function"
	case fromConst:
		return fmt.Sprintf("the constant %d", int64(n.val.Var.Value))
	case fromAddress:
		if n.val.Type == PtrToMapValue {
			return "a pointer to " + x.v.globalName(&n.val)
		}
		return kindPhrase(&n.val)
	case fromMemory:
		return x.memory(n)
	case fromCall:
		return "the result of " + x.callText(n)
	case fromMath:
		if n.val.Type != ScalarValue && n.from[0] != nil && n.from[0].kind != fromMath {
			if base := x.value(n.from[0], -1); base != "R-1" {
				return base + " plus an offset"
			}
		}
	}
	return ""
}

// globalName names the global variable that a pointer to a direct map value points to.
func (v *verifier) globalName(r *reg) string {
	if d, ok := dataSection(r.Map); ok {
		for _, s := range d {
			if uint32(r.Off) >= s.off && uint32(r.Off) < s.off+s.size {
				return s.name
			}
		}
	}
	return "map " + mapName(r.Map)
}

// memory says what a load read.
func (x *explainer) memory(n *node) string {
	in := x.insnOf(n)
	off := int(in.Off) + int(n.ptr.Off)
	switch n.ptr.Type.base() {
	case PtrToCtx:
		if f := x.v.field(off, sizeOf(in.Op)); f != "" {
			return f
		}
		return "a field of the context"
	case PtrToMapValue:
		if n.ptr.Var.IsConst() {
			if m := memberAt(n.ptr.Map.Value, uint32(off)); m != "" {
				return m + " in a value of map " + mapName(n.ptr.Map)
			}
		}
		return "a number from map " + mapName(n.ptr.Map)
	case PtrToPacket, PtrToPacketMeta:
		return "a number from the packet"
	case PtrToStack:
		return "a number from the stack"
	}
	return ""
}

// field names a field of the context: skb->len.
func (v *verifier) field(off, size int) string {
	c := linux.NewContexts().Of(v.prog.Type, v.prog.AttachType)
	if c == nil || off < 0 {
		return ""
	}
	for i := range c.Fields {
		if f := &c.Fields[i]; uint32(off) >= f.Off && uint32(off) < f.Off+f.Size {
			return "the field " + f.Name + " of struct " + c.Name
		}
	}
	return ""
}
