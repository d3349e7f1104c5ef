// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* The loop ends, but every round multiplies the states. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int checksum(struct __sk_buff *skb)
{
	__u32 sum = 0;

	for (__u32 i = 0; i < 100000; i++) {
		__u8 byte;

		if (bpf_skb_load_bytes(skb, i, &byte, 1) < 0)
			break;
		sum += byte;
	}
	skb->mark = sum;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
