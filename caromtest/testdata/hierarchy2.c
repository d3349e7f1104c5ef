// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Two subprograms lead to two different targets; the targets share one budget. */
#include "common.h"

int target_0(struct __sk_buff *skb);
int target_1(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = {
		[0] = &target_0,
		[1] = &target_1,
	},
};

int count0;
int count1;

static __noinline int to_slot_0(struct __sk_buff *skb)
{
	volatile int result = 0;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

static __noinline int to_slot_1(struct __sk_buff *skb)
{
	volatile int result = 0;

	bpf_tail_call_static(skb, &jmp_table, 1);
	return result;
}

SEC("tc")
int target_0(struct __sk_buff *skb)
{
	volatile int result = 0;

	count0++;
	to_slot_0(skb);
	return result;
}

SEC("tc")
int target_1(struct __sk_buff *skb)
{
	volatile int result = 0;

	count1++;
	to_slot_1(skb);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	to_slot_0(skb);
	to_slot_1(skb);
	return (*(volatile int *)&count1 << 16) | *(volatile int *)&count0;
}
