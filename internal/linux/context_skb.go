package linux

import "github.com/cilium/ebpf"

// Sizes in bytes of the context structures of packet programs (include/uapi/linux/bpf.h).
const (
	SKBSize   = 192 // struct __sk_buff
	XDPMDSize = 24  // struct xdp_md
)

// Offsets in bytes of the fields of struct __sk_buff. The backing block has the same layout.
const (
	SKBLen            = 0
	SKBPktType        = 4
	SKBMark           = 8
	SKBQueueMapping   = 12
	SKBProtocol       = 16
	SKBVlanPresent    = 20
	SKBVlanTCI        = 24
	SKBVlanProto      = 28
	SKBPriority       = 32
	SKBIngressIfindex = 36
	SKBIfindex        = 40
	SKBTCIndex        = 44
	SKBCB             = 48 // 20 bytes
	SKBHash           = 68
	SKBTCClassid      = 72
	SKBData           = 76
	SKBDataEnd        = 80
	SKBNapiID         = 84
	SKBFamily         = 88
	SKBRemoteIP4      = 92
	SKBLocalIP4       = 96
	SKBRemoteIP6      = 100 // 16 bytes
	SKBLocalIP6       = 116 // 16 bytes
	SKBRemotePort     = 132
	SKBLocalPort      = 136
	SKBDataMeta       = 140
	SKBFlowKeys       = 144
	SKBTstamp         = 152
	SKBWireLen        = 160
	SKBGSOSegs        = 164
	SKBSk             = 168
	SKBGSOSize        = 176
	SKBTstampType     = 180
	SKBHwtstamp       = 184
)

// skbFields are the fields of struct __sk_buff as bpf_skb_is_valid_access in net/core/filter.c
// allows them to every program type; what a type allows or forbids beyond that is in skbAccess.
func skbFields() []ContextField {
	word := func(name string, off uint32) ContextField {
		return ContextField{Name: name, Off: off, Size: 4, Back: off, Narrow: true}
	}
	part := func(name string, off uint32, width uint8) ContextField {
		f := word(name, off)
		f.Width = width
		return f
	}
	short := func(name string, off uint32, kind FieldKind) ContextField {
		f := part(name, off, 2)
		f.Kind = kind
		return f
	}
	whole := func(name string, off, size uint32, kind FieldKind, access Access) ContextField {
		return ContextField{Name: name, Off: off, Size: size, Back: off, Kind: kind, Access: access}
	}
	fields := []ContextField{
		{Name: "len", Off: SKBLen, Size: 4, Back: SKBLen, Kind: FieldPacketLen, Narrow: true},
		part("pkt_type", SKBPktType, 1),
		word("mark", SKBMark),
		short("queue_mapping", SKBQueueMapping, FieldQueue),
		part("protocol", SKBProtocol, 2),
		part("vlan_present", SKBVlanPresent, 1),
		part("vlan_tci", SKBVlanTCI, 2),
		part("vlan_proto", SKBVlanProto, 2),
		word("priority", SKBPriority),
		word("ingress_ifindex", SKBIngressIfindex),
		word("ifindex", SKBIfindex),
		short("tc_index", SKBTCIndex, FieldShort),
		{Name: "cb", Off: SKBCB, Size: 20, Back: SKBCB, Any: true},
		word("hash", SKBHash),
		short("tc_classid", SKBTCClassid, FieldShort),
		whole("data", SKBData, 4, FieldPacketData, ReadOnly),
		whole("data_end", SKBDataEnd, 4, FieldPacketEnd, ReadOnly),
		word("napi_id", SKBNapiID),
		part("family", SKBFamily, 2),
		whole("remote_ip4", SKBRemoteIP4, 4, FieldPlain, ReadOnly),
		whole("local_ip4", SKBLocalIP4, 4, FieldPlain, ReadOnly),
		part("remote_port", SKBRemotePort, 2),
		part("local_port", SKBLocalPort, 2),
		whole("data_meta", SKBDataMeta, 4, FieldPacketMeta, ReadOnly),
		whole("flow_keys", SKBFlowKeys, 8, FieldPlain, Hidden),
		whole("tstamp", SKBTstamp, 8, FieldPlain, ReadOnly),
		word("wire_len", SKBWireLen),
		part("gso_segs", SKBGSOSegs, 2),
		whole("sk", SKBSk, 8, FieldPlain, ReadOnly),
		part("gso_size", SKBGSOSize, 2),
		whole("tstamp_type", SKBTstampType, 1, FieldPlain, Hidden),
		whole("hwtstamp", SKBHwtstamp, 8, FieldPlain, ReadOnly),
	}
	for i := uint32(0); i < 16; i += 4 {
		fields = append(fields,
			whole("remote_ip6", SKBRemoteIP6+i, 4, FieldPlain, ReadOnly),
			whole("local_ip6", SKBLocalIP6+i, 4, FieldPlain, ReadOnly))
	}
	return fields
}

// socketFields describe the peer of the packet's socket.
func socketFields() []string {
	return []string{"family", "remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "remote_port", "local_port"}
}

// access is what a program type allows beyond or below skbFields.
type access struct{ hidden, writable, readable []string }

// skbAccess holds for each program type what its is_valid_access in net/core/filter.c says:
// sk_filter, tc_cls_act, cg_skb, lwt and sk_skb.
func skbAccess() map[ebpf.ProgramType]access {
	filter := access{
		hidden:   append(socketFields(), "tc_classid", "data", "data_meta", "data_end", "tstamp", "wire_len", "hwtstamp"),
		writable: []string{"cb"},
	}
	tc := access{
		hidden:   socketFields(),
		writable: []string{"mark", "tc_index", "priority", "tc_classid", "cb", "tstamp", "queue_mapping"},
		readable: []string{"tstamp_type"},
	}
	cgroup := access{
		hidden:   []string{"tc_classid", "data_meta", "wire_len"},
		writable: []string{"mark", "priority", "cb", "tstamp"},
	}
	lwt := access{
		hidden:   append(socketFields(), "tc_classid", "data_meta", "tstamp", "wire_len", "hwtstamp"),
		writable: []string{"mark", "priority", "cb"},
	}
	skskb := access{
		hidden:   []string{"tc_classid", "data_meta", "tstamp", "wire_len", "hwtstamp", "mark"},
		writable: []string{"tc_index", "priority"},
	}
	return map[ebpf.ProgramType]access{
		ebpf.SocketFilter: filter,
		ebpf.SchedCLS:     tc,
		ebpf.SchedACT:     tc,
		ebpf.CGroupSKB:    cgroup,
		ebpf.LWTIn:        lwt,
		ebpf.LWTOut:       lwt,
		ebpf.LWTXmit:      lwt,
		ebpf.LWTSeg6Local: lwt,
		ebpf.SkSKB:        skskb,
	}
}

// skBuff is struct __sk_buff as one program type sees it.
func skBuff(a access) *Context {
	fields := skbFields()
	set := func(names []string, to Access) {
		for _, name := range names {
			for i := range fields {
				if fields[i].Name == name {
					fields[i].Access = to
				}
			}
		}
	}
	set(a.readable, ReadOnly)
	set(a.writable, ReadWrite)
	set(a.hidden, Hidden)
	return newContext(Context{Name: "__sk_buff", Size: SKBSize, Fields: fields})
}
