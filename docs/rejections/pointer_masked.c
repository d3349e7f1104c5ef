// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A pointer is rounded down with a mask. */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int align(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *data_end = (void *)(long)ctx->data_end;
	__u32 *word = (void *)((unsigned long)(data + 17) & ~3UL);

	if ((void *)(word + 1) > data_end)
		return XDP_PASS;
	return *word ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
