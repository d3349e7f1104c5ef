package verifier

import (
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf/btf"
)

// exceptionCallback finds the function that the main program names as the one that bpf_throw calls
// (bpf_find_exception_callback_insn_off). slot is 0 where there is none.
func (v *verifier) exceptionCallback() (slot int, err *reject.Error) {
	deny := func(errno linux.Errno, format string, args ...any) (int, *reject.Error) {
		return 0, reject.At(-1, CodeFuncInfo, errno, format, args...)
	}
	funcs := v.prog.Funcs
	if len(funcs) == 0 || funcs[0].Type == nil {
		return 0, nil
	}
	name := ""
	for _, tag := range funcs[0].Type.Tags {
		text, ok := strings.CutPrefix(tag, "exception_callback:")
		if !ok {
			continue
		}
		if name != "" {
			return deny(linux.EEXIST, "multiple exception callback tags for main subprog")
		}
		name = text
	}
	if name == "" {
		return 0, nil
	}
	for _, f := range funcs {
		if f.Name != name {
			continue
		}
		switch {
		case f.Type.Linkage != btf.GlobalFunc:
			return deny(linux.EINVAL, "exception callback '%s' must have global linkage", name)
		case f.Insn == 0:
			return deny(linux.EINVAL, "invalid exception callback insn_off in func_info: 0")
		}
		return f.Insn, nil
	}
	return deny(linux.ENOENT, "exception callback '%s' could not be found in BTF", name)
}

// enterException prepares the exploration of the callback for exceptions, which takes what
// bpf_throw was given (do_check_common).
func (v *verifier) enterException(n int) *reject.Error {
	v.state.cur().InException = true
	args, err := v.globalArgs(n)
	if err != nil {
		return err
	}
	if len(args) != 1 || args[0].kind != linux.ArgAnything {
		return v.fail(CodeFuncInfo, linux.EINVAL, "exception cb only supports single integer argument")
	}
	return nil
}

// checkThrow refuses bpf_throw in a callback: nothing could unwind the function that calls it
// (check_max_stack_depth_subprog).
func (w *depthWalk) checkThrow(at int) *reject.Error {
	v := w.v
	if in := v.insns[at]; !isKfuncCall(in) || kfuncSpecialOf(v.prog.Kfuncs[in.Imm]) != kfThrow {
		return nil
	}
	for _, f := range w.chain {
		if v.subs[f.sub].callback {
			return reject.At(at, CodeHelper, linux.EINVAL,
				"bpf_throw kfunc (insn %d) cannot be called from callback subprog %d", at, w.chain[len(w.chain)-1].sub)
		}
	}
	return nil
}
