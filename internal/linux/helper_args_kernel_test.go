//go:build linux

package linux_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
)

const (
	mapReadOnlyProg = 1 << 7 // BPF_F_RDONLY_PROG
	bufferSize      = 16
)

// callMaps are the maps that calls are made with.
type callMaps struct {
	byType   map[ebpf.MapType]*ebpf.Map
	readOnly *ebpf.Map  // frozen, one value of 16 zero bytes
	fields   *ebpf.Map  // an array whose value has a spin lock, and a timer at offset 8
	slice    btf.TypeID // bpf_dynptr_slice
}

func newMap(t *testing.T, spec ebpf.MapSpec) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&spec)
	if err != nil {
		return nil // the kernel is without this type
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func newCallMaps(t *testing.T) *callMaps {
	t.Helper()
	c := &callMaps{byType: map[ebpf.MapType]*ebpf.Map{}, slice: kernelFunc("bpf_dynptr_slice")}
	inner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1}
	storage := func(typ ebpf.MapType) ebpf.MapSpec {
		u32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
		value := &btf.Struct{Name: "value", Size: 16, Members: []btf.Member{
			{Name: "a", Type: &btf.Int{Name: "long", Size: 8}}, {Name: "b", Type: &btf.Int{Name: "long", Size: 8}, Offset: 64},
		}}
		return ebpf.MapSpec{Type: typ, KeySize: 4, ValueSize: 16, Flags: 1, Key: u32, Value: value}
	}
	for _, spec := range []ebpf.MapSpec{
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 80, MaxEntries: 1},
		{Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.LRUCPUHash, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 16, MaxEntries: 1, Flags: 1},
		{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: inner},
		{Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: inner},
		{Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.SockHash, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.CGroupStorage, KeySize: 16, ValueSize: 16},
		{Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.PerCPUCGroupStorage, KeySize: 16, ValueSize: 16},
		{Type: ebpf.Queue, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.Stack, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.RingBuf, MaxEntries: 4096},
		{Type: ebpf.BloomFilter, ValueSize: 16, MaxEntries: 1},
		{Type: ebpf.UserRingbuf, MaxEntries: 4096},
		storage(ebpf.SkStorage), storage(ebpf.InodeStorage), storage(ebpf.TaskStorage), storage(ebpf.CgroupStorage),
	} {
		if m := newMap(t, spec); m != nil {
			c.byType[spec.Type] = m
		}
	}
	c.fields = newMap(t, fieldsSpec())
	c.readOnly = newMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: mapReadOnlyProg})
	if c.readOnly == nil {
		t.Skip("maps cannot be made")
	}
	if err := c.readOnly.Freeze(); err != nil {
		t.Skipf("maps cannot be frozen: %v", err)
	}
	return c
}

// fieldsSpec describes values of {struct bpf_spin_lock; struct bpf_timer}.
func fieldsSpec() ebpf.MapSpec {
	u32, u64 := &btf.Int{Name: "unsigned int", Size: 4}, &btf.Int{Name: "unsigned long", Size: 8}
	opaque := &btf.Array{Index: u32, Type: u64, Nelems: 2}
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: u32}}}
	timer := &btf.Struct{Name: "bpf_timer", Size: 16, Members: []btf.Member{{Name: "__opaque", Type: opaque}}}
	return ebpf.MapSpec{
		Type: ebpf.Array, KeySize: 4, ValueSize: 24, MaxEntries: 1, Key: u32,
		Value: &btf.Struct{Name: "value", Size: 24, Members: []btf.Member{
			{Name: "lock", Type: lock}, {Name: "timer", Type: timer, Offset: 64},
		}},
	}
}

// mapFor picks a map that the helper takes.
func (c *callMaps) mapFor(scope linux.HelperScope, id uint32) *ebpf.Map {
	for typ := ebpf.Hash; typ <= ebpf.Arena; typ++ {
		if m := c.byType[typ]; m != nil && linux.HelperTakesMap(scope, typ, id) {
			return m
		}
	}
	return nil
}

