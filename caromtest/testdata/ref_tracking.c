// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A socket reference and a tail call in one program: fine as long as nothing is
 * held at the call.. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

TC_RETURNS(target, 7)

static __always_inline struct bpf_sock *find(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};

	return bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

SEC("tc")
int call_when_nothing_held(struct __sk_buff *skb)
{
	struct bpf_sock *sk = find(skb);

	if (sk)
		bpf_sk_release(sk);
	else
		bpf_tail_call_static(skb, &jmp_table, 0);
	return 0;
}

SEC("tc")
int release_then_call(struct __sk_buff *skb)
{
	struct bpf_sock *sk = find(skb);

	if (sk)
		bpf_sk_release(sk);
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 0;
}
