package linux

import "github.com/cilium/ebpf"

// cgroupSets are those of kernel/bpf/cgroup.c.
func cgroupSets() []helperSet {
	return []helperSet{
		{
			// cgroup_common_func_proto: programs whose result is not a verdict have no return value
			// to read or set.
			name: "cgroup_common", add: []string{"bpf_get_local_storage"},
			when: []helperCase{{
				notAttach: []ebpf.AttachType{
					ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupSockOps,
					ebpf.AttachCGroupUDP4Recvmsg, ebpf.AttachCGroupUDP6Recvmsg, ebpf.AttachCgroupUnixRecvmsg,
					ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet6GetPeername,
					ebpf.AttachCgroupUnixGetpeername, ebpf.AttachCgroupInet4GetSockname,
					ebpf.AttachCgroupInet6GetSockname, ebpf.AttachCgroupUnixGetsockname,
				},
				add: []string{"bpf_get_retval", "bpf_set_retval"},
			}},
		},
		{
			name: "cgroup_dev", of: []string{"base", "cgroup_common"}, types: []ebpf.ProgramType{ebpf.CGroupDevice},
			add: []string{"bpf_event_output_data"},
		},
		{
			name: "sysctl", of: []string{"base", "cgroup_common"}, types: []ebpf.ProgramType{ebpf.CGroupSysctl},
			add: []string{
				"bpf_sysctl_get_name", "bpf_sysctl_get_current_value", "bpf_sysctl_get_new_value",
				"bpf_sysctl_set_new_value", "bpf_ktime_get_coarse_ns", "bpf_event_output_data",
			},
		},
		{
			name: "cg_sockopt", of: []string{"base", "cgroup_common"}, types: []ebpf.ProgramType{ebpf.CGroupSockopt},
			add: []string{
				"bpf_get_netns_cookie_sockopt", "bpf_sk_storage_get", "bpf_sk_storage_delete", "bpf_tcp_sock",
				"bpf_event_output_data",
			},
			when: []helperCase{{
				attach: []ebpf.AttachType{ebpf.AttachCGroupSetsockopt},
				add:    []string{"bpf_sk_setsockopt", "bpf_sk_getsockopt"},
			}},
		},
		lsmSet(),
	}
}