// call is a call of a helper with arguments that its prototype says are right.
type call struct {
	p     *linux.Proto
	args  [5]asm.Instructions // what loads R1 to R5
	setup asm.Instructions    // before, leaves values in R7
}

// newCall makes a call, or says why it cannot.
func newCall(c *callMaps, scope linux.HelperScope, p *linux.Proto, m *ebpf.Map) (*call, string) {
	out := &call{p: p}
	for i := range p.NumArgs() {
		reg := asm.R1 + asm.Register(i)
		load, setup, why := argument(c, scope, p, i, reg, m)
		if why != "" {
			return nil, why
		}
		out.args[i] = load
		out.setup = append(out.setup, setup...)
	}
	return out, ""
}

// argument loads a register with what a prototype asks for.
func argument(c *callMaps, scope linux.HelperScope, p *linux.Proto, i int, reg asm.Register, m *ebpf.Map) (load, setup asm.Instructions, why string) {
	a := p.Args[i]
	null := a.Has(linux.PtrMaybeNull)
	saved := asm.Instructions{asm.Mov.Reg(reg, asm.R7)}
	value := func(off int32) (asm.Instructions, asm.Instructions, string) {
		if c.fields == nil {
			return nil, nil, "no map with fields"
		}
		return asm.Instructions{asm.Mov.Reg(reg, asm.R7), asm.Add.Imm(reg, off)}, orExit(asm.Instructions{
			asm.LoadMapPtr(asm.R1, c.fields.FD()), asm.Mov.Imm(asm.R2, 0), asm.StoreMem(asm.R10, -8, asm.R2, asm.DWord),
			asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -8), asm.FnMapLookupElem.Call(),
		}), ""
	}
	stack := func(off int32) asm.Instructions {
		return asm.Instructions{asm.Mov.Reg(reg, asm.R10), asm.Add.Imm(reg, off)}
	}
	one := func(v int32) asm.Instructions { return asm.Instructions{asm.Mov.Imm(reg, v)} }
	switch a.Base() {
	case linux.ArgPtrToCtx:
		return asm.Instructions{asm.Mov.Reg(reg, asm.R6)}, nil, ""
	case linux.ArgConstMapPtr:
		if m == nil {
			return nil, nil, "no map for it"
		}
		if p.ID == linux.FuncTimerInit && c.fields != nil {
			m = c.fields
		}
		return asm.Instructions{asm.LoadMapPtr(reg, m.FD())}, nil, ""
	case linux.ArgPtrToMapKey:
		return stack(-16), nil, ""
	case linux.ArgPtrToMapValue:
		return stack(-32), nil, ""
	case linux.ArgPtrToSpinLock:
		load, setup, why = value(0)
		if p.ID == linux.FuncSpinUnlock {
			setup = append(setup, asm.Mov.Reg(asm.R1, asm.R7), asm.FnSpinLock.Call())
		}
		return load, setup, why
	case linux.ArgPtrToTimer:
		return value(8)
	case linux.ArgPtrToDynptr:
		switch {
		case a.Has(linux.MemUninit):
			return stack(dynptrAt), nil, ""
		case a.Has(linux.DynptrTypeRingbuf):
			return stack(dynptrAt), asm.Instructions{
				asm.LoadMapPtr(asm.R1, c.byType[ebpf.RingBuf].FD()), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0),
				asm.Mov.Reg(asm.R4, asm.R10), asm.Add.Imm(asm.R4, dynptrAt), asm.FnRingbufReserveDynptr.Call(),
			}, ""
		}
		return stack(dynptrAt), newDynptr(c.byType[ebpf.Array]), ""
	case linux.ArgPtrToMem:
		if p.ID == linux.FuncDynptrFromMem { // takes map values only
			return asm.Instructions{asm.LoadMapValue(reg, c.byType[ebpf.Array].FD(), 0)}, nil, ""
		}
		return stack(-64 - 32*int32(i)), nil, ""
	case linux.ArgConstSize, linux.ArgConstSizeOrZero:
		return one(bufferSize), nil, ""
	case linux.ArgConstAllocSizeOrZero:
		return one(8), nil, ""
	case linux.ArgAnything, linux.ArgScalar:
		return one(0), nil, ""
	case linux.ArgPtrToConstStr:
		return asm.Instructions{asm.LoadMapValue(reg, c.readOnly.FD(), 0)}, nil, ""
	case linux.ArgPtrToRingbufMem:
		return saved, orExit(asm.Instructions{
			asm.LoadMapPtr(asm.R1, c.byType[ebpf.RingBuf].FD()), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
		}), ""
	}
	if null {
		return one(0), nil, ""
	}
	switch {
	case p.ArgBTF[i] == "task_struct":
		return saved, asm.Instructions{asm.FnGetCurrentTaskBtf.Call(), asm.Mov.Reg(asm.R7, asm.R0)}, ""
	case a == linux.ArgPtrToBTFIDSockCommon || a == linux.ArgPtrToSockCommon:
		if scope.Type == ebpf.SchedCLS || scope.Type == ebpf.CGroupSKB {
			const skAt = 168 // struct __sk_buff, sk
			return saved, orExit(asm.Instructions{asm.LoadMem(asm.R0, asm.R6, skAt, asm.DWord)}), ""
		}
		if scope.Type == ebpf.CGroupSockopt { // struct bpf_sockopt, sk
			return saved, asm.Instructions{asm.LoadMem(asm.R7, asm.R6, 0, asm.DWord)}, ""
		}
	case p.ID == linux.FuncSKRelease && scope.Type == ebpf.SchedCLS:
		return saved, orExit(asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -64),
			asm.Mov.Imm(asm.R3, 12), asm.Mov.Imm(asm.R4, 0), asm.Mov.Imm(asm.R5, 0), asm.FnSkLookupTcp.Call(),
		}), ""
	}
	return nil, nil, fmt.Sprintf("argument %d", i+1)
}

