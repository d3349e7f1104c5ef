package linux

import "github.com/cilium/ebpf"

// flow_dissector_is_valid_access, net/core/filter.c.
func flowDissectorRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("__sk_buff", []accessRule{
		{off: SKBData, end: SKBData + 4, load: word, value: CtxPacket},
		{off: SKBDataEnd, end: SKBDataEnd + 4, load: word, value: CtxPacketEnd},
		{off: SKBFlowKeys, end: SKBFlowKeys + 8, load: double, value: CtxFlowKeys},
	})
}

// sk_msg_is_valid_access, net/core/filter.c.
func skMsgRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("sk_msg_md", []accessRule{
		{off: 0, end: 8, load: double, value: CtxPacket},     // data
		{off: 8, end: 16, load: double, value: CtxPacketEnd}, // data_end
		{off: 16, end: 72, load: word},                       // family to size
		{off: 72, end: 80, load: double, value: CtxSocket},   // sk
	})
}

// sk_lookup_is_valid_access, net/core/filter.c.
func skLookupRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("bpf_sk_lookup", []accessRule{
		{off: 0, end: 8, load: double, value: CtxSocketOrNull}, // sk
		{off: 8, end: 36, load: narrow, full: 4},               // family to remote_ip6
		{off: 36, end: 40, load: short, full: 2},               // remote_port and its padding
		{off: 36, end: 37, load: word},                         // both at once
		{off: 40, end: 68, load: narrow, full: 4},              // local_ip4 to ingress_ifindex
	})
}

// sk_reuseport_is_valid_access, net/core/filter.c.
func skReuseportRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("sk_reuseport_md", []accessRule{
		{off: 0, end: 1, load: double, value: CtxPacket},             // data
		{off: 8, end: 9, load: double, value: CtxPacketEnd},          // data_end
		{off: 16, end: 20, load: narrow, full: 4},                    // len
		{off: 20, end: 24, load: narrow &^ byteOnly, full: 4},        // eth_protocol
		{off: 24, end: 32, load: narrow, full: 4},                    // ip_protocol, bind_inany
		{off: 32, end: 33, load: word},                               // hash
		{off: 40, end: 41, load: double, value: CtxSocket},           // sk
		{off: 48, end: 49, load: double, value: CtxSockCommonOrNull}, // migrating_sk
	})
}

// cgroup_dev_is_valid_access, kernel/bpf/cgroup.c.
func cgroupDevRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("bpf_cgroup_dev_ctx", []accessRule{
		{off: 0, end: 4, load: narrow, full: 4}, // access_type
		{off: 4, end: 12, load: word},           // major, minor
	})
}

// sysctl_is_valid_access, kernel/bpf/cgroup.c.
func sysctlRules(ebpf.AttachType, *Arch) *CtxRules {
	return newCtxRules("bpf_sysctl", []accessRule{
		{off: 0, end: 4, load: narrow, full: 4},              // write
		{off: 4, end: 8, load: narrow, store: word, full: 4}, // file_pos
	})
}

// cg_sockopt_is_valid_access, kernel/bpf/cgroup.c.
func sockoptRules(attach ebpf.AttachType, _ *Arch) *CtxRules {
	level := accessRule{off: 24, end: 32, load: word} // level, optname
	retval := accessRule{off: 36, end: 40}
	if attach == ebpf.AttachCGroupSetsockopt {
		level.store = word
	}
	if attach == ebpf.AttachCGroupGetsockopt {
		retval.load, retval.store = word, word
	}
	return newCtxRules("bpf_sockopt", []accessRule{
		{off: 0, end: 8, load: double, value: CtxSocket},      // sk
		{off: 8, end: 16, load: double, value: CtxPacket},     // optval
		{off: 16, end: 24, load: double, value: CtxPacketEnd}, // optval_end
		level,
		{off: 32, end: 36, load: word, store: word}, // optlen
		retval,
	})
}
