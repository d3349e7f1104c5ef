// Package verifier decides whether Linux would load a program, and says why not.
//
// It explores every path of a program with abstract values, as kernel/bpf/verifier.c of Linux
// 6.18 does for a privileged loader: a state holds what is known of the registers and stack
// slots of each frame, branches split it, and a path ends early where an earlier state that
// was found safe covers it (pruning). A scalar is compared only where its exact value mattered
// (precision), which is found by walking back through the instructions that made it.
//
// Where things are:
//
//	program.go    the program as it is handed over
//	regtype.go    kinds of register
//	state.go      registers, stack slots, frames, states
//	verify.go     order of the phases; the loop over instructions
//	alu.go        arithmetic, on scalars and on pointers
//	branch.go     conditional jumps
//	memory.go     loads and stores by kind of pointer; stack.go those of the stack
//	call.go       helper calls; subprog.go calls of subprograms
//	kfunc.go      calls of kernel functions; kfuncargs.go their arguments, by BTF kind and suffix
//	refs.go       what the program holds; lock.go spin locks; region.go RCU, preemption, interrupts
//	alloc.go      objects of the program; graph.go lists and trees; exception.go bpf_throw
//	dynptr.go     dynptrs; iter.go open-coded iterators
//	callback.go   functions that helpers call; async.go those that run later
//	btf.go        types of the kernel; btfwalk.go what lies at an offset; btfaccess.go pointers to objects
//	btfhook.go    what a program is attached to; btfcontext.go its arguments; btfkptr.go pointers in maps
//	btfargs.go    objects as arguments, kernel variables; btfglobal.go tags of arguments, results of hooks
//	prune.go      states that are saved; compare.go whether one covers another; scc.go loops
//	precision.go  values that matter; backtrack.go the walk back; linked.go equal scalars
//	log.go        the trace that Linux prints at log level 2
//	trail.go      the path to a rejection, followed once more for where values come from
//	explain.go    rejections in plain words; explain_*.go by kind of mistake
//	frames.go     stack frames with their variables; frames_dwarf.go those of the object's DWARF
//	scalar/       numbers: tristate bits and ranges
//	cfg/          what is checked and found before the exploration
//	liveness/     stack slots that may still be read
//	reject/       reasons as data
package verifier
