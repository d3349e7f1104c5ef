package linux

// Flags of argument, return and register types (enum bpf_type_flag, include/linux/bpf.h). The
// low eight bits of a type are its base, a flag is one bit above them, as in Linux.
const (
	PtrMaybeNull      = 1 << (8 + iota) // may be NULL
	MemRdonly                           // read only; of an argument: read-only memory will do
	MemRingbuf                          // a ring buffer record
	MemUser                             // user-space memory
	MemPercpu                           // a per-CPU object
	ObjRelease                          // the reference is given up
	PtrUntrusted                        // a kptr loaded from a map
	MemUninit                           // need not be initialised: the helper fills it
	DynptrTypeLocal                     // dynptr over memory of the program
	DynptrTypeRingbuf                   // dynptr over a ring buffer record
	MemFixedSize                        // the size is known from the prototype
	MemAlloc                            // an object of bpf_obj_new
	PtrTrusted                          // valid as the kernel handed it over
	MemRcu                              // needs an RCU read-side section
	NonOwnRef                           // non-owning reference to a list or tree node
	DynptrTypeSkb                       // dynptr over a socket buffer
	DynptrTypeXdp                       // dynptr over an XDP packet
	MemAligned                          // must be aligned to its size
	MemWrite                            // the helper writes
	DynptrTypeSkbMeta                   // dynptr over the metadata of a socket buffer

	// DynptrTypeMask has the flags of which a dynptr has exactly one (DYNPTR_TYPE_FLAG_MASK).
	DynptrTypeMask = DynptrTypeLocal | DynptrTypeRingbuf | DynptrTypeSkb | DynptrTypeXdp | DynptrTypeSkbMeta

	typeBaseMask = 1<<8 - 1
)

// ArgType is what a helper takes in one register: a base type and flags (enum bpf_arg_type,
// include/linux/bpf.h).
type ArgType uint32

// Base reports the type without its flags.
func (a ArgType) Base() ArgType { return a & typeBaseMask }

// Has says that all of flags are set.
func (a ArgType) Has(flags ArgType) bool { return a&flags == flags }

// Base types of arguments.
const (
	ArgNone                 ArgType = iota // ARG_DONTCARE: the register is not used
	ArgConstMapPtr                         // a map
	ArgPtrToMapKey                         // key of the map in an earlier argument
	ArgPtrToMapValue                       // value of that map
	ArgPtrToMem                            // memory; its size is the next argument, or fixed
	ArgPtrToArena                          // memory of an arena
	ArgConstSize                           // size of the memory before it, at least 1
	ArgConstSizeOrZero                     // size of the memory before it
	ArgPtrToCtx                            // the context pointer
	ArgAnything                            // any initialised value
	ArgScalar                              // a number
	ArgPtrToSpinLock                       // struct bpf_spin_lock in a map value or object
	ArgPtrToSockCommon                     // struct bpf_sock, its common part or more
	ArgPtrToSocket                         // struct bpf_sock of a full socket
	ArgPtrToBTFID                          // a kernel object, of type Proto.ArgBTF
	ArgPtrToRingbufMem                     // a reserved ring buffer record
	ArgConstAllocSizeOrZero                // constant size of the memory that the helper returns
	ArgPtrToBTFIDSockCommon                // a kernel socket, or struct bpf_sock
	ArgPtrToPercpuBTFID                    // a per-CPU kernel object
	ArgPtrToFunc                           // a callback
	ArgPtrToStack                          // pointer into the stack
	ArgPtrToConstStr                       // a constant string in a read-only map
	ArgPtrToTimer                          // struct bpf_timer in a map value
	ArgKptrXchgDest                        // field in which a kptr is exchanged
	ArgPtrToDynptr                         // struct bpf_dynptr on the stack

	// ArgPtrToIter is for kernel functions: an open-coded iterator on the stack.
	ArgPtrToIter
)

// Combinations that have a name in Linux.
const (
	ArgPtrToMapValueOrNull = PtrMaybeNull | ArgPtrToMapValue
	ArgPtrToMemOrNull      = PtrMaybeNull | ArgPtrToMem
	ArgPtrToCtxOrNull      = PtrMaybeNull | ArgPtrToCtx
	ArgPtrToSocketOrNull   = PtrMaybeNull | ArgPtrToSocket
	ArgPtrToStackOrNull    = PtrMaybeNull | ArgPtrToStack
	ArgPtrToBTFIDOrNull    = PtrMaybeNull | ArgPtrToBTFID
	ArgPtrToUninitMem      = MemUninit | MemWrite | ArgPtrToMem // the helper fills all of it
	ArgPtrToFixedSizeMem   = MemFixedSize | ArgPtrToMem         // of Proto.ArgSize bytes
)

