package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// callMeta is what the arguments of one call say of it (struct bpf_call_arg_meta).
type callMeta struct {
	proto   *linux.Proto
	m       *Map // the map among the arguments
	mapUID  uint32
	raw     rawAccess
	release int     // register whose reference is given up, 0 for none
	ref     uint32  // reference of an argument
	memSize uint32  // of the memory that the helper returns
	maxSize uint64  // largest value of the last size
	key     int64   // constant key, -1 where it is not known
	sub     int     // callback
	object  *object // that a per-CPU argument points to
	kptr    *Field  // that bpf_kptr_xchg changes
	// allocated says that the per-CPU argument is an object of the program.
	allocated bool
	dynptr    dynptrInfo
	// changesPacket says that this call invalidates packet pointers, though others of the helper
	// need not.
	changesPacket bool
}

// callHelper interprets a call of a helper (check_helper_call, kernel/bpf/verifier.c).
func (v *verifier) callHelper(in isa.Insn) (flow, *reject.Error) {
	p, unwind := v.proto(in.Imm)
	if p == nil {
		return flowNext, v.unknownHelper(in.Imm)
	}
	if err := v.mayCall(p); err != nil {
		return flowNext, err
	}
	meta := callMeta{proto: p, key: -1}
	for i := range p.Args {
		if err := v.checkArg(i, &meta); err != nil {
			return flowNext, err
		}
	}
	if err := v.recordMap(&meta); err != nil {
		return flowNext, err
	}
	if err := v.recordKey(&meta); err != nil {
		return flowNext, err
	}
	if err := v.fillRaw(&meta.raw); err != nil {
		return flowNext, err
	}
	if err := v.releaseArg(&meta); err != nil {
		return flowNext, err
	}
	if err := v.checkSpecial(&meta, unwind); err != nil {
		return flowNext, err
	}
	f := v.state.cur()
	v.clearCallerSaved(f)
	if err := v.setResult(&f.Regs[0], &meta); err != nil {
		return flowNext, err
	}
	if err := v.checkMapHelper(&meta); err != nil {
		return flowNext, err
	}
	if p.ID == linux.FuncGetFuncIP {
		if err := v.checkFuncIP(p); err != nil {
			return flowNext, err
		}
	}
	if unwind {
		notZero(&f.Regs[0])
	}
	if p.ID == linux.FuncTailCall {
		return v.tailCall()
	}
	if p.ChangesPacket || meta.changesPacket {
		v.clearPackets()
	}
	return flowNext, nil
}

// helperName names a helper as Linux's log does.
func helperName(id int32) string {
	if s := isa.HelperName(id); s != "" {
		return s
	}
	return "unknown"
}

// unknownHelper is the reason for a helper that there is not, or not for this type.
func (v *verifier) unknownHelper(id int32) *reject.Error {
	if id < 0 || id > linux.MaxFuncID {
		return v.fail(CodeHelper, linux.EINVAL, "invalid func %s#%d", helperName(id), id)
	}
	e := v.fail(CodeHelper, linux.EINVAL, "program of this type cannot use helper %s#%d", helperName(id), id)
	e.Found = "a program of type " + v.prog.Type.String()
	return e
}

// mayCall checks what the program and the place of the call allow.
func (v *verifier) mayCall(p *linux.Proto) *reject.Error {
	switch {
	case p.GPLOnly && !v.prog.GPL:
		return v.fail(CodeLicence, linux.EINVAL, "cannot call GPL-restricted function from non-GPL compatible program")
	case !v.allowedHere(p.Allowed):
		return v.fail(CodeHelper, linux.EINVAL, "helper call is not allowed in probe")
	case !p.MightSleep:
		return nil
	case !v.state.inSleepable:
		return v.fail(CodeHelper, linux.EINVAL, "helper call might sleep in a non-sleepable prog")
	}
	held, where := v.state.locks, ""
	switch {
	case held.RCU > 0:
		where = "rcu_read_lock region"
	case held.Preempt > 0:
		where = "non-preemptible region"
	case held.IRQ > 0:
		where = "IRQ-disabled region"
	default:
		return nil
	}
	return v.fail(CodeLock, linux.EINVAL, "sleepable helper %s#%d in %s", p.Name, p.ID, where)
}

