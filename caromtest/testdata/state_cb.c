// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* State travels along the chain in the packet buffer's control block and mark. */
#include "common.h"

int middle(struct __sk_buff *skb);
int last(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &middle, [1] = &last },
};

SEC("tc")
int last(struct __sk_buff *skb)
{
	return skb->cb[0] + skb->cb[4] + skb->mark;
}

SEC("tc")
int middle(struct __sk_buff *skb)
{
	skb->cb[4] = 0x2222;
	bpf_tail_call_static(skb, &jmp_table, 1);
	return 2;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	skb->cb[0] = 0x1111;
	skb->mark = 9;
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 1;
}
