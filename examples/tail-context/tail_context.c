// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* Hand a struct along a chain of three programs.
 *
 * A tail call passes the packet and nothing else, so the programs share one
 * entry of a per-CPU array. The chain stays on its CPU, which makes that entry
 * private to the run; it keeps its contents between runs, so the first program
 * resets it. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define ALLOW 1

struct tail_context {
	__u32 first;
	__u32 second;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tail_context);
} context SEC(".maps");

int second_prog(struct __sk_buff *skb);
int third_prog(struct __sk_buff *skb);

enum slot {
	SLOT_SECOND,
	SLOT_THIRD,
	SLOTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} chain SEC(".maps") = {
	.values = {
		[SLOT_SECOND] = &second_prog,
		[SLOT_THIRD] = &third_prog,
	},
};

static __always_inline struct tail_context *tail_context(void)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&context, &key);
}

SEC("cgroup_skb/egress")
int first_prog(struct __sk_buff *skb)
{
	struct tail_context *tc = tail_context();

	if (!tc)
		return ALLOW;
	*tc = (struct tail_context){ .first = 11 };
	bpf_tail_call_static(skb, &chain, SLOT_SECOND);
	return ALLOW;
}

SEC("cgroup_skb/egress")
int second_prog(struct __sk_buff *skb)
{
	struct tail_context *tc = tail_context();

	if (!tc)
		return ALLOW;
	tc->second = 2 * tc->first;
	bpf_tail_call_static(skb, &chain, SLOT_THIRD);
	return ALLOW;
}

SEC("cgroup_skb/egress")
int third_prog(struct __sk_buff *skb)
{
	struct tail_context *tc = tail_context();

	(void)skb;
	if (tc)
		bpf_printk("first=%d second=%d", tc->first, tc->second);
	return ALLOW;
}

char LICENSE[] SEC("license") = "GPL";
