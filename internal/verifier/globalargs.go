package verifier

import (
	"runtime"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// globalArgs returns what a global function takes, from its BTF (btf_prepare_func_args,
// kernel/bpf/btf.c).
func (v *verifier) globalArgs(n int) ([]subArg, *reject.Error) {
	s := &v.subs[n]
	if s.argsDone {
		return s.args, nil
	}
	f := v.prog.Funcs[n].Type
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return nil, v.fail(CodeFuncInfo, linux.EFAULT, "Invalid type of function %s()", f.Name)
	}
	if len(proto.Params) > 5 {
		return nil, v.fail(CodeFuncInfo, linux.EINVAL, "Global function %s() with %d > %d args. Buggy compiler.",
			f.Name, len(proto.Params), 5)
	}
	if !isScalarType(skipModifiers(proto.Return)) {
		return nil, v.fail(CodeFuncInfo, linux.EINVAL,
			"Global function %s() doesn't return scalar. Only those are supported.", f.Name)
	}
	args := make([]subArg, len(proto.Params))
	for i, p := range proto.Params {
		tags, err := v.argTags(f, i)
		if err != nil {
			return nil, err
		}
		if args[i], err = v.globalArg(f, i, p.Type, tags); err != nil {
			return nil, err
		}
	}
	s.args, s.argsDone = args, true
	return args, nil
}

func isScalarType(t btf.Type) bool {
	switch t.(type) {
	case *btf.Int, *btf.Enum:
		return true
	}
	return false
}

// argTag is a set of declaration tags "arg:…" of a parameter.
type argTag uint8

const (
	tagCtx argTag = 1 << iota
	tagNonNull
	tagTrusted
	tagNullable
	tagArena
	tagUntrusted
)

// argTags reads the declaration tags of a parameter.
func (v *verifier) argTags(f *btf.Func, i int) (tags argTag, err *reject.Error) {
	if i >= len(f.ParamTags) {
		return 0, nil
	}
	for _, s := range f.ParamTags[i] {
		name, ok := strings.CutPrefix(s, "arg:")
		if !ok {
			continue
		}
		switch name {
		case "ctx":
			tags |= tagCtx
		case "nonnull":
			tags |= tagNonNull
		case "trusted":
			tags |= tagTrusted
		case "nullable":
			tags |= tagNullable
		case "arena":
			tags |= tagArena
		case "untrusted":
			tags |= tagUntrusted
		default:
			return 0, v.fail(CodeFuncInfo, linux.EOPNOTSUPP, "arg#%d has unsupported set of tags", i)
		}
	}
	return tags, nil
}

// globalArg turns one parameter into what the verifier expects in the register.
func (v *verifier) globalArg(f *btf.Func, i int, t btf.Type, tags argTag) (subArg, *reject.Error) {
	invalid := func() (subArg, *reject.Error) {
		return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d has invalid combination of tags", i)
	}
	t = skipModifiers(t)
	ptr, ok := t.(*btf.Pointer)
	if !ok {
		if tags != 0 {
			return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d has pointer tag, but is not a pointer type", i)
		}
		if isScalarType(t) {
			return subArg{kind: linux.ArgAnything}, nil
		}
		return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL, "Arg#%d type %s in %s() is not supported yet.",
			i, kindName(t), f.Name)
	}
	target := skipModifiers(ptr.Target)
	switch {
	case tags&tagCtx != 0 || isContext(v.prog.Type, ptr.Target):
		if tags&^tagCtx != 0 {
			return invalid()
		}
		if tags != 0 {
			if err := v.taggedContext(i, ptr.Target); err != nil {
				return subArg{}, err
			}
		}
		return subArg{kind: linux.ArgPtrToCtx}, nil
	case isStruct(target) && target.TypeName() == "bpf_dynptr":
		if tags != 0 {
			return invalid()
		}
		return subArg{kind: linux.ArgPtrToDynptr | linux.MemRdonly}, nil
	case tags&tagTrusted != 0:
		return v.trustedArg(i, target, tags)
	case tags&tagUntrusted != 0:
		return v.untrustedArg(i, target, tags)
	case tags&tagArena != 0:
		if tags != tagArena {
			return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d arena cannot be combined with any other tags", i)
		}
		return subArg{kind: linux.ArgPtrToArena}, nil
	case tags&tagNullable != 0:
		return invalid()
	}
	size, ok := sizeOfType(target)
	if !ok {
		return subArg{}, v.fail(CodeFuncInfo, linux.EINVAL,
			"arg#%d reference type('%s %s') size cannot be determined: -22", i, kindName(target), target.TypeName())
	}
	a := subArg{kind: linux.ArgPtrToMemOrNull, memSize: size}
	if tags&tagNonNull != 0 {
		a.kind = linux.ArgPtrToMem
	}
	return a, nil
}