// orExit moves R0 to R7 and leaves where it is NULL.
func orExit(get asm.Instructions) asm.Instructions {
	return append(get, asm.JNE.Imm(asm.R0, 0, "held"), asm.Mov.Imm(asm.R0, 1), asm.Return(),
		asm.Mov.Reg(asm.R7, asm.R0).WithSymbol("held"))
}

// program is the call with argument skip not loaded (-1: all loaded), and with other instructions
// for the argument that differs (-1: none).
func (c *call) program(skip, differ int, other asm.Instructions) asm.Instructions {
	insns := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.Mov.Imm(asm.R0, 0)}
	for off := int16(-256); off < 0; off += 8 {
		insns = append(insns, asm.StoreMem(asm.R10, off, asm.R0, asm.DWord))
	}
	insns = append(insns, c.setup...)
	insns = append(insns, asm.FnGetPrandomU32.Call()) // R1 to R5 cannot be read any more
	for i, load := range c.args {
		switch i {
		case skip:
		case differ:
			insns = append(insns, other...)
		default:
			insns = append(insns, load...)
		}
	}
	insns = append(insns, asm.BuiltinFunc(c.p.ID).Call(), asm.Mov.Imm(asm.R0, 1), asm.Return())
	return insns
}

// passes says whether the call itself was accepted.
func passes(answer string) bool {
	return answer == "" || strings.Contains(answer, "reference leak") || strings.Contains(answer, "bpf_spin_lock-ed region")
}

