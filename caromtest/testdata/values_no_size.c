// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Initial values, but nobody says how many slots there are. */
#include "common.h"

int target(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &target },
};

TC_RETURNS(target, 7)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 3;
}
