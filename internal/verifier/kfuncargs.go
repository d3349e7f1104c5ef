package verifier

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// kfuncArg is what an argument of a kernel function is taken for (enum kfunc_ptr_arg_type).
type kfuncArg uint8

const (
	kargNull kfuncArg = iota
	kargCtx
	kargAlloc
	kargRefcounted
	kargDynptr
	kargIter
	kargListHead
	kargListNode
	kargRbRoot
	kargRbNode
	kargConstStr
	kargMap
	kargWorkqueue
	kargTaskWork
	kargIRQFlag
	kargResLock
	kargObject
	kargCallback
	kargMem
	kargMemSize
)

// kfuncStructs are the structures that say what a pointer to them is.
var kfuncStructs = [...]struct {
	name string
	kind kfuncArg
}{
	{"bpf_list_head", kargListHead}, {"bpf_list_node", kargListNode}, {"bpf_rb_root", kargRbRoot},
	{"bpf_rb_node", kargRbNode},
}

// kfuncLaterStructs are those that are looked at after the suffixes of strings and maps.
var kfuncLaterStructs = [...]struct {
	name string
	kind kfuncArg
}{
	{"bpf_wq", kargWorkqueue}, {"bpf_task_work", kargTaskWork}, {"bpf_res_spin_lock", kargResLock},
}

// kfuncArgs checks the arguments of a call (check_kfunc_args).
func (v *verifier) kfuncArgs(c *kfuncCall) *reject.Error {
	for i := 0; i < len(c.fn.Params); i++ {
		p := &c.fn.Params[i]
		n := i + 1
		switch {
		case p.Suffix("ign"), p.Suffix("prog"):
			continue
		case p.Type.Kind == linux.KfuncScalar:
			if err := v.kfuncScalar(n, p, c); err != nil {
				return err
			}
			continue
		case p.Type.Kind != linux.KfuncPointer:
			return v.failReg(n, CodeArgument, linux.EINVAL, "Unrecognized arg#%d type %s", i, p.Type.BTFKind())
		}
		kind, err := v.kfuncPointerArg(i, c)
		if err != nil {
			return err
		}
		if kind == kargNull {
			continue
		}
		if err := v.kfuncValue(i, kind, c); err != nil {
			return err
		}
		if kind == kargMemSize {
			i++
		}
	}
	if c.fn.Has(linux.KfuncRelease) && c.release == 0 {
		return v.fail(CodeReference, linux.EINVAL, "release kernel function %s expects refcounted PTR_TO_BTF_ID", c.fn.Name)
	}
	return nil
}

// kfuncScalar checks a number.
func (v *verifier) kfuncScalar(n int, p *linux.KfuncParam, c *kfuncCall) *reject.Error {
	r := &v.state.regs()[n]
	if r.Type != ScalarValue {
		return v.failReg(n, CodeArgument, linux.EINVAL, "R%d is not a scalar", n)
	}
	switch {
	case p.Suffix("k"):
		if !r.Var.IsConst() {
			return v.failReg(n, CodeArgument, linux.EINVAL, "R%d must be a known constant", n)
		}
		c.constant, c.hasConstant = r.Var.Value, true
	case p.Name == "rdonly_buf_size", p.Name == "rdwr_buf_size":
		if !r.Var.IsConst() {
			return v.failReg(n, CodeArgument, linux.EINVAL, "R%d is not a const", n)
		}
		c.retSize, c.retRdonly = uint32(r.Var.Value), p.Name == "rdonly_buf_size"
	default:
		return nil
	}
	return v.markPrecise(n)
}

