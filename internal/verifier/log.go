package verifier

import (
	"bufio"
	"fmt"
	"io"
	"strconv"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// logger writes the trace that Linux prints at log level 2 (kernel/bpf/log.c): each instruction
// with its source line, and behind it what changed.
type logger struct {
	v     *verifier
	w     *bufio.Writer
	last  *Line // source line printed last
	begun bool  // functions and live registers were printed
	// open says that an instruction was printed and its line is not ended; col is its length.
	open bool
	col  int
	buf  []byte
}

func newLogger(v *verifier, w io.Writer) *logger {
	return &logger{v: v, w: bufio.NewWriter(w)}
}

// finish writes the reason and the numbers.
func (l *logger) finish(err *reject.Error) {
	l.end()
	if err != nil {
		for _, s := range err.Before {
			fmt.Fprintln(l.w, s)
		}
		if err.Message != "" && err.Code != CodeLoop { // that is followed by the states
			fmt.Fprintln(l.w, err.Message)
		}
	}
	s := l.v.stats()
	fmt.Fprintf(l.w, "processed %d insns (limit %d) max_states_per_insn %d total_states %d peak_states %d mark_read 0\n",
		s.Insns, MaxInsns, s.MaxPerInsn, s.TotalStates, s.PeakStates)
	l.w.Flush()
}

// end ends the line of an instruction.
func (l *logger) end() {
	if l.open {
		l.w.WriteByte('\n')
		l.open = false
	}
}

// line writes a line of its own.
func (l *logger) linef(format string, args ...any) {
	l.end()
	fmt.Fprintf(l.w, format+"\n", args...)
}

// printf writes text as it is.
func (l *logger) printf(format string, args ...any) {
	l.end()
	fmt.Fprintf(l.w, format, args...)
}

// state writes all of a frame of a state.
func (l *logger) state(s *state, frameNo int) { l.frame(s, s.frames[frameNo], true) }

// safe says that the state is covered by an earlier one.
func (l *logger) safe(fromPending bool) {
	if fromPending {
		l.end()
		l.linef("\nfrom %d to %d: safe", l.v.prev, l.v.insn)
		return
	}
	l.linef("%d: safe", l.v.insn)
}

// before writes the instruction that comes next.
func (l *logger) before(fromPending bool) {
	v := l.v
	if v.prev < 0 && !fromPending {
		l.start()
	}
	if fromPending {
		l.end()
		fmt.Fprintf(l.w, "\nfrom %d to %d:", v.prev, v.insn)
		l.frame(v.state, v.state.cur(), true)
	}
	if v.scratchedRegs != 0 || v.scratchedSlots != 0 {
		l.changed()
	}
	l.end()
	l.source(v.insn)
	text := l.text(v.insn)
	l.w.WriteString(text)
	l.open, l.col = true, len(text)+1
}

// start begins the log of a function that is verified on its own: everything is new.
func (l *logger) start() {
	l.last = nil
	if !l.begun {
		l.begun = true
		l.head()
	}
	l.v.scratchAll()
}

// head writes what Linux finds out before it explores paths.
func (l *logger) head() {
	v := l.v
	for i, s := range v.graph.Subprogs {
		l.linef("func#%d @%d", i, s.Start)
	}
	l.linef("Live regs before insn:")
	for insn := 0; insn < len(v.insns); insn++ {
		if v.insns[insn].Op == 0 {
			continue // the second slot of a wide load
		}
		var regs [numRegs - 1]byte
		for r := range regs {
			regs[r] = '.'
			if v.graph.Live[insn]>>r&1 != 0 {
				regs[r] = byte('0' + r)
			}
		}
		loop := ""
		if n := v.graph.SCCAt(insn); n != 0 {
			loop = strconv.Itoa(int(n))
		}
		l.linef("%3s %3d: %s %s", loop, insn, regs[:], l.disassemble(insn))
	}
	if len(v.prog.Funcs) == 0 {
		return
	}
	// The main program's arguments are looked at, but may be anything.
	if _, err := v.globalArgs(0); err != nil && err.Message != "" && err.Code != CodeUnsupported {
		l.linef("%s", err.Message)
	}
}

// text is an instruction with its number.
func (l *logger) text(insn int) string {
	return strconv.Itoa(insn) + ": " + l.disassemble(insn)
}

// disassemble is an instruction as text. Linux has the address of a map where this has its name.
func (l *logger) disassemble(insn int) string {
	var next isa.Insn
	if insn+1 < len(l.v.insns) {
		next = l.v.insns[insn+1]
	}
	return isa.Disassemble(l.v.insns[insn], next, isa.Names{PC: insn, Map: func(load isa.Insn) string {
		if m := l.v.mapOf(load); m != nil {
			return m.Name
		}
		return ""
	}})
}

// insn writes an instruction on a line of its own.
func (l *logger) insn(at int) { l.linef("%s", l.text(at)) }

// source writes the source line of an instruction if it is not that of the last one.
func (l *logger) source(insn int) {
	line := l.v.lineAt(insn)
	if line == nil || line == l.last || l.last != nil && line.File == l.last.File && line.Line == l.last.Line {
		return
	}
	l.last = line
	fmt.Fprintf(l.w, "; %s @ %s:%d\n", line.Text, baseName(line.File), line.Line)
}

func baseName(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

// lineOf returns the index of the source line of an instruction, -1 where there is none.
func (v *verifier) lineOf(insn int) int {
	lo, hi := -1, len(v.prog.Lines)
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) >> 1); v.prog.Lines[mid].Insn <= insn {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// changed writes what the last instruction changed behind it (print_insn_state).
func (l *logger) changed() {
	if l.open {
		const column, step = 40, 8
		to := (max(l.col+step/2, column) + step - 1) &^ (step - 1)
		fmt.Fprintf(l.w, "%*c;", to-l.col-1, ' ')
	} else {
		fmt.Fprintf(l.w, "%d:", l.v.insn)
	}
	l.open = false
	l.frame(l.v.state, l.v.state.cur(), false)
}

// call writes caller and callee of a call.
func (l *logger) call(caller, callee *frame) {
	l.linef("caller:")
	l.frame(l.v.state, caller, true)
	l.linef("callee:")
	l.frame(l.v.state, callee, true)
}

// returned writes callee and caller of a return.
func (l *logger) returned(callee, caller *frame, insn int) {
	l.linef("returning from callee:")
	l.frame(l.v.state, callee, true)
	l.linef("to caller at %d:", insn)
	l.frame(l.v.state, caller, true)
}

// frame writes registers and stack of a frame: all, or those that changed
// (print_verifier_state).
func (l *logger) frame(s *state, f *frame, all bool) {
	v := l.v
	b := l.buf[:0]
	if f.No > 0 {
		b = append(b, " frame"...)
		b = strconv.AppendInt(b, int64(f.No), 10)
		b = append(b, ':')
	}
	for i := range f.Regs {
		r := &f.Regs[i]
		if r.Type == NotInit || !all && v.scratchedRegs>>i&1 == 0 {
			continue
		}
		b = append(b, " R"...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, '=')
		b = r.append(b, f.No)
	}
	for i := range f.Stack {
		if all || v.scratchedSlots>>i&1 != 0 {
			b = f.Stack[i].append(b, i, f.No)
		}
	}
	for i, ref := range s.refs {
		if i == 0 {
			b = append(b, " refs="...)
		} else {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(ref.ID), 10)
	}
	if f.InCallback {
		b = append(b, " cb"...)
	}
	if f.InAsync {
		b = append(b, " async_cb"...)
	}
	b = append(b, '\n')
	l.w.Write(b)
	l.buf = b
	if !all {
		v.scratchedRegs, v.scratchedSlots = 0, 0
	}
}

// slotChars are the kinds of stack byte as the log shows them.
const slotChars = "?rm0dif"

// append writes a stack slot.
func (s *slot) append(b []byte, spi, frameNo int) []byte {
	var kinds [slotSize]byte
	valid := false
	spilled := slotSize
	for j, k := range s.Kind {
		valid = valid || k != slotInvalid
		kinds[j] = slotChars[k]
		if k == slotSpill && spilled == slotSize {
			spilled = j
		}
	}
	if !valid {
		return b
	}
	object := s.Kind[slotSize-1]
	if object == slotDynptr && !s.Object.First || object == slotIter && s.RefID == 0 {
		return b
	}
	b = append(b, " fp"...)
	b = strconv.AppendInt(b, int64(-spi-1)*slotSize, 10)
	b = append(b, '=')
	switch object {
	case slotDynptr:
		return s.appendDynptr(b)
	case slotIter:
		return s.appendIter(b)
	}
	if s.isSpilled() {
		b = append(b, kinds[:spilled]...)
		return s.reg.append(b, frameNo)
	}
	return append(b, kinds[:]...)
}

func (s *slot) appendDynptr(b []byte) []byte {
	b = fmt.Appendf(b, "dynptr_%s(id=%d", s.Object.Dynptr, s.ID)
	if s.RefID != 0 {
		b = fmt.Appendf(b, ",ref_id=%d", s.RefID)
	}
	return append(b, ')')
}

func (s *slot) appendIter(b []byte) []byte {
	state := "active"
	if s.Object.Drained {
		state = "drained"
	}
	return fmt.Appendf(b, "iter_%s(ref_id=%d,state=%s,depth=%d)", s.Object.Iter.Name, s.RefID, state, s.Object.Depth)
}

// append writes a register (print_reg_state).
func (r *reg) append(b []byte, frameNo int) []byte {
	t := r.Type
	if t == ScalarValue && r.Precise {
		b = append(b, 'P')
	}
	if r.isConst() {
		return scalar.AppendSigned(b, int64(r.Var.Value))
	}
	b = append(b, t.String()...)
	switch t.base() {
	case PtrToArena:
		return b
	case PtrToStack:
		if int(r.Frame) != frameNo {
			b = fmt.Appendf(b, "[%d]", r.Frame)
		}
		if r.Var.IsConst() {
			return scalar.AppendSigned(b, int64(r.Var.Value)+int64(r.Off))
		}
	case PtrToBTFID:
		b = append(b, r.BTF.String()...)
	}
	b = append(b, '(')
	start := len(b)
	b = r.appendFields(b, start)
	return append(b, ')')
}

// appendFields writes what stands between the brackets.
func (r *reg) appendFields(b []byte, start int) []byte {
	sep := func() {
		if len(b) > start {
			b = append(b, ',')
		}
	}
	t := r.Type
	if id := r.ID &^ addConst; id != 0 {
		b = fmt.Appendf(b, "id=%d", id)
	}
	if r.ID&addConst != 0 {
		b = fmt.Appendf(b, "%+d", r.Off)
	}
	if r.RefID != 0 {
		sep()
		b = fmt.Appendf(b, "ref_obj_id=%d", r.RefID)
	}
	switch t.base() {
	case ConstPtrToMap, PtrToMapKey, PtrToMapValue:
		if r.Map.Name != "" {
			sep()
			b = fmt.Appendf(b, "map=%.15s", r.Map.Name)
		}
		sep()
		b = fmt.Appendf(b, "ks=%d,vs=%d", r.Map.KeySize, r.Map.ValueSize)
	}
	if t != ScalarValue && r.Off != 0 {
		sep()
		b = scalar.AppendSigned(append(b, "off="...), int64(r.Off))
	}
	if t.isPacket() {
		sep()
		b = scalar.AppendUnsigned(append(b, "r="...), uint64(int64(r.Range)))
	}
	if t.base() == PtrToMem {
		sep()
		b = scalar.AppendUnsigned(append(b, "sz="...), uint64(r.MemSize))
	}
	if r.Var.IsConst() {
		if r.Var.Value != 0 {
			sep()
			b = scalar.AppendSigned(append(b, "imm="...), int64(r.Var.Value))
		}
		return b
	}
	n := len(b)
	sep()
	with := len(b)
	b = r.Scalar.AppendRanges(b)
	if len(b) == with {
		b = b[:n]
	}
	return b
}

// scratch notes that a register is to be printed.
func (v *verifier) scratch(n int) { v.scratchedRegs |= 1 << n }

// scratchSlot notes that a slot is to be printed.
func (v *verifier) scratchSlot(f *frame, spi int) {
	if f.No == v.state.frameNo() {
		v.scratchedSlots |= 1 << spi
	}
}

// scratchAll notes that everything is to be printed.
func (v *verifier) scratchAll() { v.scratchedRegs, v.scratchedSlots = 1<<numRegs-1, ^uint64(0) }

// logState prints what an instruction changed before its line is left.
func (v *verifier) logState() {
	if v.log != nil {
		v.log.changed()
	}
}
