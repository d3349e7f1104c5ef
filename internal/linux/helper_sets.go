package linux

import "github.com/cilium/ebpf"

// helperSet is the helpers that one get_func_proto function of Linux hands out: those of the
// sets in of, in that order, then its own, then those that depend on how the program is attached.
// What comes later takes the place of an earlier variant of the same helper.
type helperSet struct {
	name  string
	types []ebpf.ProgramType // that use the set
	of    []string
	add   []string // Proto.Symbol
	drop  []uint32
	when  []helperCase
}

// helperCase is a part of a set for some programs only.
type helperCase struct {
	attach    []ebpf.AttachType // one of these, or any when empty
	notAttach []ebpf.AttachType // none of these
	to        []string          // attached to one of these, or to anything when empty
	sleepable bool              // sleepable programs only
	add       []string
	drop      []uint32
}

// helperSets lists the sets, each after those it builds on.
func helperSets() []helperSet {
	var all []helperSet
	for _, family := range [][]helperSet{baseSets(), tracingSets(), cgroupSets(), packetSets(), socketSets()} {
		all = append(all, family...)
	}
	return all
}

// baseSets are what every program type gets (kernel/bpf/helpers.c, bpf_base_func_proto;
// net/core/filter.c, bpf_sk_base_func_proto), and the types that get little more.
func baseSets() []helperSet {
	return []helperSet{
		{
			name: "base", types: []ebpf.ProgramType{ebpf.Netfilter},
			add: []string{
				"bpf_map_lookup_elem", "bpf_map_update_elem", "bpf_map_delete_elem", "bpf_map_push_elem",
				"bpf_map_pop_elem", "bpf_map_peek_elem", "bpf_map_lookup_percpu_elem",
				"bpf_get_prandom_u32", "bpf_get_raw_smp_processor_id", "bpf_get_numa_node_id", "bpf_tail_call",
				"bpf_ktime_get_ns", "bpf_ktime_get_boot_ns", "bpf_ktime_get_tai_ns", "bpf_jiffies64",
				"bpf_ringbuf_output", "bpf_ringbuf_reserve", "bpf_ringbuf_submit", "bpf_ringbuf_discard",
				"bpf_ringbuf_query", "bpf_ringbuf_reserve_dynptr", "bpf_ringbuf_submit_dynptr",
				"bpf_ringbuf_discard_dynptr", "bpf_user_ringbuf_drain",
				"bpf_strncmp", "bpf_strtol", "bpf_strtoul", "bpf_snprintf", "bpf_snprintf_btf",
				"bpf_get_current_pid_tgid", "bpf_get_ns_current_pid_tgid", "bpf_get_current_uid_gid",
				"bpf_get_current_comm", "bpf_get_current_task", "bpf_get_current_task_btf", "bpf_task_pt_regs",
				"bpf_get_current_cgroup_id", "bpf_get_current_ancestor_cgroup_id",
				"bpf_current_task_under_cgroup", "bpf_get_cgroup_classid_curr",
				"bpf_cgrp_storage_get", "bpf_cgrp_storage_delete", "bpf_task_storage_get_recur",
				"bpf_task_storage_delete_recur",
				"bpf_spin_lock", "bpf_spin_unlock", "bpf_per_cpu_ptr", "bpf_this_cpu_ptr", "bpf_kptr_xchg",
				"bpf_timer_init", "bpf_timer_set_callback", "bpf_timer_start", "bpf_timer_cancel",
				"bpf_for_each_map_elem", "bpf_loop", "bpf_find_vma",
				"bpf_dynptr_from_mem", "bpf_dynptr_read", "bpf_dynptr_write", "bpf_dynptr_data",
				"bpf_trace_printk", "bpf_trace_vprintk", "bpf_perf_event_read", "bpf_perf_event_read_value",
				"bpf_probe_read_user", "bpf_probe_read_kernel", "bpf_probe_read_user_str",
				"bpf_probe_read_kernel_str", "bpf_copy_from_user", "bpf_copy_from_user_task",
				"bpf_send_signal", "bpf_send_signal_thread", "bpf_get_task_stack", "bpf_get_branch_snapshot",
			},
			when: []helperCase{{sleepable: true, add: []string{"bpf_get_task_stack_sleepable"}}},
		},
		{
			name: "sk_base", of: []string{"base"},
			add: []string{
				"bpf_skc_to_tcp6_sock", "bpf_skc_to_tcp_sock", "bpf_skc_to_tcp_timewait_sock",
				"bpf_skc_to_tcp_request_sock", "bpf_skc_to_udp6_sock", "bpf_skc_to_unix_sock",
				"bpf_skc_to_mptcp_sock", "bpf_ktime_get_coarse_ns",
			},
		},
		{
			// net/ipv4/bpf_tcp_ca.c, bpf_tcp_ca_get_func_proto. A member is named as in
			// "tcp_congestion_ops:ssthresh".
			name: "struct_ops", of: []string{"base"}, types: []ebpf.ProgramType{ebpf.StructOps},
			add: []string{"bpf_task_storage_get", "bpf_task_storage_delete"},
			when: []helperCase{
				{
					to: []string{"tcp_congestion_ops"},
					add: []string{
						"bpf_tcp_send_ack", "bpf_sk_storage_get", "bpf_sk_storage_delete", "bpf_sk_setsockopt",
						"bpf_sk_getsockopt", "bpf_ktime_get_coarse_ns",
					},
				},
				{to: []string{"tcp_congestion_ops:release"}, drop: []uint32{FuncSetsockopt, FuncGetsockopt}},
			},
		},
		{
			// drivers/media/rc/bpf-lirc.c, lirc_mode2_func_proto: no base set.
			name: "lirc_mode2", types: []ebpf.ProgramType{ebpf.LircMode2},
			add: []string{
				"bpf_rc_repeat", "bpf_rc_keydown", "bpf_rc_pointer_rel",
				"bpf_map_lookup_elem", "bpf_map_update_elem", "bpf_map_delete_elem", "bpf_map_push_elem",
				"bpf_map_pop_elem", "bpf_map_peek_elem", "bpf_ktime_get_ns", "bpf_ktime_get_boot_ns",
				"bpf_tail_call", "bpf_get_prandom_u32", "bpf_trace_printk",
			},
		},
	}
}

