package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
	"github.com/cilium/ebpf"
)

// kfuncCall is what the arguments of one call of a kernel function say of it
// (struct bpf_kfunc_call_arg_meta).
type kfuncCall struct {
	fn      *linux.Kfunc
	special kfuncSpecial

	ref     uint32 // reference of an argument
	release int    // register whose reference is given up, 0 for none
	// constant is the argument that must be known (__k, __szk).
	constant    uint64
	hasConstant bool
	retSize     uint32 // bytes that the result points to
	retRdonly   bool
	m           *Map // the map among the arguments
	mapUID      uint32
	sub         int        // callback
	object      *object    // allocated object among the arguments
	owning      bool       // it is an owning reference
	root        *graphRoot // list or tree among the arguments
	dynptr      dynptrInfo // initialised dynptr among the arguments
	iter        *iterCall  // iterator among the arguments
}

// isKfuncCall says that an instruction calls a kernel function.
func isKfuncCall(in isa.Insn) bool { return in.Op == opCall && in.Src == isa.CallKfunc }

// kfunc returns the kernel function that an instruction calls, nil where there is none of that name.
func (v *verifier) kfunc(in isa.Insn) *linux.Kfunc { return linux.LookupKfunc(v.prog.Kfuncs[in.Imm]) }

// kfuncAllowed says whether the program may call a function (btf_kfunc_id_set_contains and the
// filters that are registered with the sets).
func (v *verifier) kfuncAllowed(k *linux.Kfunc) bool {
	if !k.AllowedIn(v.prog.Type) {
		return false
	}
	switch k.Name {
	case "bpf_sock_destroy":
		return v.prog.Type == ebpf.Tracing && v.prog.AttachType == ebpf.AttachTraceIter
	case "bpf_session_is_return", "bpf_session_cookie":
		return v.prog.AttachType == ebpf.AttachTraceKprobeSession
	case "bpf_get_task_exe_file", "bpf_put_file", "bpf_path_d_path", "bpf_get_dentry_xattr", "bpf_get_file_xattr",
		"bpf_set_dentry_xattr", "bpf_remove_dentry_xattr":
		return v.prog.Type == ebpf.LSM
	}
	return true
}

// kfuncCallee describes a kernel function to the control flow analysis.
func (v *verifier) kfuncCallee(in isa.Insn) cfg.Callee {
	k := v.kfunc(in)
	if k == nil || !v.kfuncAllowed(k) {
		return cfg.Callee{}
	}
	special := kfuncSpecialOf(k.Name)
	return cfg.Callee{
		Known: true, Params: uint8(len(k.Params)), Void: k.Ret.Kind == linux.KfuncVoid,
		Fastcall: k.Has(linux.KfuncFastcall), ChangesPacket: special == kfXDPPullData,
		MightSleep: k.Has(linux.KfuncSleepable), SyncCallback: special == kfRbtreeAdd,
		AsyncCallback: special.async(), IterNext: k.Has(linux.KfuncIterNext),
	}
}

// addKfunc judges a call while the subprograms are looked for (add_kfunc_call).
func (v *verifier) addKfunc(slot int, in isa.Insn) *reject.Error {
	const deviceBound = 1 << 6 // BPF_F_XDP_DEV_BOUND_ONLY
	if !v.prog.GPL {
		return reject.At(slot, CodeLicence, linux.EINVAL,
			"cannot call kernel function from non-GPL compatible program")
	}
	switch v.prog.Kfuncs[in.Imm] {
	case "bpf_xdp_metadata_rx_timestamp", "bpf_xdp_metadata_rx_hash", "bpf_xdp_metadata_rx_vlan_tag":
		if v.prog.Flags&deviceBound == 0 {
			return reject.At(slot, CodeHelper, linux.EINVAL, "metadata kfuncs require device-bound program")
		}
	}
	return nil
}

// callKfunc interprets a call of a kernel function (check_kfunc_call).
func (v *verifier) callKfunc(in isa.Insn) (flow, *reject.Error) {
	k := v.kfunc(in)
	if k == nil {
		return flowNext, v.unknownKfunc(v.prog.Kfuncs[in.Imm])
	}
	if !v.kfuncAllowed(k) {
		e := v.fail(CodeHelper, linux.EACCES, "calling kernel function %s is not allowed", k.Name)
		e.Found = "a program of type " + v.prog.Type.String()
		return flowNext, e
	}
	c := &kfuncCall{fn: k, special: kfuncSpecialOf(k.Name)}
	if err := v.beforeKfunc(c); err != nil {
		return flowNext, err
	}
	if err := v.kfuncArgs(c); err != nil {
		return flowNext, err
	}
	if err := v.kfuncCallback(c); err != nil {
		return flowNext, err
	}
	if err := v.enterRegions(c); err != nil {
		return flowNext, err
	}
	if err := v.kfuncReferences(c); err != nil {
		return flowNext, err
	}
	if c.special == kfThrow {
		return v.throw()
	}
	f := v.state.cur()
	v.clearCallerSaved(f)
	if err := v.kfuncResult(&f.Regs[0], c); err != nil {
		return flowNext, err
	}
	if c.special == kfXDPPullData {
		v.clearPackets()
	}
	if k.Has(linux.KfuncIterNext) {
		return flowNext, v.iterNextCall(c.iter)
	}
	return flowNext, nil
}

