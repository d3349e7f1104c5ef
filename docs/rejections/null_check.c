// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A value is used as it comes from the map. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;
	__u64 *counter = bpf_map_lookup_elem(&packets, &queue);

	*counter += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
