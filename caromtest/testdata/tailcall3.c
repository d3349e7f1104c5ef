// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A program that calls itself through a constant slot until the limit. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

int count;

SEC("tc")
int again(struct __sk_buff *skb)
{
	count++;
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 1;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 0;
}
