// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The callers of a subprogram that tail-calls may use less than 256 bytes of
 * stack together; 240 is the most that fits after rounding to 16. */
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
	volatile char frame[240] = {};
	int result;

	keep(frame);
	frame[0] = 100;
	result = from_subprogram(skb);
	return result + frame[0];
}