// sizeOfType is btf_resolve_size: the size of types that have one.
func sizeOfType(t btf.Type) (uint32, bool) {
	switch t.(type) {
	case *btf.Void, *btf.Fwd, *btf.Func, *btf.FuncProto, *btf.Datasec, *btf.Var:
		return 0, false
	}
	n, err := btf.Sizeof(t)
	return uint32(n), err == nil
}

func isStruct(t btf.Type) bool {
	_, ok := t.(*btf.Struct)
	return ok
}

// kindName names a kind of type as Linux does (btf_type_str).
func kindName(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Int:
		return "INT"
	case *btf.Pointer:
		return "PTR"
	case *btf.Array:
		return "ARRAY"
	case *btf.Struct:
		return "STRUCT"
	case *btf.Union:
		return "UNION"
	case *btf.Enum:
		if t.Size == 8 {
			return "ENUM64"
		}
		return "ENUM"
	case *btf.Fwd:
		return "FWD"
	case *btf.Func:
		return "FUNC"
	case *btf.FuncProto:
		return "FUNC_PROTO"
	case *btf.Float:
		return "FLOAT"
	}
	return "UNKNOWN"
}

// contextNames are the structures of contexts as programs declare them
// (include/linux/bpf_types.h).
var contextNames = map[ebpf.ProgramType]string{
	ebpf.SocketFilter: "__sk_buff", ebpf.SchedCLS: "__sk_buff", ebpf.SchedACT: "__sk_buff",
	ebpf.XDP: "xdp_md", ebpf.CGroupSKB: "__sk_buff", ebpf.CGroupSock: "bpf_sock",
	ebpf.CGroupSockAddr: "bpf_sock_addr", ebpf.LWTIn: "__sk_buff", ebpf.LWTOut: "__sk_buff",
	ebpf.LWTXmit: "__sk_buff", ebpf.LWTSeg6Local: "__sk_buff", ebpf.SockOps: "bpf_sock_ops",
	ebpf.SkSKB: "__sk_buff", ebpf.SkMsg: "sk_msg_md", ebpf.FlowDissector: "__sk_buff",
	ebpf.Kprobe: "pt_regs", ebpf.PerfEvent: "bpf_perf_event_data",
	ebpf.RawTracepoint: "bpf_raw_tracepoint_args", ebpf.RawTracepointWritable: "bpf_raw_tracepoint_args",
	ebpf.CGroupDevice: "bpf_cgroup_dev_ctx", ebpf.CGroupSysctl: "bpf_sysctl", ebpf.CGroupSockopt: "bpf_sockopt",
	ebpf.SkReuseport: "sk_reuseport_md", ebpf.SkLookup: "bpf_sk_lookup", ebpf.Netfilter: "bpf_nf_ctx",
}

// contextName returns the structure of a type's context, empty where it has none of its own.
func contextName(t ebpf.ProgramType) string {
	if t == ebpf.Kprobe && runtime.GOARCH == "arm64" {
		return "user_pt_regs"
	}
	return contextNames[t]
}

// isContext says that a pointer to t is the context of a program type (btf_is_prog_ctx_type).
func isContext(prog ebpf.ProgramType, t btf.Type) bool {
	if prog == ebpf.Kprobe && isUserRegs(t) {
		return true
	}
	s, ok := skipModifiers(t).(*btf.Struct)
	if !ok || s.Name == "" {
		return false
	}
	name := contextName(prog)
	switch {
	case name == "":
		return false
	case name == s.Name, prog == ebpf.Kprobe && s.Name == "bpf_user_pt_regs_t":
		return true
	}
	return name == "__sk_buff" && s.Name == "sk_buff" || name == "xdp_md" && s.Name == "xdp_buff"
}

// isUserRegs says that t is the type of the registers that kprobes get.
func isUserRegs(t btf.Type) bool {
	for {
		switch m := t.(type) {
		case *btf.Const:
			t = m.Type
		case *btf.Volatile:
			t = m.Type
		case *btf.Restrict:
			t = m.Type
		case *btf.TypeTag:
			t = m.Type
		case *btf.Typedef:
			return m.Name == "bpf_user_pt_regs_t"
		default:
			return false
		}
	}
}

