package verifier

import (
	"math"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// asyncCallback is a function that runs after the program, for an element of a map: callback(map,
// key, value).
type asyncCallback struct {
	sub       int
	m         *Map
	sleepable bool
	ret       [2]int32 // what it may return
}

// anyResult is the range of callbacks that may return anything.
var anyResult = [2]int32{math.MinInt32, math.MaxInt32}

// pushAsync explores a callback that runs later, on a stack of its own and with nothing of what
// the program holds (push_async_cb).
func (v *verifier) pushAsync(c asyncCallback) *reject.Error {
	v.subs[c.sub].callback, v.subs[c.sub].async = true, true
	start := v.graph.Subprogs[c.sub].Start
	f := v.pool.newFrame(-1, 0, c.sub)
	s := v.pool.state()
	*s = state{frames: append(s.frames[:0], f), history: s.history[:0], refs: s.refs[:0]}
	s.branches = 1
	s.first = start
	s.inSleepable = c.sleepable
	v.pending = append(v.pending, pending{state: s, insn: start, prev: v.insn})
	if len(v.pending) > MaxPending {
		return v.fail(CodeTooComplex, linux.EFAULT,
			"The sequence of %d jumps is too complex for async cb.", len(v.pending))
	}
	f.InAsync = true
	f.AsyncEntry = v.state.cur().AsyncEntry + 1
	f.CallbackRet = c.ret
	f.Regs[1] = reg{Type: ConstPtrToMap, Scalar: scalar.Const(0), Map: c.m}
	f.Regs[2] = reg{Type: PtrToMapKey, Scalar: scalar.Const(0), Map: c.m}
	f.Regs[3] = reg{Type: PtrToMapValue, Scalar: scalar.Const(0), Map: c.m}
	return nil
}

// timerCallback follows bpf_timer_set_callback.
func (v *verifier) timerCallback(meta *callMeta) *reject.Error {
	return v.pushAsync(asyncCallback{sub: meta.sub, m: v.state.regs()[1].Map})
}

// workCallback follows bpf_wq_set_callback_impl.
func (v *verifier) workCallback(sub int) *reject.Error {
	return v.pushAsync(asyncCallback{sub: sub, m: v.state.regs()[1].Map, sleepable: true})
}

// taskWorkCallback follows bpf_task_work_schedule_signal and bpf_task_work_schedule_resume.
func (v *verifier) taskWorkCallback(sub int) *reject.Error {
	return v.pushAsync(asyncCallback{sub: sub, m: v.state.regs()[3].Map, sleepable: true, ret: anyResult})
}

// mapField checks that an argument points to a field of a map value that a callback belongs to
// (check_map_field_pointer).
func (v *verifier) mapField(n int, name string) *reject.Error {
	r := &v.state.regs()[n]
	fail := func(format string, args ...any) *reject.Error {
		return v.failReg(n, CodeTimer, linux.EINVAL, format, args...)
	}
	if !r.Var.IsConst() {
		return fail("R%d doesn't have constant offset. %s has to be at the constant offset", n, name)
	}
	if r.Map.Value == nil {
		return fail("map '%s' has to have BTF in order to use %s", r.Map.Name, name)
	}
	off := int64(r.Var.Value) + int64(r.Off)
	for _, f := range r.Map.Fields {
		if f.Name != name {
			continue
		}
		if off != int64(f.Off) {
			return fail("off %d doesn't point to 'struct %s' that is at %d", off, name, f.Off)
		}
		return nil
	}
	return fail("map '%s' has no valid %s", r.Map.Name, name)
}

// timerArg checks the timer of a helper (process_timer_func).
func (v *verifier) timerArg(n int, meta *callMeta) *reject.Error {
	if err := v.mapField(n, "bpf_timer"); err != nil {
		return err
	}
	r := &v.state.regs()[n]
	meta.m, meta.mapUID = r.Map, r.MapUID
	return nil
}

// otherAsyncEntry says that s is in another run of an asynchronous callback than the current
// state, so that it proves nothing of it before it is explored.
func (v *verifier) otherAsyncEntry(s *state) bool {
	return s.cur().InAsync && s.cur().AsyncEntry != v.state.cur().AsyncEntry
}