// packetSets are those of net/core/filter.c whose programs see packets.
func packetSets() []helperSet {
	return []helperSet{
		{
			name: "sk_filter", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.SocketFilter},
			add: []string{
				"bpf_skb_load_bytes", "bpf_skb_load_bytes_relative", "bpf_get_socket_cookie",
				"bpf_get_netns_cookie", "bpf_get_socket_uid", "bpf_skb_event_output",
			},
		},
		{
			name: "cg_skb", of: []string{"sk_filter", "cgroup_common"}, types: []ebpf.ProgramType{ebpf.CGroupSKB},
			add: []string{
				"bpf_sk_fullsock", "bpf_sk_storage_get", "bpf_sk_storage_delete", "bpf_skb_event_output",
				"bpf_skb_cgroup_id", "bpf_skb_ancestor_cgroup_id", "bpf_sk_cgroup_id", "bpf_sk_ancestor_cgroup_id",
				"bpf_sk_lookup_tcp", "bpf_sk_lookup_udp", "bpf_sk_release", "bpf_skc_lookup_tcp", "bpf_tcp_sock",
				"bpf_get_listener_sock", "bpf_skb_ecn_set_ce",
			},
		},
		{
			name: "tc_cls_act", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.SchedCLS, ebpf.SchedACT},
			add: []string{
				"bpf_skb_store_bytes", "bpf_skb_load_bytes", "bpf_skb_load_bytes_relative", "bpf_skb_pull_data",
				"bpf_csum_diff", "bpf_csum_update", "bpf_csum_level", "bpf_l3_csum_replace", "bpf_l4_csum_replace",
				"bpf_clone_redirect", "bpf_get_cgroup_classid", "bpf_skb_vlan_push", "bpf_skb_vlan_pop",
				"bpf_skb_change_proto", "bpf_skb_change_type", "bpf_skb_adjust_room", "bpf_skb_change_tail",
				"bpf_skb_change_head", "bpf_skb_get_tunnel_key", "bpf_skb_set_tunnel_key",
				"bpf_skb_get_tunnel_opt", "bpf_skb_set_tunnel_opt", "bpf_redirect", "bpf_redirect_neigh",
				"bpf_redirect_peer", "bpf_get_route_realm", "bpf_get_hash_recalc", "bpf_set_hash_invalid",
				"bpf_set_hash", "bpf_skb_event_output", "bpf_get_smp_processor_id", "bpf_skb_under_cgroup",
				"bpf_get_socket_cookie", "bpf_get_netns_cookie", "bpf_get_socket_uid", "bpf_skb_fib_lookup",
				"bpf_skb_check_mtu", "bpf_sk_fullsock", "bpf_sk_storage_get", "bpf_sk_storage_delete",
				"bpf_skb_get_xfrm_state", "bpf_skb_cgroup_classid", "bpf_skb_cgroup_id",
				"bpf_skb_ancestor_cgroup_id", "bpf_tc_sk_lookup_tcp", "bpf_tc_sk_lookup_udp", "bpf_sk_release",
				"bpf_tcp_sock", "bpf_get_listener_sock", "bpf_tc_skc_lookup_tcp", "bpf_tcp_check_syncookie",
				"bpf_skb_ecn_set_ce", "bpf_tcp_gen_syncookie", "bpf_sk_assign", "bpf_skb_set_tstamp",
				"bpf_tcp_raw_gen_syncookie_ipv4", "bpf_tcp_raw_gen_syncookie_ipv6",
				"bpf_tcp_raw_check_syncookie_ipv4", "bpf_tcp_raw_check_syncookie_ipv6",
			},
		},
		{
			name: "xdp", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.XDP},
			add: []string{
				"bpf_xdp_event_output", "bpf_get_smp_processor_id", "bpf_csum_diff", "bpf_xdp_adjust_head",
				"bpf_xdp_adjust_meta", "bpf_xdp_redirect", "bpf_xdp_redirect_map", "bpf_xdp_adjust_tail",
				"bpf_xdp_get_buff_len", "bpf_xdp_load_bytes", "bpf_xdp_store_bytes", "bpf_xdp_fib_lookup",
				"bpf_xdp_check_mtu", "bpf_xdp_sk_lookup_udp", "bpf_xdp_sk_lookup_tcp", "bpf_sk_release",
				"bpf_xdp_skc_lookup_tcp", "bpf_tcp_check_syncookie", "bpf_tcp_gen_syncookie",
				"bpf_tcp_raw_gen_syncookie_ipv4", "bpf_tcp_raw_gen_syncookie_ipv6",
				"bpf_tcp_raw_check_syncookie_ipv4", "bpf_tcp_raw_check_syncookie_ipv6",
			},
		},
		{
			name: "lwt_out", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.LWTOut},
			add: []string{
				"bpf_skb_load_bytes", "bpf_skb_pull_data", "bpf_csum_diff", "bpf_get_cgroup_classid",
				"bpf_get_route_realm", "bpf_get_hash_recalc", "bpf_skb_event_output", "bpf_get_smp_processor_id",
				"bpf_skb_under_cgroup",
			},
		},
		{
			name: "lwt_in", of: []string{"lwt_out"}, types: []ebpf.ProgramType{ebpf.LWTIn},
			add: []string{"bpf_lwt_in_push_encap"},
		},
		{
			name: "lwt_xmit", of: []string{"lwt_out"}, types: []ebpf.ProgramType{ebpf.LWTXmit},
			add: []string{
				"bpf_skb_get_tunnel_key", "bpf_skb_set_tunnel_key", "bpf_skb_get_tunnel_opt",
				"bpf_skb_set_tunnel_opt", "bpf_redirect", "bpf_clone_redirect", "bpf_skb_change_tail",
				"bpf_skb_change_head", "bpf_skb_store_bytes", "bpf_csum_update", "bpf_csum_level",
				"bpf_l3_csum_replace", "bpf_l4_csum_replace", "bpf_set_hash_invalid", "bpf_lwt_xmit_push_encap",
			},
		},
		{
			name: "lwt_seg6local", of: []string{"lwt_out"}, types: []ebpf.ProgramType{ebpf.LWTSeg6Local},
			add: []string{"bpf_lwt_seg6_store_bytes", "bpf_lwt_seg6_action", "bpf_lwt_seg6_adjust_srh"},
		},
		{
			name: "flow_dissector", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.FlowDissector},
			add: []string{"bpf_flow_dissector_load_bytes"},
		},
	}
}

