package gen

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// The maps of programs for verifiers, indices into VerifyMaps.
const (
	vmBSS        = iota // array of one value of 64 bytes
	vmRodata            // frozen
	vmArray             // 4 values of 48 bytes
	vmHash              // keys of 8, values of 32 bytes
	vmPercpu            // 2 values of 24 bytes
	vmProgs             // PROG_ARRAY of the program's own kind
	vmRing              // ring buffer
	vmOuter             // array of arrays
	vmLPM               //
	vmDev               //
	vmSock              //
	vmLock              // array of one value {bpf_spin_lock; u32; u64; u64}
	vmLRU               //
	vmQueue             //
	vmPerf              //
	vmStacks            //
	vmSockHash          //
	vmCgroup            //
	vmWronly            // programs may not read
	vmRdonly            // programs may not write; not frozen
	vmOwned             // PROG_ARRAY that socket filters own
	vmPercpuHash        //
	vmOuterHash         // hash of arrays
	vmBloom             //
	vmCPU               //
	vmXSK               //
	vmBig               // array of one value of 4096 bytes
	vmHashLock          // hash of values with a lock
	vmSkStorage         //
	vmReuse             //
	vmStack             //
	numVMaps
)

// RodataSize is the size of the frozen value.
const rodataSize = 64

// VerifyRodata is the content of the frozen map.
func VerifyRodata() []byte {
	b := make([]byte, rodataSize)
	for i := range b {
		switch {
		case i < 8:
			b[i] = byte(i + 1)
		case i < 16:
			b[i] = 0xff
		case i < 24:
			b[i] = byte(i * 37)
		case i == 32:
			b[i] = 16
		case i >= 40 && i < 48:
			copy(b[40:48], "%d %u\n\x00\x00")
		}
	}
	return b
}

// VerifyMaps are the maps that programs for verifiers use. ProgramArrays have no owner.
func VerifyMaps() []*ebpf.MapSpec {
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	u64 := &btf.Int{Name: "unsigned long", Size: 8}
	lock := &btf.Struct{Name: "bpf_spin_lock", Size: 4, Members: []btf.Member{{Name: "val", Type: u32}}}
	locked := &btf.Struct{Name: "locked", Size: 24, Members: []btf.Member{
		{Name: "lock", Type: lock}, {Name: "x", Type: u32, Offset: 32},
		{Name: "y", Type: u64, Offset: 64}, {Name: "z", Type: u64, Offset: 128},
	}}
	plain := &btf.Struct{Name: "plain", Size: 16, Members: []btf.Member{
		{Name: "a", Type: u64}, {Name: "b", Type: u64, Offset: 64},
	}}
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	inner := func() *ebpf.MapSpec {
		return &ebpf.MapSpec{Name: "inner", Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 2}
	}
	array := func(name string, size, n, flags uint32) *ebpf.MapSpec {
		return &ebpf.MapSpec{Name: name, Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: n, Flags: flags}
	}
	ids := func(name string, t ebpf.MapType) *ebpf.MapSpec {
		return &ebpf.MapSpec{Name: name, Type: t, KeySize: 4, ValueSize: 4, MaxEntries: 4}
	}
	out := make([]*ebpf.MapSpec, numVMaps)
	out[vmBSS] = array("bss", 64, 1, 0)
	out[vmRodata] = array("rodata", rodataSize, 1, linux.MapReadOnlyProg)
	out[vmArray] = array("array", 48, 4, 0)
	out[vmHash] = &ebpf.MapSpec{Name: "hash", Type: ebpf.Hash, KeySize: 8, ValueSize: 32, MaxEntries: 16}
	out[vmPercpu] = &ebpf.MapSpec{Name: "percpu", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 24, MaxEntries: 2}
	out[vmProgs] = ids("progs", ebpf.ProgramArray)
	out[vmRing] = &ebpf.MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: 4096}
	out[vmOuter] = &ebpf.MapSpec{Name: "outer", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerMap: inner()}
	out[vmLPM] = &ebpf.MapSpec{Name: "lpm", Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 8, Flags: 1}
	out[vmDev] = ids("dev", ebpf.DevMap)
	out[vmSock] = ids("sock", ebpf.SockMap)
	out[vmLock] = array("lock", 24, 1, 0)
	out[vmLock].Key, out[vmLock].Value = u32, locked
	out[vmLRU] = &ebpf.MapSpec{Name: "lru", Type: ebpf.LRUHash, KeySize: 4, ValueSize: 16, MaxEntries: 8}
	out[vmQueue] = &ebpf.MapSpec{Name: "queue", Type: ebpf.Queue, ValueSize: 8, MaxEntries: 4}
	out[vmPerf] = ids("perf", ebpf.PerfEventArray)
	out[vmStacks] = &ebpf.MapSpec{Name: "stacks", Type: ebpf.StackTrace, KeySize: 4, ValueSize: 128, MaxEntries: 4}
	out[vmSockHash] = ids("sockhash", ebpf.SockHash)
	out[vmCgroup] = ids("cgroup", ebpf.CGroupArray)
	out[vmWronly] = array("wronly", 32, 2, linux.MapWriteOnlyProg)
	out[vmRdonly] = array("rdonly", 32, 1, linux.MapReadOnlyProg)
	out[vmOwned] = ids("owned", ebpf.ProgramArray)
	out[vmPercpuHash] = &ebpf.MapSpec{Name: "percpu_hash", Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 16, MaxEntries: 8}
	out[vmOuterHash] = &ebpf.MapSpec{Name: "outer_hash", Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerMap: inner()}
	out[vmBloom] = &ebpf.MapSpec{Name: "bloom", Type: ebpf.BloomFilter, ValueSize: 8, MaxEntries: 4}
	out[vmCPU] = ids("cpu", ebpf.CPUMap)
	out[vmXSK] = ids("xsk", ebpf.XSKMap)
	out[vmBig] = array("big", 4096, 1, 0)
	out[vmHashLock] = &ebpf.MapSpec{Name: "hash_lock", Type: ebpf.Hash, KeySize: 4, ValueSize: 24, MaxEntries: 8, Key: u32, Value: locked}
	out[vmSkStorage] = &ebpf.MapSpec{Name: "sk_storage", Type: ebpf.SkStorage, KeySize: 4, ValueSize: 16, Flags: 1, Key: i32, Value: plain}
	out[vmReuse] = &ebpf.MapSpec{Name: "reuse", Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 8, MaxEntries: 4}
	out[vmStack] = &ebpf.MapSpec{Name: "stack", Type: ebpf.Stack, ValueSize: 8, MaxEntries: 4}
	return out
}

