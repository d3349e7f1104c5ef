// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Like tailcall3, with an index that only run time knows. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

int count;
__u32 which;

SEC("tc")
int again(struct __sk_buff *skb)
{
	count++;
	bpf_tail_call(skb, &jmp_table, *(volatile __u32 *)&which);
	return 1;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jmp_table, *(volatile __u32 *)&which);
	return 0;
}
