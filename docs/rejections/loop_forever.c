// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* Nothing makes sure that the loop ends. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int wait(struct __sk_buff *skb __attribute__((unused)))
{
	while (bpf_get_prandom_u32() % 64 != 0)
		;
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
