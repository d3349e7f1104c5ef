// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The entry program calls twice a subprogram that tail-calls the entry program:
 * a binary tree of calls that one budget has to bound. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

int count;

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 0;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	volatile int result = 1;

	count++;
	from_subprogram(skb);
	from_subprogram(skb);
	return result;
}
