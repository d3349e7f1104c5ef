package verifier

import (
	"fmt"
	"strings"

	"github.com/carom-bpf/carom/internal/linux"
)

// objectPlace names the stack that an argument points to: "fp-16", empty where it is not constant.
func (x *explainer) objectPlace() string {
	r := x.reg()
	if r.Type != PtrToStack || !r.Var.IsConst() {
		return ""
	}
	return fmt.Sprintf("fp%+d", int64(r.Off)+int64(r.Var.Value))
}

// at is where an object was looked for.
func (x *explainer) at() string {
	if place := x.objectPlace(); place != "" {
		return "at " + place
	}
	return "there"
}

// storesOver says that the rejected instruction is a store and no call.
func (x *explainer) storesOver() bool { return x.v.insns[x.r.Insn].Op != opCall }

// dynptr explains rejections of dynptrs.
func (x *explainer) dynptr() explanation {
	text := x.r.Message
	switch {
	case strings.HasPrefix(text, "Dynptr has to be"):
		return explanation{
			fmt.Sprintf("%s makes a dynptr, which needs 16 bytes of the program's stack, at a constant offset that is a multiple of 8.", x.calls()),
			"Pass the address of a variable of type struct bpf_dynptr: struct bpf_dynptr ptr; … &ptr.",
		}
	case strings.HasPrefix(text, "cannot overwrite"):
		by := "This call makes a dynptr"
		if x.storesOver() {
			by = "This store writes"
		}
		return explanation{
			by + " where a dynptr of a ring buffer is, which must be given back first.",
			"Call bpf_ringbuf_submit_dynptr or bpf_ringbuf_discard_dynptr before, also where the reservation has failed.",
		}
	case strings.Contains(text, "of type"):
		have := x.v.dynptrAt(x.r.Reg).Kind
		return explanation{
			fmt.Sprintf("%s takes another kind of dynptr than the one %s, which is of type %s.", x.calls(), x.at(), have),
			"Pass a dynptr that was made for it.",
		}
	case strings.Contains(text, "const bpf_dynptr"):
		return explanation{
			fmt.Sprintf("The dynptr that a function was given may not be changed or given back by it; %s would.", x.calls()),
			"Read and write through it, and leave it to who made it. bpf_dynptr_clone makes a copy that may be changed.",
		}
	case strings.Contains(text, "unacquired"):
		return explanation{
			fmt.Sprintf("%s gives back a dynptr of a ring buffer, and there is none %s: it was given back before, or never reserved.", x.calls(), x.at()),
			"Submit or discard what bpf_ringbuf_reserve_dynptr made exactly once.",
		}
	}
	switch {
	case strings.HasPrefix(text, "Unsupported reg"):
		r := x.reg()
		return explanation{
			fmt.Sprintf("%s is %s, and a dynptr of memory can be made of map values only.", x.argName(x.r.Reg), kindPhrase(&r)),
			"Pass the value of a map, checked for NULL, or a global variable.",
		}
	case strings.HasPrefix(text, "potential write"):
		return explanation{
			fmt.Sprintf("%s would write over the bytes of a dynptr on the stack.", x.calls()),
			"Pass memory of its own; what a dynptr points to is written with bpf_dynptr_write or through bpf_dynptr_data.",
		}
	}
	return explanation{
		fmt.Sprintf("%s uses a dynptr %s, and on this path there is none: it was not made, was given back, or its bytes were written to.", x.calls(), x.at()),
		"Make it on every path before the call (bpf_dynptr_from_mem, bpf_dynptr_from_skb, bpf_ringbuf_reserve_dynptr, …), and pass the address of the variable itself.",
	}
}

// calls names the call that was rejected.
func (x *explainer) calls() string {
	if name := x.callName(x.r.Insn); name != "" {
		return name + "()"
	}
	return "This instruction"
}

// iterator explains rejections of open-coded iterators.
func (x *explainer) iterator() explanation {
	text := x.r.Message
	switch {
	case strings.HasPrefix(text, "expected uninit"):
		return explanation{
			fmt.Sprintf("%s makes an iterator %s, where it has no place: an iterator is there that was not destroyed, or the offset is not a constant multiple of 8.", x.calls(), x.at()),
			"Pass the address of an iterator variable, and call the destroy function of an iterator before its variable is used again.",
		}
	case strings.Contains(text, "RCU CS"):
		return explanation{
			fmt.Sprintf("%s uses an iterator that was made outside of the RCU section that it needs, or that has outlived it.", x.calls()),
			"Put the whole loop, from new to destroy, between bpf_rcu_read_lock() and bpf_rcu_read_unlock().",
		}
	}
	return explanation{
		fmt.Sprintf("%s uses an iterator %s, and on this path there is none: it was not made, was destroyed, or its bytes were written to.", x.calls(), x.at()),
		"Call the new function first, and destroy the iterator once, behind the loop. The macros bpf_for, bpf_repeat and bpf_for_each do all of it.",
	}
}

