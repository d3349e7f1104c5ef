package linux

import (
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// KfuncFlag is a property of a kernel function (KF_*, include/linux/btf.h).
type KfuncFlag uint16

// Properties.
const (
	KfuncAcquire KfuncFlag = 1 << iota // the result must be released
	KfuncRelease                       // gives a reference up
	KfuncRetNull                       // the result may be NULL
	_
	KfuncTrustedArgs  // pointers must be valid as the kernel handed them over
	KfuncSleepable    // may sleep
	KfuncDestructive  // needs CAP_SYS_BOOT
	KfuncRCU          // pointers may be valid in an RCU section only
	KfuncIterNew      // makes an iterator
	KfuncIterNext     // asks an iterator for the next element
	KfuncIterDestroy  // ends an iterator
	KfuncRCUProtected // only inside of an RCU section
	KfuncFastcall     // scratches only the registers of its arguments
	KfuncArenaRet     // returns an address of an arena
	KfuncArenaArg1    // the first argument is one
	KfuncArenaArg2    // the second one is
)

// KfuncHook is a set of groups of program types that may call a function (enum btf_kfunc_hook,
// kernel/bpf/btf.c).
type KfuncHook uint16

// Groups.
const (
	HookCommon KfuncHook = 1 << iota // all programs
	HookXDP
	HookTC
	HookStructOps
	HookTracing
	HookSyscall
	HookFmodRet // fmod_ret programs may be attached to the function
	HookCgroup
	HookSchedAct
	HookSkSkb
	HookSocketFilter
	HookLWT
	HookNetfilter
	HookKprobe
)

// HookOf returns the group of a program type, 0 for those that may only call what all may
// (bpf_prog_type_to_kfunc_hook, kernel/bpf/btf.c).
func HookOf(t ebpf.ProgramType) KfuncHook {
	switch t {
	case ebpf.XDP:
		return HookXDP
	case ebpf.SchedCLS:
		return HookTC
	case ebpf.StructOps:
		return HookStructOps
	case ebpf.Tracing, ebpf.TracePoint, ebpf.PerfEvent, ebpf.LSM:
		return HookTracing
	case ebpf.Syscall:
		return HookSyscall
	case ebpf.CGroupSKB, ebpf.CGroupSock, ebpf.CGroupDevice, ebpf.CGroupSockAddr, ebpf.CGroupSockopt,
		ebpf.CGroupSysctl, ebpf.SockOps:
		return HookCgroup
	case ebpf.SchedACT:
		return HookSchedAct
	case ebpf.SkSKB:
		return HookSkSkb
	case ebpf.SocketFilter:
		return HookSocketFilter
	case ebpf.LWTOut, ebpf.LWTIn, ebpf.LWTXmit, ebpf.LWTSeg6Local:
		return HookLWT
	case ebpf.Netfilter:
		return HookNetfilter
	case ebpf.Kprobe:
		return HookKprobe
	}
	return 0
}

// KfuncKind is a kind of type in the prototype of a kernel function.
type KfuncKind uint8

// Kinds.
const (
	KfuncVoid KfuncKind = iota
	KfuncScalar
	KfuncStruct
	KfuncUnion
	KfuncFuncProto
	KfuncPointer
)

// KfuncType is a type without typedefs and qualifiers. Pointers have the type they point to.
type KfuncType struct {
	Kind   KfuncKind
	Name   string
	Enum   bool
	Size   uint32 // bytes of a scalar or structure
	Target *KfuncType
}

// BTFKind names the kind as Linux's messages do (btf_type_str).
func (t *KfuncType) BTFKind() string {
	if t.Enum {
		return "ENUM"
	}
	return [...]string{"UNKNOWN", "INT", "STRUCT", "UNION", "FUNC_PROTO", "PTR"}[t.Kind]
}

// IsStruct says that t is a structure or union.
func (t *KfuncType) IsStruct() bool { return t.Kind == KfuncStruct || t.Kind == KfuncUnion }

// KfuncParam is one parameter.
type KfuncParam struct {
	Name string // the suffix says how the argument is checked
	Type KfuncType
}

// Suffix says that the name of a parameter ends like this, with "__" before it
// (btf_param_match_suffix, kernel/bpf/btf.c).
func (p *KfuncParam) Suffix(s string) bool {
	name, ok := strings.CutSuffix(p.Name, s)
	return ok && strings.HasSuffix(name, "__")
}

// PointsTo says that the parameter is a pointer to a structure of this name.
func (p *KfuncParam) PointsTo(name string) bool {
	return p.Type.Kind == KfuncPointer && p.Type.Target.Kind == KfuncStruct && p.Type.Target.Name == name
}

// Kfunc is a kernel function that programs may call.
type Kfunc struct {
	Name   string
	Flags  KfuncFlag
	Hooks  KfuncHook
	Ret    KfuncType
	Params []KfuncParam
}

// Has says that the function has all of the flags.
func (k *Kfunc) Has(f KfuncFlag) bool { return k.Flags&f == f }

// AllowedIn says whether programs of a type may call the function, apart from conditions that
// some functions put on the attach type.
func (k *Kfunc) AllowedIn(t ebpf.ProgramType) bool { return k.Hooks&(HookCommon|HookOf(t)) != 0 }

// Callback is the index of the parameter that is a callback, false where there is none.
func (k *Kfunc) Callback() (int, bool) {
	for i := range k.Params {
		if t := &k.Params[i].Type; t.Kind == KfuncPointer && t.Target.Kind == KfuncFuncProto {
			return i, true
		}
	}
	return 0, false
}

// KfuncLayout is a structure of a prototype.
type KfuncLayout struct {
	Name    string
	Size    uint32
	Scalars bool   // it has nothing but numbers in it (__btf_type_is_scalar_struct)
	First   string // the structure that it begins with, empty for none
}

// kfuncRow is one row of the generated table.
type kfuncRow struct {
	name   string
	flags  KfuncFlag
	hooks  KfuncHook
	ret    string
	params string
}

// parseKfuncType reads a type of the generated table: "*" for pointers, scalars with their size
// behind a slash, "union" and "enum" before the names of those.
func parseKfuncType(s string) KfuncType {
	if inner, ok := strings.CutPrefix(s, "*"); ok {
		t := parseKfuncType(inner)
		return KfuncType{Kind: KfuncPointer, Size: 8, Target: &t}
	}
	if name, size, ok := strings.Cut(s, "/"); ok {
		n, _ := strconv.Atoi(size)
		name, enum := strings.CutPrefix(name, "enum ")
		return KfuncType{Kind: KfuncScalar, Name: name, Enum: enum, Size: uint32(n)}
	}
	switch s {
	case "void":
		return KfuncType{}
	case "func":
		return KfuncType{Kind: KfuncFuncProto}
	}
	name, union := strings.CutPrefix(s, "union ")
	t := KfuncType{Kind: KfuncStruct, Name: name}
	if union {
		t.Kind = KfuncUnion
	}
	if st, ok := LookupKfuncLayout(name); ok {
		t.Size = st.Size
	}
	return t
}

var kfuncs = sync.OnceValue(func() map[string]*Kfunc {
	byName := make(map[string]*Kfunc, len(kfuncTable))
	for i := range kfuncTable {
		row := &kfuncTable[i]
		k := &Kfunc{Name: row.name, Flags: row.flags, Hooks: row.hooks, Ret: parseKfuncType(row.ret)}
		for _, p := range strings.Split(row.params, ", ") {
			if name, typ, ok := strings.Cut(p, " "); ok {
				k.Params = append(k.Params, KfuncParam{Name: name, Type: parseKfuncType(typ)})
			}
		}
		byName[k.Name] = k
	}
	return byName
})

// LookupKfunc returns a kernel function of Linux 6.18, nil for a name that there is not. It must
// not be changed.
func LookupKfunc(name string) *Kfunc { return kfuncs()[name] }

var kfuncLayouts = sync.OnceValue(func() map[string]*KfuncLayout {
	byName := make(map[string]*KfuncLayout, len(kfuncStructs))
	for i := range kfuncStructs {
		byName[kfuncStructs[i].Name] = &kfuncStructs[i]
	}
	return byName
})

// LookupKfuncLayout returns a structure of the prototypes.
func LookupKfuncLayout(name string) (KfuncLayout, bool) {
	s := kfuncLayouts()[name]
	if s == nil {
		return KfuncLayout{}, false
	}
	return *s, true
}

// OnlyScalars says that a structure has nothing but numbers in it, and structures and arrays of
// them (__btf_type_is_scalar_struct, kernel/bpf/verifier.c).
func OnlyScalars(t btf.Type) bool { return onlyScalars(t, 0) }

func onlyScalars(t btf.Type, depth int) bool {
	var members []btf.Member
	switch s := bareType(t).(type) {
	case *btf.Struct:
		members = s.Members
	case *btf.Union:
		members = s.Members
	default:
		return false
	}
	for _, m := range members {
		inner := bareType(m.Type)
		if a, ok := inner.(*btf.Array); ok {
			if a.Nelems == 0 || !isBTFScalar(bareType(a.Type)) {
				return false
			}
			continue
		}
		if !isBTFScalar(inner) && (depth >= 3 || !onlyScalars(inner, depth+1)) {
			return false
		}
	}
	return true
}

func bareType(t btf.Type) btf.Type {
	for {
		t = btf.UnderlyingType(t)
		tag, ok := t.(*btf.TypeTag)
		if !ok {
			return t
		}
		t = tag.Type
	}
}

func isBTFScalar(t btf.Type) bool {
	switch t.(type) {
	case *btf.Int, *btf.Enum:
		return true
	}
	return false
}

// KfuncNames returns the names of all kernel functions, sorted.
func KfuncNames() []string {
	names := make([]string, len(kfuncTable))
	for i := range kfuncTable {
		names[i] = kfuncTable[i].name
	}
	return names
}
