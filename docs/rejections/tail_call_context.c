// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A tail call gets something else than the context. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} stages SEC(".maps");

struct state {
	struct xdp_md *ctx;
	__u64 offset;
};

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	struct state s = { .ctx = ctx, .offset = 14 };

	bpf_tail_call(&s, &stages, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
