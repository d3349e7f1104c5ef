// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The compiler knows that `folded_subprogram` returns 1 and does not look at its result; it
 * cannot know that a taken tail call returns something else. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

TC_RETURNS(target, 7)

static __noinline int folded_subprogram(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 1;
}

static __noinline int honest_subprogram(struct __sk_buff *skb)
{
	volatile int result = 1;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int folded(struct __sk_buff *skb)
{
	return folded_subprogram(skb) + 64;
}

SEC("tc")
int honest(struct __sk_buff *skb)
{
	return honest_subprogram(skb) + 64;
}
