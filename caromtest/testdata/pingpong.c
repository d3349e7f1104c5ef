// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Two programs call each other through two program arrays. */
#include "common.h"

int ping(struct __sk_buff *skb);
int pong(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} to_ping SEC(".maps") = {
	.values = { [0] = &ping },
}, to_pong SEC(".maps") = {
	.values = { [0] = &pong },
};

__u64 count;

SEC("tc")
int ping(struct __sk_buff *skb)
{
	count++;
	bpf_tail_call_static(skb, &to_pong, 0);
	return 1;
}

SEC("tc")
int pong(struct __sk_buff *skb)
{
	count++;
	bpf_tail_call_static(skb, &to_ping, 0);
	return 2;
}
