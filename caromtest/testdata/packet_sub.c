// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A subprogram that tail-calls may have changed the packet: its caller's packet
 * pointers are not valid any more, so the kernel refuses to load this. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 0;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data;
	__u8 *end = (void *)(long)skb->data_end;

	opaque(data);
	if (data + 15 > end)
		return 1;
	from_subprogram(skb);
	return data[14];
}
