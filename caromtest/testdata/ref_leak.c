// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A socket reference is held at the tail call: the kernel refuses to load it. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

SEC("tc")
int leak(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4),
						BPF_F_CURRENT_NETNS, 0);

	bpf_tail_call_static(skb, &jmp_table, 0);
	if (sk)
		bpf_sk_release(sk);
	return 0;
}