// kfuncPointerArg checks a pointer as far as its kind does not matter, and finds its kind.
func (v *verifier) kfuncPointerArg(i int, c *kfuncCall) (kfuncArg, *reject.Error) {
	n, p := i+1, &c.fn.Params[i]
	r := &v.state.regs()[n]
	release := c.fn.Has(linux.KfuncRelease)
	trusted := c.fn.Has(linux.KfuncTrustedArgs) || release
	if (trusted || c.fn.Has(linux.KfuncRCU)) && (r.isNull() || r.Type.mayBeNull()) && !p.Suffix("nullable") {
		return 0, v.failReg(n, CodeNullAccess, linux.EACCES, "Possibly NULL pointer passed to trusted arg%d", i)
	}
	if r.RefID != 0 {
		c.ref = r.RefID
		if release {
			c.release = n
		}
	}
	kind, err := v.kfuncArgKind(i, c)
	if err != nil || kind == kargNull {
		return kind, err
	}
	if kind == kargMap {
		if err := v.kfuncMap(n, c); err != nil {
			return 0, err
		}
	}
	if kind == kargMap || kind == kargAlloc || kind == kargObject {
		if err := v.kfuncTrust(n, trusted, c); err != nil {
			return 0, err
		}
	}
	var arg linux.ArgType
	if release && r.RefID != 0 {
		arg = linux.ObjRelease
	}
	return kind, v.checkRegOffset(n, arg)
}

// kfuncTrust checks that a pointer is valid for a function that relies on it.
func (v *verifier) kfuncTrust(n int, trusted bool, c *kfuncCall) *reject.Error {
	r := &v.state.regs()[n]
	rcu := c.fn.Has(linux.KfuncRCU)
	switch {
	case !trusted && !rcu || r.trusted():
		return nil
	case !rcu:
		return v.failReg(n, CodeArgument, linux.EINVAL, "R%d must be referenced or trusted", n)
	case r.Type&MemRCU == 0:
		return v.failReg(n, CodeArgument, linux.EINVAL, "R%d must be a rcu pointer", n)
	}
	return nil
}

// kfuncMap notes the map that a function works on.
func (v *verifier) kfuncMap(n int, c *kfuncCall) *reject.Error {
	r := &v.state.regs()[n]
	switch {
	case r.Type.base() == PtrToBTFID:
		return nil // it may be a struct bpf_map of the kernel
	case r.Map == nil:
		return v.failReg(n, CodeArgument, linux.EINVAL, "pointer in R%d isn't map pointer", n)
	case c.m == nil || c.m == r.Map && c.mapUID == r.MapUID:
	case r.Map.hasField("bpf_task_work"):
		return v.failReg(n, CodeArgument, linux.EINVAL,
			"bpf_task_work pointer in R2 map_uid=%d doesn't match map pointer in R3 map_uid=%d", c.mapUID, r.MapUID)
	case r.Map.hasField("bpf_wq"):
		return v.failReg(n, CodeArgument, linux.EINVAL,
			"workqueue pointer in R1 map_uid=%d doesn't match map pointer in R2 map_uid=%d", c.mapUID, r.MapUID)
	}
	c.m, c.mapUID = r.Map, r.MapUID
	return nil
}

// kernelStruct names the kernel's structure behind a kind of pointer that is not PtrToBTFID
// (reg2btf_ids), empty where there is none.
func (t RegType) kernelStruct() string {
	switch t.base() {
	case PtrToSocket:
		return "sock"
	case PtrToSockCommon:
		return "sock_common"
	case PtrToTCPSock:
		return "tcp_sock"
	case ConstPtrToMap:
		return "bpf_map"
	}
	return ""
}

