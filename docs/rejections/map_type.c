// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A program tries to read a slot of a program array. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} stages SEC(".maps");

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	__u32 next = 1;

	if (bpf_map_lookup_elem(&stages, &next))
		bpf_tail_call(ctx, &stages, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
