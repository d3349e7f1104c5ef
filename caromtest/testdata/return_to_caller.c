// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A tail call in a subprogram replaces that subprogram: the target's result goes
 * to whoever called the subprogram. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

TC_RETURNS(target, 7)

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 5;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

__noinline int from_global_subprogram(struct __sk_buff *skb)
{
	volatile int result = 5;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

static __noinline int middle(struct __sk_buff *skb)
{
	return from_subprogram(skb) + 10;
}

SEC("tc")
int back(struct __sk_buff *skb)
{
	return from_subprogram(skb) + 100;
}

SEC("tc")
int back_global(struct __sk_buff *skb)
{
	return from_global_subprogram(skb) + 100;
}

SEC("tc")
int nested(struct __sk_buff *skb)
{
	return middle(skb) + 100;
}
