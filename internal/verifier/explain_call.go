package verifier

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// programTypes are the types that explanations name, those that people load most first.
var programTypes = []ebpf.ProgramType{
	ebpf.XDP, ebpf.SchedCLS, ebpf.SchedACT, ebpf.Kprobe, ebpf.TracePoint, ebpf.RawTracepoint, ebpf.PerfEvent,
	ebpf.Tracing, ebpf.LSM, ebpf.SocketFilter, ebpf.CGroupSKB, ebpf.CGroupSock, ebpf.CGroupSockAddr,
	ebpf.CGroupSockopt, ebpf.CGroupDevice, ebpf.CGroupSysctl, ebpf.SockOps, ebpf.SkSKB, ebpf.SkMsg,
	ebpf.SkLookup, ebpf.SkReuseport, ebpf.FlowDissector, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit,
	ebpf.LWTSeg6Local, ebpf.StructOps, ebpf.Syscall, ebpf.Netfilter,
}

func (x *explainer) helper() explanation {
	in := x.v.insns[x.r.Insn]
	if in.Op != opCall {
		return explanation{
			fmt.Sprintf("Loads with BPF_LD_ABS and BPF_LD_IND are not for programs of type %s, or not for this place.", x.v.prog.Type),
			"Use direct packet access, or bpf_skb_load_bytes.",
		}
	}
	if in.Imm < 0 || in.Imm > linux.MaxFuncID {
		e := explanation{
			fmt.Sprintf("There is no helper %d.", in.Imm),
			"Compare the headers that the program was compiled with with the kernel; carom takes custom helpers with --helper or Options.Helpers.",
		}
		if in.Imm == -1 {
			e.what = "The call leads nowhere: the compiler or loader left it unresolved."
		}
		return e
	}
	name := helperName(in.Imm)
	if p, _ := x.v.proto(in.Imm); p != nil {
		if p.MightSleep {
			return explanation{
				fmt.Sprintf("%s() may sleep, and this program does not run where that is allowed.", name),
				"Make the program sleepable (SEC(\"fentry.s/…\"), \"lsm.s/…\", \"uprobe.s/…\"), or use a helper that does not sleep.",
			}
		}
		return explanation{fmt.Sprintf("%s() is not allowed at the place that this program attaches to.", name), "Attach it elsewhere, or do without the helper."}
	}
	return explanation{
		fmt.Sprintf("Programs of type %s cannot call %s().", x.v.prog.Type, name),
		mayBeCalled(name, uint32(in.Imm)),
	}
}

// mayBeCalled says which program types have a helper.
func mayBeCalled(name string, id uint32) string {
	var types []string
	for _, t := range programTypes {
		scope := linux.HelperScope{Type: t}
		if linux.Helpers(scope).Proto(id) != nil {
			types = append(types, t.String())
			continue
		}
		scope.Sleepable = true
		if linux.Helpers(scope).Proto(id) != nil {
			types = append(types, "sleepable "+t.String())
		}
	}
	if len(types) == 0 {
		return "No program type has it in this form."
	}
	const most = 8
	more := ""
	if len(types) > most {
		more = fmt.Sprintf(" and %d more", len(types)-most)
		types = types[:most]
	}
	return fmt.Sprintf("Program types with %s: %s%s.", name, strings.Join(types, ", "), more)
}

func (x *explainer) licence() explanation {
	return explanation{
		fmt.Sprintf("%s() is only for programs whose licence is compatible with the GPL.", x.callName(x.r.Insn)),
		`Declare it, if it is true: char _license[] SEC("license") = "GPL"; ("Dual MIT/GPL", "Dual BSD/GPL" and "GPL v2" count, too.)`,
	}
}

// argName is the argument of a call as the source has it.
func (x *explainer) argName(n int) string {
	name := x.callName(x.r.Insn)
	if args := callArguments(x.v.sourceOf(x.r.Insn), name); n-1 < len(args) {
		return fmt.Sprintf("Argument %d of %s(), %s,", n, name, args[n-1])
	}
	return fmt.Sprintf("Argument %d of %s()", n, name)
}

