// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* The loop ends, but Linux follows all of its rounds, one by one. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int sample(struct __sk_buff *skb)
{
	__u32 most = 0;

	for (__u32 i = 0; i < 500000; i++) {
		__u32 n = bpf_get_prandom_u32() & 0xff;

		most += n;
	}
	skb->mark = most;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