// tracingSets are those of kernel/trace/bpf_trace.c, kernel/bpf/bpf_lsm.c and
// kernel/bpf/syscall.c.
func tracingSets() []helperSet {
	kprobeMulti := []ebpf.AttachType{ebpf.AttachTraceKprobeMulti, ebpf.AttachTraceKprobeSession}
	uprobeMulti := []ebpf.AttachType{ebpf.AttachTraceUprobeMulti, attachTraceUprobeSession}
	trampoline := []ebpf.AttachType{
		ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit, ebpf.AttachModifyReturn, ebpf.AttachLSMMac, ebpf.AttachLSMCgroup,
	}
	return []helperSet{
		{
			name: "bpf_tracing", of: []string{"base"},
			add: []string{
				"bpf_get_smp_processor_id", "bpf_probe_read_compat", "bpf_probe_read_compat_str",
				"bpf_get_func_ip_tracing", "bpf_probe_write_user",
			},
		},
		{
			name: "kprobe", of: []string{"bpf_tracing"}, types: []ebpf.ProgramType{ebpf.Kprobe},
			add: []string{
				"bpf_perf_event_output", "bpf_get_stackid", "bpf_get_stack", "bpf_override_return",
				"bpf_get_func_ip_kprobe", "bpf_get_attach_cookie_trace",
			},
			when: []helperCase{
				{sleepable: true, add: []string{"bpf_get_stack_sleepable"}},
				{attach: kprobeMulti, add: []string{"bpf_get_func_ip_kprobe_multi", "bpf_get_attach_cookie_kmulti"}},
				{attach: uprobeMulti, add: []string{"bpf_get_func_ip_uprobe_multi", "bpf_get_attach_cookie_umulti"}},
			},
		},
		{
			name: "tp", of: []string{"bpf_tracing"}, types: []ebpf.ProgramType{ebpf.TracePoint},
			add: []string{
				"bpf_perf_event_output_tp", "bpf_get_stackid_tp", "bpf_get_stack_tp", "bpf_get_attach_cookie_trace",
			},
		},
		{
			name: "pe", of: []string{"bpf_tracing"}, types: []ebpf.ProgramType{ebpf.PerfEvent},
			add: []string{
				"bpf_perf_event_output_tp", "bpf_get_stackid_pe", "bpf_get_stack_pe", "bpf_perf_prog_read_value",
				"bpf_read_branch_records", "bpf_get_attach_cookie_pe",
			},
		},
		{
			name: "raw_tp", of: []string{"bpf_tracing"},
			types: []ebpf.ProgramType{ebpf.RawTracepoint, ebpf.RawTracepointWritable},
			add: []string{
				"bpf_perf_event_output_raw_tp", "bpf_get_stackid_raw_tp", "bpf_get_stack_raw_tp",
				"bpf_get_attach_cookie_tracing",
			},
		},
		{
			name: "tracing", of: []string{"raw_tp"}, types: []ebpf.ProgramType{ebpf.Tracing},
			add: []string{
				"bpf_skb_output", "bpf_xdp_output", "bpf_skc_to_tcp6_sock", "bpf_skc_to_tcp_sock",
				"bpf_skc_to_tcp_timewait_sock", "bpf_skc_to_tcp_request_sock", "bpf_skc_to_udp6_sock",
				"bpf_skc_to_unix_sock", "bpf_skc_to_mptcp_sock", "bpf_sk_storage_get_tracing",
				"bpf_sk_storage_delete_tracing", "bpf_sock_from_file", "bpf_get_socket_ptr_cookie",
				"bpf_xdp_get_buff_len_trace", "bpf_d_path",
			},
			drop: []uint32{FuncGetAttachCookie},
			when: []helperCase{
				{attach: []ebpf.AttachType{ebpf.AttachTraceRawTp}, add: []string{"bpf_get_attach_cookie_tracing"}},
				{attach: trampoline, add: []string{
					"bpf_get_attach_cookie_tracing", "bpf_get_func_arg", "bpf_get_func_ret", "bpf_get_func_arg_cnt",
				}},
				{attach: []ebpf.AttachType{ebpf.AttachTraceIter}, add: []string{
					"bpf_seq_printf", "bpf_seq_write", "bpf_seq_printf_btf", "bpf_task_storage_get", "bpf_task_storage_delete",
				}},
				// net/ipv4/tcp_ipv4.c and net/unix/af_unix.c, their iterators.
				{attach: []ebpf.AttachType{ebpf.AttachTraceIter}, to: []string{"tcp", "unix"}, add: []string{
					"bpf_sk_setsockopt", "bpf_sk_getsockopt",
				}},
			},
		},
		{
			name: "syscall", of: []string{"tracing"}, types: []ebpf.ProgramType{ebpf.Syscall},
			add: []string{"bpf_sys_bpf", "bpf_btf_find_by_name_kind", "bpf_sys_close", "bpf_kallsyms_lookup_name"},
		},
	}
}

