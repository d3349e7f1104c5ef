// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Packet pointers stay valid behind a tail call of the main program, because
 * only the path that was not taken comes back. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

TC_RETURNS(target, 7)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data;
	__u8 *end = (void *)(long)skb->data_end;

	opaque(data);
	if (data + 15 > end)
		return 1;
	bpf_tail_call_static(skb, &jmp_table, 0);
	return data[14];
}