// kfuncArgKind finds out what a pointer is taken for (get_kfunc_ptr_arg_type).
func (v *verifier) kfuncArgKind(i int, c *kfuncCall) (kfuncArg, *reject.Error) {
	p := &c.fn.Params[i]
	r := &v.state.regs()[i+1]
	target := p.Type.Target
	switch {
	case c.special == kfCastToKernCtx, isContextName(v.prog.Type, target):
		return kargCtx, nil
	case p.Suffix("nullable") && r.isNull():
		return kargNull, nil
	case p.Suffix("alloc"):
		return kargAlloc, nil
	case p.Suffix("refcounted_kptr"):
		return kargRefcounted, nil
	case p.PointsTo("bpf_dynptr"):
		return kargDynptr, nil
	case i == 0 && c.fn.Flags&(linux.KfuncIterNew|linux.KfuncIterNext|linux.KfuncIterDestroy) != 0:
		return kargIter, nil
	}
	for _, s := range kfuncStructs {
		if p.PointsTo(s.name) {
			return s.kind, nil
		}
	}
	switch {
	case p.Suffix("str"):
		return kargConstStr, nil
	case p.Suffix("map"):
		return kargMap, nil
	}
	for _, s := range kfuncLaterStructs {
		if p.PointsTo(s.name) {
			return s.kind, nil
		}
	}
	switch {
	case p.Suffix("irq_flag"):
		return kargIRQFlag, nil
	case r.Type.base() == PtrToBTFID || r.Type.kernelStruct() != "":
		if !target.IsStruct() {
			return 0, v.failReg(i+1, CodeArgument, linux.EINVAL, "kernel function %s args#%d pointer type %s %s is not supported",
				c.fn.Name, i, target.BTFKind(), target.Name)
		}
		return kargObject, nil
	case target.Kind == linux.KfuncFuncProto:
		return kargCallback, nil
	}
	return v.kfuncMemKind(i, c)
}

// kfuncMemKind is for pointers to memory: numbers, structures of numbers or, with a size behind
// it, anything.
func (v *verifier) kfuncMemKind(i int, c *kfuncCall) (kfuncArg, *reject.Error) {
	target := c.fn.Params[i].Type.Target
	sized := i+1 < len(c.fn.Params) && v.state.regs()[i+2].Type == ScalarValue &&
		(c.fn.Params[i+1].Suffix("sz") || c.fn.Params[i+1].Suffix("szk"))
	layout, _ := linux.LookupKfuncLayout(target.Name)
	if target.Kind != linux.KfuncScalar && !layout.Scalars && !(sized && target.Kind == linux.KfuncVoid) {
		what := ""
		if sized {
			what = "void, "
		}
		return 0, v.failReg(i+1, CodeArgument, linux.EINVAL,
			"arg#%d pointer type %s %s must point to %sscalar, or struct with scalar", i, target.BTFKind(), target.Name, what)
	}
	if sized {
		return kargMemSize, nil
	}
	return kargMem, nil
}

// isContextName says that a pointer to t is the context of a program type (btf_is_prog_ctx_type).
func isContextName(prog ebpf.ProgramType, t *linux.KfuncType) bool {
	name := contextName(prog)
	if !t.IsStruct() || name == "" {
		return false
	}
	return name == t.Name || name == "__sk_buff" && t.Name == "sk_buff" || name == "xdp_md" && t.Name == "xdp_buff"
}

// kfuncValue checks a pointer by its kind.
func (v *verifier) kfuncValue(i int, kind kfuncArg, c *kfuncCall) *reject.Error {
	n := i + 1
	r := &v.state.regs()[n]
	deny := func(format string, args ...any) *reject.Error {
		return v.failReg(n, CodeArgument, linux.EINVAL, format, args...)
	}
	switch kind {
	case kargCtx:
		if r.Type != PtrToCtx {
			return deny("arg#%d expected pointer to ctx, but got %s", i, r.Type)
		}
		if c.special == kfCastToKernCtx && kernelContexts[v.prog.Type] == "" {
			return v.noKernelContext()
		}
	case kargAlloc:
		return v.allocatedArg(i, c)
	case kargRefcounted:
		return v.refcountedArg(i, c)
	case kargDynptr:
		return v.dynptrKfuncArg(n, c.fn.Name, c.fn.Params[i].Suffix("uninit"), &c.dynptr)
	case kargIter:
		if c.special == kfIterCSSTaskNew && !v.mayWalkTasks() {
			return deny("css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs")
		}
		return v.kfuncIter(n, c)
	case kargListHead, kargRbRoot, kargListNode, kargRbNode:
		return v.graphArg(i, kind, c)
	case kargMap, kargObject:
		return v.kfuncObject(i, kind, c)
	case kargMem:
		return v.checkMemArg(n, int(c.fn.Params[i].Type.Target.Size))
	case kargMemSize:
		return v.kfuncMemSize(i, c)
	case kargCallback:
		if r.Type != PtrToFunc {
			return deny("arg%d expected pointer to func", i)
		}
		c.sub = int(r.Func)
	case kargConstStr:
		if r.Type != PtrToMapValue {
			return deny("arg#%d doesn't point to a const string", i)
		}
		return v.checkConstString(n)
	case kargWorkqueue, kargTaskWork:
		if r.Type != PtrToMapValue {
			return deny("arg#%d doesn't point to a map value", i)
		}
		return v.kfuncField(n, kind, c)
	case kargIRQFlag:
		if r.Type != PtrToStack {
			return deny("arg#%d doesn't point to an irq flag on stack", i)
		}
		return v.irqFlag(n, c)
	case kargResLock:
		if r.Type != PtrToMapValue && r.Type != PtrToBTFID|MemAlloc {
			return deny("arg#%d doesn't point to map value or allocated object", i)
		}
		return v.lock(c.resLock(n))
	}
	return nil
}

