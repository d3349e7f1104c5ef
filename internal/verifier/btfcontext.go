package verifier

import (
	"fmt"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

const (
	maxHookArgs = 12 // MAX_BPF_FUNC_ARGS
	maxRegArgs  = 5  // MAX_BPF_FUNC_REG_ARGS
)

// ctxArg is what a load from a context that BTF describes gives.
type ctxArg struct {
	kind   RegType
	target *object
	ranged bool // a scalar from low to high
	low    int32
	high   int32
}

// btfContext checks an access to a context that BTF describes (bpf_tracing_btf_ctx_access).
func (v *verifier) btfContext(a memAccess, result *reg) *reject.Error {
	refuse := func(lines ...string) *reject.Error {
		e := v.failReg(a.reg, CodeContextAccess, linux.EACCES, "invalid bpf_context access off=%d size=%d", a.off, a.size)
		e.Before = append(e.Before, lines...)
		return e
	}
	if a.off < 0 || a.off >= 8*maxHookArgs || a.kind == accessWrite || a.off%a.size != 0 {
		return refuse()
	}
	if v.hook == nil {
		return v.unsupported("contexts that BTF describes without the types (BTF) of a kernel")
	}
	arg, text := v.contextArg(a.off, a.size)
	if arg == nil {
		if text == "" {
			return refuse()
		}
		return refuse(text)
	}
	if text != "" && v.log != nil {
		v.log.linef("%s", text)
	}
	v.noteContext(a.off + a.size)
	if a.kind != accessRead || a.value < 0 {
		return nil
	}
	switch {
	case arg.kind == ScalarValue:
		if arg.ranged {
			result.Scalar = scalar.Unknown()
			result.Smin, result.Smax = int64(arg.low), int64(arg.high)
			result.S32min, result.S32max = arg.low, arg.high
			result.Scalar.Sync()
		}
	default:
		result.setPointer(arg.kind)
		result.BTF = arg.target
		if arg.kind.mayBeNull() {
			result.ID = v.newID()
		}
	}
	return nil
}

// contextArg finds the argument at an offset (btf_ctx_access). Where there is none it returns the
// line that Linux prints; beside an argument that is a structure, the one that it prints then.
func (v *verifier) contextArg(off, size int) (*ctxArg, string) {
	h := v.hook
	if off%8 != 0 {
		return nil, fmt.Sprintf("func '%s' offset %d is not multiple of 8", h.name, off)
	}
	if h.proto == nil {
		if off/8 > maxRegArgs {
			return nil, fmt.Sprintf("func '%s' doesn't have %d-th argument", h.name, off/8+1)
		}
		return v.unknownArg(off/8 == maxRegArgs)
	}
	params := h.proto.Params[h.first:]
	n := argAt(h.proto, off)
	missing := fmt.Sprintf("func '%s' doesn't have %d-th argument", h.name, n+1)
	if n > len(params) {
		return nil, missing
	}
	t, name, isResult := btf.Type(nil), "", n == len(params)
	if !isResult {
		t, name = params[n].Type, params[n].Name
	} else {
		switch v.prog.AttachType {
		case ebpf.AttachLSMMac, ebpf.AttachLSMCgroup, ebpf.AttachTraceFExit:
			t = h.proto.Return
		case ebpf.AttachModifyReturn:
			t = skipModifiers(h.proto.Return)
			if i, ok := t.(*btf.Int); !ok || i.Size > 8 {
				return nil, fmt.Sprintf("ret type %s not allowed for fmod_ret", kindName(t))
			}
		default:
			return nil, missing
		}
	}
	t = skipModifiers(t)
	if isValueType(t) {
		arg := &ctxArg{kind: ScalarValue}
		if isResult && v.prog.AttachType == ebpf.AttachLSMMac && !h.returnsVoid() {
			arg.ranged = true
			arg.low, arg.high = h.resultRange()
		}
		return arg, ""
	}
	ptr, ok := t.(*btf.Pointer)
	if !ok {
		return nil, fmt.Sprintf("func '%s' arg%d '%s' has type %s. Only pointer access is allowed",
			h.name, n, shownName(nameOf(t)), kindName(t))
	}
	if size != 8 {
		return nil, fmt.Sprintf("func '%s' size %d must be 8", h.name, size)
	}
	return v.pointerArg(n, off, name, ptr)
}

// unknownArg is an argument of a function whose prototype is not known.
func (v *verifier) unknownArg(isResult bool) (*ctxArg, string) {
	if isResult && v.prog.AttachType != ebpf.AttachTraceFExit {
		return nil, fmt.Sprintf("func '%s' doesn't have %d-th argument", v.hook.name, maxRegArgs+1)
	}
	return &ctxArg{kind: ScalarValue}, ""
}

// argAt returns the number of the argument at an offset; the result follows the last. Linux counts
// the private parameter of tracepoints here and not elsewhere, which makes no difference: it is
// as long as every other.
func argAt(p *btf.FuncProto, off int) int {
	end := 0
	for i := range p.Params {
		end += argSize(p.Params[i].Type)
		if off < end {
			return i
		}
	}
	if end += argSize(p.Return); off < end {
		return len(p.Params)
	}
	return len(p.Params) + 1
}

// argSize returns the bytes that an argument takes in the context.
func argSize(t btf.Type) int {
	n, ok := sizeOfType(skipModifiers(t))
	if !ok {
		return 0
	}
	return int(n+7) &^ 7
}

// isValueType says that an argument is passed as a number: integers, enumerations, structures.
func isValueType(t btf.Type) bool {
	switch t := t.(type) {
	case *btf.Int:
		return t.Size <= 8
	case *btf.Enum, *btf.Struct, *btf.Union:
		return true
	}
	return false
}

// pointerArg finds what an argument points to.
func (v *verifier) pointerArg(n, off int, name string, ptr *btf.Pointer) (*ctxArg, string) {
	h := v.hook
	iter, isIter := linux.IterArg{}, false
	if v.prog.AttachType == ebpf.AttachTraceIter && v.prog.Type == ebpf.Tracing {
		iter, isIter = linux.IterArgOf(h.target, n)
	}
	if isIter && iter.Buffer {
		kind := PtrToBuf | MaybeNull
		if iter.Rdonly {
			kind |= MemRdonly
		}
		return &ctxArg{kind: kind}, ""
	}
	target := skipModifiers(ptr.Target)
	switch target.(type) {
	case *btf.Void, *btf.Int:
		return &ctxArg{kind: ScalarValue}, ""
	}
	kind := PtrToBTFID
	if isIter {
		kind |= MaybeNull
		if iter.Trusted {
			kind |= PtrTrusted
		}
		return &ctxArg{kind: kind, target: v.named(iter.Struct)}, ""
	}
	if v.trustsArgs() {
		kind |= PtrTrusted
	}
	if h.stub != nil && n < len(h.stub.Params) {
		name = h.stub.Params[n].Name
	}
	if strings.HasSuffix(name, "__nullable") {
		kind |= MaybeNull
	}
	failing := false
	if v.prog.AttachType == ebpf.AttachTraceRawTp && v.prog.Type == ebpf.Tracing {
		switch linux.RawTracepointArgOf(h.target, n) {
		case linux.RawArgNull:
			kind |= MaybeNull
		case linux.RawArgError:
			failing = true
		}
	}
	kind |= flagOfTag(tagOf(ptr)) & (MemUser | MemPercpu)
	if composite(target) == nil {
		return nil, fmt.Sprintf("func '%s' arg%d type %s is not a struct", h.name, n, kindName(target))
	}
	text := fmt.Sprintf("func '%s' arg%d has btf_id %d type %s '%s'", h.name, n, v.typeID(target), kindName(target), shownName(nameOf(target)))
	if failing {
		return &ctxArg{kind: ScalarValue}, text + fmt.Sprintf("\nmarking pointer arg%d as scalar as it may encode error", n)
	}
	return &ctxArg{kind: kind, target: v.typeOf(target)}, text
}
