// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The index is the low half of a 64-bit register. */
#include "common.h"

int target_0(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &target_0 },
};

__u64 wanted;

TC_RETURNS(target_0, 77)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	tail_call_64(skb, &jmp_table, *(volatile __u64 *)&wanted);
	return 2;
}

SEC("tc")
int entry_constant(struct __sk_buff *skb)
{
	tail_call_64(skb, &jmp_table, 0x100000000ULL);
	return 2;
}