// contextMembers are the members of struct bpf_ctx_convert with the contexts that are no structures.
var contextMembers = map[ebpf.ProgramType]string{
	ebpf.TracePoint: "TRACEPOINT", ebpf.RawTracepoint: "RAW_TRACEPOINT",
	ebpf.RawTracepointWritable: "RAW_TRACEPOINT_WRITABLE", ebpf.Tracing: "TRACING", ebpf.LSM: "LSM",
	ebpf.StructOps: "STRUCT_OPS", ebpf.Extension: "EXT", ebpf.Syscall: "SYSCALL", ebpf.LircMode2: "LIRC_MODE2",
}

// noKernelContext is the reason where the context of the kernel is no structure
// (get_kern_ctx_btf_id, kernel/bpf/btf.c).
func (v *verifier) noKernelContext() *reject.Error {
	e := v.failReg(1, CodeArgument, linux.EINVAL, "")
	e.Found = "a program type whose context is no structure of the kernel"
	contexts, ok := find[*btf.Struct](v.prog.Kernel, "bpf_ctx_convert")
	if !ok {
		return e
	}
	spec, err := v.prog.Kernel.Spec()
	if err != nil {
		return e
	}
	for _, m := range contexts.Members {
		if m.Name != "BPF_PROG_TYPE_"+contextMembers[v.prog.Type]+"_kern" {
			continue
		}
		if id, err := spec.TypeID(m.Type); err == nil {
			e.Message = fmt.Sprintf("kern ctx type id %d is not a struct", id)
		}
	}
	return e
}

// resLock is what a function does with a bpf_res_spin_lock.
func (c *kfuncCall) resLock(n int) lockCall {
	l := lockCall{n: n, kind: refResLock, take: c.special == kfResLock || c.special == kfResLockIRQ}
	if c.special == kfResLockIRQ || c.special == kfResUnlockIRQ {
		l.kind = refResLockIRQ
	}
	return l
}

// mayWalkTasks says that the program may walk the tasks of a cgroup
// (check_css_task_iter_allowlist).
func (v *verifier) mayWalkTasks() bool {
	return v.prog.Type == ebpf.LSM || v.prog.Type == ebpf.Tracing && v.prog.AttachType == ebpf.AttachTraceIter ||
		v.state.inSleepable
}

// kfuncField checks a pointer to a work queue or a task's work in a map value.
func (v *verifier) kfuncField(n int, kind kfuncArg, c *kfuncCall) *reject.Error {
	r := &v.state.regs()[n]
	name := "bpf_wq"
	if kind == kargTaskWork {
		name = "bpf_task_work"
	}
	if err := v.mapField(n, name); err != nil {
		return err
	}
	c.m, c.mapUID = r.Map, r.MapUID
	return nil
}

