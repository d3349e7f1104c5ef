package linux

import (
	"slices"

	"github.com/cilium/ebpf"
)

// mapHelpers lists, for map types that only some helpers take, those helpers
// (kernel/bpf/verifier.c, check_map_func_compatibility, first half). Other map types go into every
// helper that does not ask for a type of its own.
func mapHelpers(t ebpf.MapType) (helpers []uint32, restricted bool) {
	switch t {
	case ebpf.ProgramArray:
		return []uint32{FuncTailCall}, true
	case ebpf.PerfEventArray:
		return []uint32{FuncPerfEventRead, FuncPerfEventOutput, FuncSKBOutput, FuncPerfEventReadValue, FuncXDPOutput}, true
	case ebpf.RingBuf:
		return []uint32{
			FuncRingbufOutput, FuncRingbufReserve, FuncRingbufQuery, FuncRingbufReserveDynptr,
			FuncRingbufSubmitDynptr, FuncRingbufDiscardDynptr,
		}, true
	case ebpf.UserRingbuf:
		return []uint32{FuncUserRingbufDrain}, true
	case ebpf.StackTrace:
		return []uint32{FuncGetStackid}, true
	case ebpf.CGroupArray:
		return []uint32{FuncSKBUnderCgroup, FuncCurrentTaskUnderCgroup}, true
	case ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage:
		return []uint32{FuncGetLocalStorage}, true
	case ebpf.DevMap, ebpf.DevMapHash, ebpf.XSKMap:
		return []uint32{FuncRedirectMap, FuncMapLookupElem}, true
	case ebpf.CPUMap:
		return []uint32{FuncRedirectMap}, true
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
		return []uint32{FuncMapLookupElem}, true
	case ebpf.SockMap:
		return []uint32{FuncSKRedirectMap, FuncSockMapUpdate, FuncMsgRedirectMap, FuncSKSelectReuseport, FuncMapLookupElem}, true
	case ebpf.SockHash:
		return []uint32{FuncSKRedirectHash, FuncSockHashUpdate, FuncMsgRedirectHash, FuncSKSelectReuseport, FuncMapLookupElem}, true
	case ebpf.ReusePortSockArray:
		return []uint32{FuncSKSelectReuseport}, true
	case ebpf.Queue, ebpf.Stack:
		return []uint32{FuncMapPeekElem, FuncMapPopElem, FuncMapPushElem}, true
	case ebpf.SkStorage:
		return []uint32{FuncSKStorageGet, FuncSKStorageDelete, FuncKptrXchg}, true
	case ebpf.InodeStorage:
		return []uint32{FuncInodeStorageGet, FuncInodeStorageDelete, FuncKptrXchg}, true
	case ebpf.TaskStorage:
		return []uint32{FuncTaskStorageGet, FuncTaskStorageDelete, FuncKptrXchg}, true
	case ebpf.CgroupStorage:
		return []uint32{FuncCgrpStorageGet, FuncCgrpStorageDelete, FuncKptrXchg}, true
	case ebpf.BloomFilter:
		return []uint32{FuncMapPeekElem, FuncMapPushElem}, true
	}
	return nil, false
}

// helperMaps lists, for helpers that only take some types of map, those types (the second half).
func helperMaps(id uint32) (types []ebpf.MapType, restricted bool) {
	switch id {
	case FuncTailCall:
		return []ebpf.MapType{ebpf.ProgramArray}, true
	case FuncPerfEventRead, FuncPerfEventOutput, FuncPerfEventReadValue, FuncSKBOutput, FuncXDPOutput:
		return []ebpf.MapType{ebpf.PerfEventArray}, true
	case FuncRingbufOutput, FuncRingbufReserve, FuncRingbufQuery, FuncRingbufReserveDynptr,
		FuncRingbufSubmitDynptr, FuncRingbufDiscardDynptr:
		return []ebpf.MapType{ebpf.RingBuf}, true
	case FuncUserRingbufDrain:
		return []ebpf.MapType{ebpf.UserRingbuf}, true
	case FuncGetStackid:
		return []ebpf.MapType{ebpf.StackTrace}, true
	case FuncCurrentTaskUnderCgroup, FuncSKBUnderCgroup:
		return []ebpf.MapType{ebpf.CGroupArray}, true
	case FuncRedirectMap:
		return []ebpf.MapType{ebpf.DevMap, ebpf.DevMapHash, ebpf.CPUMap, ebpf.XSKMap}, true
	case FuncSKRedirectMap, FuncMsgRedirectMap, FuncSockMapUpdate:
		return []ebpf.MapType{ebpf.SockMap}, true
	case FuncSKRedirectHash, FuncMsgRedirectHash, FuncSockHashUpdate:
		return []ebpf.MapType{ebpf.SockHash}, true
	case FuncGetLocalStorage:
		return []ebpf.MapType{ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage}, true
	case FuncSKSelectReuseport:
		return []ebpf.MapType{ebpf.ReusePortSockArray, ebpf.SockMap, ebpf.SockHash}, true
	case FuncMapPopElem:
		return []ebpf.MapType{ebpf.Queue, ebpf.Stack}, true
	case FuncMapPeekElem, FuncMapPushElem:
		return []ebpf.MapType{ebpf.Queue, ebpf.Stack, ebpf.BloomFilter}, true
	case FuncMapLookupPerCPUElem:
		return []ebpf.MapType{ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash}, true
	case FuncSKStorageGet, FuncSKStorageDelete:
		return []ebpf.MapType{ebpf.SkStorage}, true
	case FuncInodeStorageGet, FuncInodeStorageDelete:
		return []ebpf.MapType{ebpf.InodeStorage}, true
	case FuncTaskStorageGet, FuncTaskStorageDelete:
		return []ebpf.MapType{ebpf.TaskStorage}, true
	case FuncCgrpStorageGet, FuncCgrpStorageDelete:
		return []ebpf.MapType{ebpf.CgroupStorage}, true
	}
	return nil, false
}