// callArguments returns the arguments of a call in a line of C.
func callArguments(line, name string) []string {
	_, rest, ok := strings.Cut(line, name+"(")
	if !ok {
		return nil
	}
	var out []string
	depth, start := 0, 0
	for i, c := range rest {
		switch {
		case c == '(' || c == '[' || c == '{':
			depth++
		case depth > 0 && (c == ')' || c == ']' || c == '}'):
			depth--
		case c == ')':
			return append(out, strings.TrimSpace(rest[start:i]))
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(rest[start:i]))
			start = i + 1
		}
	}
	return out // the call goes on in the next line
}

func (x *explainer) argument() explanation {
	in, n := x.v.insns[x.r.Insn], x.r.Reg
	switch {
	case in.Class() == isa.ClassLD:
		return explanation{
			"Loads with BPF_LD_ABS and BPF_LD_IND take the packet from the context in R6, and something else is there.",
			"Copy the context to R6 at the beginning and leave it there.",
		}
	case in.Op == opCall && in.Src == isa.CallLocal && n < 1:
		return explanation{
			fmt.Sprintf("The global function %s() has an argument of a type that cannot be checked.", x.callName(x.r.Insn)),
			"Give it arguments that are numbers, the context of this program type, or pointers to types of known size; or make it static.",
		}
	case in.Op != opCall || n < 1 || n > 5 || x.t == nil:
		return explanation{}
	}
	r := x.reg()
	switch in.Src {
	case isa.CallLocal:
		return x.globalArgument(&r)
	case isa.CallKfunc:
		return x.kfuncArgument(n)
	}
	p, _ := x.v.proto(in.Imm)
	if p == nil {
		return explanation{}
	}
	if p.ID == linux.FuncTailCall && n == 1 {
		return explanation{
			fmt.Sprintf("The first argument of a tail call must be the context that the program was called with; this is %s.", kindPhrase(&r)),
			"Pass ctx itself: bpf_tail_call(ctx, &progs, index). In a subprogram, make ctx an argument of it.",
		}
	}
	arg := p.Args[n-1].Base()
	switch arg {
	case linux.ArgConstSize, linux.ArgConstSizeOrZero, linux.ArgConstAllocSizeOrZero:
		if r.Type == ScalarValue {
			return x.size(&r, n)
		}
	case linux.ArgConstMapPtr:
		return explanation{
			fmt.Sprintf("%s must be a map, and is %s.", x.argName(n), kindPhrase(&r)),
			"Pass the address of a map that is declared in the section .maps: &my_map. A map that was looked up in a map of maps must be checked for NULL first.",
		}
	case linux.ArgPtrToCtx:
		return explanation{
			fmt.Sprintf("%s must be the context that the program was called with, and is %s.", x.argName(n), kindPhrase(&r)),
			"Pass ctx itself.",
		}
	case linux.ArgPtrToConstStr:
		return explanation{
			fmt.Sprintf("%s must be a string that is known when the program loads.", x.argName(n)),
			`Use static const char fmt[] = "…";`,
		}
	}
	if r.RefID != 0 && (r.Off != 0 || !r.Var.IsConst()) {
		return explanation{
			fmt.Sprintf("%s points into %s, and not to where it begins.", x.argName(n), kindPhrase(&r)),
			fmt.Sprintf("Pass to %s() what the call that acquired it returned.", p.Name),
		}
	}
	what := fmt.Sprintf("%s is %s, which %s() does not take.", x.argName(n), kindPhrase(&r), p.Name)
	if r.Type.isPacket() {
		what = x.packet().what
	}
	return explanation{what, "It takes " + argWords(arg) + "."}
}

// argWords says what an argument takes.
func argWords(a linux.ArgType) string {
	switch a {
	case linux.ArgPtrToMapKey, linux.ArgPtrToMapValue, linux.ArgPtrToMem:
		return "a pointer to memory: a variable on the stack, a map value, or bytes of the packet that were checked"
	case linux.ArgPtrToSockCommon, linux.ArgPtrToSocket, linux.ArgPtrToBTFIDSockCommon:
		return "a socket, checked for NULL"
	case linux.ArgPtrToRingbufMem:
		return "a record from bpf_ringbuf_reserve, checked for NULL"
	case linux.ArgPtrToFunc:
		return "a static function"
	case linux.ArgPtrToTimer, linux.ArgPtrToSpinLock:
		return "a field in a map value"
	case linux.ArgPtrToStack:
		return "a variable on the stack"
	case linux.ArgConstSize, linux.ArgConstSizeOrZero, linux.ArgConstAllocSizeOrZero, linux.ArgScalar:
		return "a number"
	}
	return "another kind of value"
}

