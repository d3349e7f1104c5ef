package verifier

import "github.com/carom-bpf/carom/internal/linux"

// RegType is the kind of value in a register or spilled slot: a base kind and flags (enum
// bpf_reg_type and bpf_type_flag, include/linux/bpf.h).
type RegType uint32

// Base kinds.
const (
	NotInit RegType = iota
	ScalarValue
	PtrToCtx
	ConstPtrToMap
	PtrToMapValue
	PtrToMapKey
	PtrToStack
	PtrToPacketMeta
	PtrToPacket
	PtrToPacketEnd
	PtrToFlowKeys
	PtrToSocket
	PtrToSockCommon
	PtrToTCPSock
	PtrToTPBuffer
	PtrToXDPSock
	PtrToBTFID
	PtrToMem
	PtrToArena
	PtrToBuf
	PtrToFunc
	ConstPtrToDynptr
	numRegTypes
)

// Flags of a kind, with the bits that package linux gives them in prototypes.
const (
	MaybeNull    = RegType(linux.PtrMaybeNull) // may be NULL until the program has compared it
	MemRdonly    = RegType(linux.MemRdonly)    // points to memory that is not written
	MemRingbuf   = RegType(linux.MemRingbuf)   // a reserved ring buffer record
	MemUser      = RegType(linux.MemUser)      // an address of user space
	MemPercpu    = RegType(linux.MemPercpu)
	PtrUntrusted = RegType(linux.PtrUntrusted)
	MemAlloc     = RegType(linux.MemAlloc)
	PtrTrusted   = RegType(linux.PtrTrusted)
	MemRCU       = RegType(linux.MemRcu)
	NonOwnRef    = RegType(linux.NonOwnRef)

	baseMask RegType = 0xff
)

// base strips the flags.
func (t RegType) base() RegType { return t & baseMask }

// flags strips the base.
func (t RegType) flags() RegType { return t &^ baseMask }

func (t RegType) mayBeNull() bool { return t&MaybeNull != 0 }

// isPacket says that t points into the packet or its metadata.
func (t RegType) isPacket() bool {
	return t.base() == PtrToPacket || t.base() == PtrToPacketMeta
}

// isAnyPacket is isPacket with the packet's end.
func (t RegType) isAnyPacket() bool { return t.isPacket() || t == PtrToPacketEnd }

// isSock says that t points to one of the socket structures whose fields programs read.
func (t RegType) isSock() bool {
	switch t.base() {
	case PtrToSocket, PtrToSockCommon, PtrToTCPSock, PtrToXDPSock:
		return true
	}
	return false
}

// names as Linux prints them (reg_type_str, kernel/bpf/log.c).
var regTypeNames = [numRegTypes]string{
	NotInit:          "?",
	ScalarValue:      "scalar",
	PtrToCtx:         "ctx",
	ConstPtrToMap:    "map_ptr",
	PtrToMapValue:    "map_value",
	PtrToMapKey:      "map_key",
	PtrToStack:       "fp",
	PtrToPacketMeta:  "pkt_meta",
	PtrToPacket:      "pkt",
	PtrToPacketEnd:   "pkt_end",
	PtrToFlowKeys:    "flow_keys",
	PtrToSocket:      "sock",
	PtrToSockCommon:  "sock_common",
	PtrToTCPSock:     "tcp_sock",
	PtrToTPBuffer:    "tp_buffer",
	PtrToXDPSock:     "xdp_sock",
	PtrToBTFID:       "ptr_",
	PtrToMem:         "mem",
	PtrToArena:       "arena",
	PtrToBuf:         "buf",
	PtrToFunc:        "func",
	ConstPtrToDynptr: "dynptr_ptr",
}

// prefixes of the flags, in the order in which Linux prints them.
var regTypePrefixes = [...]struct {
	flag RegType
	text string
}{
	{MemRdonly, "rdonly_"},
	{MemRingbuf, "ringbuf_"},
	{MemUser, "user_"},
	{MemPercpu, "percpu_"},
	{PtrUntrusted, "untrusted_"},
	{PtrTrusted, "trusted_"},
	{MemRCU, "rcu_"},
}

// String names the kind as Linux's log does.
func (t RegType) String() string {
	s := ""
	for _, p := range regTypePrefixes {
		if t&p.flag != 0 {
			s += p.text
		}
	}
	if t.base() >= numRegTypes {
		return s + "?"
	}
	s += regTypeNames[t.base()]
	if t.mayBeNull() {
		if t.base() == PtrToBTFID {
			return s + "or_null_"
		}
		return s + "_or_null"
	}
	return s
}
