// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Tail calls from subprograms with stack frames that matter: 128 bytes in each
 * program, 64 in each subprogram. */
#include "common.h"

unsigned long long load_half(void *skb, unsigned long long off) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long off) asm("llvm.bpf.load.word");

PROG_ARRAY(jmp_table, 2);

static __noinline int second_hop(struct __sk_buff *skb)
{
	volatile char frame[64] = {};

	keep(frame);
	/* Both are 0 in the packet; slot 10 is out of range. */
	if (load_word(skb, 0) || load_half(skb, 0))
		bpf_tail_call_static(skb, &jmp_table, 10);
	else
		bpf_tail_call_static(skb, &jmp_table, 1);
	return skb->len;
}

static __noinline int first_hop(struct __sk_buff *skb)
{
	volatile char frame[64] = {};

	keep(frame);
	bpf_tail_call_static(skb, &jmp_table, 0);
	return skb->len * 2;
}

SEC("tc")
int target_0(struct __sk_buff *skb)
{
	volatile char frame[128] = {};

	keep(frame);
	return second_hop(skb);
}

SEC("tc")
int target_1(struct __sk_buff *skb)
{
	volatile char frame[128] = {};

	keep(frame);
	return skb->len * 3;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	volatile char frame[128] = {};

	keep(frame);
	return first_hop(skb);
}
