package linux

// ArgType is what a helper takes in one register (enum bpf_arg_type, include/linux/bpf.h).
type ArgType uint8

// Argument types.
const (
	ArgNone          ArgType = iota // the register is not used
	ArgAnything                     // any initialised value
	ArgCtx                          // the context pointer
	ArgMapPtr                       // a map
	ArgMapKey                       // key of the map in an earlier argument
	ArgMapValue                     // value of that map, to read
	ArgMapValueOut                  // value of that map, to write
	ArgMem                          // memory to read; the next argument is its size
	ArgMemOut                       // memory to write; the next argument is its size
	ArgMemOrNull                    // as ArgMem, or NULL
	ArgSize                         // size of the memory before it, at least 1
	ArgSizeOrZero                   // size of the memory before it
	ArgAllocSize                    // constant size of the memory that the helper returns
	ArgFunc                         // a callback
	ArgStackOrNull                  // pointer into the stack, or NULL
	ArgRingbufRecord                // a reserved ring buffer record
	ArgConstString                  // a constant string in a read-only map
	ArgLong                         // pointer to a long, to write
	ArgInt                          // pointer to an int, to write
	ArgCtxOrNull                    // the context pointer, or NULL
	ArgMemOutOrNull                 // as ArgMemOut, or NULL
	ArgSpinLock                     // pointer to a struct bpf_spin_lock in a map value
	ArgIter                         // pointer to an open-coded iterator on the stack
	ArgSocket                       // a socket that the program holds a reference to
)

// RetType is what a helper leaves in R0 (enum bpf_return_type, include/linux/bpf.h).
type RetType uint8

// Return types.
const (
	RetInteger RetType = iota
	RetVoid
	RetMapValueOrNull
	RetRingbufRecordOrNull
	RetMemOrNull
	RetMapValue
	RetSocketOrNull // with a reference that the program must release
)

// Proto is what is known of a helper without running it.
type Proto struct {
	ID   uint32 // enum bpf_func_id
	Name string // with the bpf_ prefix
	Args [5]ArgType
	Ret  RetType
	// ChangesPacket says that packet pointers are invalid after the call.
	ChangesPacket bool
}
