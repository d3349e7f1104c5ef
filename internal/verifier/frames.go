package verifier

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

// Frame is the stack frame of one function in a chain of calls.
type Frame struct {
	Function string
	File     string // of the function's first line; empty without line information
	Line     int
	Size     int // bytes that the frame counts
	// Call is the line of the call that leads to the next frame, 0 where it is not known.
	Call int
	// Variables are those that are known, the largest first.
	Variables []Variable
}

// Variable is a variable on the stack.
type Variable struct {
	Name string
	Size int // bytes
}

// frameUse is a frame and the function it is of.
type frameUse struct {
	Frame
	sub int
}

// frameUse describes the frame of a function.
func (v *verifier) frameUse(sub, size int) frameUse {
	g := v.graph.Subprogs[sub]
	f := frameUse{sub: sub, Frame: Frame{Function: v.functionName(sub), Size: size}}
	if l := v.lineAt(g.Start); l != nil {
		f.File, f.Line = l.File, l.Line
	}
	f.Variables = v.buffers(g.Start, g.End)
	return f
}

// deepFrames lists the frames of the chain of calls that is too deep, the first caller first. The
// last one is that of the function for which there is no room.
func (v *verifier) deepFrames() []frameUse {
	for i := range v.subs {
		v.subs[i].private = privateUnknown
	}
	private := usesPrivateStack(v.prog.Type, v.prog.AttachType)
	for i := range v.graph.Subprogs {
		private = private && !v.graph.Subprogs[i].HasTailCall
	}
	for i := len(v.subs) - 1; i >= 0; i-- {
		if i > 0 && !v.subs[i].async {
			continue
		}
		w := &depthWalk{v: v, private: i == 0 && private}
		if w.run(i) != nil {
			return w.frames()
		}
	}
	return nil
}

// frames describes the functions of a chain at the point where it became too deep.
func (w *depthWalk) frames() []frameUse {
	var out []frameUse
	add := func(sub int) { out = append(out, w.v.frameUse(sub, roundDepth(w.v.subs[sub].depth))) }
	for i, f := range w.chain {
		add(f.sub)
		if at := f.insn - 1; at >= 0 {
			if l := w.v.lineAt(at); l != nil {
				out[i].Call = l.Line
			}
		}
	}
	add(w.entered)
	return out
}

// depth explains a stack that is too deep.
func (x *explainer) depth() explanation {
	frames := x.v.deepFrames()
	if len(frames) == 0 {
		return explanation{
			fmt.Sprintf("Functions call each other %d deep, and Linux allows %d frames.", linux.MaxFrames+1, linux.MaxFrames),
			"Inline some of them (static __always_inline), or make a tail call.",
		}
	}
	last := len(frames) - 1
	var chain []string
	total := 0
	for i, f := range frames {
		chain = append(chain, fmt.Sprintf("%s() %d bytes", f.Function, f.Size))
		if i < last || !x.tailCallRule() {
			total += f.Size
		}
		x.frameStep(&f, i < last)
		x.deep = append(x.deep, f.Frame)
	}
	switch {
	case len(frames) > linux.MaxFrames:
		return explanation{
			fmt.Sprintf("Functions call each other %d deep, and Linux allows %d frames: %s.", len(frames), linux.MaxFrames, strings.Join(chain, " → ")),
			"Inline some of them (static __always_inline), or make a tail call.",
		}
	case x.tailCallRule():
		return explanation{
			fmt.Sprintf("%s() makes tail calls, so its callers together may take less than %d bytes of stack, and they take %d: %s.%s",
				frames[last].Function, tailCallStack, total, strings.Join(chain, " → "), x.v.largest(frames)),
			fmt.Sprintf("Make the variables of the callers smaller, keep the largest in a per-CPU array, or make the tail call in %s() itself.", frames[0].Function),
		}
	}
	return explanation{
		fmt.Sprintf("The frames of this chain of calls take %d bytes of stack, and a program has %d: %s.%s",
			total, linux.MaxStack, strings.Join(chain, " → "), x.v.largest(frames)),
		"Make variables smaller, keep the largest in a per-CPU array with one entry, or make a tail call instead of the last call: frames of the chain are taken together.",
	}
}

// tailCallRule says that the callers of a subprogram with a tail call are too deep.
func (x *explainer) tailCallRule() bool {
	return strings.HasPrefix(x.r.Message, "tail_calls are not allowed")
}

// frameStep adds a function of the chain to the path.
func (x *explainer) frameStep(f *frameUse, calls bool) {
	s := x.place(x.v.graph.Subprogs[f.sub].Start, fmt.Sprintf("%s() takes %d bytes of stack", f.Function, f.Size))
	if calls && f.Call > 0 {
		s.Why += fmt.Sprintf(" and calls the next function at line %d", f.Call)
	}
	x.steps = append(x.steps, s)
}

