package verifier

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// hook is what a program is attached to, as far as its BTF says.
type hook struct {
	name   string         // for messages
	id     btf.TypeID     // of the target
	proto  *btf.FuncProto // arguments are the members of the context
	first  int            // of the parameters that the program sees
	target string         // tracepoint, iterator or LSM hook without its prefix
	ops    string         // structure of a struct_ops program
	lsm    linux.LSMHook
	// stub has the names of the arguments of a struct_ops member; nil where there is none.
	stub *btf.FuncProto
}

// needsHook says that the context of a program type is described by BTF.
func needsHook(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.Tracing, ebpf.LSM, ebpf.StructOps:
		return true
	}
	return false
}

// findHook looks up what the program is attached to and what may be attached there
// (check_attach_btf_id, kernel/bpf/verifier.c).
func (v *verifier) findHook() *reject.Error {
	p := v.prog
	if p.Type == ebpf.Extension {
		return v.unsupported("extensions, which depend on the program that they extend")
	}
	if !needsHook(p.Type) || p.AttachTo == "" {
		return nil
	}
	if p.Target != nil {
		return v.programHook()
	}
	if _, err := p.Kernel.Spec(); err != nil {
		return v.unsupported("contexts that BTF describes without the types (BTF) of a kernel")
	}
	if p.Type == ebpf.StructOps {
		return v.structOpsHook()
	}
	h := &hook{name: p.AttachTo, target: p.AttachTo}
	symbol := p.AttachTo
	switch {
	case p.Type == ebpf.LSM:
		symbol = "bpf_lsm_" + p.AttachTo
		h.name = symbol
		h.lsm = linux.LSMHookOf(p.AttachTo)
	case p.AttachType == ebpf.AttachTraceRawTp:
		return v.tracepointHook(h)
	case p.AttachType == ebpf.AttachTraceIter:
		symbol = "bpf_iter_" + p.AttachTo
		h.name = symbol
	}
	f, ok := find[*btf.Func](p.Kernel, symbol)
	if !ok {
		return v.noTarget(symbol)
	}
	h.proto, _ = f.Type.(*btf.FuncProto)
	h.id = v.typeID(f)
	v.hook = h
	return v.mayAttach(h)
}

// programHook is findHook for programs that trace others: the function of the target program is
// the hook, and only what all programs agree on is known.
func (v *verifier) programHook() *reject.Error {
	proto, _ := v.prog.Target.Type.(*btf.FuncProto)
	v.hook = &hook{name: v.prog.Target.Name, proto: proto}
	return nil
}

// noTarget is the reason for a target that the kernel does not have. Loaders find that out before
// they call bpf(2).
func (v *verifier) noTarget(symbol string) *reject.Error {
	return &reject.Error{
		Code: CodeProgram, Errno: linux.ENOENT, Insn: -1, Reg: -1,
		Message: "there is no " + symbol + " in the types (BTF) of the kernel",
		Found:   "the attach target " + v.prog.AttachTo, Needed: "a target that the kernel has",
	}
}

// tracepointHook finds the arguments of a raw tracepoint; the first parameter of its type is
// private to the kernel.
func (v *verifier) tracepointHook(h *hook) *reject.Error {
	const prefix = "btf_trace_"
	t, ok := find[*btf.Typedef](v.prog.Kernel, prefix+v.prog.AttachTo)
	if !ok {
		return v.noTarget(prefix + v.prog.AttachTo)
	}
	h.id, h.first = v.typeID(t), 1
	if ptr, ok := t.Type.(*btf.Pointer); ok {
		h.proto, _ = ptr.Target.(*btf.FuncProto)
	}
	if h.proto == nil || len(h.proto.Params) == 0 {
		return v.noTarget(prefix + v.prog.AttachTo)
	}
	v.hook = h
	return nil
}