// lsmSet is bpf_lsm_func_proto (kernel/bpf/bpf_lsm.c).
func lsmSet() helperSet {
	cgroup := []ebpf.AttachType{ebpf.AttachLSMCgroup}
	return helperSet{
		name: "lsm", of: []string{"tracing"}, types: []ebpf.ProgramType{ebpf.LSM},
		add: []string{
			"bpf_inode_storage_get", "bpf_inode_storage_delete", "bpf_sk_storage_get", "bpf_sk_storage_delete",
			"bpf_bprm_opts_set", "bpf_ima_inode_hash", "bpf_ima_file_hash", "bpf_get_attach_cookie",
			"bpf_task_storage_get", "bpf_task_storage_delete",
		},
		when: []helperCase{
			{attach: cgroup, add: []string{"bpf_get_local_storage", "bpf_get_retval", "bpf_set_retval"}},
			{attach: cgroup, to: []string{"sock_graft", "inet_csk_clone", "inet_conn_established"}, add: []string{
				"bpf_sk_setsockopt", "bpf_sk_getsockopt",
			}},
			{attach: cgroup, to: []string{"socket_post_create", "socket_socketpair"}, add: []string{
				"bpf_unlocked_sk_setsockopt", "bpf_unlocked_sk_getsockopt",
			}},
		},
	}
}

// attachTraceUprobeSession is BPF_TRACE_UPROBE_SESSION.
const attachTraceUprobeSession ebpf.AttachType = 57
