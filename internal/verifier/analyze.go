package verifier

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/cfg"
	"github.com/carom-bpf/carom/internal/verifier/liveness"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// Flags of BPF_PROG_LOAD that matter here (include/uapi/linux/bpf.h).
const (
	flagStrictAlignment = 1 << 0 // BPF_F_STRICT_ALIGNMENT
	flagAnyAlignment    = 1 << 1 // BPF_F_ANY_ALIGNMENT
	// knownFlags are all that Linux 6.18 takes without a token (bpf_prog_load, kernel/bpf/syscall.c).
	knownFlags    = 1<<8 - 1
	flagSleepable = 1 << 4 // BPF_F_SLEEPABLE
	flagFrags     = 1 << 5 // BPF_F_XDP_HAS_FRAGS
)

// Helpers that control flow knows: BPF_FUNC_tail_call, and BPF_FUNC_timer_set_callback, whose
// callback runs later.
const (
	helperTailCall         = 12
	helperTimerSetCallback = 170
)

// checkProgram checks what bpf(2) looks at before the instructions, and finds the tables of the
// program's type.
func (v *verifier) checkProgram() *reject.Error {
	p := v.prog
	target := linux.LoadTarget{BTFID: p.AttachTo != "", KernelBTF: p.AttachTo != "", Sleepable: p.Flags&flagSleepable != 0}
	if errno := linux.CheckLoadAttach(p.Type, p.AttachType, target); errno != linux.OK {
		return &reject.Error{
			Code: CodeProgram, Errno: errno, Insn: -1, Reg: -1,
			Found:  "program type " + p.Type.String() + " with expected attach type " + p.AttachType.String(),
			Needed: "an attach type of the program's type",
		}
	}
	if p.Flags&^knownFlags != 0 {
		return &reject.Error{
			Code: CodeProgram, Errno: linux.EINVAL, Insn: -1, Reg: -1,
			Found:  fmt.Sprintf("program flags %#x", p.Flags),
			Needed: fmt.Sprintf("no flags other than %#x", uint32(knownFlags)),
		}
	}
	v.strict = p.Flags&flagStrictAlignment != 0
	v.sleepable = target.Sleepable
	v.packet = linux.PacketRightsOf(p.Type)
	v.ctx = linux.NewCtxRules(p.Type, p.AttachType, nil)
	v.helpers = v.profile.Helpers(linux.HelperScope{
		Type: p.Type, Attach: p.AttachType, To: p.AttachTo, Sleepable: v.sleepable,
	})
	v.aux = make([]insnAux, len(v.insns))
	v.saved = make([][]*state, len(v.insns))
	return nil
}

// analyze finds subprograms, control flow and liveness, and checks the form of instructions.
func (v *verifier) analyze() *reject.Error {
	exception, err := v.exceptionCallback()
	if err != nil {
		return err
	}
	in := cfg.Input{
		Insns:    v.insns,
		Helper:   v.callee,
		Kfunc:    v.kfuncCallee,
		AddKfunc: v.addKfunc,
		Wide:     v.checkWide,

		ExceptionCallback: exception,
	}
	for _, f := range v.prog.Funcs {
		in.Funcs = append(in.Funcs, cfg.Func{Start: f.Insn, ReturnsInt: returnsInt(f.Type)})
	}
	g, err := cfg.Analyze(in)
	if err != nil {
		return err
	}
	v.graph = g
	v.fastcall = cfg.NewFastcallStack(g)
	v.subs = make([]subprog, len(g.Subprogs))
	if exception > 0 {
		v.exceptionSub = g.SubprogAt(exception)
		v.subs[v.exceptionSub].callback, v.subs[v.exceptionSub].async = true, true
	}
	lp := liveness.Program{
		Succ:          g.Succ,
		CallsCallback: func(insn int) bool { return g.Has(insn, cfg.CallsCallback) },
	}
	for _, s := range g.Subprogs {
		f := liveness.Function{Start: s.Start, End: s.End, Postorder: g.Postorder[s.PostorderStart:s.PostorderEnd]}
		for _, insn := range f.Postorder {
			f.HasLoop = f.HasLoop || g.SCCAt(int(insn)) != 0
		}
		lp.Functions = append(lp.Functions, f)
	}
	v.live = liveness.New(lp)
	line, errno := linux.CheckTarget(v.prog.Type, v.prog.AttachType, linux.LoadTarget{
		BTFID: v.prog.AttachTo != "", KernelBTF: v.prog.AttachTo != "", Sleepable: v.sleepable,
	})
	if errno != linux.OK {
		return &reject.Error{Code: CodeProgram, Errno: errno, Insn: -1, Reg: -1, Message: line}
	}
	return nil
}

// proto returns the prototype of a helper for this program, nil when it may not call it.
func (v *verifier) proto(id int32) (p *linux.Proto, unwind bool) {
	if v.prog.Helper != nil {
		if c := v.prog.Helper(uint32(id)); c != nil {
			return &c.Proto, c.UnwindOnZero
		}
	}
	if id < 0 {
		return nil, false
	}
	return v.helpers.Proto(uint32(id)), false
}

// callee describes a helper to the control flow analysis.
func (v *verifier) callee(id int32) cfg.Callee {
	p, _ := v.proto(id)
	if p == nil {
		return cfg.Callee{}
	}
	_, callback := p.Callback()
	async := p.ID == helperTimerSetCallback
	return cfg.Callee{
		Known: true, Params: uint8(p.NumArgs()), Void: p.Ret.Base() == linux.RetVoid,
		Fastcall: p.AllowFastcall, ChangesPacket: p.ChangesPacket || p.ID == helperTailCall, MightSleep: p.MightSleep,
		SyncCallback: callback && !async, AsyncCallback: async,
	}
}

