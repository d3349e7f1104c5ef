// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* One call site that sees another constant index on each path. */
#include "common.h"

PROG_ARRAY(jmp_table, 3);

__u32 selector;

TC_RETURNS(target_0, 0)
TC_RETURNS(target_1, 1)
TC_RETURNS(target_2, 2)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u32 index = 0;

	if (selector == 1234) {
		index = 1;
		opaque(index);
	} else if (selector == 5678) {
		index = 2;
		opaque(index);
	}
	bpf_tail_call(skb, &jmp_table, index);
	return 3;
}