// timer explains rejections of fields that run a function later.
func (x *explainer) timer() explanation {
	r := x.reg()
	text := x.r.Message
	field := "struct bpf_timer"
	for _, name := range []string{"bpf_wq", "bpf_task_work"} {
		if strings.Contains(text, name) {
			field = "struct " + name
		}
	}
	switch {
	case strings.Contains(text, "constant offset"):
		return explanation{
			fmt.Sprintf("%s must point to the %s in a map value, and its offset is not known.", x.argName(x.r.Reg), field),
			"Pass the address of the member: &value->timer.",
		}
	case strings.HasPrefix(text, "off "):
		return explanation{
			fmt.Sprintf("%s is %s, but not to its %s.", x.argName(x.r.Reg), kindPhrase(&r), field),
			"Pass the address of the member: &value->timer.",
		}
	}
	if strings.Contains(text, "match map pointer") {
		return explanation{
			fmt.Sprintf("%s must be the map in whose value the %s is, and is %s.", x.argName(x.r.Reg), field, kindPhrase(&r)),
			"Pass the map that the value was looked up in; of a map of maps, the result of the same lookup.",
		}
	}
	return explanation{
		fmt.Sprintf("%s is %s, which has no %s that Linux knows of.", x.argName(x.r.Reg), kindPhrase(&r), field),
		fmt.Sprintf("Declare the map with __type(value, struct …) and %s as a member of that structure.", field),
	}
}

// callbacks explains callbacks that are never called.
func (x *explainer) callbacks() explanation {
	sub := x.v.graph.SubprogAt(x.r.Insn + int(x.v.insns[x.r.Insn].Imm) + 1)
	return explanation{
		fmt.Sprintf("The address of %s() is taken, and no path calls it: Linux removes the function and then does not find it.", x.v.functionName(sub)),
		"Remove the call that it is for, or make it possible: bpf_loop with 0 rounds calls nothing.",
	}
}

// heldName names what a reference is to by the call that made it, and releaser what gives it back.
func heldName(call string) (what, releaser string) {
	if name, ok := strings.CutSuffix(call, "_new"); ok && strings.HasPrefix(name, "bpf_iter_") {
		return "the iterator that " + call + "() made", name + "_destroy"
	}
	if call == "bpf_ringbuf_reserve_dynptr" {
		return "the dynptr that " + call + "() made", "bpf_ringbuf_submit_dynptr or bpf_ringbuf_discard_dynptr"
	}
	return "what " + call + "() returned", releasers[call]
}

// kfuncArgument explains an argument that a kernel function does not take.
func (x *explainer) kfuncArgument(n int) explanation {
	k := linux.LookupKfunc(x.callName(x.r.Insn))
	if k == nil || n > len(k.Params) {
		return explanation{}
	}
	r := x.reg()
	p := &k.Params[n-1]
	if strings.Contains(x.r.Message, "known constant") {
		return explanation{
			fmt.Sprintf("%s must be a constant, and may be %s.", x.argName(n), rangeText(&r)),
			"Pass a number that is known when the program is compiled, such as sizeof of the buffer.",
		}
	}
	want := "a number"
	if t := p.Type.Target; t != nil {
		want = "a pointer to memory"
		if t.IsStruct() {
			want = "a pointer to struct " + t.Name
		}
	}
	return explanation{
		fmt.Sprintf("%s is %s, which %s() does not take.", x.argName(n), kindPhrase(&r), k.Name),
		fmt.Sprintf("It takes %s; the parameter is called %s.", want, p.Name),
	}
}

// drained explains an access to the element that an iterator did not give.
func (x *explainer) drained() (explanation, bool) {
	r, n := x.reg(), x.node(x.r.Reg)
	if n == nil || !r.isNull() || x.t == nil {
		return explanation{}, false
	}
	k := linux.LookupKfunc(x.callName(x.t.insns[n.at]))
	if k == nil || !k.Has(linux.KfuncIterNext) {
		return explanation{}, false
	}
	return explanation{
		fmt.Sprintf("%s() (%s) returns NULL when there are no more elements, and the result is used without a check.", k.Name, x.whereNode(n)),
		"Check it first, and leave the loop: if (!p) break; the macros bpf_for and bpf_for_each do that.",
	}, true
}

// unlessNull limits what is said of releasing references to those that may be NULL: all but the
// objects on the stack.
func (x *explainer) unlessNull() string {
	for _, ref := range x.v.state.refs {
		if what, _ := heldName(x.callName(ref.Insn)); strings.HasPrefix(what, "what") {
			return " on which it is not NULL"
		}
	}
	return ""
}
