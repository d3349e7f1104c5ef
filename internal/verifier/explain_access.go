package verifier

import (
	"fmt"
	"math"
	"strings"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// access returns offset and size of the memory access of the rejected instruction.
func (x *explainer) accessed() (off, size int) {
	in := x.v.insns[x.r.Insn]
	switch in.Class() {
	case isa.ClassLDX, isa.ClassST, isa.ClassSTX:
		return int(in.Off), sizeOf(in.Op)
	}
	return 0, x.argSize()
}

// argSize is how many bytes a call accesses through the register of the reason, 0 if unknown.
func (x *explainer) argSize() int {
	in := x.v.insns[x.r.Insn]
	if in.Op != opCall || in.Src != isa.CallHelper || x.r.Reg < 1 || x.r.Reg > 5 {
		return 0
	}
	p, _ := x.v.proto(in.Imm)
	if p == nil {
		return 0
	}
	n := x.r.Reg
	switch p.Args[n-1].Base() {
	case linux.ArgPtrToMapKey, linux.ArgPtrToMapValue:
		for i := range p.Args {
			if m := x.t.regs[i+1].Map; p.Args[i].Base() == linux.ArgConstMapPtr && m != nil {
				if p.Args[n-1].Base() == linux.ArgPtrToMapKey {
					return int(m.KeySize)
				}
				return int(m.ValueSize)
			}
		}
	}
	if p.ArgSize[n-1] > 0 {
		return int(p.ArgSize[n-1])
	}
	if n < 5 {
		return int(min(x.t.regs[n+1].Umax, 1<<29))
	}
	return 0
}

// does says what the rejected instruction does with memory: "the program reads".
func (x *explainer) does() string {
	in := x.v.insns[x.r.Insn]
	switch in.Class() {
	case isa.ClassLDX:
		return "The program reads"
	case isa.ClassST, isa.ClassSTX:
		return "The program writes"
	}
	if name := x.callName(x.r.Insn); name != "" {
		return name + "() accesses"
	}
	return "The program accesses"
}

func (x *explainer) nullAccess() explanation {
	r, n := x.reg(), x.node(x.r.Reg)
	name := x.value(n, x.r.Reg)
	e := explanation{
		what: fmt.Sprintf("%s may be NULL, and it is used without a check.", name),
		todo: fmt.Sprintf("Check it first: if (!%s) return 0;", x.short(n)),
	}
	if n == nil || n.kind != fromCall {
		return e
	}
	call := x.callText(n)
	if v := x.variable(n); v != "" {
		call = v + " = " + call
	}
	reason := "It"
	switch r.Type.base() {
	case PtrToMapValue:
		reason = "The key may not be in the map; the call"
		if r.Map != nil && r.Map.constKeys() {
			reason = "The index may be outside of the map; the call"
		}
	case PtrToMem:
		reason = "The memory may not be available; the call"
	case PtrToSocket, PtrToSockCommon, PtrToTCPSock:
		reason = "There may be no such socket; the call"
	}
	e.what = fmt.Sprintf("%s (%s) may return NULL, and the result is used without a check. %s then returns NULL.",
		call, x.whereNode(n), reason)
	return e
}

// short names a value for use in code, as far as the source tells.
func (x *explainer) short(n *node) string {
	if name := x.variable(n); name != "" {
		return name
	}
	return "p"
}

func (x *explainer) packet() explanation {
	r, n := x.reg(), x.node(x.r.Reg)
	switch {
	case !r.Type.isPacket():
		return explanation{}
	case x.refusedToPass():
		return explanation{
			fmt.Sprintf("%s() does not take pointers into the packet.", x.callName(x.r.Insn)),
			"Copy the bytes to the stack first, with bpf_skb_load_bytes or bpf_xdp_load_bytes, and pass the copy.",
		}
	case x.storing() && !x.v.packet.Store:
		return explanation{
			fmt.Sprintf("Programs of type %s may read the packet through pointers, but not write to it.", x.v.prog.Type),
			"Write with a helper such as bpf_skb_store_bytes, or use a program type that may write (XDP, tc).",
		}
	case r.Smin < 0:
		return explanation{
			fmt.Sprintf("The offset into the packet may be negative (%s), so the access may lie before the packet.", rangeText(&r)),
			"Use an unsigned variable for the offset, or refuse negative values before it is added to the pointer.",
		}
	case r.Range < 0:
		return explanation{
			"On this path the pointer was compared with data_end and found to be at the end or behind it.",
			"Access the packet in the other branch of that comparison.",
		}
	}
	return x.packetRange(&r, n)
}

// refusedToPass says that a packet pointer was passed where none is allowed.
func (x *explainer) refusedToPass() bool {
	in := x.v.insns[x.r.Insn]
	if in.Op != opCall || in.Src != isa.CallHelper {
		return false
	}
	p, _ := x.v.proto(in.Imm)
	return p != nil && !x.v.packet.PassAny && !(x.v.packet.Pass && p.PktAccess)
}

// packetRange explains an access behind the bytes that are known to be in the packet.
func (x *explainer) packetRange(r *reg, n *node) explanation {
	off, size := x.accessed()
	off += int(r.Off)
	base, end := "data", "data_end"
	if r.Type == PtrToPacketMeta {
		base, end = "data_meta", "data"
	}
	at := fmt.Sprintf("%s behind %s", byteRange(off, size), base)
	need := fmt.Sprintf("%d", off+size)
	pointer := base
	if r.ID != 0 {
		pointer = x.short(n)
		at = fmt.Sprintf("up to byte %d behind a pointer with a variable offset", off+size-1)
		if v := x.variable(n); v != "" {
			at = fmt.Sprintf("up to byte %d of what %s points to", off+size-1-int(r.Off), v)
			need = fmt.Sprintf("%d", off+size-int(r.Off))
		}
	}
	if r.Range > 0 {
		return explanation{
			fmt.Sprintf("%s %s, but the check against %s on this path covers %d bytes only, and this needs %d.",
				x.does(), at, end, r.Range, off+size),
			fmt.Sprintf("Make the check long enough: if (%s + %s > %s) return …;", pointer, need, end),
		}
	}
	if r.ID != 0 && x.tooFar(n) {
		return explanation{
			fmt.Sprintf("The variable offset may be so large (%s) that no check against %s counts for it: the limit is %d.",
				rangeText(r), end, maxPacketOff),
			"Bound the offset first, for example with off &= 0x3fff, or keep it in a variable of 16 bits.",
		}
	}
	what := fmt.Sprintf("%s %s, but nothing on this path has compared the pointer with %s.", x.does(), at, end)
	if r.ID != 0 {
		what += " Adding a variable to a pointer makes earlier checks void."
	}
	if name := x.variable(n); name != "" && x.pointsToStruct(n, name) {
		return explanation{what, fmt.Sprintf("Check it first: if ((void *)(%s + 1) > %s) return …;", name, end)}
	}
	return explanation{what, fmt.Sprintf("Check it first: if (%s + %s > %s) return …;", pointer, need, end)}
}

// pointsToStruct says that a variable is declared as a pointer to a structure where it is set.
func (x *explainer) pointsToStruct(n *node, name string) bool {
	text := x.v.sourceOf(x.t.insns[n.at])
	before, _, ok := strings.Cut(text, "*"+name)
	return ok && strings.Contains(before, "struct ")
}

// tooFar says that the offset of a packet pointer exceeds what comparisons can vouch for.
func (x *explainer) tooFar(n *node) bool {
	r := x.reg()
	_, size := x.accessed()
	return r.Umax > maxPacketOff-uint64(size)
}

func (x *explainer) mapValue() explanation {
	r, n := x.reg(), x.node(x.r.Reg)
	if r.Map == nil {
		return x.mapUse()
	}
	m := r.Map
	if m.Flags&linux.MapReadOnlyProg != 0 && x.writes() {
		what := fmt.Sprintf("Map %s is read-only for programs (BPF_F_RDONLY_PROG).", mapName(m))
		if strings.Contains(m.Name, ".rodata") {
			what = fmt.Sprintf("%s is constant: it lies in %s, which programs cannot write.", x.v.globalName(&r), mapName(m))
		}
		return explanation{what, "Write to another map, or remove const or the flag."}
	}
	if m.Flags&linux.MapWriteOnlyProg != 0 && !x.writes() {
		return explanation{
			fmt.Sprintf("Map %s is write-only for programs (BPF_F_WRONLY_PROG).", mapName(m)),
			"Remove the flag, or do not read the value.",
		}
	}
	off, size := x.accessed()
	off += int(r.Off)
	for _, f := range m.Fields {
		if r.Smin+int64(off) >= 0 && r.Umax < math.MaxInt32 && r.Umax+uint64(off+size) <= uint64(m.ValueSize) &&
			r.Smin+int64(off) < int64(f.Off+f.Size) && uint64(f.Off) < r.Umax+uint64(off+size) {
			return explanation{
				fmt.Sprintf("Bytes %d to %d of the values of map %s are a struct %s, which only helpers may touch.",
					f.Off, f.Off+f.Size-1, mapName(m), f.Name),
				"Access the other fields one by one, and this one through its helpers.",
			}
		}
	}
	return x.region(&r, n, off, size, uint64(m.ValueSize), x.regionName(&r))
}

// regionName names the memory that a map value pointer points into.
func (x *explainer) regionName(r *reg) string {
	if _, ok := dataSection(r.Map); ok {
		return "the section " + mapName(r.Map) + " with " + x.v.globalName(r)
	}
	return "a value of map " + mapName(r.Map)
}

// storing says that the rejected instruction is a store.
func (x *explainer) storing() bool {
	c := x.v.insns[x.r.Insn].Class()
	return c == isa.ClassST || c == isa.ClassSTX
}

// writes says that the rejected instruction writes to memory.
func (x *explainer) writes() bool {
	in := x.v.insns[x.r.Insn]
	switch in.Class() {
	case isa.ClassST, isa.ClassSTX:
		return true
	case isa.ClassLDX:
		return false
	}
	return in.Op == opCall && in.Src == isa.CallHelper && (in.Imm == linux.FuncMapUpdateElem || strings.Contains(x.r.Message, "write"))
}

// region explains an access that may lie outside of memory of known size.
func (x *explainer) region(r *reg, n *node, off, size int, limit uint64, name string) explanation {
	index, who, element := x.index(n)
	elements := max(int64(limit)-int64(off), 0) / int64(element)
	switch {
	case r.Var.IsConst():
		at := off + int(int64(r.Var.Value))
		return explanation{
			fmt.Sprintf("%s %s of %s, which has %d bytes.", x.does(), byteRange(at, size), name, limit),
			"Access what is inside, or make the type larger.",
		}
	case r.Smin < 0:
		return explanation{
			fmt.Sprintf("%s is used as an offset into %s and may be negative (%s).", who, name, rangeText(r)),
			fmt.Sprintf("Use an unsigned type for %s, or check before: if (%s < 0) return 0;", index, index),
		}
	case r.Umax >= unlimited:
		return explanation{
			fmt.Sprintf("%s is used as an index into %s, which has %d bytes, and nothing limits it on this path.", who, name, limit),
			limitIndex(index, elements),
		}
	}
	last := r.Umax + uint64(off+size)
	return explanation{
		fmt.Sprintf("%s up to byte %d of %s, which has %d bytes: %s is limited, but not to less than %d elements.",
			x.does(), last-1, name, limit, who, elements),
		limitIndex(index, elements),
	}
}

// unlimited is an offset from which on a number is said to have no limit: it is beyond any value.
const unlimited = 1 << 20

// limitIndex says how to limit an index into an array.
func limitIndex(index string, elements int64) string {
	if elements < 1 {
		return fmt.Sprintf("Limit it before it is used: if (%s >= N) return 0; with N as many as there are elements.", index)
	}
	s := fmt.Sprintf("Limit it before it is used: if (%s >= %d) return 0;", index, elements)
	if elements > 1 && elements&(elements-1) == 0 {
		s += fmt.Sprintf(" or %s &= %d;", index, elements-1)
	}
	return s
}

// bytesText counts bytes.
func bytesText(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// byteRange names bytes: byte 12, or bytes 12 to 13.
func byteRange(off, size int) string {
	if size <= 1 {
		return fmt.Sprintf("byte %d", off)
	}
	return fmt.Sprintf("bytes %d to %d", off, off+size-1)
}

// index finds the number that was added to a pointer: its name for code and in a sentence, and
// the size of the elements that it counts.
func (x *explainer) index(n *node) (code, sentence string, element uint64) {
	for ; n != nil && n.kind == fromMath; n = n.from[0] {
		i := n.from[1]
		if i == nil || i.val.Type != ScalarValue {
			i = n.from[0]
		}
		if i == nil || i.val.Type != ScalarValue {
			continue
		}
		code, sentence = x.number(i)
		return code, upper(sentence), x.element(i)
	}
	return "index", "A number", 1
}

// element is how many bytes a step of an offset is: what the index was multiplied with.
func (x *explainer) element(n *node) uint64 {
	if n.kind != fromMath {
		return 1
	}
	in := x.insnOf(n)
	if in.Op&isa.SrcReg != 0 {
		return 1
	}
	switch in.Op & 0xf0 {
	case isa.LSH:
		if in.Imm > 0 && in.Imm < 30 {
			return 1 << in.Imm
		}
	case isa.MUL:
		return uint64(max(in.Imm, 1))
	}
	return 1
}

// access explains accesses through other kinds of pointer, and through numbers.
func (x *explainer) access() explanation {
	r, n := x.reg(), x.node(x.r.Reg)
	switch {
	case r.Type == ScalarValue:
		return x.numberAccess(n)
	case r.Type == NotInit || x.t == nil:
		return explanation{}
	case strings.HasPrefix(x.r.Message, "same insn"):
		return explanation{
			"This instruction accesses different kinds of memory on different paths, which Linux translates differently.",
			"Write the access once in each branch, and keep the compiler from merging them with barrier_var() or a volatile access.",
		}
	case r.Type == PtrToPacketEnd:
		return explanation{"data_end is only for comparisons; nothing can be read through it.", "Read through a pointer that was compared with data_end."}
	case r.Type == ConstPtrToMap:
		return explanation{
			fmt.Sprintf("Map %s is accessed as if it were memory.", mapName(r.Map)),
			"Look its value up with bpf_map_lookup_elem.",
		}
	case r.Type.base() == PtrToMem:
		off, size := x.accessed()
		if !x.writes() || r.Type&MemRdonly == 0 {
			return x.region(&r, n, off+int(r.Off), size, uint64(r.MemSize), kindPhrase(&r))
		}
	case r.Type.isSock() && !x.writes():
		off, size := x.accessed()
		return explanation{
			fmt.Sprintf("There is no field of %d bytes at offset %d of %s that programs may read.", size, off+int(r.Off), kindPhrase(&r)),
			"Read the fields of struct bpf_sock or bpf_tcp_sock with their own sizes.",
		}
	case r.Type == PtrToCtx:
		return explanation{
			"The pointer to the context was changed before this access: fields of the context are only accessed at constant offsets from where it begins.",
			"Use ctx->field with the unchanged ctx, and keep the compiler from computing addresses of fields, for example with volatile.",
		}
	}
	if x.writes() {
		return explanation{fmt.Sprintf("%s is read-only here.", upper(kindPhrase(&r))), "Do not write to it, or copy it to the stack first."}
	}
	return explanation{fmt.Sprintf("%s cannot be accessed like this.", upper(kindPhrase(&r))), ""}
}

// numberAccess explains an access through a register that holds a number.
func (x *explainer) numberAccess(n *node) explanation {
	if e, ok := x.drained(); ok {
		return e
	}
	moved := n
	for moved != nil && moved.kind == fromMath {
		moved = moved.from[0]
	}
	if moved != nil && moved.kind == fromReleased {
		name := x.callName(x.t.insns[moved.at])
		return explanation{
			fmt.Sprintf("%s was given up by %s() at %s, and is used afterwards.", upper(x.pointerName(moved)), name, x.whereNode(moved)),
			fmt.Sprintf("Use it before %s() only.", name),
		}
	}
	if moved != nil && moved.kind == fromMovedData {
		name := x.callName(x.t.insns[moved.at])
		return explanation{
			fmt.Sprintf("%s points into the packet, but became invalid at %s: %s() may move the packet, so that all pointers into it and their checks are void.",
				x.pointerName(moved), x.whereNode(moved), name),
			fmt.Sprintf("Load data and data_end from the context again after %s(), and check the bounds again.", name),
		}
	}
	what := "A number is used as an address."
	if n != nil {
		if s := x.value(n, x.r.Reg); !strings.HasPrefix(s, "R") {
			what = fmt.Sprintf("%s is a number for the verifier, and is used as an address.", upper(s))
		}
	}
	todo := "Use a pointer that comes from the context, a map, the stack or a helper; a pointer that went through arithmetic, a 32-bit variable or a map is a number."
	switch x.v.prog.Type {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.RawTracepoint, ebpf.PerfEvent, ebpf.Tracing:
		todo = "Read memory of the kernel with bpf_probe_read_kernel (or BPF_CORE_READ), and that of a process with bpf_probe_read_user."
	}
	return explanation{what, todo}
}

// pointerName names a pointer that became invalid.
func (x *explainer) pointerName(moved *node) string {
	if old := moved.from[0]; old != nil {
		if name := x.variable(old); name != "" {
			return name
		}
		if old.kind == fromCall {
			return x.origin(old)
		}
	}
	return "The pointer"
}

// upper begins a sentence.
func upper(s string) string {
	if strings.HasPrefix(s, "a ") || strings.HasPrefix(s, "an ") || strings.HasPrefix(s, "the ") {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	if strings.HasPrefix(s, "map ") {
		return "Map " + s[4:]
	}
	return s
}

func (x *explainer) context() explanation {
	off, size := x.accessed()
	r := x.reg()
	off += int(r.Off)
	name, verb := "the context", "read"
	if x.writes() {
		verb = "written"
	}
	c := linux.NewContexts().Of(x.v.prog.Type, x.v.prog.AttachType)
	if c != nil && c.Name != "" {
		name = "struct " + c.Name
		if strings.Contains(c.Name, " ") {
			name = "the " + c.Name // no structure of C
		}
	}
	if c == nil || len(c.Fields) == 0 {
		return explanation{
			fmt.Sprintf("%s at offset %d of %s cannot be %s by programs of type %s.", bytesText(size), off, name, verb, x.v.prog.Type),
			"Access inside of it, with aligned loads of the sizes of its fields.",
		}
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		if uint32(off) < f.Off || uint32(off) >= f.Off+f.Size {
			continue
		}
		if verb == "written" && c.Field(uint32(off), uint32(size), true) == nil && c.Field(uint32(off), uint32(size), false) != nil {
			return explanation{
				fmt.Sprintf("%s of %s can be read but not written by programs of type %s.", f.Name, name, x.v.prog.Type),
				"Remember the value in a map or on the stack instead.",
			}
		}
		if uint32(off) == f.Off && uint32(size) == f.Size || f.Access == linux.Hidden {
			return explanation{
				fmt.Sprintf("Programs of type %s cannot access the field %s of %s.", x.v.prog.Type, f.Name, name),
				"Leave the field out, or use a program type that has it.",
			}
		}
		return explanation{
			fmt.Sprintf("The field %s of %s (%d bytes at offset %d) cannot be %s in an access of %s at offset %d.",
				f.Name, name, f.Size, f.Off, verb, bytesText(size), off),
			"Access the whole field with its own type; the compiler may have merged or split accesses, which volatile prevents.",
		}
	}
	if off < 0 {
		return explanation{
			fmt.Sprintf("Offset %d lies before %s.", off, name),
			"Access the fields of the context through the unchanged ctx.",
		}
	}
	if uint32(off) >= c.Size {
		return explanation{
			fmt.Sprintf("Offset %d lies behind %s, which has %d bytes for programs.", off, name, c.Size),
			"Use the definition of the structure in linux/bpf.h, which is what programs see; that of the kernel differs.",
		}
	}
	return explanation{
		fmt.Sprintf("There is no field at offset %d of %s that programs of type %s may access.", off, name, x.v.prog.Type),
		"Use a field that this program type has.",
	}
}

func (x *explainer) stack() explanation {
	r := x.reg()
	off, size := x.accessed()
	switch {
	case r.Type == PtrToStack && r.Var.IsConst():
		at := int(int64(r.Var.Value)) + int(r.Off) + off
		if at < -linux.MaxStack {
			return x.stackTooLarge(at)
		}
		if at >= 0 {
			return explanation{
				fmt.Sprintf("%s %s from fp%+d on, but the stack frame lies below fp.", x.does(), bytesText(size), at),
				"Use negative offsets from R10. In C, this is an index behind the end of an array.",
			}
		}
		if at+size > 0 {
			return explanation{
				fmt.Sprintf("%s %s from fp%+d on, which runs %s past the end of the stack frame.",
					x.does(), bytesText(size), at, bytesText(at+size)),
				"The variable is smaller than what is accessed: compare its size with the size that is asked for (of the map's key or value, or the size argument).",
			}
		}
	case r.Type == PtrToStack:
		code, who, _ := x.index(x.node(x.r.Reg))
		return explanation{
			fmt.Sprintf("%s is used as an index into an array on the stack and is not limited well enough (%s).", who, rangeText(&r)),
			fmt.Sprintf("Limit it before: if (%s >= N) return 0; with N as many as there are elements, and an unsigned type.", code),
		}
	}
	return explanation{
		"A pointer is saved on the stack, or loaded from there, in part only.",
		"Copy pointers with all their 8 bytes, at addresses that are a multiple of 8.",
	}
}

// stackTooLarge explains an access below the 512 bytes of a frame.
func (x *explainer) stackTooLarge(at int) explanation {
	sub := x.v.graph.SubprogAt(x.r.Insn)
	use := x.v.frameUse(sub, -at)
	x.deep = []Frame{use.Frame}
	return explanation{
		fmt.Sprintf("%s() needs %d bytes of stack, and a program has %d.%s", x.v.functionName(sub), -at, linux.MaxStack,
			x.v.largest([]frameUse{use})),
		"Make the variables smaller, or keep the largest in a per-CPU array with one entry.",
	}
}

func (x *explainer) stackUninit() explanation {
	return explanation{
		"The bytes that are read from the stack hold something that only its own helpers may read (a dynptr or an iterator), or nothing.",
		"Initialise the whole variable, padding included: struct key k = {};",
	}
}

func (x *explainer) uninit() explanation {
	in := x.v.insns[x.r.Insn]
	n := x.node(x.r.Reg)
	switch {
	case in.Op == isa.ClassJMP|isa.EXIT:
		e := explanation{
			"The function ends without a return value: R0 is not set on this path.",
			"Return a value on every path.",
		}
		if n != nil && n.kind == fromClobber {
			e.what += fmt.Sprintf(" The last call, %s() (%s), returns nothing.", x.callName(x.t.insns[n.at]), x.whereNode(n))
		}
		return e
	case n != nil && n.kind == fromClobber && x.r.Reg == 0:
		return explanation{
			fmt.Sprintf("%s() (%s) returns nothing, but its result is used.", x.callName(x.t.insns[n.at]), x.whereNode(n)),
			"Do not use the result.",
		}
	case n != nil && n.kind == fromClobber:
		return explanation{
			fmt.Sprintf("R%d is used after the call of %s() (%s), which overwrites R0 to R5.", x.r.Reg, x.callName(x.t.insns[n.at]), x.whereNode(n)),
			"Keep the value in R6 to R9 or on the stack across the call. Compiled C does that, unless a function has another prototype than it is called with.",
		}
	case in.Op == opCall && x.r.Reg >= 1 && x.r.Reg <= 5:
		return explanation{
			fmt.Sprintf("Argument %d of %s() is not set.", x.r.Reg, x.callName(x.r.Insn)),
			"Pass all arguments that the prototype has.",
		}
	}
	return explanation{
		fmt.Sprintf("R%d is read, but nothing on this path has written it.", x.r.Reg),
		"Initialise the variable on every path; clang warns of it with -Wuninitialized and -Wsometimes-uninitialized.",
	}
}

func (x *explainer) alignment() explanation {
	off, size := x.accessed()
	r := x.reg()
	if r.Type == ScalarValue {
		return x.numberAccess(x.node(x.r.Reg))
	}
	if r.Type == PtrToStack && !r.Var.IsConst() {
		return explanation{
			fmt.Sprintf("An access of %d bytes on the stack must be at a multiple of %d, and the variable offset of this one is not.", size, size),
			"Let the index count whole elements: give the array the type that is accessed.",
		}
	}
	if r.Type == PtrToStack {
		return explanation{
			fmt.Sprintf("An access of %d bytes on the stack must be at a multiple of %d, and this one is at fp%+d.",
				size, size, int(int64(r.Var.Value))+int(r.Off)+off),
			"Do not cast a char array to a larger type; give the variable the type that is accessed, or __attribute__((aligned(8))).",
		}
	}
	return explanation{
		fmt.Sprintf("An access of %d bytes to %s must be at a multiple of %d.", size, kindPhrase(&r), size),
		"Align the field, or copy it bytewise with __builtin_memcpy.",
	}
}
