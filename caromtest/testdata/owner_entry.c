// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Programs of different types that refer to one program array. The first one
 * that loads owns it; load them one by one. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

#define MEMBER(section, name, miss)                    \
	SEC(section)                                   \
	int name(void *ctx)                            \
	{                                              \
		bpf_tail_call_static(ctx, &jmp_table, 0); \
		return miss;                           \
	}

MEMBER("tc", entry_tc, 0)
MEMBER("tcx/ingress", entry_tcx_ingress, 0)
MEMBER("xdp", entry_xdp, 2)
MEMBER("xdp.frags", entry_xdp_frags, 2)
MEMBER("socket", entry_socket, 0)
MEMBER("kprobe", entry_kprobe, 0)
MEMBER("cgroup_skb/ingress", entry_cgroup_skb_ingress, 1)
MEMBER("cgroup_skb/egress", entry_cgroup_skb_egress, 1)
