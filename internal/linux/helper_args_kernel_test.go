//go:build linux

package linux_test

import (
	"fmt"
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
	readOnly *ebpf.Map // frozen, one value of 16 zero bytes
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
	c := &callMaps{byType: map[ebpf.MapType]*ebpf.Map{}}
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
	c.readOnly = newMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: mapReadOnlyProg})
	if c.readOnly == nil {
		t.Skip("maps cannot be made")
	}
	if err := c.readOnly.Freeze(); err != nil {
		t.Skipf("maps cannot be frozen: %v", err)
	}
	return c
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
		return asm.Instructions{asm.LoadMapPtr(reg, m.FD())}, nil, ""
	case linux.ArgPtrToMapKey:
		return stack(-16), nil, ""
	case linux.ArgPtrToMapValue:
		return stack(-32), nil, ""
	case linux.ArgPtrToMem:
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
		return asm.Instructions{asm.Mov.Reg(reg, asm.R7)}, orExit(asm.Instructions{
			asm.LoadMapPtr(asm.R1, c.byType[ebpf.RingBuf].FD()), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
		}), ""
	}
	if null {
		return one(0), nil, ""
	}
	switch {
	case p.ArgBTF[i] == "task_struct":
		return asm.Instructions{asm.Mov.Reg(reg, asm.R7)}, asm.Instructions{asm.FnGetCurrentTaskBtf.Call(), asm.Mov.Reg(asm.R7, asm.R0)}, ""
	case a == linux.ArgPtrToBTFIDSockCommon || a == linux.ArgPtrToSockCommon:
		if scope.Type == ebpf.SchedCLS || scope.Type == ebpf.CGroupSKB {
			const skAt = 168 // struct __sk_buff, sk
			return asm.Instructions{asm.Mov.Reg(reg, asm.R7)}, orExit(asm.Instructions{
				asm.LoadMem(asm.R0, asm.R6, skAt, asm.DWord),
			}), ""
		}
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
	return answer == "" || strings.Contains(answer, "reference leak")
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
		if wrote := strings.HasPrefix(answer, "write into map forbidden"); wrote != a.Has(linux.MemWrite) || !wrote && !passes(answer) {
			t.Errorf("%s in %s: argument %d is %v, the kernel says %q of read-only memory", c.p.Symbol, k.name, i+1, a, answer)
		}
	}
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
			if p == nil || !slices.Contains(p.Args[:], linux.ArgConstMapPtr) {
				continue
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
