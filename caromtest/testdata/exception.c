// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* bpf_throw in a tail-called program ends that program only: its cookie becomes
 * the result of the subprogram that made the tail call. */
#include "common.h"

extern void bpf_throw(__u64 cookie) __ksym;

PROG_ARRAY(jmp_table, 1);

SEC("tc")
int thrower(struct __sk_buff *skb)
{
	(void)skb;
	bpf_throw(16);
	return 0;
}

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 10;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	return from_subprogram(skb) + 8;
}
