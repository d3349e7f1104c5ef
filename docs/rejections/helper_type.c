// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* XDP programs do not have the helpers of socket buffers. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pull(struct xdp_md *ctx)
{
	bpf_skb_pull_data((void *)ctx, 64);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
