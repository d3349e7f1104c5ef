// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Initial values for slots 1 and 3 of four. */
#include "common.h"

int target_1(struct __sk_buff *skb);
int target_3(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [1] = &target_1, [3] = &target_3 },
};

__u32 selector;

TC_RETURNS(target_1, 11)
TC_RETURNS(target_3, 33)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jmp_table, *(volatile __u32 *)&selector);
	return 9;
}