// VerifyOwned is the map of VerifyMaps that socket filters own.
const VerifyOwned = vmOwned

// VerifyOwn are the maps that every kind of program has for itself, because the first program that
// uses them becomes their owner (map_type_contains_progs, include/linux/bpf.h).
func VerifyOwn() []int { return []int{vmProgs, vmDev, vmCPU} }

// VerifyRodataMap is the frozen map.
const VerifyRodataMap = vmRodata

// The functions of VerifyFuncs.
const (
	vfMain       = iota
	vfStatic     // int f(u64, u64)
	vfStaticU64  // u64 f(u64, u64)
	vfStaticVoid // void f(u64, u64)
	vfGlobal     // int g(u64, u64)
	vfGlobalMem  // int g(u64, struct plain *)
	vfGlobalVoid // void g(u64, u64)
	vfGlobalCtx  // int g(struct __sk_buff *, u64); one for each context
)

// VerifyFuncs are the functions that func_info names.
func VerifyFuncs() []*btf.Func {
	u64 := &btf.Int{Name: "unsigned long", Size: 8}
	num := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	plain := &btf.Struct{Name: "plain", Size: 16, Members: []btf.Member{
		{Name: "a", Type: u64}, {Name: "b", Type: u64, Offset: 64},
	}}
	f := func(name string, linkage btf.FuncLinkage, ret btf.Type, params ...btf.Type) *btf.Func {
		proto := &btf.FuncProto{Return: ret}
		for i, p := range params {
			proto.Params = append(proto.Params, btf.FuncParam{Name: string(rune('a' + i)), Type: p})
		}
		return &btf.Func{Name: name, Type: proto, Linkage: linkage}
	}
	out := []*btf.Func{
		f("main", btf.GlobalFunc, num),
		f("s_int", btf.StaticFunc, num, u64, u64),
		f("s_u64", btf.StaticFunc, u64, u64, u64),
		f("s_void", btf.StaticFunc, &btf.Void{}, u64, u64),
		f("g_int", btf.GlobalFunc, num, u64, u64),
		f("g_mem", btf.GlobalFunc, num, u64, &btf.Pointer{Target: plain}),
		f("g_void", btf.GlobalFunc, &btf.Void{}, u64, u64),
	}
	for _, name := range verifyContexts() {
		s := &btf.Struct{Name: name, Size: 4, Members: []btf.Member{{Name: "x", Type: num}}}
		out = append(out, f("g_"+name, btf.GlobalFunc, num, &btf.Pointer{Target: s}, u64))
	}
	return append(out, caseFuncs(u64)...)
}

// verifyContexts are the structures of contexts, once each.
func verifyContexts() []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, k := range vkinds {
		if !seen[k.ctx] {
			seen[k.ctx] = true
			out = append(out, k.ctx)
		}
	}
	return out
}

// globalCtx is the function that takes the context of this kind, false where there is none.
func (b *vb) globalCtx() (int, bool) {
	for i, name := range verifyContexts() {
		if name == b.k.ctx {
			return vfGlobalCtx + i, true
		}
	}
	return 0, false
}
