// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A constant of the program is written. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 limit = 100;

SEC("tc")
int adapt(struct __sk_buff *skb)
{
	if (skb->len > limit)
		*(volatile __u32 *)&limit = skb->len;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
