// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The caller's frame has a size that is not a multiple of 8. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

int done;

SEC("tc")
int target_0(struct __sk_buff *skb)
{
	(void)skb;
	done = 1;
	return 0;
}

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 1;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	volatile char frame[1] = {};

	keep(frame);
	return from_subprogram(skb);
}