// storageTracing says whether a tracing program may use socket storage: not in functions of
// that storage (bpf_sk_storage_tracing_allowed, net/core/bpf_sk_storage.c).
func (v *verifier) storageTracing() bool {
	switch v.prog.AttachType {
	case ebpf.AttachTraceIter, ebpf.AttachTraceRawTp:
		return true
	case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit:
		const own = "bpf_sk_storage"
		return len(v.prog.AttachTo) < len(own) || v.prog.AttachTo[:len(own)] != own
	}
	return false
}

// fillRaw marks the stack that the helper fills as written.
func (v *verifier) fillRaw(raw *rawAccess) *reject.Error {
	if raw.size <= 0 {
		return nil
	}
	r := &v.state.regs()[raw.reg]
	f := v.frameOf(r)
	lo := int(r.Off) + int(int64(r.Var.Value))
	last := -1
	for off := lo; off < lo+raw.size; off++ {
		spi, k := slotOf(off)
		if spi != last {
			last = spi
			if err := v.destroyDynptr(f, spi); err != nil {
				return err
			}
			v.fastcallContract(f, off)
			v.scratchSlot(f, spi)
			f.Stack[spi].scrub()
		}
		f.Stack[spi].Kind[k] = slotMisc
	}
	return nil
}

// checkSpecial does what is particular to single helpers after their arguments were checked.
func (v *verifier) checkSpecial(meta *callMeta, unwind bool) *reject.Error {
	p := meta.proto
	if unwind {
		return v.resourceLeak(p.Name, leakEverywhere)
	}
	regs := v.state.regs()
	switch p.ID {
	case linux.FuncTailCall:
		return v.resourceLeak("tail_call", leakHere)
	case linux.FuncGetLocalStorage:
		if !regs[2].isNull() {
			return v.failReg(2, CodeArgument, linux.EINVAL, "get_local_storage() doesn't support non-zero flags")
		}
	case linux.FuncForEachMapElem:
		return v.forEachCallback(meta)
	case linux.FuncLoop:
		return v.loopCallback(meta)
	case linux.FuncFindVMA:
		return v.findVMACallback(meta)
	case linux.FuncUserRingbufDrain:
		return v.drainCallback(meta)
	case linux.FuncTimerSetCallback:
		return v.timerCallback(meta)
	case linux.FuncDynptrFromMem, linux.FuncDynptrData, linux.FuncDynptrWrite:
		return v.dynptrCall(meta)
	case linux.FuncSnprintf:
		return v.checkSnprintf()
	case linux.FuncSetRetval:
		if v.prog.Type == ebpf.LSM && v.prog.AttachType == ebpf.AttachLSMCgroup && v.hook.returnsVoid() {
			return v.fail(CodeHelper, linux.EINVAL, "BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!")
		}
	}
	return nil
}

// checkFuncIP is check_get_func_ip.
func (v *verifier) checkFuncIP(p *linux.Proto) *reject.Error {
	switch v.prog.Type {
	case ebpf.Kprobe:
		return nil
	case ebpf.Tracing:
		switch v.prog.AttachType {
		case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit, ebpf.AttachModifyReturn:
			return nil
		}
		return v.fail(CodeHelper, linux.ENOTSUPP,
			"func %s#%d supported only for fentry/fexit/fmod_ret programs", p.Name, p.ID)
	}
	return v.fail(CodeHelper, linux.ENOTSUPP,
		"func %s#%d not supported for program type %d", p.Name, p.ID, uint32(v.prog.Type))
}