// socketSets are those of net/core/filter.c whose programs see sockets and their data.
func socketSets() []helperSet {
	connect := []ebpf.AttachType{ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect}
	return []helperSet{
		{
			name: "sock_filter", of: []string{"base", "cgroup_common"}, types: []ebpf.ProgramType{ebpf.CGroupSock},
			add: []string{
				"bpf_get_socket_cookie_sock", "bpf_get_netns_cookie_sock", "bpf_event_output_data",
				"bpf_sk_storage_get_cg_sock", "bpf_ktime_get_coarse_ns",
			},
		},
		{
			name: "sock_addr", of: []string{"sk_base", "cgroup_common"}, types: []ebpf.ProgramType{ebpf.CGroupSockAddr},
			add: []string{
				"bpf_get_socket_cookie_sock_addr", "bpf_get_netns_cookie_sock_addr", "bpf_event_output_data",
				"bpf_sock_addr_sk_lookup_tcp", "bpf_sock_addr_sk_lookup_udp", "bpf_sk_release",
				"bpf_sock_addr_skc_lookup_tcp", "bpf_sk_storage_get", "bpf_sk_storage_delete",
				"bpf_sock_addr_setsockopt", "bpf_sock_addr_getsockopt",
			},
			when: []helperCase{{attach: connect, add: []string{"bpf_bind"}}},
		},
		{
			name: "sock_ops", of: []string{"sk_base", "cgroup_common"}, types: []ebpf.ProgramType{ebpf.SockOps},
			add: []string{
				"bpf_sock_ops_setsockopt", "bpf_sock_ops_getsockopt", "bpf_sock_ops_cb_flags_set",
				"bpf_sock_map_update", "bpf_sock_hash_update", "bpf_get_socket_cookie_sock_ops",
				"bpf_event_output_data", "bpf_sk_storage_get", "bpf_sk_storage_delete",
				"bpf_get_netns_cookie_sock_ops", "bpf_sock_ops_load_hdr_opt", "bpf_sock_ops_store_hdr_opt",
				"bpf_sock_ops_reserve_hdr_opt", "bpf_tcp_sock",
			},
		},
		{
			name: "sk_msg", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.SkMsg},
			add: []string{
				"bpf_msg_redirect_map", "bpf_msg_redirect_hash", "bpf_msg_apply_bytes", "bpf_msg_cork_bytes",
				"bpf_msg_pull_data", "bpf_msg_push_data", "bpf_msg_pop_data", "bpf_event_output_data",
				"bpf_sk_storage_get", "bpf_sk_storage_delete", "bpf_get_netns_cookie_sk_msg",
			},
		},
		{
			name: "sk_skb", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.SkSKB},
			add: []string{
				"bpf_skb_store_bytes", "bpf_skb_load_bytes", "sk_skb_pull_data", "sk_skb_change_tail",
				"sk_skb_change_head", "sk_skb_adjust_room", "bpf_get_socket_cookie", "bpf_get_socket_uid",
				"bpf_sk_redirect_map", "bpf_sk_redirect_hash", "bpf_skb_event_output", "bpf_sk_lookup_tcp",
				"bpf_sk_lookup_udp", "bpf_sk_release", "bpf_skc_lookup_tcp",
			},
		},
		{
			name: "sk_reuseport", of: []string{"base"}, types: []ebpf.ProgramType{ebpf.SkReuseport},
			add: []string{
				"sk_select_reuseport", "sk_reuseport_load_bytes", "sk_reuseport_load_bytes_relative",
				"bpf_get_socket_ptr_cookie", "bpf_ktime_get_coarse_ns",
			},
		},
		{
			name: "sk_lookup", of: []string{"sk_base"}, types: []ebpf.ProgramType{ebpf.SkLookup},
			add: []string{"bpf_event_output_data", "bpf_sk_lookup_assign", "bpf_sk_release"},
		},
	}
}
