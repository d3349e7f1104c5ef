// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* One target in two program arrays: the budget belongs to the run, not to a map. */
#include "common.h"

int target_0(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table0 SEC(".maps") = {
	.values = { [0] = &target_0 },
}, jmp_table1 SEC(".maps") = {
	.values = { [0] = &target_0 },
};

int count;

static __noinline int through_table(struct __sk_buff *skb, void *table)
{
	volatile int result = 0;

	bpf_tail_call_static(skb, table, 0);
	return result;
}

SEC("tc")
int target_0(struct __sk_buff *skb)
{
	count++;
	through_table(skb, &jmp_table0);
	through_table(skb, &jmp_table1);
	return *(volatile int *)&count;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	volatile int result = 0;

	through_table(skb, &jmp_table0);
	result = *(volatile int *)&count;
	return result;
}
