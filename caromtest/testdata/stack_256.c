// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The callers of a subprogram that tail-calls may use less than 256 bytes of
 * stack together; 256 is too much, so the kernel
 * refuses to load this. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

TC_RETURNS(target, 7)

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 5;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	volatile char frame[256] = {};
	int result;

	keep(frame);
	frame[0] = 100;
	result = from_subprogram(skb);
	return result + frame[0];
}
