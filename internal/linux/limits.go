package linux

// Limits of Linux that carom keeps (include/linux/bpf.h, include/linux/filter.h,
// include/linux/bpf_verifier.h).
const (
	MaxTailCalls    = 33      // MAX_TAIL_CALL_CNT: successful tail calls in one run
	MaxStack        = 512     // MAX_BPF_STACK, bytes of one frame chain
	MaxFrames       = 8       // MAX_CALL_FRAMES of one program
	MaxSubprogs     = 256     // BPF_MAX_SUBPROGS
	MaxUsedMaps     = 64      // MAX_USED_MAPS
	MaxLoops        = 1 << 23 // BPF_MAX_LOOPS, iterations of bpf_loop and may_goto
	MaxTraceArgs    = 12      // MAX_BPRINTF_VARARGS
	TracePrintkSize = 1024    // BPF_TRACE_PRINTK_SIZE, bytes of one line
	XDPHeadroom     = 256     // XDP_PACKET_HEADROOM, bytes before the packet
	MaxCPUs         = 256     // how many virtual CPUs a collection may have
)

// Flags of map updates (include/uapi/linux/bpf.h).
const (
	UpdateAny     = 0 // BPF_ANY
	UpdateNoExist = 1 // BPF_NOEXIST
	UpdateExist   = 2 // BPF_EXIST
	UpdateLock    = 4 // BPF_F_LOCK
)

// Flags of map creation (include/uapi/linux/bpf.h).
const (
	MapNoPrealloc    = 1 << 0  // BPF_F_NO_PREALLOC
	MapNoCommonLRU   = 1 << 1  // BPF_F_NO_COMMON_LRU
	MapNUMANode      = 1 << 2  // BPF_F_NUMA_NODE
	MapReadOnly      = 1 << 3  // BPF_F_RDONLY, for bpf(2)
	MapWriteOnly     = 1 << 4  // BPF_F_WRONLY, for bpf(2)
	MapStackBuildID  = 1 << 5  // BPF_F_STACK_BUILD_ID
	MapZeroSeed      = 1 << 6  // BPF_F_ZERO_SEED
	MapReadOnlyProg  = 1 << 7  // BPF_F_RDONLY_PROG
	MapWriteOnlyProg = 1 << 8  // BPF_F_WRONLY_PROG
	MapClone         = 1 << 9  // BPF_F_CLONE
	MapMmapable      = 1 << 10 // BPF_F_MMAPABLE
	MapPreserveElems = 1 << 11 // BPF_F_PRESERVE_ELEMS
	MapInnerMap      = 1 << 12 // BPF_F_INNER_MAP
)