// unknownKfunc is the reason for a function that the kernel does not have: loaders refuse the
// program or, if it is declared as weak, give the call no number, and then it may not be reached.
func (v *verifier) unknownKfunc(name string) *reject.Error {
	e := v.fail(CodeHelper, linux.EINVAL, "invalid kernel function call not eliminated in verifier pass")
	e.Found = "a call of the kernel function " + name
	e.Needed = "a function that Linux " + v.profile.Version + " has"
	return e
}

// beforeKfunc is what check_kfunc_call does before it looks at the arguments. A call that tries to
// take a lock goes on as one that has failed, too.
func (v *verifier) beforeKfunc(c *kfuncCall) *reject.Error {
	switch {
	case c.special == kfResLock || c.special == kfResLockIRQ:
		other, err := v.push(v.insn+1, v.insn)
		if err != nil {
			return err
		}
		f := other.cur()
		for i := range 6 {
			f.Regs[i].setNotInit()
		}
		r0 := &f.Regs[0]
		r0.setUnknown()
		r0.S32min, r0.S32max = -maxErrno, -1
		r0.Smin, r0.Smax = -maxErrno, -1
		r0.Scalar.Sync()
		r0.sane()
		r0.Subreg = int32(v.insn) + 1
	case c.special == kfTrap:
		return v.fail(CodeHelper, linux.EFAULT, "unexpected __bpf_trap() due to uninitialized variable?")
	}
	if c.fn.Has(linux.KfuncSleepable) && !v.state.inSleepable {
		return v.fail(CodeHelper, linux.EACCES, "program must be sleepable to call sleepable kfunc %s", c.fn.Name)
	}
	return nil
}

// kfuncReferences gives up the references that a function takes over.
func (v *verifier) kfuncReferences(c *kfuncCall) *reject.Error {
	regs := v.state.regs()
	lost := func() *reject.Error {
		return v.fail(CodeReference, linux.EINVAL, "kfunc %s#%d reference has not been acquired before",
			c.fn.Name, v.insns[v.insn].Imm)
	}
	if c.release != 0 && !v.releaseReference(regs[c.release].RefID) {
		return lost()
	}
	switch c.special {
	case kfListPushFront, kfListPushBack, kfRbtreeAdd:
		id := regs[2].RefID
		v.toNonOwning(id)
		if !v.releaseReference(id) {
			return lost()
		}
	}
	return nil
}

// kfuncCallback follows a callback that is among the arguments.
func (v *verifier) kfuncCallback(c *kfuncCall) *reject.Error {
	switch {
	case c.special == kfRbtreeAdd:
		root := c.root
		return v.pushCallback(c.sub, func(_, callee *frame) {
			for n := 1; n <= 2; n++ {
				v.setNode(&callee.Regs[n], root)
				v.setNonOwning(&callee.Regs[n])
			}
		})
	case c.special.async():
		return v.asyncKfunc(c)
	}
	return nil
}

// kfuncResult sets R0 after a call.
func (v *verifier) kfuncResult(r0 *reg, c *kfuncCall) *reject.Error {
	k := c.fn
	ret := &k.Ret
	switch ret.Kind {
	case linux.KfuncVoid:
		return nil
	case linux.KfuncScalar:
		r0.setUnknown()
		if c.special == kfResLock || c.special == kfResLockIRQ {
			r0.setConst(0)
		}
		if ret.Size != 8 {
			r0.Subreg = int32(v.insn) + 1
		}
		return nil
	}
	if c.special == kfSessionCookie {
		c.retSize = 8
	}
	if err := v.kfuncPointer(r0, c); err != nil {
		return err
	}
	null := k.Has(linux.KfuncRetNull) && !(c.special == kfRefcountAcquire && c.owning)
	if null {
		r0.Type |= MaybeNull
		r0.ID = v.newID()
	}
	switch {
	case k.Has(linux.KfuncAcquire):
		id := v.acquire()
		if null {
			r0.ID = id
		}
		r0.RefID = id
	case ret.Target.Name == "bpf_rb_node" || ret.Target.Name == "bpf_list_node":
		v.setNonOwning(r0)
	}
	if r0.ID == 0 && r0.mayHoldLock() {
		r0.ID = v.newID()
	}
	return nil
}

