// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* The index has an upper limit, but may be negative. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct table {
	__u64 rows[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct table);
} tables SEC(".maps");

SEC("tc")
int pick(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct table *t = bpf_map_lookup_elem(&tables, &zero);
	int row = skb->mark;

	if (!t || row >= 16)
		return 0;
	t->rows[row]++;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