// kfuncObject checks a pointer to an object of the kernel (process_kf_arg_ptr_to_btf_id).
func (v *verifier) kfuncObject(i int, kind kfuncArg, c *kfuncCall) *reject.Error {
	n := i + 1
	r := &v.state.regs()[n]
	want := *c.fn.Params[i].Type.Target
	if kind == kargMap {
		want = linux.KfuncType{Kind: linux.KfuncStruct, Name: "bpf_map"}
	}
	if (r.Type.base() != PtrToBTFID || r.Type.unsafe() && r.Type&MemRCU == 0) && r.Type.kernelStruct() == "" {
		expected := r.Type.base() | r.Type&trustedFlags
		e := v.failReg(n, CodeArgument, linux.EINVAL, "arg#%d is %s expected %s or socket", i, r.Type, expected)
		return e
	}
	have := r.BTF
	if r.Type.base() != PtrToBTFID {
		have = v.named(r.Type.kernelStruct())
	}
	strict := c.fn.Has(linux.KfuncRelease) && r.RefID != 0 || isInitAlias(have.Name, want.Name)
	if v.holdsNamed(have, int(r.Off), want.Name, strict) || want.Name == "__sk_buff" && have.Name == "sk_buff" ||
		want.Name == "xdp_md" && have.Name == "xdp_buff" {
		return nil
	}
	haveKind := "STRUCT"
	if l := composite(skipModifiers(have.Type)); l != nil && l.union {
		haveKind = "UNION"
	}
	return v.failReg(n, CodeArgument, linux.EINVAL,
		"kernel function %s args#%d expected pointer to %s %s but R%d has a pointer to %s %s",
		c.fn.Name, i, want.BTFKind(), want.Name, n, haveKind, have.Name)
}

// unsafe says that a pointer has flags that are not those of a trusted one
// (bpf_type_has_unsafe_modifiers).
func (t RegType) unsafe() bool { return t.flags()&^trustedFlags != 0 }

// isInitAlias says that one name is the other with "___init" behind it: such structures have the
// same members and may not stand for each other (btf_type_ids_nocast_alias).
func isInitAlias(a, b string) bool {
	const suffix = "___init"
	return a == b+suffix || b == a+suffix
}

// holdsNamed says that an object has a structure of a name at an offset. Without the kernel's types
// only the structures are known that those of prototypes begin with.
func (v *verifier) holdsNamed(have *object, off int, want string, strict bool) bool {
	if off == 0 && have.Kernel && have.Name == want {
		return true
	}
	if have.Type != nil {
		return have.holds(off, v.named(want), strict)
	}
	for name := have.Name; off == 0 && !strict && name != ""; {
		l, _ := linux.LookupKfuncLayout(name)
		if name = l.First; name == want {
			return true
		}
	}
	return false
}

// kfuncMemSize checks memory whose size is the next argument (check_kfunc_mem_size_reg).
func (v *verifier) kfuncMemSize(i int, c *kfuncCall) *reject.Error {
	n := i + 1
	regs := v.state.regs()
	r, size := &regs[n], &regs[n+1]
	if !r.isNull() || !c.fn.Params[i].Suffix("opt") {
		saved := *r
		if r.Type.mayBeNull() {
			v.setNotNull(r)
		}
		var meta callMeta
		err := v.checkSize(n+1, accessRead, true, &meta)
		if err == nil {
			err = v.checkSize(n+1, accessWrite, true, &meta)
		}
		if saved.Type.mayBeNull() {
			*r = saved
		}
		if err != nil {
			e := v.failReg(n, err.Code, err.Errno, "arg#%d arg#%d memory, len pair leads to invalid memory access", i, i+1)
			e.Before = append(append(e.Before, err.Before...), err.Message)
			e.Found, e.Needed = err.Found, err.Needed
			return e
		}
	}
	if c.fn.Params[i+1].Suffix("szk") {
		if !size.Var.IsConst() {
			return v.failReg(n+1, CodeArgument, linux.EINVAL, "R%d must be a known constant", n+1)
		}
		c.constant, c.hasConstant = size.Var.Value, true
	}
	return nil
}
