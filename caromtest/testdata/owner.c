// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Programs of many types and attach types that user space tries to put into one
 * program array. None of them refers to the array, so all of them load. */
#include "common.h"

PROG_ARRAY(jmp_table, 4);

#define MEMBER(section, name) \
	SEC(section)          \
	int name(void *ctx)   \
	{                     \
		(void)ctx;    \
		return 1;     \
	}

MEMBER("tc", tc_prog)
MEMBER("tcx/ingress", tcx_ingress_prog)
MEMBER("tcx/egress", tcx_egress_prog)
MEMBER("action", tc_action_prog)
MEMBER("socket", socket_filter_prog)
MEMBER("xdp", xdp_prog)
MEMBER("xdp.frags", xdp_frags_prog)
MEMBER("xdp/cpumap", xdp_cpumap_prog)
MEMBER("xdp/devmap", xdp_devmap_prog)
MEMBER("kprobe", kprobe_prog)
MEMBER("kprobe.multi", kprobe_multi_prog)
MEMBER("uprobe.multi", uprobe_multi_prog)
MEMBER("tracepoint", tracepoint_prog)
MEMBER("raw_tp", raw_tracepoint_prog)
MEMBER("perf_event", perf_event_prog)
MEMBER("cgroup_skb/ingress", cgroup_skb_ingress_prog)
MEMBER("cgroup_skb/egress", cgroup_skb_egress_prog)
MEMBER("cgroup/connect4", cgroup_connect4_prog)
MEMBER("cgroup/connect6", cgroup_connect6_prog)
