// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* The helper is declared with three arguments and has four. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static long (*const map_update)(void *map, const void *key, const void *value) = (void *)2;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} marks SEC(".maps");

SEC("tc")
int remember(struct __sk_buff *skb)
{
	__u32 key = skb->ifindex, value = skb->mark;

	map_update(&marks, &key, &value);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
