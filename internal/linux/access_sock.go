package linux

import (
	"slices"

	"github.com/cilium/ebpf"
)

// bpfSockRules are the reads of struct bpf_sock (bpf_sock_is_valid_access, net/core/filter.c).
// Fields of one value take narrow loads at their start only, addresses anywhere.
func bpfSockRules() []accessRule {
	at := func(off int) accessRule { return accessRule{off: off, end: off + 1, load: narrow, full: 4} }
	return []accessRule{
		{off: 0, end: 80, load: word},
		at(4), at(8), at(12), // family, type, protocol
		{off: 24, end: 44, load: narrow, full: 4}, // src_ip4, src_ip6
		at(44),                                   // src_port
		{off: 48, end: 50, load: short, full: 2}, // dst_port
		{off: 48, end: 49, load: word, full: 4},
		{off: 52, end: 72, load: narrow, full: 4}, // dst_ip4, dst_ip6
		at(72), at(76), // state, rx_queue_mapping
	}
}

// NewSocketRules returns the reads through PTR_TO_SOCKET (bpf_sock_is_valid_access). Where a
// read is refused, Linux says "R%d invalid sock access off=%d size=%d" (EACCES).
func NewSocketRules() *CtxRules { return newCtxRules("bpf_sock", bpfSockRules()) }

// NewSockCommonRules returns the reads through PTR_TO_SOCK_COMMON: struct bpf_sock without the
// fields of a full socket (bpf_sock_common_is_valid_access).
func NewSockCommonRules() *CtxRules {
	r := newCtxRules("bpf_sock", bpfSockRules())
	for off := 8; off < 24; off++ { // type to priority
		r.cells[off] = ctxCell{}
	}
	return r
}

// NewTCPSockRules returns the reads through PTR_TO_TCP_SOCK (bpf_tcp_sock_is_valid_access). Linux
// takes reads of the upper halves of bytes_received and bytes_acked too, then cannot translate
// them and fails with EFAULT ("verifier bug"); here they are refused like any other.
func NewTCPSockRules() *CtxRules {
	return newCtxRules("bpf_tcp_sock", []accessRule{
		{off: 0, end: 80, load: word},
		{off: 80, end: 81, load: double}, // bytes_received
		{off: 88, end: 89, load: double}, // bytes_acked
		{off: 96, end: 112, load: word},
	})
}

// NewXDPSockRules returns the reads through PTR_TO_XDP_SOCK (bpf_xdp_sock_is_valid_access).
func NewXDPSockRules() *CtxRules {
	return newCtxRules("bpf_xdp_sock", []accessRule{{off: 0, end: 4, load: word}})
}

// FlowKeysSize is the size in bytes of struct bpf_flow_keys. Programs read and write it with any
// size and alignment inside its bounds (check_flow_keys_access, kernel/bpf/verifier.c).
const FlowKeysSize = 56

// sock_filter_is_valid_access with __sock_filter_check_attach_type, net/core/filter.c.
func cgroupSockRules(attach ebpf.AttachType, _ *Arch) *CtxRules {
	r := newCtxRules("bpf_sock", bpfSockRules())
	create := attach == ebpf.AttachCGroupInetSockCreate || attach == ebpf.AttachCgroupInetSockRelease
	bind4, bind6 := attach == ebpf.AttachCGroupInet4PostBind, attach == ebpf.AttachCGroupInet6PostBind
	for _, off := range []int{0, 16, 20} { // bound_dev_if, mark, priority
		r.cells[off] = ctxCell{}
		if create {
			r.cells[off] = newCtxRules("", []accessRule{{off: 0, end: 1, load: word, store: word}}).cells[0]
		}
	}
	hide := func(off, end int) {
		for ; off < end; off++ {
			r.cells[off] = ctxCell{}
		}
	}
	if !bind4 {
		hide(24, 28) // src_ip4
	}
	if !bind6 {
		hide(28, 44) // src_ip6
	}
	if !bind4 && !bind6 {
		hide(44, 48) // src_port
	}
	return r
}

// sock_addr_is_valid_access, net/core/filter.c.
func sockAddrRules(attach ebpf.AttachType, _ *Arch) *CtxRules {
	v4 := []ebpf.AttachType{ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet4Connect, ebpf.AttachCgroupInet4GetPeername,
		ebpf.AttachCgroupInet4GetSockname, ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP4Recvmsg}
	v6 := []ebpf.AttachType{ebpf.AttachCGroupInet6Bind, ebpf.AttachCGroupInet6Connect, ebpf.AttachCgroupInet6GetPeername,
		ebpf.AttachCgroupInet6GetSockname, ebpf.AttachCGroupUDP6Sendmsg, ebpf.AttachCGroupUDP6Recvmsg}
	rules := []accessRule{
		{off: 0, end: 4, load: word},                           // user_family
		{off: 24, end: 28, load: narrow, store: word, full: 4}, // user_port
		{off: 28, end: 40, load: word},                         // family, type, protocol
		{off: 64, end: 72, load: double, value: CtxSocket},     // sk
	}
	if slices.Contains(v4, attach) {
		rules = append(rules, accessRule{off: 4, end: 8, load: narrow, store: word, full: 4}) // user_ip4
	}
	if slices.Contains(v6, attach) {
		rules = append(rules, address6(8)...) // user_ip6
	}
	if attach == ebpf.AttachCGroupUDP4Sendmsg {
		rules = append(rules, accessRule{off: 40, end: 44, load: narrow, store: word, full: 4}) // msg_src_ip4
	}
	if attach == ebpf.AttachCGroupUDP6Sendmsg {
		rules = append(rules, address6(44)...) // msg_src_ip6
	}
	return newCtxRules("bpf_sock_addr", rules)
}

// address6 is an IPv6 address of four words that also takes aligned 8-byte accesses
// (bpf_ctx_wide_access_ok).
func address6(off int) []accessRule {
	return []accessRule{
		{off: off, end: off + 16, load: narrow, store: word, full: 4},
		{off: off, end: off + 16, load: double, store: double, fit: true},
	}
}

// sock_ops_is_valid_access, net/core/filter.c.
func sockOpsRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("bpf_sock_ops", []accessRule{
		{off: 0, end: 168, load: word},
		{off: 4, end: 5, store: word},                              // reply
		{off: 164, end: 165, store: word},                          // sk_txhash
		{off: 168, end: 184, load: double},                         // bytes_received, bytes_acked
		{off: 184, end: 192, load: double, value: CtxSocketOrNull}, // sk
		{off: 192, end: 200, load: double, value: CtxPacket},       // skb_data
		{off: 200, end: 208, load: double, value: CtxPacketEnd},    // skb_data_end
		{off: 208, end: 216, load: word},                           // skb_len, skb_tcp_flags
		{off: 212, end: 213, load: narrow, full: 4},                // skb_tcp_flags
		{off: 216, end: 224, load: double},                         // skb_hwtstamp
	})
}
