// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A chain 0 -> 1 -> 2, and a pair 3 <-> 4 that call each other to the limit. */
#include "common.h"

PROG_ARRAY(jmp_table, 5);

#define LINK(self, next)                                  \
	SEC("tc")                                         \
	int link_##self(struct __sk_buff *skb)            \
	{                                                 \
		bpf_tail_call_static(skb, &jmp_table, next); \
		return self;                              \
	}

LINK(0, 1)
LINK(1, 2)
TC_RETURNS(link_2, 2)
LINK(3, 4)
LINK(4, 3)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	bpf_tail_call_static(skb, &jmp_table, 2);
	bpf_tail_call_static(skb, &jmp_table, 3);
	/* Never 3 by accident: only link_3 returns that. */
	return 9;
}