// checkWide judges a wide load of a map (resolve_pseudo_ldimm64, check_map_prog_compatibility).
func (v *verifier) checkWide(at int, in, second isa.Insn) *reject.Error {
	switch in.Src {
	case isa.PseudoMapFD, isa.PseudoMapValue, isa.PseudoMapIdx, isa.PseudoMapIdxValue:
	default:
		return nil
	}
	if in.Imm < 0 || int(in.Imm) >= len(v.prog.Maps) {
		return reject.At(at, CodeReserved, linux.EINVAL, "fd_idx without fd_array is invalid")
	}
	m := v.prog.Maps[in.Imm]
	if err := v.checkMap(at, m); err != nil {
		return err
	}
	if in.Src == isa.PseudoMapFD || in.Src == isa.PseudoMapIdx {
		return nil
	}
	off := uint32(second.Imm)
	switch {
	case off >= maxVarOff:
		return reject.At(at, CodeMapUse, linux.EINVAL, "direct value offset of %d is not allowed", off)
	case !m.direct():
		return reject.At(at, CodeMapUse, linux.EINVAL, "no direct value access support for this map type")
	case m.MaxEntries != 1 || off >= m.ValueSize:
		errno := linux.EINVAL
		if m.MaxEntries != 1 {
			errno = linux.ENOTSUPP
		}
		return reject.At(at, CodeMapUse, errno,
			"invalid access to map value pointer, value_size=%d off=%d", m.ValueSize, off)
	}
	return nil
}

// checkMap says whether the program may use a map at all (check_map_prog_compatibility).
func (v *verifier) checkMap(at int, m *Map) *reject.Error {
	tracing := isTracing(v.prog.Type)
	for _, f := range m.Fields {
		lock := f.Name == "bpf_spin_lock" || f.Name == "bpf_res_spin_lock"
		switch {
		case lock && v.prog.Type == ebpf.SocketFilter:
			return reject.At(at, CodeMapUse, linux.EINVAL, "socket filter progs cannot use bpf_spin_lock yet")
		case lock && tracing:
			return reject.At(at, CodeMapUse, linux.EINVAL, "tracing progs cannot use bpf_spin_lock yet")
		case tracing && (f.Name == "bpf_list_head" || f.Name == "bpf_rb_root"):
			return reject.At(at, CodeMapUse, linux.EINVAL, "tracing progs cannot use bpf_{list_head,rb_root} yet")
		case tracing && (f.Name == "bpf_timer" || f.Name == "bpf_wq"):
			return reject.At(at, CodeMapUse, linux.EINVAL, "tracing progs cannot use %s yet", f.Name)
		}
	}
	if m.Type == ebpf.StructOpsMap {
		return reject.At(at, CodeMapUse, linux.EINVAL, "bpf_struct_ops map cannot be used in prog")
	}
	if v.sleepable && !sleepableMaps[m.Type] && !(m.Type == ebpf.ProgramArray && v.profile.SleepableInOwner) {
		return reject.At(at, CodeMapUse, linux.EINVAL,
			"Sleepable programs can only use array, hash, ringbuf and local storage maps")
	}
	return nil
}

// isTracing is is_tracing_prog_type.
func isTracing(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent, ebpf.RawTracepoint, ebpf.RawTracepointWritable:
		return true
	}
	return false
}

// sleepableMaps are the maps that sleepable programs may use.
var sleepableMaps = map[ebpf.MapType]bool{
	ebpf.Hash: true, ebpf.LRUHash: true, ebpf.Array: true, ebpf.PerCPUHash: true, ebpf.PerCPUArray: true,
	ebpf.LRUCPUHash: true, ebpf.ArrayOfMaps: true, ebpf.HashOfMaps: true, ebpf.RingBuf: true,
	ebpf.UserRingbuf: true, ebpf.InodeStorage: true, ebpf.SkStorage: true, ebpf.TaskStorage: true,
	ebpf.CgroupStorage: true, ebpf.Queue: true, ebpf.Stack: true, ebpf.Arena: true,
}

// setChain tells the stack liveness analysis which frames are running.
func (v *verifier) setChain() {
	c := &v.chain
	c.Frame = v.state.frameNo()
	for i, f := range v.state.frames {
		c.Starts[i] = int32(v.graph.Subprogs[f.Subprog].Start)
		if i > 0 {
			c.Callsites[i-1] = int32(f.CallSite)
		}
	}
	v.live.Forget()
}

// liveStackRead notes that the instruction may read a slot.
func (v *verifier) liveStackRead(f *frame, spi int) {
	v.live.Read(&v.chain, f.No, v.insn, 1<<spi)
}

// liveStackWrite notes that the instruction overwrites a slot, if it writes all of it.
func (v *verifier) liveStackWrite(f *frame, spi, size int) {
	if size == slotSize {
		v.live.Write(f.No, 1<<spi)
	}
}

// fastcallContract notes an access to the stack that spills around calls of cheap helpers may
// not overlap (check_fastcall_stack_contract).
func (v *verifier) fastcallContract(f *frame, off int) {
	v.fastcall.Access(f.Subprog, v.insn, off)
}
