package verifier

import (
	"fmt"
	"math"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// checkReturn checks R0 where the program, or a global function, ends (check_return_code).
func (v *verifier) checkReturn() *reject.Error {
	sub := v.state.frames[0].Subprog != 0 && !v.state.frames[0].InException
	if f := v.state.frames[0]; f.InAsync {
		if err := v.readable(0); err != nil {
			return err
		}
		return v.resultWithin(&f.Regs[0], f.CallbackRet[0], f.CallbackRet[1], "At async callback return")
	}
	rule := linux.ReturnRuleOf(v.prog.Type, v.prog.AttachType)
	byTarget := !sub && rule.Kind == linux.ReturnByTarget
	if byTarget && v.hook == nil {
		return v.unsupported("the return types of hooks without the types (BTF) of a kernel")
	}
	cgroup := v.prog.AttachType == ebpf.AttachLSMCgroup && v.prog.Type == ebpf.LSM
	if byTarget && v.hook.returnsVoid() && !cgroup {
		return nil
	}
	if err := v.readable(0); err != nil {
		return err
	}
	r := &v.state.regs()[0]
	if sub {
		if r.Type != ScalarValue {
			return v.failReg(0, CodeReturn, linux.EINVAL,
				"At subprogram exit the register R0 is not a scalar value (%s)", r.Type)
		}
		return nil
	}
	switch rule.Kind {
	case linux.ReturnAny:
		return nil
	case linux.ReturnUnsupported:
		return v.fail(CodeReturn, linux.ENOTSUPP, "")
	case linux.ReturnByTarget:
		return v.hookResult(r)
	}
	return v.resultWithin(r, rule.Min, rule.Max, "At program exit")
}

// resultWithin checks that R0 is a number in a range. where begins the reason.
func (v *verifier) resultWithin(_ *reg, low, high int32, where string) *reject.Error {
	return v.resultIn(0, low, high, where)
}

// resultIn is resultWithin for any register.
func (v *verifier) resultIn(n int, low, high int32, where string) *reject.Error {
	r := &v.state.regs()[n]
	if r.Type != ScalarValue {
		return v.failReg(n, CodeReturn, linux.EINVAL, "%s the register R%d is not a known value (%s)", where, n, r.Type)
	}
	if err := v.markPrecise(n); err != nil {
		return err
	}
	if int64(low) <= r.Smin && r.Smax <= int64(high) {
		return nil
	}
	return v.invalidResult(n, r, low, high, where)
}

// thrownValue checks R1 where bpf_throw makes it the result of the program.
func (v *verifier) thrownValue() *reject.Error {
	const n = 1
	if err := v.readable(n); err != nil {
		return err
	}
	r := &v.state.regs()[n]
	if v.state.frames[0].Subprog != 0 && !v.state.frames[0].InException {
		if r.Type != ScalarValue {
			return v.failReg(n, CodeReturn, linux.EINVAL,
				"At subprogram exit the register R%d is not a scalar value (%s)", n, r.Type)
		}
		return nil
	}
	rule := linux.ReturnRuleOf(v.prog.Type, v.prog.AttachType)
	switch rule.Kind {
	case linux.ReturnAny:
		return nil
	case linux.ReturnUnsupported:
		return v.fail(CodeReturn, linux.ENOTSUPP, "")
	case linux.ReturnByTarget:
		return v.unsupported("exceptions in programs whose result the hook bounds")
	}
	return v.resultIn(n, rule.Min, rule.Max, "At program exit")
}

// invalidResult is the reason for a register out of its range (verbose_invalid_scalar).
func (v *verifier) invalidResult(n int, r *reg, low, high int32, where string) *reject.Error {
	known := ""
	if r.Smin > math.MinInt64 {
		known += fmt.Sprintf(" smin=%d", r.Smin)
	}
	if r.Smax < math.MaxInt64 {
		known += fmt.Sprintf(" smax=%d", r.Smax)
	}
	if known == "" {
		known = " unknown scalar value"
	}
	e := v.failReg(n, CodeReturn, linux.EINVAL, "%s the register R%d has%s should have been in [%d, %d]",
		where, n, known, low, high)
	e.Found, e.Needed = fmt.Sprintf("R%d with", n)+known, fmt.Sprintf("a value from %d to %d", low, high)
	return e
}

// checkCallbackReturn checks R0 where a callback ends.
func (v *verifier) checkCallbackReturn(f *frame) *reject.Error {
	r := &f.Regs[0]
	if r.Type != ScalarValue {
		return v.failReg(0, CodeReturn, linux.EACCES, "R0 not a scalar value")
	}
	if err := v.markPrecise(0); err != nil {
		return err
	}
	if low, high := f.CallbackRet[0], f.CallbackRet[1]; r.Smin < int64(low) || r.Smax > int64(high) {
		return v.invalidResult(0, r, low, high, "At callback return")
	}
	return nil
}

// returnsInt says that a function returns an integer of at most 8 bytes or an enumeration.
func returnsInt(f *btf.Func) bool {
	if f == nil {
		return false
	}
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return false
	}
	switch t := skipModifiers(proto.Return).(type) {
	case *btf.Int:
		return t.Size <= 8
	case *btf.Enum:
		return true
	}
	return false
}

