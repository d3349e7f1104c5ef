// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* State travels in a per-CPU array, which nobody resets between runs. */
#include "common.h"

int last(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &last },
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} scratch SEC(".maps");

static __always_inline __u32 *own_scratch(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&scratch, &key);
}

SEC("tc")
int last(struct __sk_buff *skb)
{
	__u32 *sum = own_scratch();

	(void)skb;
	return sum ? *sum + 1000 : 1;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u32 *sum = own_scratch();

	if (sum)
		*sum += 5;
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 2;
}

SEC("tc")
int entry_resetting(struct __sk_buff *skb)
{
	__u32 *sum = own_scratch();

	if (sum)
		*sum = 5;
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 2;
}
