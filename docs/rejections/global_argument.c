// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A global function gets a pointer to less memory than its type has. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct flow {
	__u64 packets;
	__u64 bytes;
};

__noinline int add(struct flow *f, __u32 len)
{
	if (!f)
		return 0;
	f->packets++;
	f->bytes += len;
	return 1;
}

SEC("tc")
int account(struct __sk_buff *skb)
{
	__u64 bytes = skb->len;

	return add((struct flow *)&bytes, skb->len);
}

char _license[] SEC("license") = "Dual BSD/GPL";
