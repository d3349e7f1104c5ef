// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Two initial values for a program array of one slot. */
#include "common.h"

int target_0(struct __sk_buff *skb);
int target_1(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &target_0, [1] = &target_1 },
};

TC_RETURNS(target_0, 0)
TC_RETURNS(target_1, 1)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 3;
}