// skipModifiers strips typedefs and qualifiers.
func skipModifiers(t btf.Type) btf.Type {
	for range 64 {
		switch m := t.(type) {
		case *btf.Typedef:
			t = m.Type
		case *btf.Const:
			t = m.Type
		case *btf.Volatile:
			t = m.Type
		case *btf.Restrict:
			t = m.Type
		case *btf.TypeTag:
			t = m.Type
		default:
			return t
		}
	}
	return t
}

// loadPacketLegacy interprets LD_ABS and LD_IND (check_ld_abs). In a subprogram there are two
// ways: the bytes are there, or the function returns 0.
func (v *verifier) loadPacketLegacy(in isa.Insn) (flow, *reject.Error) {
	const ctx = 6
	indirect := in.Op&0xe0 == isa.ModeIND
	if !linux.LegacyPacketLoads(v.prog.Type) {
		return flowNext, v.fail(CodeHelper, linux.EINVAL,
			"BPF_LD_[ABS|IND] instructions not allowed for this program type")
	}
	for _, f := range v.state.frames[1:] {
		if f.InCallback {
			return flowNext, v.fail(CodeHelper, linux.EINVAL, "cannot use BPF_LD_[ABS|IND] within callback")
		}
	}
	if in.Dst != 0 || in.Off != 0 || in.Op&0x18 == isa.SizeDW || !indirect && in.Src != 0 {
		return flowNext, v.fail(CodeReserved, linux.EINVAL, "BPF_LD_[ABS|IND] uses reserved fields")
	}
	if err := v.readable(ctx); err != nil {
		return flowNext, err
	}
	if err := v.resourceLeak("BPF_LD_[ABS|IND]", leakHere); err != nil {
		return flowNext, err
	}
	f := v.state.cur()
	if f.Regs[ctx].Type != PtrToCtx {
		return flowNext, v.failReg(ctx, CodeArgument, linux.EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb")
	}
	if indirect {
		if err := v.readable(in.Src); err != nil {
			return flowNext, err
		}
	}
	if err := v.fixedOffset(ctx, &f.Regs[ctx], false); err != nil {
		return flowNext, err
	}
	v.clearCallerSaved(f)
	f.Regs[0].setUnknown()
	f.Regs[0].Subreg = int32(v.insn) + 1
	if v.state.frameNo() == 0 {
		return flowNext, nil
	}
	v.scratch(0)
	if _, err := v.push(v.insn+1, v.insn); err != nil {
		return flowNext, err
	}
	f.Regs[0].setConst(0)
	return flowJump, v.returnFromCall()
}