// taggedContext checks a parameter that is declared to be the context
// (btf_validate_prog_ctx_type).
func (v *verifier) taggedContext(i int, t btf.Type) *reject.Error {
	prog := v.prog.Type
	if (prog == ebpf.Kprobe || prog == ebpf.PerfEvent) && isUserRegs(t) {
		return nil
	}
	t = skipModifiers(t)
	if _, ok := t.(*btf.Void); ok {
		return nil
	}
	name := t.TypeName()
	if name == "" {
		return v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d type doesn't have a name", i)
	}
	number, isInt := t.(*btf.Int)
	wide := isInt && number.Size == 8
	switch prog {
	case ebpf.Kprobe, ebpf.PerfEvent:
		if isStruct(t) && (name == "pt_regs" && prog == ebpf.Kprobe || name == contextName(ebpf.Kprobe)) {
			return nil
		}
	case ebpf.RawTracepoint, ebpf.RawTracepointWritable, ebpf.LSM, ebpf.StructOps:
		if wide {
			return nil
		}
	case ebpf.Tracing:
		if v.tracingContext(t, name, wide) {
			return nil
		}
	case ebpf.TracePoint, ebpf.Syscall, ebpf.Extension:
		return nil
	}
	want := contextName(prog)
	if want == "" {
		return v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d should be void pointer", i)
	}
	if !isStruct(t) || name != want {
		return v.fail(CodeFuncInfo, linux.EINVAL, "arg#%d should be `struct %s *`", i, want)
	}
	return nil
}

// tracingContext says that t is a context of tracing programs.
func (v *verifier) tracingContext(t btf.Type, name string, wide bool) bool {
	switch v.prog.AttachType {
	case ebpf.AttachTraceRawTp:
		return wide || isStruct(t) && name == "bpf_raw_tracepoint_args"
	case ebpf.AttachTraceIter:
		return isStruct(t) && strings.HasPrefix(name, "bpf_iter__")
	case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit, ebpf.AttachModifyReturn:
		return wide
	}
	return false
}

// matchGlobalArgs checks the arguments of a call of a global function
// (btf_check_func_arg_match).
func (v *verifier) matchGlobalArgs(sub int) *reject.Error {
	args, err := v.globalArgs(sub)
	if err != nil {
		return err
	}
	for i, a := range args {
		if err := v.matchArg(i, a); err != nil {
			return err
		}
	}
	return nil
}

// matchArg checks one argument.
func (v *verifier) matchArg(i int, a subArg) *reject.Error {
	n := i + 1
	r := &v.state.regs()[n]
	if a.kind.Has(linux.PtrUntrusted) {
		return nil
	}
	switch a.kind.Base() {
	case linux.ArgPtrToBTFID:
		return v.matchObject(n, a)
	case linux.ArgPtrToArena:
		if r.Type != PtrToArena && r.Type != ScalarValue {
			return v.failReg(n, CodeArgument, linux.EINVAL, "R%d is not a pointer to arena or scalar.", n)
		}
	case linux.ArgAnything:
		if r.Type != ScalarValue {
			return v.failReg(n, CodeArgument, linux.EINVAL, "R%d is not a scalar", n)
		}
	case linux.ArgPtrToCtx:
		if err := v.checkRegOffset(n, linux.ArgNone); err != nil {
			return err
		}
		if r.Type != PtrToCtx {
			return v.failReg(n, CodeArgument, linux.EINVAL, "arg#%d expects pointer to ctx", i)
		}
	case linux.ArgPtrToMem:
		if err := v.checkRegOffset(n, linux.ArgNone); err != nil {
			return err
		}
		if err := v.checkMemArg(n, int(a.memSize)); err != nil {
			err.Errno = linux.EINVAL
			return err
		}
		if !a.kind.Has(linux.PtrMaybeNull) && r.Type.mayBeNull() {
			return v.failReg(n, CodeArgument, linux.EINVAL, "arg#%d is expected to be non-NULL", i)
		}
	case linux.ArgPtrToDynptr:
		if err := v.checkRegOffset(n, linux.ArgPtrToDynptr); err != nil {
			return err
		}
		return v.dynptrArg(n, a.kind, 0)
	}
	return nil
}

// checkMemArg checks that a function may read and write what a register points to, if it is not
// NULL (check_mem_reg).
func (v *verifier) checkMemArg(n, size int) *reject.Error {
	r := &v.state.regs()[n]
	if r.isNull() {
		return nil
	}
	if r.Type.mayBeNull() {
		saved := *r
		v.setNotNull(r)
		defer func() { *r = saved }()
	}
	if err := v.helperMem(n, size, accessRead, true, nil); err != nil {
		return err
	}
	return v.helperMem(n, size, accessWrite, true, nil)
}
