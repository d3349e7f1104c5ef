// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The initial value is a program of another type than the one that calls it. */
#include "common.h"

int target(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &target },
};

SEC("xdp")
int target(void *ctx)
{
	(void)ctx;
	return 2;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 3;
}
