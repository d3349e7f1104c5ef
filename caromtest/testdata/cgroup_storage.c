// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Programs with the same, another and no cgroup storage around one program array.
 * Load the pairs that README.md lists, not all programs together. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, __u64);
} storage_a SEC(".maps"), storage_b SEC(".maps");

PROG_ARRAY(prog_array, 1);

/* A second array, so that a program in the first one can tail-call too. */
PROG_ARRAY(other_array, 1);

static __always_inline void visit(void *storage)
{
	__u64 *counter = bpf_get_local_storage(storage, 0);

	__sync_fetch_and_add(counter, 1);
}

SEC("cgroup_skb/egress")
int caller_a(struct __sk_buff *skb)
{
	visit(&storage_a);
	bpf_tail_call_static(skb, &prog_array, 0);
	return 1;
}

SEC("cgroup_skb/egress")
int caller_b(struct __sk_buff *skb)
{
	visit(&storage_b);
	bpf_tail_call_static(skb, &prog_array, 0);
	return 1;
}

SEC("cgroup_skb/egress")
int caller_none(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &prog_array, 0);
	return 1;
}

SEC("cgroup_skb/egress")
int callee_a(struct __sk_buff *skb)
{
	(void)skb;
	visit(&storage_a);
	return 1;
}

SEC("cgroup_skb/egress")
int callee_b(struct __sk_buff *skb)
{
	(void)skb;
	visit(&storage_b);
	return 1;
}

SEC("cgroup_skb/egress")
int leaf_none(struct __sk_buff *skb)
{
	(void)skb;
	return 1;
}

SEC("cgroup_skb/egress")
int bridge_none(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &other_array, 0);
	return 1;
}
