// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Forty attempts that are not taken, then one that is: failures cost no budget. */
#include "common.h"

int target(struct __sk_buff *skb);

#define GOOD 1

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [GOOD] = &target },
};

__u32 wanted;

TC_RETURNS(target, 42)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	for (int i = 0; i < 40; i++)
		bpf_tail_call(skb, &jmp_table, *(volatile __u32 *)&wanted);
	bpf_tail_call_static(skb, &jmp_table, GOOD);
	return 1;
}

/* The same with constant slots, which the kernel turns into direct jumps. */
SEC("tc")
int entry_direct(struct __sk_buff *skb)
{
#pragma unroll
	for (int i = 0; i < 20; i++) {
		bpf_tail_call_static(skb, &jmp_table, 2);
		bpf_tail_call_static(skb, &jmp_table, 4);
	}
	bpf_tail_call_static(skb, &jmp_table, GOOD);
	return 1;
}