// size explains a size that is not limited.
func (x *explainer) size(r *reg, n int) explanation {
	nd := x.node(n)
	name, code := x.value(nd, n), "size"
	if v := x.variable(nd); v != "" {
		code = v
	}
	who := fmt.Sprintf("The size that is passed to %s(), %s,", x.callName(x.r.Insn), name)
	if strings.HasPrefix(name, "R") {
		who = fmt.Sprintf("The size that is passed to %s()", x.callName(x.r.Insn))
	}
	switch {
	case r.isNull():
		return explanation{fmt.Sprintf("%s() does not take a size of 0.", x.callName(x.r.Insn)), "Pass the size of the buffer."}
	case r.isConst() && r.Smin < 0:
		return explanation{fmt.Sprintf("The size that is passed to %s() is %d.", x.callName(x.r.Insn), r.Smin), "Pass the size of the buffer."}
	case r.Smin < 0:
		return explanation{
			fmt.Sprintf("%s may be negative (%s).", who, rangeText(r)),
			fmt.Sprintf("Use an unsigned type, and limit it: if (%s > sizeof(buf)) return 0;", code),
		}
	case r.Umax >= maxVarSize:
		return explanation{
			fmt.Sprintf("%s is not limited on this path (%s).", who, rangeText(r)),
			fmt.Sprintf("Limit it: if (%s > sizeof(buf)) return 0; or %s &= sizeof(buf) - 1 where that is a power of two.", code, code),
		}
	case r.Umin == 0:
		return explanation{
			fmt.Sprintf("%s may be 0 (%s), which %s() does not take.", who, rangeText(r), x.callName(x.r.Insn)),
			fmt.Sprintf("Check it: if (%s == 0) return 0; the compiler may need a volatile or barrier_var() to keep the check.", code),
		}
	}
	return explanation{fmt.Sprintf("%s must be a constant, and is %s.", who, rangeText(r)), "Pass a constant."}
}

// globalArgument explains an argument that does not fit a global function.
func (x *explainer) globalArgument(r *reg) explanation {
	name := x.callName(x.r.Insn)
	what := fmt.Sprintf("Argument %d of the global function %s() is %s, which its prototype does not allow.", x.r.Reg, name, kindPhrase(r))
	sub := x.v.graph.SubprogAt(x.r.Insn + int(x.v.insns[x.r.Insn].Imm) + 1)
	if args, err := x.v.globalArgs(sub); err == nil && x.r.Reg-1 < len(args) && args[x.r.Reg-1].memSize > 0 {
		size := args[x.r.Reg-1].memSize
		what = fmt.Sprintf("The global function %s() takes a pointer to %d bytes as argument %d, and gets %s.", name, size, x.r.Reg, kindPhrase(r))
		if have := -int(r.Off) - int(int64(r.Var.Value)); r.Type == PtrToStack && r.Var.IsConst() && r.Frame == int32(x.t.frame) {
			what = fmt.Sprintf("The global function %s() takes a pointer to %d bytes as argument %d, and gets a pointer to the stack with %d bytes behind it.",
				name, size, x.r.Reg, have)
		}
	}
	return explanation{what, fmt.Sprintf(
		"Global functions are verified on their own, for any argument of their types: a number for a number, the context for a context, and for other pointers memory of the full size, checked for NULL or tagged with __arg_nonnull. Or make %s() static.", name)}
}