// largest names the largest variables of frames as a sentence.
func (v *verifier) largest(frames []frameUse) string {
	const most = 3
	var parts []string
	for _, f := range frames {
		var names []string
		for i, s := range f.Variables {
			if i == most {
				break
			}
			names = append(names, fmt.Sprintf("%s (%d)", s.Name, s.Size))
		}
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf("in %s(): %s", f.Function, strings.Join(names, ", ")))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " Largest variables, in bytes, " + strings.Join(parts, "; ") + "."
}

// buffers lists the variables of a function that are known: those that debugging information
// names, or else those that are handed to helpers as memory.
func (v *verifier) buffers(start, end int) []Variable {
	if vars := v.prog.Locals[v.functionName(v.graph.SubprogAt(start))]; len(vars) > 0 {
		return sortVariables(vars)
	}
	found := map[int]Variable{} // by offset
	for at := start; at < end; at++ {
		in := v.insns[at]
		if in.Op != opCall || in.Src != isa.CallHelper {
			continue
		}
		p, _ := v.proto(in.Imm)
		if p == nil {
			continue
		}
		for n := 1; n <= 5; n++ {
			off, size, ok := v.stackArg(p, start, at, n)
			if !ok || size <= found[off].Size {
				continue
			}
			name := fmt.Sprintf("fp%+d", off)
			if args := callArguments(v.sourceOf(at), p.Name); n-1 < len(args) {
				name = strings.TrimLeft(stripCasts(args[n-1]), "& ")
			}
			found[off] = Variable{name, size}
		}
	}
	var out []Variable
	for _, s := range found {
		out = append(out, s)
	}
	return sortVariables(out)
}

// sortVariables sorts by size, then by name, and keeps one of each name.
func sortVariables(in []Variable) []Variable {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b Variable) int {
		if a.Size != b.Size {
			return b.Size - a.Size
		}
		return strings.Compare(a.Name, b.Name)
	})
	return slices.Compact(out)
}

// stackArg finds the stack memory that a call is given in argument n: its offset and size.
func (v *verifier) stackArg(p *linux.Proto, start, call, n int) (off, size int, ok bool) {
	switch p.Args[n-1].Base() {
	case linux.ArgPtrToMem:
		if s := int(p.ArgSize[n-1]); s > 0 {
			size = s
		} else if n < 5 {
			k, known := v.constBefore(start, call, uint8(n+1))
			if !known {
				return 0, 0, false
			}
			size = k
		}
	case linux.ArgPtrToMapKey, linux.ArgPtrToMapValue:
		m := v.mapBefore(start, call)
		if m == nil {
			return 0, 0, false
		}
		size = int(m.ValueSize)
		if p.Args[n-1].Base() == linux.ArgPtrToMapKey {
			size = int(m.KeySize)
		}
	default:
		return 0, 0, false
	}
	off, ok = v.stackBefore(start, call, uint8(n))
	return off, size, ok && size > 0
}

// constBefore finds the constant that the straight-line code before an instruction puts into a
// register.
func (v *verifier) constBefore(start, at int, r uint8) (int, bool) {
	for at--; at >= start; at-- {
		in := v.insns[at]
		if leaves(in) {
			return 0, false
		}
		if (in.Class() == isa.ClassALU || in.Class() == isa.ClassALU64) && in.Dst == r {
			return int(in.Imm), in.Op&0xf0 == isa.MOV && in.Op&isa.SrcReg == 0
		}
	}
	return 0, false
}

// stackBefore is constBefore for offsets from the frame pointer.
func (v *verifier) stackBefore(start, at int, r uint8) (int, bool) {
	off := 0
	for at--; at >= start; at-- {
		in := v.insns[at]
		if in.Class() != isa.ClassALU64 || in.Dst != r {
			if writesReg(in, r) || leaves(in) && r < 6 {
				return 0, false
			}
			continue
		}
		switch {
		case in.Op&0xf0 == isa.ADD && in.Op&isa.SrcReg == 0:
			off += int(in.Imm)
		case in.Op&0xf0 == isa.MOV && in.Op&isa.SrcReg != 0 && in.Src == isa.FP:
			return off, off < 0
		case in.Op&0xf0 == isa.MOV && in.Op&isa.SrcReg != 0:
			r = in.Src
		default:
			return 0, false
		}
	}
	return 0, false
}

// mapBefore finds the map that is the first argument of a call.
func (v *verifier) mapBefore(start, at int) *Map {
	for at--; at >= start; at-- {
		in := v.insns[at]
		if in.Op == opWideLoad && in.Dst == 1 {
			return v.mapOf(in)
		}
		if leaves(in) {
			return nil
		}
	}
	return nil
}

// writesReg says that an instruction other than arithmetic writes a register.
func writesReg(in isa.Insn, r uint8) bool {
	switch in.Class() {
	case isa.ClassLDX, isa.ClassLD, isa.ClassALU:
		return in.Op != 0 && in.Dst == r
	}
	return false
}

// leaves says that an instruction jumps, calls or returns.
func leaves(in isa.Insn) bool {
	return in.Class() == isa.ClassJMP || in.Class() == isa.ClassJMP32
}