// kfuncPointer sets R0 to what a function that returns a pointer gives.
func (v *verifier) kfuncPointer(r0 *reg, c *kfuncCall) *reject.Error {
	target := c.fn.Ret.Target
	if done, err := v.specialResult(r0, c); done || err != nil {
		return err
	}
	switch {
	case target.Kind == linux.KfuncVoid:
		r0.setUnknown()
	case !target.IsStruct():
		if c.retSize == 0 {
			c.retSize, c.retRdonly = target.Size, true
		}
		if c.retSize == 0 {
			return v.fail(CodeHelper, linux.EINVAL, "kernel function %s returns pointer type %s %s is not supported",
				c.fn.Name, target.BTFKind(), target.Name)
		}
		r0.setPointer(PtrToMem)
		r0.MemSize = c.retSize
		if c.retRdonly {
			r0.Type |= MemRdonly
		}
		r0.RefID = c.ref
		if c.fn.Has(linux.KfuncRCUProtected) {
			r0.Type |= MemRCU
		}
	default:
		r0.setPointer(PtrToBTFID)
		r0.BTF = v.named(target.Name)
		switch {
		case c.special == kfGetKmemCache:
			r0.Type |= PtrUntrusted
		case c.fn.Has(linux.KfuncRCUProtected):
			r0.Type |= MemRCU
		}
		if c.fn.Has(linux.KfuncIterNext) {
			r0.Type |= v.iterElement(c)
		}
	}
	return nil
}

// specialResult sets R0 after functions whose results their prototypes do not describe
// (check_special_kfunc).
func (v *verifier) specialResult(r0 *reg, c *kfuncCall) (bool, *reject.Error) {
	target := c.fn.Ret.Target.Name
	switch {
	case c.special == kfObjNew || c.special == kfPercpuObjNew:
		return true, v.newObject(r0, c)
	case c.special == kfRefcountAcquire:
		r0.setPointer(PtrToBTFID | MemAlloc)
		r0.BTF = c.object
	case target == "bpf_list_node" || target == "bpf_rb_node":
		v.setNode(r0, c.root)
	case c.special == kfCastToKernCtx:
		r0.setPointer(PtrToBTFID | PtrTrusted)
		r0.BTF = v.named(kernelContexts[v.prog.Type])
	case c.special == kfRdonlyCast:
		return true, v.rdonlyCast(r0, c)
	case c.special == kfDynptrSlice || c.special == kfDynptrSliceRdwr:
		return true, v.dynptrSlice(r0, uint32(c.constant), c.special == kfDynptrSliceRdwr, c.dynptr)
	default:
		return false, nil
	}
	return true, nil
}

// throw ends the program (bpf_throw). Without a callback for exceptions the argument is its result.
func (v *verifier) throw() (flow, *reject.Error) {
	if v.exceptionSub == 0 {
		if err := v.thrownValue(); err != nil {
			return flowNext, err
		}
	}
	v.clearCallerSaved(v.state.cur())
	if err := v.resourceLeak("bpf_throw", leakEverywhere); err != nil {
		return flowNext, err
	}
	return flowEnd, nil
}

// rdonlyCast is bpf_rdonly_cast: anything is read as a structure of the kernel.
func (v *verifier) rdonlyCast(r0 *reg, c *kfuncCall) *reject.Error {
	if c.constant == 0 {
		*r0 = reg{Type: PtrToMem | MemRdonly | PtrUntrusted, Scalar: scalar.Const(0)}
		return nil
	}
	spec, err := v.prog.Kernel.Spec()
	if err != nil {
		return v.unsupported("casts to kernel types without the types (BTF) of a kernel")
	}
	t, err := spec.TypeByID(typeID(c.constant))
	if err != nil {
		return v.fail(CodeArgument, linux.EINVAL, "Unknown type ID %d passed to kfunc bpf_rdonly_cast", int64(c.constant))
	}
	if composite(t) == nil {
		return v.fail(CodeArgument, linux.EINVAL, "kfunc bpf_rdonly_cast type ID argument must be of a struct or void")
	}
	r0.setPointer(PtrToBTFID | PtrUntrusted)
	r0.BTF = v.typeOf(t)
	return nil
}

// kernelContexts are the structures behind the contexts of program types
// (include/linux/bpf_types.h).
var kernelContexts = map[ebpf.ProgramType]string{
	ebpf.SocketFilter: "sk_buff", ebpf.SchedCLS: "sk_buff", ebpf.SchedACT: "sk_buff", ebpf.CGroupSKB: "sk_buff",
	ebpf.LWTIn: "sk_buff", ebpf.LWTOut: "sk_buff", ebpf.LWTXmit: "sk_buff", ebpf.LWTSeg6Local: "sk_buff",
	ebpf.SkSKB: "sk_buff", ebpf.XDP: "xdp_buff", ebpf.CGroupSock: "sock", ebpf.CGroupSockAddr: "bpf_sock_addr_kern",
	ebpf.SockOps: "bpf_sock_ops_kern", ebpf.SkMsg: "sk_msg", ebpf.FlowDissector: "bpf_flow_dissector",
	ebpf.Kprobe: "pt_regs", ebpf.PerfEvent: "bpf_perf_event_data_kern", ebpf.CGroupDevice: "bpf_cgroup_dev_ctx",
	ebpf.CGroupSysctl: "bpf_sysctl_kern", ebpf.CGroupSockopt: "bpf_sockopt_kern",
	ebpf.SkReuseport: "sk_reuseport_kern", ebpf.SkLookup: "bpf_sk_lookup_kern", ebpf.Netfilter: "bpf_nf_ctx",
}