// structOpsHook finds a member of a struct_ops structure (check_struct_ops_btf_id). AttachTo is
// "structure:member".
func (v *verifier) structOpsHook() *reject.Error {
	p := v.prog
	if !p.GPL {
		return v.refuseProgram(linux.EINVAL, "struct ops programs must have a GPL compatible license")
	}
	ops, member, _ := strings.Cut(p.AttachTo, ":")
	s, ok := find[*btf.Struct](p.Kernel, ops)
	if !ok {
		return v.noTarget("struct " + ops)
	}
	for _, m := range s.Members {
		if m.Name != member {
			continue
		}
		ptr, _ := skipModifiers(m.Type).(*btf.Pointer)
		h := &hook{name: member, target: member, ops: ops, id: v.typeID(s)}
		if ptr != nil {
			h.proto, _ = skipModifiers(ptr.Target).(*btf.FuncProto)
		}
		if h.proto == nil {
			break
		}
		if f, ok := find[*btf.Func](p.Kernel, ops+"__"+member); ok {
			h.stub, _ = f.Type.(*btf.FuncProto)
		}
		v.hook = h
		return nil
	}
	return v.refuseProgram(linux.EINVAL, "attach to invalid member "+member+" of struct "+ops)
}

// refuseProgram is the reason for a program as a whole.
func (v *verifier) refuseProgram(errno linux.Errno, text string) *reject.Error {
	return &reject.Error{Code: CodeProgram, Errno: errno, Insn: -1, Reg: -1, Message: text}
}

// mayAttach checks the rules for functions and LSM hooks that do not depend on addresses.
func (v *verifier) mayAttach(h *hook) *reject.Error {
	if v.prog.Type != ebpf.LSM {
		return nil
	}
	switch {
	case v.sleepable && !h.lsm.Sleepable:
		return v.refuseProgram(linux.EINVAL, h.name+" is not sleepable")
	case !v.prog.GPL:
		return v.refuseProgram(linux.EINVAL, "LSM programs must have a GPL compatible license")
	case h.lsm.Disabled:
		return v.refuseProgram(linux.EINVAL, fmt.Sprintf("attach_btf_id %d points to disabled hook %s", h.id, h.name))
	}
	return nil
}

// typeID returns the number of a kernel type, for messages.
func (v *verifier) typeID(t btf.Type) btf.TypeID {
	spec, err := v.prog.Kernel.Spec()
	if err != nil {
		return 0
	}
	id, _ := spec.TypeID(t)
	return id
}

// trustsArgs says that the kernel holds the objects in the context while the program runs
// (prog_args_trusted).
func (v *verifier) trustsArgs() bool {
	switch v.prog.Type {
	case ebpf.Tracing:
		return v.prog.AttachType == ebpf.AttachTraceRawTp || v.prog.AttachType == ebpf.AttachTraceIter
	case ebpf.LSM:
		return !v.hook.lsm.Untrusted
	case ebpf.StructOps:
		return true
	}
	return false
}

// pathFunctions are the functions in which bpf_d_path may be called (btf_allowlist_d_path,
// kernel/trace/bpf_trace.c).
var pathFunctions = []string{
	"security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate",
	"vfs_truncate", "vfs_fallocate", "dentry_open", "vfs_getattr", "filp_close",
}

// allowedHere says whether the condition of a helper holds for this program.
func (v *verifier) allowedHere(a linux.Allowed) bool {
	sleeps := v.hook != nil && v.hook.lsm.Sleepable
	switch a {
	case linux.AllowedSKStorageTracing:
		return v.storageTracing()
	case linux.AllowedIMA:
		return sleeps
	case linux.AllowedDPath:
		switch {
		case v.prog.Type == ebpf.Tracing && v.prog.AttachType == ebpf.AttachTraceIter:
			return true
		case v.prog.Type == ebpf.LSM:
			return sleeps
		}
		return v.hook != nil && slices.Contains(pathFunctions, v.prog.AttachTo)
	}
	return true
}

// returnsVoid says that the target has no result.
func (h *hook) returnsVoid() bool {
	if h == nil || h.proto == nil {
		return false
	}
	_, void := h.proto.Return.(*btf.Void)
	return void
}

// resultRange returns what an LSM hook may return (bpf_lsm_get_retval_range,
// kernel/bpf/bpf_lsm.c).
func (h *hook) resultRange() (low, high int32) {
	if h.lsm.Bool {
		return 0, 1
	}
	return -maxErrno, 0
}
