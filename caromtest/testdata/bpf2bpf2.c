// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A chain in which every member calls from a subprogram; the subprogram also
 * reads the packet with LD_ABS, which has an exit of its own. */
#include "common.h"

unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");

PROG_ARRAY(jmp_table, 1);

int count;

static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile int result = 1;

	/* The first byte of the packet is 0; slot 1 is out of range. */
	if (load_byte(skb, 0))
		bpf_tail_call_static(skb, &jmp_table, 1);
	else
		bpf_tail_call_static(skb, &jmp_table, 0);
	return result;
}

SEC("tc")
int again(struct __sk_buff *skb)
{
	count++;
	return from_subprogram(skb);
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 0;
}
