// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A pointer into the packet is used after a helper that may move the packet. */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int rewrite(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data;
	void *data_end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	__u8 ttl = 64;

	if (data + sizeof(*eth) > data_end)
		return 0;
	bpf_skb_store_bytes(skb, 22, &ttl, sizeof(ttl), 0);
	eth->h_source[0] = 2;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
