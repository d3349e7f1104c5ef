package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// MapAddress is where the linker finds a map.
type MapAddress struct {
	Desc uint64 // of the map's descriptor
	// Value and Size locate the values for direct loads; Size 0 where Linux allows none.
	Value, Size uint64
}

// Env is what programs are linked against.
type Env struct {
	// Map returns the map of a name.
	Map func(name string) (MapAddress, bool)
	// Helper returns the helper with an id, and Kfunc that with a name, nil when unknown.
	Helper func(id uint32) *vm.Helper
	Kfunc  func(name string) *vm.Helper
	// Types are candidates for CO-RE relocations; the first that fits is used.
	Types []*btf.Spec
	// Kconfig returns the offset of a variable in the .kconfig map.
	Kconfig func(name string) (uint32, bool)
	// Ksym returns the address of a kernel symbol.
	Ksym     func(name string) (uint64, bool)
	Contexts *linux.Contexts
}

// Error says why a program could not be linked.
type Error struct {
	Program string
	Insn    int    // instruction slot, -1 when the whole program is meant
	File    string // source position of Insn, if the object has one
	Line    int
	Errno   linux.Errno // what Linux returns in this case
	Reason  string
	Err     error
}

func (e *Error) Error() string {
	s := "program " + e.Program
	if e.Insn >= 0 {
		s += fmt.Sprintf(": insn %d", e.Insn)
	}
	if e.File != "" {
		s += fmt.Sprintf(" at %s:%d", e.File, e.Line)
	}
	s += ": " + e.Reason
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause and the error number.
func (e *Error) Unwrap() []error {
	errs := []error{}
	if e.Errno != linux.OK {
		errs = append(errs, e.Errno)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// Linked is a linked program and the maps it uses.
type Linked struct {
	Code *vm.Code
	Maps []string // in order of first use
	// TailCalls says that the program contains a tail call, reachable or not.
	TailCalls bool
}

type linker struct {
	env  *Env
	spec *ebpf.ProgramSpec
	out  *Linked
	code *vm.Code

	insns  asm.Instructions
	at     []int          // first slot of each instruction
	symbol map[string]int // → slot
	starts map[int]string // slots where functions start
	used   map[string]int // map → index in out.Maps
	lower  *Lowered       // what is made instead, nil when linking
}

// Link links one program. The spec's instructions already contain the subprograms that it
// calls, as ebpf.LoadCollectionSpec leaves them. The spec is not changed.
func Link(spec *ebpf.ProgramSpec, env *Env) (*Linked, error) {
	l := newLinker(spec, env)
	l.code.ByID, l.code.Context = env.Helper, env.Contexts.Of(spec.Type, spec.AttachType)
	if err := l.run(); err != nil {
		return nil, err
	}
	l.functions()
	l.lines()
	l.names()
	if err := l.checkCallbacks(); err != nil {
		return nil, err
	}
	return l.out, nil
}

func newLinker(spec *ebpf.ProgramSpec, env *Env) *linker {
	l := &linker{env: env, spec: spec, symbol: map[string]int{}, starts: map[int]string{}, used: map[string]int{}}
	l.insns = append(asm.Instructions(nil), spec.Instructions...)
	l.code = &vm.Code{
		Name: spec.Name, Type: spec.Type, AttachType: spec.AttachType,
		Helpers: map[int]*vm.Helper{}, Wide: map[int]uint64{}, FuncLoads: map[int]int{},
	}
	l.out = &Linked{Code: l.code}
	return l
}

// run applies relocations and resolves references.
func (l *linker) run() error {
	if err := l.check(); err != nil {
		return err
	}
	if err := l.relocate(); err != nil {
		return err
	}
	if err := l.layout(); err != nil {
		return err
	}
	for n := range l.insns {
		if err := l.resolve(&l.insns[n], l.at[n]); err != nil {
			return l.locate(err, n)
		}
	}
	return nil
}

func (l *linker) fail(errno linux.Errno, reason string, args ...any) *Error {
	return &Error{Program: l.spec.Name, Insn: -1, Errno: errno, Reason: fmt.Sprintf(reason, args...)}
}

func (l *linker) locate(e *Error, n int) *Error {
	e.Insn = l.at[n]
	for ; n >= 0; n-- {
		if line, ok := l.insns[n].Source().(*btf.Line); ok {
			e.File, e.Line = line.FileName(), int(line.LineNumber())
			break
		}
	}
	return e
}

func (l *linker) check() error {
	switch {
	case len(l.spec.Instructions) == 0:
		return l.fail(linux.EINVAL, "it has no instructions")
	case l.spec.ByteOrder == binary.BigEndian:
		return l.fail(linux.EINVAL, "the object is big-endian; compile with -target bpfel")
	case l.spec.Type == ebpf.UnspecifiedProgram:
		return l.fail(linux.EINVAL, "section %q names no program type; use a section name that libbpf knows or set ProgramSpec.Type", l.spec.SectionName)
	}
	return nil
}

// relocate applies CO-RE relocations against the first candidate that has the types.
func (l *linker) relocate() error {
	var relos []*btf.CORERelocation
	var at []int
	for n := range l.insns {
		if r := btf.CORERelocationMetadata(&l.insns[n]); r != nil {
			relos = append(relos, r)
			at = append(at, n)
		}
	}
	if len(relos) == 0 {
		return nil
	}
	if len(l.env.Types) == 0 {
		return l.fail(linux.EINVAL, "it has %d CO-RE relocations, but there is no BTF to resolve them against; supply KernelTypes", len(relos))
	}
	ids := map[btf.Type]btf.TypeID{}
	localID := func(t btf.Type) (btf.TypeID, error) {
		if _, ok := ids[t]; !ok {
			ids[t] = btf.TypeID(len(ids) + 1)
		}
		return ids[t], nil
	}
	fixups, err := btf.CORERelocate(relos, l.env.Types, binary.LittleEndian, localID)
	if l.lower != nil {
		l.lower.Types = map[btf.TypeID]btf.Type{}
		for t, id := range ids {
			l.lower.Types[id] = t
		}
	}
	if err != nil {
		e := l.fail(linux.EINVAL, "CO-RE relocation failed")
		e.Err = err
		return e
	}
	for i, f := range fixups {
		if err := f.Apply(&l.insns[at[i]]); err != nil {
			e := l.fail(linux.EINVAL, "CO-RE relocation of %v failed", relos[i])
			e.Err = err
			return e
		}
	}
	return nil
}

// layout assigns slots and encodes every instruction.
func (l *linker) layout() error {
	l.at = make([]int, len(l.insns))
	slot := 0
	for n := range l.insns {
		l.at[n] = slot
		if s := l.insns[n].Symbol(); s != "" {
			if _, dup := l.symbol[s]; dup {
				return l.fail(linux.EINVAL, "symbol %s is defined twice", s)
			}
			l.symbol[s] = slot
		}
		enc, err := encode(l.insns[n])
		if err != nil {
			e := l.fail(linux.EINVAL, "an instruction cannot be encoded")
			e.Err = err
			return l.locate(e, n)
		}
		l.code.Insns = append(l.code.Insns, enc...)
		slot += len(enc)
	}
	l.starts[0] = l.spec.Name
	return nil
}

// resolve fills in what one instruction refers to.
func (l *linker) resolve(ins *asm.Instruction, slot int) *Error {
	raw := &l.code.Insns[slot]
	ref := ins.Reference()
	switch {
	case ins.IsLoadFromMap():
		return l.resolveMap(ins, slot, ref)
	case ins.OpCode.IsDWordLoad() && ins.Src == asm.PseudoFunc:
		target, ok := l.symbol[ref]
		if !ok {
			if ref != "" || ins.Constant == -1 {
				return l.fail(linux.EINVAL, "function %q is not in the object", ref)
			}
			target = slot + 1 + int(ins.Constant)
		}
		raw.Imm = int32(target - slot - 1)
		l.code.FuncLoads[slot] = target
		l.start(target, ref)
	case ins.OpCode.IsDWordLoad() && ref != "" && ins.Src == 0:
		return l.resolveKsym(slot, ref)
	case ins.OpCode.IsDWordLoad() && ins.Src != 0:
		return l.fail(linux.EINVAL, "a wide load has the pseudo source %d; loads of maps, values in maps, functions and named symbols are known", ins.Src)
	case ins.IsFunctionCall():
		return l.resolveCall(ins, raw, slot, ref)
	case ins.IsKfuncCall():
		return l.resolveKfunc(slot, ref)
	case ins.IsBuiltinCall():
		return l.resolveHelper(raw, slot)
	case ref != "" && ins.OpCode.Class().IsJump():
		return l.resolveJump(ins, raw, slot, ref)
	}
	return nil
}

func (l *linker) start(slot int, name string) {
	if name == "" {
		name = fmt.Sprintf("sub_%d", slot)
	}
	if _, ok := l.starts[slot]; !ok {
		l.starts[slot] = name
	}
}

func (l *linker) resolveCall(ins *asm.Instruction, raw *isa.Insn, slot int, ref string) *Error {
	target := slot + 1 + int(ins.Constant)
	if ref != "" && ins.Constant == -1 {
		t, ok := l.symbol[ref]
		if !ok {
			return l.fail(linux.EINVAL, "function %q is declared but not in the object", ref)
		}
		target = t
	}
	raw.Imm = int32(target - slot - 1)
	l.start(target, ref)
	return nil
}

func (l *linker) resolveJump(ins *asm.Instruction, raw *isa.Insn, slot int, ref string) *Error {
	target, ok := l.symbol[ref]
	if !ok {
		return l.fail(linux.EINVAL, "jump target %q is not in the program", ref)
	}
	rel := target - slot - 1
	if ins.OpCode.Class() == asm.Jump32Class && ins.OpCode.JumpOp() == asm.Ja {
		if ins.Constant == -1 {
			raw.Imm = int32(rel)
		}
	} else if ins.Offset == -1 {
		raw.Off = int16(rel)
	}
	return nil
}

func (l *linker) resolveHelper(raw *isa.Insn, slot int) *Error {
	if l.lower != nil {
		return nil
	}
	h := l.env.Helper(uint32(raw.Imm))
	if h == nil {
		name := isa.HelperName(raw.Imm)
		if name == "" {
			return l.fail(linux.EINVAL, "helper %d is not known; supply it as a custom helper or remove the call", raw.Imm)
		}
		return l.fail(linux.EINVAL, "helper %s#%d is not supported by the user-space engines; supply it as a custom helper or run in the kernel", name, raw.Imm)
	}
	l.code.Helpers[slot] = h
	if uint32(raw.Imm) == tailCall {
		l.out.TailCalls = true
	}
	return nil
}

const tailCall = 12 // BPF_FUNC_tail_call

func (l *linker) resolveKfunc(slot int, name string) *Error {
	if name == "" {
		return l.fail(linux.EINVAL, "a kfunc call has no name; kfuncs are resolved by name in user space")
	}
	if l.lower != nil {
		l.lower.kfunc(l.code, slot, name)
		return nil
	}
	h := l.env.Kfunc(name)
	if h == nil {
		return l.fail(linux.EINVAL, "kfunc %s is not supported by the user-space engines; supply it as a custom helper or run in the kernel", name)
	}
	l.code.Helpers[slot] = h
	return nil
}

func (l *linker) resolveKsym(slot int, name string) *Error {
	if l.lower != nil {
		l.code.Insns[slot].Src = isa.PseudoBTFID
		l.lower.Ksyms[slot] = name
		return nil
	}
	addr, ok := uint64(0), false
	if l.env.Ksym != nil {
		addr, ok = l.env.Ksym(name)
	}
	if !ok {
		return l.fail(linux.EINVAL, "kernel symbol %s (extern __ksym) has no address here; supply one in Ksyms", name)
	}
	l.code.Wide[slot] = addr
	return nil
}

func (l *linker) resolveMap(ins *asm.Instruction, slot int, name string) *Error {
	if name == "" {
		if m, ok := ins.Map().(fmt.Stringer); ok {
			name = m.String()
		}
		return l.fail(linux.EINVAL, "it refers to a loaded map (%s) instead of one of the object; use MapReplacements", name)
	}
	offset := uint32(uint64(ins.Constant) >> 32)
	if l.env.Kconfig != nil {
		if at, ok := l.env.Kconfig(name); ok && ins.Src == asm.PseudoMapValue {
			name, offset = ".kconfig", at
		}
	}
	m, ok := l.env.Map(name)
	if !ok {
		return l.fail(linux.EINVAL, "map %s is not in the object", name)
	}
	index, ok := l.used[name]
	if !ok {
		index = len(l.out.Maps)
		l.used[name] = index
		l.out.Maps = append(l.out.Maps, name)
	}
	raw := l.code.Insns[slot : slot+2]
	raw[0].Imm, raw[1].Imm = int32(index), 0
	switch {
	case l.lower != nil:
		raw[1].Imm = int32(offset)
		return nil
	case ins.Src == asm.PseudoMapFD:
		l.code.Wide[slot] = m.Desc
		return nil
	}
	switch {
	case m.Size == 0:
		return l.fail(linux.EINVAL, "map %s has no values to address directly; only arrays of one element do", name)
	case uint64(offset) >= m.Size:
		return l.fail(linux.EINVAL, "offset %d is past the %d bytes of map %s", offset, m.Size, name)
	}
	raw[1].Imm = int32(offset)
	l.code.Wide[slot] = m.Value + uint64(offset)
	return nil
}

// functions lists the functions by the slots where they start.
func (l *linker) functions() {
	slots := make([]int, 0, len(l.starts))
	for s := range l.starts {
		if s >= 0 && s < len(l.code.Insns) {
			slots = append(slots, s)
		}
	}
	sort.Ints(slots)
	for i, s := range slots {
		end := len(l.code.Insns)
		if i+1 < len(slots) {
			end = slots[i+1]
		}
		l.code.Funcs = append(l.code.Funcs, vm.Func{Name: l.starts[s], Start: s, End: end})
	}
	l.code.ExceptionCallback = -1
	if fn := btf.FuncMetadata(&l.insns[0]); fn != nil {
		for _, tag := range fn.Tags {
			if name, ok := cutPrefix(tag, "exception_callback:"); ok {
				if s, ok := l.symbol[name]; ok {
					l.code.ExceptionCallback = s
				}
			}
		}
	}
}

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return "", false
	}
	return s[len(prefix):], true
}

func (l *linker) lines() {
	for n := range l.insns {
		if line, ok := l.insns[n].Source().(*btf.Line); ok {
			l.code.Lines = append(l.code.Lines, vm.Line{
				Insn: l.at[n], File: line.FileName(), Line: int(line.LineNumber()), Col: int(line.LineColumn()), Text: line.Line(),
			})
		}
	}
}

func (l *linker) names() {
	maps, helpers, funcs := l.out.Maps, l.code.Helpers, map[int]string{}
	for _, f := range l.code.Funcs {
		funcs[f.Start] = f.Name
	}
	byID := map[int32]string{}
	kfuncs := map[int]string{}
	for slot, h := range helpers {
		if l.code.Insns[slot].Src == isa.CallHelper {
			byID[l.code.Insns[slot].Imm] = h.Name
		} else {
			kfuncs[slot] = h.Name
			l.code.Insns[slot].Imm = int32(slot)
		}
	}
	l.code.Names = isa.Names{
		Map: func(load isa.Insn) string {
			if int(load.Imm) < len(maps) && load.Imm >= 0 {
				return maps[load.Imm]
			}
			return ""
		},
		Func:   func(pc int) string { return funcs[pc] },
		Helper: func(id int32) string { return byID[id] },
		Kfunc:  func(call isa.Insn) string { return kfuncs[int(call.Imm)] },
	}
}

// ErrTailCallInCallback is the text with which Linux refuses such programs.
var ErrTailCallInCallback = errors.New("cannot tail call within callback")

// checkCallbacks refuses a tail call that a callback can reach. Linux 6.18 fails with an internal
// error or runs into undefined state there; later versions refuse it with this text.
func (l *linker) checkCallbacks() error {
	callers := map[int][]int{} // function start → starts of the functions it calls
	tail := map[int]int{}      // function start → a tail call in it
	owner := func(slot int) int {
		i := sort.Search(len(l.code.Funcs), func(i int) bool { return l.code.Funcs[i].Start > slot })
		return l.code.Funcs[i-1].Start
	}
	for slot, i := range l.code.Insns {
		switch {
		case i.Op == isa.ClassJMP|isa.CALL && i.Src == isa.CallLocal:
			callers[owner(slot)] = append(callers[owner(slot)], slot+1+int(i.Imm))
		case l.code.Helpers[slot] != nil && i.Src == isa.CallHelper && i.Imm == tailCall:
			tail[owner(slot)] = slot
		}
	}
	seen := map[int]bool{}
	var reach func(fn int) (int, bool)
	reach = func(fn int) (int, bool) {
		if seen[fn] {
			return 0, false
		}
		seen[fn] = true
		if slot, ok := tail[fn]; ok {
			return slot, true
		}
		for _, callee := range callers[fn] {
			if slot, ok := reach(callee); ok {
				return slot, true
			}
		}
		return 0, false
	}
	for _, target := range l.code.FuncLoads {
		if slot, ok := reach(target); ok {
			e := l.fail(linux.EINVAL, "the callback %s reaches a tail call", l.starts[target])
			e.Err = ErrTailCallInCallback
			for n, s := range l.at {
				if s == slot {
					return l.locate(e, n)
				}
			}
			return e
		}
	}
	return nil
}
