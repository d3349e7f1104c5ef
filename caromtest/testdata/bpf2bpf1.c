// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A tail call in the main program, then one in a subprogram. */
#include "common.h"

PROG_ARRAY(jmp_table, 2);

TC_RETURNS(target_0, 0)
TC_RETURNS(target_1, 1)

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return skb->len * 2;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 1);
	return from_subprogram(skb);
}