// TestHelperArguments calls every variant of every helper with the arguments of its prototype,
// and with one of them missing: the kernel must read exactly those.
func TestHelperArguments(t *testing.T) {
	needsBPF(t)
	maps := newCallMaps(t)
	missing := lacks(t)
	seen, left := map[string]bool{}, map[string]string{}
	for _, k := range kernelTypes() {
		if k.to != "" && !*every {
			continue
		}
		scope := linux.HelperScope{Type: k.typ, Attach: k.attach, To: k.to, Sleepable: k.flags != 0}
		table := linux.Helpers(scope)
		for id := uint32(1); id <= linux.MaxFuncID; id++ {
			p := table.Proto(id)
			if p == nil || seen[p.Symbol] || p.Needs&missing != 0 || p.MightSleep && !scope.Sleepable {
				continue
			}
			c, why := newCall(maps, scope, p, maps.mapFor(scope, id))
			if c == nil {
				left[p.Symbol] = why
				continue
			}
			if answer := lastLine(k.load(c.program(-1, -1, nil))); !passes(answer) {
				left[p.Symbol] = answer
				continue
			}
			seen[p.Symbol] = true
			delete(left, p.Symbol)
			oneArgumentLess(t, k, c)
			memoryFlags(t, k, c, maps)
			license(t, k, c)
			packetFlags(t, k, c)
			result(t, k, c)
		}
	}
	t.Logf("%d variants called", len(seen))
	for symbol, why := range left {
		t.Logf("not called: %s: %s", symbol, why)
	}
	if len(seen) < 150 {
		t.Errorf("only %d variants of helpers were called", len(seen))
	}
}

func oneArgumentLess(t *testing.T, k kernelType, c *call) {
	t.Helper()
	for i := range c.p.NumArgs() {
		want := fmt.Sprintf("R%d !read_ok", i+1)
		if answer := lastLine(k.load(c.program(i, -1, nil))); answer != want {
			t.Errorf("%s in %s without R%d: %q, want %q", c.p.Symbol, k.name, i+1, answer, want)
		}
	}
}

// memoryFlags passes memory that may not be written, which must fail exactly where the prototype
// says that the helper writes.
func memoryFlags(t *testing.T, k kernelType, c *call, maps *callMaps) {
	t.Helper()
	for i, a := range c.p.Args {
		if a.Base() != linux.ArgPtrToMem && a.Base() != linux.ArgPtrToMapValue {
			continue
		}
		reg := asm.R1 + asm.Register(i)
		answer := lastLine(k.load(c.program(-1, i, asm.Instructions{asm.LoadMapValue(reg, maps.readOnly.FD(), 0)})))
		if a.Has(linux.MemFixedSize) && strings.HasSuffix(answer, "is outside of the allowed memory range") {
			answer = "" // larger than the value
		}
		if wrote := strings.HasPrefix(answer, "write into map forbidden"); wrote != a.Has(linux.MemWrite) || !wrote && !passes(answer) {
			t.Errorf("%s in %s: argument %d is %#x, the kernel says %q of a read-only map", c.p.Symbol, k.name, i+1, uint32(a), answer)
		}
		if maps.slice == 0 || a.Base() != linux.ArgPtrToMem {
			continue
		}
		slice := *c
		slice.setup = append(slices.Clone(c.setup), readOnlyMemory(maps.byType[ebpf.Array], maps.slice)...)
		answer = lastLine(k.load(slice.program(-1, i, asm.Instructions{asm.Mov.Reg(reg, asm.R8)})))
		refused := strings.Contains(answer, "type=rdonly_mem expected=")
		tooSmall := a.Has(linux.MemFixedSize) && strings.HasSuffix(answer, "is outside of the allowed memory range")
		if refused == a.Has(linux.MemRdonly) || !refused && !tooSmall && !passes(answer) {
			t.Errorf("%s in %s: argument %d is %#x, the kernel says %q of read-only memory", c.p.Symbol, k.name, i+1, uint32(a), answer)
		}
	}
}

// license calls the helper from a program that is not under the GPL.
func license(t *testing.T, k kernelType, c *call) {
	t.Helper()
	if len(c.setup) > 0 {
		return // its helpers may ask for the GPL themselves
	}
	k.license = "Proprietary"
	const text = "cannot call GPL-restricted function from non-GPL compatible program"
	answer := lastLine(k.load(c.program(-1, -1, nil)))
	if refused := answer == text; refused != c.p.GPLOnly {
		t.Errorf("%s in %s: GPL only is %v, the kernel says %q", c.p.Symbol, k.name, c.p.GPLOnly, answer)
	}
}

