// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A field of the context is read-only. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int shorten(struct __sk_buff *skb)
{
	skb->len = 64;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
