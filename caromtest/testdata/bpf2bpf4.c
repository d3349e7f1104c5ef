// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Three levels of subprograms that tail-call; the last one calls itself.
 * With noise set, helpers that the kernel's verifier rewrites inline run
 * between the hops, which moves the instructions behind them. */
#include "common.h"

PROG_ARRAY(jmp_table, 3);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} scratch SEC(".maps");

int count;
int noise;

static __noinline int make_noise(void)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&scratch, &key);

	if (value)
		*value += bpf_jiffies64() | 1;
	return 0;
}

static __noinline int third_level(struct __sk_buff *skb)
{
	if (noise)
		make_noise();
	bpf_tail_call_static(skb, &jmp_table, 2);
	return skb->len * 3;
}

static __noinline int second_level(struct __sk_buff *skb)
{
	if (noise)
		make_noise();
	bpf_tail_call_static(skb, &jmp_table, 1);
	return skb->len * 2;
}

static __noinline int first_level(struct __sk_buff *skb)
{
	if (noise)
		make_noise();
	bpf_tail_call_static(skb, &jmp_table, 0);
	return skb->len;
}

SEC("tc")
int target_0(struct __sk_buff *skb)
{
	return second_level(skb);
}

SEC("tc")
int target_1(struct __sk_buff *skb)
{
	return third_level(skb);
}

SEC("tc")
int target_2(struct __sk_buff *skb)
{
	count++;
	return third_level(skb);
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	return first_level(skb);
}