func (x *explainer) mapUse() explanation {
	in := x.v.insns[x.r.Insn]
	if in.Op != opCall {
		return x.mapAlone()
	}
	var m *Map
	if x.t != nil {
		for n := 1; n <= 5; n++ {
			if r := &x.t.regs[n]; r.Type == ConstPtrToMap {
				m = r.Map
				break
			}
		}
	}
	if in.Imm == linux.FuncTailCall {
		what := "The second argument of bpf_tail_call must be a map of type ProgramArray."
		if m != nil {
			what = fmt.Sprintf("A tail call needs a map of type ProgramArray, and %s is of type %s.", mapName(m), m.Type)
		}
		return explanation{what, "Pass a map with __uint(type, BPF_MAP_TYPE_PROG_ARRAY)."}
	}
	if m == nil {
		return explanation{}
	}
	p, _ := x.v.proto(in.Imm)
	if p == nil {
		return explanation{}
	}
	if x.r.Errno == linux.EACCES && (m.Type == ebpf.DevMap || m.Type == ebpf.DevMapHash) {
		return explanation{fmt.Sprintf("Programs cannot change map %s, because it is of type %s.", mapName(m), m.Type), "Fill it from user space."}
	}
	if x.r.Errno == linux.EACCES {
		return explanation{
			fmt.Sprintf("Map %s is read-only for programs (BPF_F_RDONLY_PROG), and %s() changes it.", mapName(m), p.Name),
			"Change another map, or remove the flag.",
		}
	}
	e := explanation{what: fmt.Sprintf("%s() does not work on map %s, which is of type %s.", p.Name, mapName(m), m.Type)}
	if types := x.takenMaps(p.ID); len(types) > 0 {
		e.todo = fmt.Sprintf("Map types for %s: %s.", p.Name, strings.Join(types, ", "))
	}
	if m.Type == ebpf.ProgramArray {
		e.todo += " Programs reach the slots of a ProgramArray with bpf_tail_call only; user space fills them."
	}
	return e
}

// takenMaps lists the map types that a helper takes.
func (x *explainer) takenMaps(id uint32) []string {
	var types []string
	for t := ebpf.Hash; t <= ebpf.Arena; t++ {
		if linux.HelperTakesMap(x.v.scope(), t, id) {
			types = append(types, t.String())
		}
	}
	const most = 10
	if len(types) > most {
		types = append(slices.Clone(types[:most]), fmt.Sprintf("and %d more", len(types)-most))
	}
	return types
}

// mapAlone explains a map that the program may not use at all, or not like this.
func (x *explainer) mapAlone() explanation {
	in := x.v.insns[x.r.Insn]
	m := x.v.mapOf(in)
	if m == nil {
		return explanation{}
	}
	if in.Src == isa.PseudoMapValue || in.Src == isa.PseudoMapIdxValue {
		return explanation{
			fmt.Sprintf("The program points straight into the values of map %s, which only works for arrays with one entry, inside of its %d bytes.",
				mapName(m), m.ValueSize),
			"Look the value up with bpf_map_lookup_elem.",
		}
	}
	return explanation{
		fmt.Sprintf("Programs of type %s cannot use map %s of type %s like this.", x.v.prog.Type, mapName(m), m.Type),
		"Use a map of another type, or without the special fields that the reason names.",
	}
}

func (x *explainer) tailCall() explanation {
	switch {
	case x.r.Errno == linux.ENOSPC:
		return explanation{
			"The program has more than 1024 tail calls with a constant slot.",
			"Merge some of them, or let the slot depend on a variable.",
		}
	case x.r.Needed != "":
		return explanation{
			fmt.Sprintf("This program does not fit the others that use the same ProgramArray: %s; %s.", x.r.Found, x.r.Needed),
			"All programs that call into an array, or are in it, must have the same type and attach type and agree on frags, sleeping and cgroup storage. Use another array for this one.",
		}
	}
	return explanation{
		"A callback of a helper reaches a tail call. The tail call would leave the helper that runs the callback, and never come back to it.",
		"Make the tail call after the helper, for example with a slot that the callback writes to its context.",
	}
}

func (x *explainer) reference() explanation {
	in := x.v.insns[x.r.Insn]
	if len(x.v.state.refs) == 0 || strings.Contains(x.r.Message, "acquired before") || strings.Contains(x.r.Message, "must be referenced") {
		name := "what is passed to it"
		if x.r.Reg > 0 {
			name = x.value(x.node(x.r.Reg), x.r.Reg)
		}
		return explanation{
			fmt.Sprintf("%s() releases %s, which is not held here: it was released before, or never acquired.", x.callName(x.r.Insn), name),
			"Release a reference exactly once, and do not use it afterwards.",
		}
	}
	var held []string
	x.notes = map[int]string{}
	release := ""
	for _, ref := range x.v.state.refs {
		x.notes[ref.Insn] = "acquired here, and still held"
		name, by := heldName(x.callName(ref.Insn))
		held = append(held, fmt.Sprintf("%s (%s)", name, x.v.where(ref.Insn)))
		release = by
	}
	if release == "" {
		release = "its helper"
	}
	what := strings.Join(held, " and ")
	if in.Op == opCall {
		return explanation{
			fmt.Sprintf("The program still holds %s at a tail call, which does not return when it is taken.", what),
			fmt.Sprintf("Release it with %s before bpf_tail_call.", release),
		}
	}
	return explanation{
		fmt.Sprintf("The program ends while it holds %s.", what),
		fmt.Sprintf("Release it with %s on every path%s.", release, x.unlessNull()),
	}
}

