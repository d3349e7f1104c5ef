// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Static and global functions that are called in loops, three frames deep, with
 * pointers to the caller's stack. */
#include "common.h"

struct flow {
	__u32 source, destination;
	__u16 ports[2];
	__u32 weight[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, __u32);
	__type(value, __u64);
} weights SEC(".maps");

static __noinline __u32 weigh(const struct flow *flow, __u32 round)
{
	__u32 sum = flow->source ^ flow->destination;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 8; i++) {
		if (flow->weight[i] > round)
			sum += flow->weight[i];
		else
			sum ^= round << (i & 7);
	}
	return sum;
}

__noinline int classify(__u32 sum)
{
	__u32 class = 0;

#pragma clang loop unroll(disable)
	for (int bit = 31; bit > 0; bit--) {
		if (sum >> bit & 1) {
			class = bit;
			break;
		}
	}
	return class;
}

static __noinline __u32 total(struct flow *flow, __u32 rounds)
{
	__u32 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 round = 0; round < 12; round++) {
		if (round >= rounds)
			break;
		__u32 part = weigh(flow, round);
		int class = classify(part);

		flow->weight[round & 7] = part;
		sum += class;
	}
	return sum;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	struct flow flow = { .source = skb->len, .destination = skb->protocol };
	__u32 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 8; i++)
		flow.weight[i] = skb->mark + i;
	flow.ports[0] = skb->priority;
	sum += total(&flow, flow.ports[0] & 15);
	sum += total(&flow, 12);
	__u64 *weight = bpf_map_lookup_elem(&weights, &sum);

	if (weight)
		*weight += sum;
	return sum;
}
