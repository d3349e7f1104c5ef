// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A part of a char array is read as a number of eight bytes. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int first(struct __sk_buff *skb)
{
	char head[16] = {};

	bpf_skb_load_bytes(skb, 0, head, sizeof(head));
	return *(volatile __u64 *)(head + 2) != 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
