// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The index is read from a variable, so the call site stays indirect. */
#include "common.h"

PROG_ARRAY(jmp_table, 3);

__u32 selector;

TC_RETURNS(target_0, 0)
TC_RETURNS(target_1, 1)
TC_RETURNS(target_2, 2)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jmp_table, *(volatile __u32 *)&selector);
	return 3;
}
