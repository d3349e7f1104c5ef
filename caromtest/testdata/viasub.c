// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Every member of the chain calls from a subprogram, so all 34 callers wait and
 * each adds 1 on the way back. */
#include "common.h"

int entry(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &entry },
};

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 0;

	bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	return from_subprogram(skb) + 1;
}