// HelperTakesMap says whether a program of this scope may pass a map of this type to a helper.
// Where it may not, Linux says "cannot pass map_type %d into func %s#%d" (EINVAL).
func HelperTakesMap(scope HelperScope, t ebpf.MapType, id uint32) bool {
	if helpers, restricted := mapHelpers(t); restricted && !slices.Contains(helpers, id) &&
		!updatesSockMap(scope, t, id) {
		return false
	}
	types, restricted := helperMaps(id)
	return !restricted || slices.Contains(types, t)
}

// updatesSockMap says whether the program may write to a SOCKMAP or SOCKHASH with the plain map
// helpers (kernel/bpf/verifier.c, may_update_sockmap). Where it may not, Linux says "cannot update
// sockmap in this context" before the text about the map type.
func updatesSockMap(scope HelperScope, t ebpf.MapType, id uint32) bool {
	if t != ebpf.SockMap && t != ebpf.SockHash || id != FuncMapUpdateElem && id != FuncMapDeleteElem {
		return false
	}
	switch scope.Type {
	case ebpf.SocketFilter, ebpf.SchedCLS, ebpf.SchedACT, ebpf.XDP, ebpf.SkReuseport, ebpf.FlowDissector, ebpf.SkLookup:
		return true
	case ebpf.Tracing:
		return scope.Attach == ebpf.AttachTraceIter
	case ebpf.SockOps:
		return id == FuncMapDeleteElem
	}
	return false
}

// MapField is a special field of a map value (enum btf_field_type, include/linux/bpf.h).
type MapField uint8

// Special fields that matter for which programs may use a map.
const (
	MapFieldSpinLock MapField = iota
	MapFieldResSpinLock
	MapFieldTimer
	MapFieldWorkqueue
	MapFieldListHead
	MapFieldRBRoot
)

// MapRefusal is why a program may not use a map at all: the final line of Linux's log (EINVAL).
// It is empty when it may (kernel/bpf/verifier.c, check_map_prog_compatibility).
func MapRefusal(scope HelperScope, t ebpf.MapType, fields []MapField) string {
	for _, r := range mapFieldRules() {
		if slices.Contains(r.types, scope.Type) && slices.ContainsFunc(r.fields, func(f MapField) bool {
			return slices.Contains(fields, f)
		}) {
			return r.text
		}
	}
	switch {
	case t == ebpf.StructOpsMap:
		return "bpf_struct_ops map cannot be used in prog"
	case scope.Sleepable && !slices.Contains(sleepableMaps(), t):
		return "Sleepable programs can only use array, hash, ringbuf and local storage maps"
	}
	return ""
}

// mapFieldRule refuses maps with some fields to some types of program.
type mapFieldRule struct {
	fields []MapField
	types  []ebpf.ProgramType
	text   string
}

func mapFieldRules() []mapFieldRule {
	// is_tracing_prog_type; not BPF_PROG_TYPE_TRACING itself.
	tracing := []ebpf.ProgramType{
		ebpf.Kprobe, ebpf.TracePoint, ebpf.PerfEvent, ebpf.RawTracepoint, ebpf.RawTracepointWritable,
	}
	filter := []ebpf.ProgramType{ebpf.SocketFilter}
	return []mapFieldRule{
		{[]MapField{MapFieldListHead, MapFieldRBRoot}, tracing, "tracing progs cannot use bpf_{list_head,rb_root} yet"},
		{[]MapField{MapFieldSpinLock, MapFieldResSpinLock}, filter, "socket filter progs cannot use bpf_spin_lock yet"},
		{[]MapField{MapFieldSpinLock, MapFieldResSpinLock}, tracing, "tracing progs cannot use bpf_spin_lock yet"},
		{[]MapField{MapFieldTimer}, tracing, "tracing progs cannot use bpf_timer yet"},
		{[]MapField{MapFieldWorkqueue}, tracing, "tracing progs cannot use bpf_wq yet"},
	}
}

// sleepableMaps are the types that sleepable programs may use.
func sleepableMaps() []ebpf.MapType {
	return []ebpf.MapType{
		ebpf.Hash, ebpf.LRUHash, ebpf.Array, ebpf.PerCPUHash, ebpf.PerCPUArray, ebpf.LRUCPUHash,
		ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.RingBuf, ebpf.UserRingbuf, ebpf.InodeStorage, ebpf.SkStorage,
		ebpf.TaskStorage, ebpf.CgroupStorage, ebpf.Queue, ebpf.Stack, ebpf.Arena,
	}
}