// RetType is what a helper leaves in R0 (enum bpf_return_type, include/linux/bpf.h).
type RetType uint32

// Base reports the type without its flags.
func (r RetType) Base() RetType { return r & typeBaseMask }

// Has says that all of flags are set.
func (r RetType) Has(flags RetType) bool { return r&flags == flags }

// Base types of results.
const (
	RetInteger         RetType = iota
	RetVoid                    // nothing
	RetPtrToMapValue           // value of the map in an argument
	RetPtrToSocket             // struct bpf_sock of a full socket
	RetPtrToTcpSock            // struct bpf_tcp_sock
	RetPtrToSockCommon         // struct bpf_sock, the common part
	RetPtrToMem                // memory; its size is an argument
	RetPtrToMemOrBTFID         // memory, or a kernel object, as the argument has it
	RetPtrToBTFID              // a kernel object, of type Proto.RetBTF
)

// Combinations that have a name in Linux.
const (
	RetPtrToMapValueOrNull   = PtrMaybeNull | RetPtrToMapValue
	RetPtrToSocketOrNull     = PtrMaybeNull | RetPtrToSocket
	RetPtrToTcpSockOrNull    = PtrMaybeNull | RetPtrToTcpSock
	RetPtrToSockCommonOrNull = PtrMaybeNull | RetPtrToSockCommon
	RetPtrToMemOrNull        = PtrMaybeNull | RetPtrToMem
	RetPtrToRingbufMemOrNull = PtrMaybeNull | MemRingbuf | RetPtrToMem
	RetPtrToDynptrMemOrNull  = PtrMaybeNull | RetPtrToMem
	RetPtrToBTFIDOrNull      = PtrMaybeNull | RetPtrToBTFID
	RetPtrToBTFIDTrusted     = PtrTrusted | RetPtrToBTFID
)

// Allowed names a condition that a prototype puts on the program beyond its type
// (bpf_func_proto.allowed). A program that fails it gets "helper call is not allowed in probe".
type Allowed uint8

// Conditions of prototypes.
const (
	AllowedAlways           Allowed = iota
	AllowedDPath                    // bpf_d_path_allowed: iterators, and a list of functions and LSM hooks
	AllowedIMA                      // bpf_ima_inode_hash_allowed: LSM hooks that sleep
	AllowedSKStorageTracing         // bpf_sk_storage_tracing_allowed: not in functions of the storage itself
)

// Feature is a set of things that a kernel of any version may be without; a helper that needs one
// is then not known to any program type.
type Feature uint8

// Features.
const (
	// FeatureWriteUser is missing where the kernel is locked down (LOCKDOWN_BPF_WRITE_USER).
	FeatureWriteUser Feature = 1 << iota
	// FeatureKprobeOverride is CONFIG_BPF_KPROBE_OVERRIDE.
	FeatureKprobeOverride
)

// Proto is what is known of a helper without running it (struct bpf_func_proto,
// include/linux/bpf.h).
type Proto struct {
	ID   uint32 // enum bpf_func_id
	Name string // with the bpf_ prefix
	// Symbol is the name of Linux's prototype object without "_proto": where program types have
	// variants of a helper, it tells them apart. Empty for helpers that Linux does not have.
	Symbol string

	Args [5]ArgType
	Ret  RetType
	// ArgSize is the number of bytes of an argument with MemFixedSize.
	ArgSize [5]uint32
	// ArgBTF names the kernel structure that an ArgPtrToBTFID is, RetBTF that of a RetPtrToBTFID.
	// It is empty where the argument's own type decides.
	ArgBTF [5]string
	RetBTF string

	GPLOnly       bool    // only for programs with a license that is compatible with the GPL
	PktAccess     bool    // packet pointers may be passed as memory
	MightSleep    bool    // only in sleepable programs, and outside of RCU and similar sections
	AllowFastcall bool    // scratches only the registers of its arguments (bpf_fastcall)
	ChangesPacket bool    // packet pointers are invalid after the call
	Needs         Feature // what a kernel may have been built or booted without
	Allowed       Allowed // a further condition
}

// args shortens rows.
type args = [5]ArgType

// NumArgs is how many registers the helper reads.
func (p *Proto) NumArgs() int {
	for n := len(p.Args); n > 0; n-- {
		if p.Args[n-1] != ArgNone {
			return n
		}
	}
	return 0
}

// Callback is the index of the argument that is a callback, false where there is none.
func (p *Proto) Callback() (arg int, ok bool) {
	for i, a := range p.Args {
		if a.Base() == ArgPtrToFunc {
			return i, true
		}
	}
	return 0, false
}
