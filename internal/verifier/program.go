package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Program is what is verified, in the form in which bpf(2) takes it: local calls are relative,
// wide loads of maps hold an index into Maps (BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE),
// CO-RE relocations are applied.
type Program struct {
	Name       string
	Type       ebpf.ProgramType
	AttachType ebpf.AttachType
	Flags      uint32 // BPF_F_SLEEPABLE, BPF_F_XDP_HAS_FRAGS, BPF_F_STRICT_ALIGNMENT, …
	GPL        bool   // the licence is compatible with the GPL
	Insns      []isa.Insn
	Maps       []*Map
	Funcs      []Func // func_info, sorted; empty without BTF
	Lines      []Line // line_info, sorted
	// Helper returns the prototype of a custom helper; nil where there is none and Linux's apply.
	Helper func(id uint32) *Custom
	// Kfuncs names the kfuncs by the immediate of their calls.
	Kfuncs map[int32]string
	// AttachTo names the kernel function or hook of a tracing, LSM or extension program, or the
	// "structure:member" of a struct_ops program.
	AttachTo string
	// Target is the function of another program that the program is attached to, nil for the
	// kernel's.
	Target *btf.Func
	// Kernel has the types of the kernel; nil if there are none: programs that need them are
	// refused.
	Kernel *KernelTypes
	// Ksyms names the kernel variables behind wide loads, by instruction.
	Ksyms map[int]Ksym
	// Types are the types of the program by the ids that its instructions hold.
	Types map[btf.TypeID]btf.Type
	// Struct returns the program's structure of a name, nil where there is none.
	Struct func(name string) *btf.Struct
	// Locals are the variables of functions by name (ReadLocals), for explanations; nil if not known.
	Locals map[string][]Variable
}

// Custom is a helper that an embedder has registered.
type Custom struct {
	linux.Proto
	UnwindOnZero bool // R0 = 0 ends the program
}

// Func is one entry of func_info.
type Func struct {
	Insn int
	Name string
	Type *btf.Func
}

// Line is one entry of line_info.
type Line struct {
	Insn int
	File string
	Line int
	Col  int
	Text string
}

// Map is what the verifier knows of a map.
type Map struct {
	Name       string
	Type       ebpf.MapType
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Flags      uint32
	Frozen     bool
	// Data is the first value of a frozen, read-only array: loads from it are constants.
	Data  []byte
	Key   btf.Type
	Value btf.Type
	Inner *Map // template of the maps in a map of maps
	// Owner is what a PROG_ARRAY's programs have in common, nil while it has none.
	Owner *linux.Owner
	// Cookie tells cgroup storages of one loader from each other; 0 when that is not known.
	Cookie uint64
	// Fields are the special fields of values: offset → kind, for those that BTF declares.
	Fields []Field
}

// Field is a special field of a map value, which programs reach through helpers only
// (struct btf_field, include/linux/bpf.h).
type Field struct {
	Name string // bpf_spin_lock, bpf_timer, …, or kptr, percpu_kptr, uptr
	Off  uint32
	Size uint32
	Kind FieldKind
	// Target is the program's type behind a pointer.
	Target btf.Type
}
