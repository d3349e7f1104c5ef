// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* An index that comes from outside has no limit. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct histogram {
	__u32 slots[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct histogram);
} sizes SEC(".maps");

SEC("tc")
int measure(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct histogram *h = bpf_map_lookup_elem(&sizes, &zero);
	__u32 slot = skb->len / 32;

	if (!h)
		return 0;
	h->slots[slot]++;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