// releasers are the helpers that give back what others acquire.
var releasers = map[string]string{
	"bpf_sk_lookup_tcp": "bpf_sk_release", "bpf_sk_lookup_udp": "bpf_sk_release", "bpf_skc_lookup_tcp": "bpf_sk_release",
	"bpf_map_lookup_elem": "bpf_sk_release", "bpf_ringbuf_reserve": "bpf_ringbuf_submit or bpf_ringbuf_discard",
}

func (x *explainer) lock() explanation {
	return explanation{
		"This is not allowed while a lock is held, or in a section in which the program must not stop.",
		"Release the lock, or end the section, before.",
	}
}

// resultNames are the values that types allow, where they have names.
var resultNames = map[ebpf.ProgramType]string{
	ebpf.CGroupSKB:      "0 drops the packet, 1 lets it pass, and at egress 2 and 3 do the same with a notice of congestion",
	ebpf.CGroupSock:     "0 refuses the operation, 1 allows it",
	ebpf.CGroupSockAddr: "0 refuses the operation, 1 allows it",
	ebpf.CGroupSockopt:  "0 refuses the call with EPERM, 1 goes on",
	ebpf.CGroupDevice:   "0 refuses the access, 1 allows it",
	ebpf.CGroupSysctl:   "0 refuses the access, 1 allows it",
	ebpf.SockOps:        "0 or 1",
	ebpf.SkLookup:       "0 (SK_DROP), 1 (SK_PASS)",
	ebpf.Netfilter:      "0 (NF_DROP), 1 (NF_ACCEPT)",
	ebpf.Tracing:        "0",
}

func (x *explainer) result() explanation {
	if x.t == nil {
		return explanation{}
	}
	r := x.t.regs[0]
	switch {
	case r.Type == PtrToStack:
		return explanation{
			"The function returns a pointer to the stack, which is gone when it has returned.",
			"Let the caller pass a pointer to memory of its own, and write there.",
		}
	case x.t.frame > 0:
		return explanation{
			fmt.Sprintf("The callback may return %s, and must return 0 or 1.", rangeText(&r)),
			"Return 0 to go on, and 1 to stop.",
		}
	}
	rule := linux.ReturnRuleOf(x.v.prog.Type, x.v.prog.AttachType)
	if f := x.v.state.frames[0]; f.InAsync {
		rule = linux.ReturnRule{Kind: linux.ReturnRange, Min: f.CallbackRet[0], Max: f.CallbackRet[1]}
	}
	found := rangeText(&r)
	if r.Type != ScalarValue {
		found = kindPhrase(&r)
	}
	if rule.Kind != linux.ReturnRange {
		return explanation{fmt.Sprintf("The function returns %s; it must return a number.", found), "Return a number."}
	}
	if name := x.value(x.node(0), 0); !strings.HasPrefix(name, "R") && !strings.HasPrefix(name, "the constant") {
		found += ", " + name
	}
	e := explanation{
		what: fmt.Sprintf("The return value may be %s; a program of type %s must return %d %s %d.",
			found, x.v.prog.Type, rule.Min, between(rule), rule.Max),
		todo: "Return constants, or compare the value before it is returned.",
	}
	if x.v.state.frames[0].InAsync {
		return explanation{fmt.Sprintf("The callback may return %s, and must return %d.", found, rule.Min), fmt.Sprintf("Return %d on every path.", rule.Min)}
	}
	if rule.Min == rule.Max {
		e.what = fmt.Sprintf("The return value may be %s; a program of type %s must return %d.", found, x.v.prog.Type, rule.Min)
	}
	if names := resultNames[x.v.prog.Type]; names != "" {
		e.todo += " Values: " + names + "."
	}
	return e
}

// between is the word between the limits of a rule.
func between(r linux.ReturnRule) string {
	if r.Max == r.Min+1 {
		return "or"
	}
	return "to"
}

func (x *explainer) funcInfo() explanation {
	return explanation{"The types of a function in BTF do not allow this use of it.", "Compile with -g, and give global functions arguments that are numbers, the context, or pointers to types of known size."}
}
