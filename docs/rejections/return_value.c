// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* The program returns a number that its type does not allow. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("cgroup_skb/ingress")
int filter(struct __sk_buff *skb)
{
	return skb->len;
}

char _license[] SEC("license") = "Dual BSD/GPL";