// packetFlags uses packet pointers as memory of the call, and after it.
func packetFlags(t *testing.T, k kernelType, c *call) {
	t.Helper()
	data, end := int16(76), int16(80) // struct __sk_buff
	switch k.typ {
	case ebpf.XDP:
		data, end = 0, 4 // struct xdp_md
	case ebpf.SchedCLS, ebpf.LWTXmit, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTSeg6Local, ebpf.SkSKB, ebpf.CGroupSKB:
	default:
		return
	}
	packet := asm.Instructions{ // R9: 64 bytes of the packet
		asm.LoadMem(asm.R9, asm.R6, data, asm.Word), asm.LoadMem(asm.R8, asm.R6, end, asm.Word),
		asm.Mov.Reg(asm.R1, asm.R9), asm.Add.Imm(asm.R1, 64), asm.JLE.Reg(asm.R1, asm.R8, "there"),
		asm.Mov.Imm(asm.R0, 1), asm.Return(), asm.Mov.Reg(asm.R0, asm.R9).WithSymbol("there"),
	}
	with := *c
	with.setup = append(slices.Clone(c.setup), packet...)
	insns := with.program(-1, -1, nil)
	insns = append(insns[:len(insns)-2], asm.LoadMem(asm.R0, asm.R9, 0, asm.Byte), asm.Mov.Imm(asm.R0, 1), asm.Return())
	answer := lastLine(k.load(insns))
	if changes := answer == "R9 invalid mem access 'scalar'"; changes != c.p.ChangesPacket || !changes && !passes(answer) {
		t.Errorf("%s in %s: changes the packet is %v, the kernel says %q", c.p.Symbol, k.name, c.p.ChangesPacket, answer)
	}
	for i, a := range c.p.Args {
		if a.Base() != linux.ArgPtrToMem && a.Base() != linux.ArgPtrToMapKey && a.Base() != linux.ArgPtrToMapValue {
			continue
		}
		answer := lastLine(k.load(with.program(-1, i, asm.Instructions{asm.Mov.Reg(asm.R1+asm.Register(i), asm.R9)})))
		if allowed := answer != "helper access to the packet is not allowed"; allowed != c.p.PktAccess {
			t.Errorf("%s in %s: argument %d in the packet is %v, the kernel says %q", c.p.Symbol, k.name, i+1, c.p.PktAccess, answer)
		}
	}
}

// result compares what the kernel knows of R0 after the call.
func result(t *testing.T, k kernelType, c *call) {
	t.Helper()
	k.level = ebpf.LogLevelInstruction
	log, _ := k.load(c.program(-1, -1, nil))
	name := fmt.Sprintf("(85) call %s#%d", c.p.Name, c.p.ID)
	at := strings.LastIndex(log, name)
	if at < 0 {
		t.Errorf("%s in %s: no such call in the log", c.p.Symbol, k.name)
		return
	}
	// Up to the next instruction: lines about precision may stand between the call and its result.
	after, _, _ := strings.Cut(log[at+len(name):], "(b7) r0 = 1")
	want := resultPattern(c.p)
	if found := regexp.MustCompile(want).MatchString(after); found == (c.p.Ret == linux.RetVoid) {
		t.Errorf("%s in %s: the log has %q, want %s", c.p.Symbol, k.name, after, want)
	}
}

// resultPattern is how the log shows a result (kernel/bpf/log.c, reg_type_str).
func resultPattern(p *linux.Proto) string {
	name := map[linux.RetType]string{
		linux.RetPtrToMapValue:                 "map_value",
		linux.RetPtrToSocket:                   "sock",
		linux.RetPtrToTcpSock:                  "tcp_sock",
		linux.RetPtrToSockCommon:               "sock_common",
		linux.RetPtrToMem:                      "mem",
		linux.RetPtrToMem | linux.MemRingbuf:   "ringbuf_mem",
		linux.RetPtrToBTFID:                    "ptr_",
		linux.RetPtrToBTFID | linux.PtrTrusted: "trusted_ptr_",
	}
	switch p.Ret {
	case linux.RetVoid:
		return `R0(?:_w)?=` // must not be there
	case linux.RetInteger:
		return `R0(?:_w)?=(?:scalar\(|-?\d|P)`
	}
	null := ""
	if p.Ret.Has(linux.PtrMaybeNull) {
		null = "or_null_"
		if p.Ret.Base() != linux.RetPtrToBTFID {
			null = "_or_null"
		}
	}
	return `R0(?:_w)?=` + name[p.Ret&^linux.PtrMaybeNull] + null + p.RetBTF + `\(`
}

// dynptrAt is where calls keep a dynptr on the stack.
const dynptrAt = -304

// newDynptr makes a dynptr over the value of an array.
func newDynptr(m *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapValue(asm.R1, m.FD(), 0), asm.Mov.Imm(asm.R2, bufferSize), asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Reg(asm.R4, asm.R10), asm.Add.Imm(asm.R4, dynptrAt), asm.FnDynptrFromMem.Call(),
	}
}

// readOnlyMemory puts the address of 16 bytes that may not be written into R8: a slice of a dynptr.
func readOnlyMemory(m *ebpf.Map, slice btf.TypeID) asm.Instructions {
	const at = dynptrAt - 16
	insns := newDynptr(m)
	insns[4] = asm.Add.Imm(asm.R4, at)
	return append(insns,
		asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, at), asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, bufferSize),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: int64(slice)},
		asm.JNE.Imm(asm.R0, 0, "slice"), asm.Mov.Imm(asm.R0, 1), asm.Return(),
		asm.Mov.Reg(asm.R8, asm.R0).WithSymbol("slice"),
	)
}

// kernelFunc finds a kernel function in the kernel's BTF, 0 where there is none.
func kernelFunc(name string) btf.TypeID {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return 0
	}
	var f *btf.Func
	if err := kernel.TypeByName(name, &f); err != nil {
		return 0
	}
	id, err := kernel.TypeID(f)
	if err != nil {
		return 0
	}
	return id
}

// TestMapsOfHelpers passes every type of map to every helper that takes maps.
func TestMapsOfHelpers(t *testing.T) {
	needsBPF(t)
	maps := newCallMaps(t)
	compared := 0
	names := []string{"tc", "xdp", "sock ops", "sk_skb", "sk_msg", "cgroup skb ingress", "kprobe", "sk_reuseport"}
	for _, k := range kernelTypes() {
		if !slices.Contains(names, k.name) {
			continue
		}
		scope := linux.HelperScope{Type: k.typ, Attach: k.attach}
		table := linux.Helpers(scope)
		for id := uint32(1); id <= linux.MaxFuncID; id++ {
			p := table.Proto(id)
			if p == nil || !slices.Contains(p.Args[:], linux.ArgConstMapPtr) || id == linux.FuncTimerInit {
				continue // bpf_timer_init takes the map of its timer
			}
			for typ, m := range maps.byType {
				c, _ := newCall(maps, scope, p, m)
				if c == nil {
					continue
				}
				answer := lastLine(k.load(c.program(-1, -1, nil)))
				text := fmt.Sprintf("cannot pass map_type %d into func %s#%d", typ, isa.HelperName(int32(id)), id)
				refused := answer == text || answer == "expected prog array map for tail call"
				takes := linux.HelperTakesMap(scope, typ, id)
				if takes && refused || !takes && passes(answer) {
					t.Errorf("%s: %s and %v: table %v, the kernel says %q", k.name, p.Name, typ, takes, answer)
				}
				if passes(answer) || refused {
					compared++
				}
			}
		}
	}
	if compared < 1000 {
		t.Errorf("only %d pairs compared", compared)
	}
	t.Logf("%d pairs compared", compared)
}
